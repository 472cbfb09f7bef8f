"""Changes that are kept only if they are confirmed in time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.strategies import additive_commands, config, public_address, tier
from tests.surroundings import Turned
from vpcrouter import JournalError, MalformedInputError, Receipt, RejectedCommandError, Router
from vpcrouter.commands import (
    ChangePortForwards,
    ChangePublicAddresses,
    ChangeStaticNats,
    ChangeStaticRoutes,
    Command,
    ConfigureRouter,
    PutReservation,
    PutTier,
    RemoveTier,
    ReplaceAcl,
)
from vpcrouter.confirming import STEADY_LOOKS, Confirming
from vpcrouter.deciding import Asked
from vpcrouter.errors import FullDiskError
from vpcrouter.events import ChangeReverted
from vpcrouter.journal import read_journal, write_snapshot
from vpcrouter.state_codec import pack_state, unpack_state
from vpcrouter.values.config import Acl, AclRule, PortForward, Reservation, StaticNat, StaticRoute, Tier
from vpcrouter.values.confirmation import Terms

CUT_OFF = ReplaceAcl(acl=Acl(device="eth2", ingress=(AclRule(protocol="all", networks=("0.0.0.0/0",), allowed=False),)))
MINUTE = Terms(within_ms=60_000)


def lease(address: str, name: str = "vm", *, seconds: int = 0) -> PutReservation:
    mac = "02:00:{:02x}:{:02x}:{:02x}:{:02x}".format(*map(int, address.split(".")))
    return PutReservation(
        reservation=Reservation(address=address, mac=mac, host_name=name, lease_seconds=seconds),
    )


def route(network: str, gateway: str = "10.1.2.14") -> ChangeStaticRoutes:
    return ChangeStaticRoutes(put=(StaticRoute(network=network, gateway=gateway),))


def forward(port: int, target: str = "10.1.2.11") -> PortForward:
    return PortForward(
        address="203.0.113.11", protocol="tcp", first_port=port, last_port=port, target=target, target_port=22
    )


class Bench:
    """A router in a world whose clocks are turned by hand, which can be killed and started again."""

    def __init__(self, directory: Path, *before: Command) -> None:
        self.directory = directory
        self.world = Turned()
        self.router = Router.open(directory, surroundings=self.world)
        for command in before:
            self.router.submit(command)

    def restart(self) -> None:
        self.router.close()
        self.router = Router.open(self.directory, surroundings=self.world)

    def change(self, *commands: Command, terms: Terms = MINUTE) -> str:
        receipts = self.router.submit_change(commands, terms)
        (name,) = {each.confirmation for each in receipts if isinstance(each, Receipt) and each.confirmation}
        return name

    @property
    def kept(self) -> tuple[str, ...]:
        """What the newest take-back left, and why."""
        *_, last = read_journal(self.directory)
        assert isinstance(last.event, ChangeReverted)
        return last.event.kept


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "journal", *additive_commands(2))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf"), True, "60", -1, 0, 1e300])
def test_a_time_that_is_none_is_refused_and_nothing_stored(bench: Bench, seconds: float) -> None:
    before = bench.router.seq
    with pytest.raises(MalformedInputError, match=r"confirm_within_s|within_ms"):
        bench.router.submit(CUT_OFF, confirm_within_s=seconds)
    assert bench.router.seq == before


def test_a_change_that_nobody_confirms_is_taken_back(bench: Bench) -> None:
    before = bench.router.digest
    receipt = bench.router.submit(CUT_OFF, confirm_within_s=60)
    assert (receipt.status, receipt.confirmation) == ("accepted", str(receipt.seq))
    assert receipt.confirm_by_ms == bench.world.wall_ms + 60_000
    assert bench.router.digest != before
    bench.world.pass_ms(59_999)
    assert bench.router.expire() == []
    bench.world.pass_ms(1)
    (taken_back,) = bench.router.expire()
    assert taken_back.event == "change-reverted"
    assert (bench.router.digest, bench.router.unconfirmed, bench.kept) == (before, (), ())
    with pytest.raises(RejectedCommandError, match="no change waits for confirmation"):
        bench.router.confirm(receipt.confirmation)


def test_a_change_that_is_confirmed_stays(bench: Bench) -> None:
    name = bench.change(CUT_OFF)
    digest = bench.router.digest
    bench.world.pass_ms(59_999)
    assert bench.router.confirm(name).event == "change-confirmed"
    bench.world.pass_ms(10**9)
    bench.restart()
    assert bench.router.expire() == []
    assert (bench.router.digest, bench.router.unconfirmed) == (digest, ())


def test_the_digest_does_not_count_what_waits(bench: Bench) -> None:
    bench.change(CUT_OFF)
    waiting = bench.router.digest
    bench.router.confirm(bench.router.unconfirmed[0][0].name)
    assert bench.router.digest == waiting


def test_several_commands_are_one_change_and_stored_whole_or_not_at_all(bench: Bench) -> None:
    before, seq = bench.router.state, bench.router.seq
    overlapping = PutTier(tier=Tier(device="eth8", network="10.1.2.128/25", gateway="10.1.2.129", address="10.1.2.130"))
    results = bench.router.submit_change([PutTier(tier=tier(7)), overlapping, CUT_OFF], MINUTE)
    assert "another command of the same change is refused" in str(results[0])
    assert "overlaps the tier" in str(results[1])
    assert (bench.router.state, bench.router.seq) == (before, seq)
    name = bench.change(PutTier(tier=tier(7)), lease("10.1.7.20"), CUT_OFF, PutTier(tier=tier(7)))
    assert [(change.before, change.until) for change, _ in bench.router.unconfirmed] == [(seq, seq + 4)]
    bench.router.take_back(name)
    assert bench.router.digest == bench.router.at(seq).digest


def test_what_changes_nothing_needs_no_confirmation(bench: Bench) -> None:
    receipt = bench.router.submit(PutTier(tier=tier(2)), confirm_within_s=60)
    assert (receipt.status, receipt.confirmation, bench.router.unconfirmed) == ("unchanged", "", ())


def test_what_others_did_meanwhile_stays(bench: Bench) -> None:
    name = bench.change(
        CUT_OFF,
        PutTier(tier=tier(7)),
        lease("10.1.3.20", "mine"),
        RemoveTier(device="eth6", network="10.1.6.0/24"),
        ChangePortForwards(put=(forward(80),)),
    )
    others: list[Command] = [
        lease("10.1.4.20", "theirs"),
        lease("10.1.7.21", "in-the-new-tier"),
        lease("10.1.3.20", "replaced"),
        ChangePortForwards(put=(forward(443),)),
        route("198.51.100.64/27"),
    ]
    for command in others:
        assert bench.router.submit(command).status == "accepted"
    bench.router.take_back(name)
    state = bench.router.state
    names = {address: each.host_name for address, each in state.reservations.items()}
    assert names["10.1.4.20"] == "theirs"
    assert names["10.1.7.21"] == "in-the-new-tier"
    assert names["10.1.3.20"] == "replaced"
    assert names["10.1.6.11"] == "vm-6"
    assert set(state.tiers) == {"eth2", "eth3", "eth4", "eth5", "eth6"}
    assert [each.first_port for each in state.forwards["203.0.113.11"]] == [443, 2202, 2203, 2204, 2205, 2206]
    assert "198.51.100.64/27" in state.routes
    assert state.acls["eth2"].ingress[0].allowed
    assert bench.kept == ("reservation 10.1.3.20: changed again since",)


def test_what_would_contradict_something_newer_does_not_come_back(bench: Bench) -> None:
    bench.router.submit(ChangeStaticNats(put=(StaticNat(address="203.0.113.10", target="10.1.3.12"),)))
    both = ("203.0.113.13", "203.0.113.10")
    name = bench.change(ChangeStaticNats(remove=both))
    bench.router.submit(ChangeStaticNats(put=(StaticNat(address="203.0.113.14", target="10.1.4.11"),)))
    bench.router.take_back(name)
    assert set(bench.router.state.static_nats) == {"203.0.113.10", "203.0.113.14"}
    (kept,) = bench.kept
    assert "the guest 10.1.4.11 cannot have the static NATs" in kept


def test_a_thing_that_somebody_restored_by_hand_is_no_conflict(bench: Bench) -> None:
    before = bench.router.state.acls["eth2"]
    name = bench.change(CUT_OFF)
    bench.router.submit(ReplaceAcl(acl=before))
    bench.router.take_back(name)
    assert (bench.router.state.acls["eth2"], bench.kept) == (before, ())


def test_asking_for_what_an_unconfirmed_change_brought_is_told(bench: Bench) -> None:
    name = bench.change(CUT_OFF)
    receipt = bench.router.submit(CUT_OFF)
    assert (receipt.status, receipt.unconfirmed) == ("unchanged", (name,))


def test_changes_upon_changes(bench: Bench) -> None:
    bench.router.submit(lease("10.1.2.20", seconds=1))
    first = bench.change(lease("10.1.2.20", seconds=2), terms=Terms(within_ms=1_000))
    second = bench.change(lease("10.1.2.20", seconds=3), terms=Terms(within_ms=2_000))
    third = bench.change(lease("10.1.2.20", seconds=4), terms=Terms(within_ms=3_000))

    def now() -> int:
        return bench.router.state.reservations["10.1.2.20"].lease_seconds

    bench.router.take_back(first)
    assert now() == 4
    bench.restart()
    bench.router.take_back(second)
    assert now() == 4
    bench.restart()
    bench.router.take_back(third)
    assert now() == 1, "neither of the two that were taken back before must come back"


def test_those_whose_time_is_up_together_go_newest_first(bench: Bench) -> None:
    before = bench.router.digest
    bench.change(lease("10.1.2.20", seconds=2), CUT_OFF)
    bench.change(lease("10.1.2.20", seconds=3), PutTier(tier=tier(7)))
    bench.world.pass_ms(60_000)
    assert len(bench.router.expire()) == 2
    assert bench.router.digest == before


def test_the_first_boot_parameters_cannot_be_taken_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "journal")
    with pytest.raises(RejectedCommandError, match="first boot parameters cannot be taken back"):
        bench.router.submit(ConfigureRouter(config=config()), confirm_within_s=60)
    bench.change(PutTier(tier=tier(2)))
    bench.router.submit(ConfigureRouter(config=config()))
    bench.world.pass_ms(60_000)
    assert bench.router.expire()
    assert (bench.router.state.tiers, bench.router.state.router) == ({}, config())


def test_two_changes_do_not_wait_under_one_name(bench: Bench) -> None:
    bench.change(CUT_OFF, terms=Terms(name="upgrade"))
    (refused,) = bench.router.submit_change([PutTier(tier=tier(7))], Terms(name="upgrade"))
    assert "another change waits under the name 'upgrade'" in str(refused)
    assert "eth7" not in bench.router.state.tiers
    bench.router.confirm("upgrade")
    bench.change(PutTier(tier=tier(7)), terms=Terms(name="upgrade"))


def test_a_repeated_change_gets_its_first_receipt(bench: Bench) -> None:
    asked = [Asked(command=CUT_OFF, command_id="tf-1")]
    terms = Terms(name="tf-1")
    first = bench.router.submit_change(asked, terms)
    assert bench.router.submit_change(asked, terms) == first
    bench.restart()
    assert bench.router.submit_change(asked, terms) == first
    bench.world.pass_ms(60_000)
    (later,) = bench.router.submit_change(asked, terms)
    assert isinstance(later, Receipt)
    assert (later.seq, later.confirmation) == (first[0].seq if isinstance(first[0], Receipt) else 0, "")
    assert bench.router.state.acls["eth2"].ingress[0].allowed, "it was taken back, and is not done again"


# Time -------------------------------------------------------------------------------------------


def test_what_is_overdue_is_taken_back_before_anything_else_is_decided(bench: Bench) -> None:
    bench.change(PutTier(tier=tier(7)))
    bench.world.pass_ms(60_000)
    receipt = bench.router.submit(
        PutTier(tier=Tier(device="eth7", network="10.1.70.0/24", gateway="10.1.70.1", address="10.1.70.2"))
    )
    assert receipt.status == "accepted"
    assert bench.router.state.tiers["eth7"].network == "10.1.70.0/24"


@pytest.mark.parametrize("step_ms", [-(10**9), 10**9])
def test_a_step_of_the_wall_clock_changes_nothing(bench: Bench, step_ms: int) -> None:
    bench.change(CUT_OFF)
    bench.world.wall_ms += step_ms
    bench.world.pass_ms(30_000)
    bench.restart()
    assert [left_s for _, left_s in bench.router.unconfirmed] == [30.0]
    bench.world.wall_ms -= 2 * step_ms
    bench.world.pass_ms(29_999)
    assert bench.router.expire() == []
    bench.world.pass_ms(1)
    assert len(bench.router.expire()) == 1


def test_an_agent_that_was_dead_at_the_deadline_takes_back_when_it_is_there_again(bench: Bench) -> None:
    before = bench.router.digest
    bench.change(CUT_OFF)
    bench.router.close()
    bench.world.pass_ms(10**8)
    bench.router = Router.open(bench.directory, surroundings=bench.world)
    assert len(bench.router.expire()) == 1
    assert bench.router.digest == before


def test_over_a_reboot_the_wall_clock_counts(bench: Bench) -> None:
    bench.change(CUT_OFF)
    bench.world.pass_ms(10_000)
    bench.world.reboot(after_ms=20_000)
    bench.restart()
    assert [left_s for _, left_s in bench.router.unconfirmed] == [30.0]
    bench.world.wall_ms -= 10**9
    bench.world.pass_ms(30_000)
    assert len(bench.router.expire()) == 1


def test_a_machine_that_boots_without_the_time_of_day_gives_no_more_than_at_first(bench: Bench) -> None:
    bench.change(CUT_OFF)
    bench.world.reboot()
    bench.world.wall_ms = 0
    bench.restart()
    assert [left_s for _, left_s in bench.router.unconfirmed] == [60.0]
    bench.world.wall_ms = 1_800_000_000_000
    bench.world.pass_ms(59_999)
    assert bench.router.expire() == []
    bench.world.pass_ms(1)
    assert len(bench.router.expire()) == 1


def test_what_waits_survives_a_snapshot(bench: Bench) -> None:
    before = bench.router.digest
    first = bench.change(CUT_OFF, terms=Terms(within_ms=1_000))
    bench.change(lease("10.1.2.20"), terms=Terms(within_ms=2_000, conditions=("settled", "tcp 10.1.2.11 443")))
    bench.router.take_back(first)
    assert unpack_state(pack_state(bench.router.state)) == bench.router.state
    write_snapshot(bench.directory, bench.router.snapshot())
    waiting = bench.router.unconfirmed
    bench.restart()
    assert bench.router.events_since_snapshot == 0
    assert bench.router.unconfirmed == waiting
    bench.world.pass_ms(2_000)
    bench.router.expire()
    assert bench.router.digest == before


def test_a_past_that_cannot_be_read_stops_nothing_but_its_own_undoing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.change(CUT_OFF)
    bench.world.pass_ms(60_000)

    def gone(_: int) -> None:
        raise JournalError("the older segments are not here")

    with monkeypatch.context() as patched:
        patched.setattr(bench.router, "at", gone)
        with pytest.raises(JournalError, match="not here"):
            bench.router.expire()
        assert bench.router.submit(PutTier(tier=tier(7))).status == "accepted"
        assert [left_s for _, left_s in bench.router.unconfirmed] == [0.0]
    assert len(bench.router.expire()) == 1
    assert "eth7" in bench.router.state.tiers


@pytest.mark.usefixtures("quick")
def test_a_full_disk_stops_neither_the_watch_nor_what_is_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.router.digest
    bench.change(CUT_OFF)
    bench.world.pass_ms(60_000)
    taken_back = bench.router.expire

    def full() -> None:
        raise FullDiskError("there is no room")

    with monkeypatch.context() as patched:
        patched.setattr(bench.router, "expire", full)
        assert watched(bench, [], 0.1) == []
        assert bench.router.submit(RemoveTier(device="eth6", network="10.1.6.0/24")).status == "accepted"
    assert taken_back()
    assert "eth6" not in bench.router.state.tiers
    assert bench.router.digest != before


@pytest.mark.parametrize(
    "condition",
    [
        *("", "exec reboot", "settled now", "ping", "ping a.example", "ping 10.1.2.1;reboot", "ping -c9 10.1.2.1"),
        *("ping 127.0.0.1", "tcp 10.1.2.1", "tcp 10.1.2.1 0", "tcp 10.1.2.1 65536", "tcp 10.1.2.1 ٢٢"),
    ],
)
def test_conditions_name_no_program_and_no_options(condition: str) -> None:
    with pytest.raises(MalformedInputError, match="is not"):
        Terms(conditions=(condition,))


@pytest.mark.parametrize("within_ms", [0, 99, -1, 7 * 24 * 3600 * 1000 + 1])
def test_a_deadline_is_within_reason(within_ms: int) -> None:
    with pytest.raises(MalformedInputError):
        Terms(within_ms=within_ms)


# The agent's watch ------------------------------------------------------------------------------


MUCH_LATER_S = 30.0


def watched(bench: Bench, script: list[bool], seconds: float = MUCH_LATER_S) -> list[str]:
    """Let the watch run until nothing waits any more, or so long; `script`: is the change in effect at each look?"""
    changed: list[str] = []
    looks = iter(script)

    async def in_effect(_: int) -> bool:
        return next(looks, False)

    async def run() -> None:
        confirming = Confirming(bench.router, changed=lambda: changed.append("changed"), in_effect=in_effect)
        tasks = [asyncio.create_task(each) for each in (confirming.watch_deadlines(), confirming.watch_conditions())]
        for _ in range(round(seconds * 100)):
            await asyncio.sleep(0.01)
            if not bench.router.unconfirmed:
                break
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    return changed


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpcrouter.confirming.LOOK_S", 0.01)
    monkeypatch.setattr("vpcrouter.confirming.LONGEST_SLEEP_S", 0.01)


@pytest.mark.usefixtures("quick")
def test_conditions_that_hold_for_a_while_confirm(bench: Bench) -> None:
    bench.change(CUT_OFF, terms=Terms(conditions=("settled", "ping 10.1.2.11")))
    unsteady = [True] * (STEADY_LOOKS - 1)
    watched(bench, [*unsteady, False, *unsteady], 0.3)
    assert bench.router.unconfirmed
    watched(bench, [True] * STEADY_LOOKS)
    assert bench.router.unconfirmed == ()
    assert not bench.router.state.acls["eth2"].ingress[0].allowed


@pytest.mark.usefixtures("quick")
def test_a_guest_that_does_not_answer_confirms_nothing(bench: Bench) -> None:
    bench.world.answering = False
    bench.change(CUT_OFF, terms=Terms(conditions=("ping 10.1.2.11",)))
    watched(bench, [True] * 100, 0.2)
    assert bench.router.unconfirmed


@pytest.mark.usefixtures("quick")
def test_the_watch_takes_back_and_has_it_settled(bench: Bench) -> None:
    before = bench.router.digest
    bench.change(CUT_OFF)
    bench.world.pass_ms(60_000)
    assert watched(bench, []) == ["changed"]
    assert bench.router.digest == before


def test_marks_of_addresses_are_taken_back_too(bench: Bench) -> None:
    name = bench.change(ChangePublicAddresses(put=(public_address("203.0.113.16"),), remove=("203.0.113.13",)))
    bench.router.take_back(name)
    assert set(bench.router.state.public_addresses) == {"203.0.113.10", "203.0.113.11", "203.0.113.13"}
