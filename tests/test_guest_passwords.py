"""A guest is given its password until it says that it has it, and by neither router of a pair after that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import fields

from tests.strategies import additive_commands
from vpcrouter import Router
from vpcrouter.agent.guests import Guests
from vpcrouter.commands import Command, ConfirmGuestPassword, PutGuestPages, PutGuestPassword, RemoveTier
from vpcrouter.errors import JournalWriteError
from vpcrouter.guest_door import Answer, GuestDoor
from vpcrouter.machines.beacon import Beacon, unpack_beacon
from vpcrouter.values.agreement import Thing, Touch, Trace, Window
from vpcrouter.values.beacon import Peer, Saying
from vpcrouter.values.config import Secret
from vpcrouter.values.connections import ConnectionSample
from vpcrouter.values.guests import GuestPages
from vpcrouter.values.role import Role

KEY = b"k" * 32
GUEST = "10.1.2.77"


def put(password: str, address: str = GUEST) -> PutGuestPassword:
    return PutGuestPassword(address=address, password=Secret(text=password))


class _Agent:
    """As much of one as guests need. What it says goes through a beacon."""

    def __init__(self, directory: Path) -> None:
        self.router = Router.open(directory)
        self.router.submit_many(additive_commands(2))
        self.stored = 0
        self.guests = Guests(self.router, self._open, stored=self._count)

    def _open(self, path: Path, answer: Answer) -> GuestDoor:
        self.answer = answer
        return GuestDoor(path, answer)

    def _count(self) -> None:
        self.stored += 1

    def ask(self, verb: str, address: str = GUEST) -> str:
        async def asked() -> str:
            return await self.answer(verb, address)

        return asyncio.run(asked())

    def says(self, *heard: Peer) -> Peer:
        self.guests.look(KEY)
        saying = Saying(waiting_passwords=self.guests.waiting(), fetched_passwords=self.guests.fetched(heard))
        beacon = Beacon(instance=b"i" * 8, number=1, nonce=b"n" * 8, echoes=(), saying=saying, served_ms_ago=None).pack(
            KEY
        )
        read = unpack_beacon(beacon, KEY)
        assert read is not None
        return Peer(number=1, instance=b"i" * 8, saying=read.saying)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[_Agent, _Agent]]:
    one, other = _Agent(tmp_path / "one"), _Agent(tmp_path / "other")
    yield one, other
    one.router.close()
    other.router.close()


def test_a_password_is_handed_out_until_it_is_confirmed_and_never_again(pair: tuple[_Agent, _Agent]) -> None:
    agent, _ = pair
    assert agent.ask("send") == "saved_password", "there is none"
    agent.router.submit(put("one"))
    assert [agent.ask("send"), agent.ask("send")] == ["one", "one"]
    assert agent.ask("send", "10.1.2.78") == "saved_password", "somebody else's"
    assert (agent.ask("saved"), agent.stored) == ("saved_password", 1)
    assert agent.ask("send") == "saved_password"
    agent.router.submit(put("one"))
    assert agent.ask("send") == "saved_password", "the same command once more"
    agent.router.submit(put("two"))
    assert agent.ask("send") == "two"


def test_a_confirmation_is_of_what_was_handed_out(pair: tuple[_Agent, _Agent]) -> None:
    agent, _ = pair
    agent.router.submit(put("one"))
    agent.ask("send")
    agent.router.submit(put("two"))
    assert (agent.ask("saved"), agent.stored) == ("saved_password", 0)
    assert agent.ask("send") == "two"


def test_what_is_not_durable_is_not_acknowledged(pair: tuple[_Agent, _Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    agent, _ = pair
    agent.router.submit(put("one"))
    agent.ask("send")

    def refuse(commands: list[Command], **_: object) -> None:
        assert commands == [ConfirmGuestPassword(address=GUEST)]
        raise JournalWriteError("no room", where="disk")

    with monkeypatch.context() as patch:
        patch.setattr(agent.router, "submit_each", refuse)
        assert (agent.ask("saved"), agent.stored) == ("bad_request", 0)
    assert agent.ask("send") == "one"


def test_after_a_failover_the_other_router_does_not_hand_it_out_again(pair: tuple[_Agent, _Agent]) -> None:
    serving, backup = pair
    for each in pair:
        each.router.submit_many([put("one"), put("two", "10.1.2.78")])
    serving.ask("send")
    serving.ask("saved")
    assert backup.guests.learn([serving.says(backup.says())])
    assert backup.ask("send") == "saved_password"
    assert backup.ask("send", "10.1.2.78") == "two", "nobody has fetched that"
    assert backup.router.digest == serving.router.digest
    assert not backup.guests.learn([serving.says(backup.says())]), "known by now"


def test_one_that_missed_it_is_told_when_it_names_the_password(pair: tuple[_Agent, _Agent]) -> None:
    serving, backup = pair
    guests = [f"10.1.2.{number}" for number in range(20, 120)]
    for each in pair:
        each.router.submit_many([put("one", guest) for guest in guests])
    fetched = guests[::2]  # those that wait must not keep the others from being named
    for guest in fetched:
        serving.ask("send", guest)
        serving.ask("saved", guest)
    serving.says()
    for _ in guests:
        backup.guests.next_turn()
        backup.guests.look(KEY)
        backup.guests.learn([serving.says(backup.says())])
    assert [guest for guest in guests if backup.ask("send", guest) == "saved_password"] == fetched


def test_with_its_tier_goes_what_a_guest_is_told(pair: tuple[_Agent, _Agent]) -> None:
    agent, _ = pair
    pages = GuestPages(address=GUEST, metadata=(("instance-id", "i-1"),))
    agent.router.submit_many([put("one"), PutGuestPages(pages=pages), put("two", "10.1.2.78")])
    assert {*agent.router.state.guest_passwords} >= {GUEST, "10.1.2.78"}
    agent.router.submit(RemoveTier(device="eth2", network=agent.router.state.tiers["eth2"].network))
    assert not {GUEST, "10.1.2.78"} & {*agent.router.state.guest_passwords, *agent.router.state.guest_pages}


def test_a_beacon_carries_all_that_is_said() -> None:
    saying = Saying(
        tiers=("eth2",),
        carrier="eth2",
        target="eth3",
        link="eth5",
        role=Role.MASTER,
        seq=1,
        digest="d",
        offer=1,
        taker=b"t" * 8,
        ready=True,
        missing=1,
        waiting_passwords=(b"w" * 8,),
        fetched_passwords=(b"f" * 8,),
        sample=ConnectionSample(number=1, epoch=1, total=1, hashes=(1,)),
        window=Window(low=1, high=9, hashes=(3,)),
        traces=(Trace(thing=Thing("ACL", "eth2"), hash=3, touch=Touch(seq=1, event="acl-replaced", time_ms=1)),),
        roles=(("eth2", Role.BACKUP),),
        generation=1,
        lost=("a link",),
        reaches_gateway=False,
        vrrp="hmac",
        way="unicast",
        unconfirmed=("a change",),
    )
    defaults = Saying()
    assert not [each.name for each in fields(Saying) if getattr(saying, each.name) == getattr(defaults, each.name)]
    packed = Beacon(instance=b"i" * 8, number=1, nonce=b"n" * 8, echoes=(), saying=saying, served_ms_ago=(5, 2))
    assert unpack_beacon(packed.pack(KEY), KEY) == packed
