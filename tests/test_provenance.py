"""Which command of a journal last changed a thing, however far back, and what is said where that cannot be known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.strategies import config, tier
from vpcrouter.archiving import archive_records
from vpcrouter.commands import (
    ChangeVpnUsers,
    ConfigureRouter,
    PutGuestPassword,
    PutReservation,
    PutTier,
    RemoveReservation,
    RemoveTier,
)
from vpcrouter.deciding import Asked
from vpcrouter.journal import Journal, write_snapshot
from vpcrouter.provenance import Found, Provenance, find
from vpcrouter.router import Router
from vpcrouter.values.agreement import Thing, Touch
from vpcrouter.values.config import Reservation, Secret
from vpcrouter.values.settings import Settings
from vpcrouter.values.vpn import VpnUser

LEASE, USER = Thing("reservation", "10.1.2.20"), Thing("vpn-users", "carol")


def lease(last: int, name: str = "x1") -> PutReservation:
    reservation = Reservation(address=f"10.1.2.{last}", mac=f"02:00:00:00:00:{last:02x}", host_name=name)
    return PutReservation(reservation=reservation)


def carol(password: str) -> ChangeVpnUsers:
    return ChangeVpnUsers(put=(VpnUser(name="carol", password=Secret(text=password)),))


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    with Router.open(tmp_path / "journal") as router:
        router.submit(ConfigureRouter(config=config()))
        router.submit(PutTier(tier=tier(2)))
        yield router


def found(router: Router, *things: Thing, before: Found | None = None, spans: tuple[int, ...] = (5, 10)) -> Found:
    return find(router.journal.directory, things, router.state, router.seq, before, spans=spans)


def numbers(touches: Mapping[Thing, Touch]) -> dict[Thing, tuple[int, str]]:
    return {thing: (each.seq, each.event) for thing, each in touches.items()}


def test_the_last_command_that_changed_it_is_named_with_its_time_and_id(router: Router) -> None:
    router.submit_many([Asked(command=lease(20), command_id="tf-17\n" + "x" * 99)])
    router.submit(lease(21))
    router.submit(lease(20))  # is there already
    touch = found(router, LEASE).touches[LEASE]
    assert (touch.seq, touch.event) == (3, "reservation-put")
    assert touch.command_id == ("tf-17?" + "x" * 34)
    assert abs(touch.time_ms / 1000 - router.surroundings.time_ns() / 1e9) < 60


def test_what_goes_with_a_tier_was_taken_by_that_command(router: Router) -> None:
    router.submit(lease(20))
    router.submit(PutGuestPassword(address="10.1.2.20", password=Secret(text="Example-Pw-0001")))
    router.submit(RemoveTier(device="eth2", network="10.1.2.0/24"))
    router.submit(PutTier(tier=tier(3)))
    things = (LEASE, Thing("guest-passwords", "10.1.2.20"), Thing("tier", "eth2"))
    assert numbers(found(router, *things).touches) == dict.fromkeys(things, (5, "tier-removed"))


def test_what_is_a_routers_own_is_no_change(router: Router) -> None:
    router.submit(PutTier(tier=tier(2, own=9)))
    assert router.seq == 3
    assert numbers(found(router, Thing("tier", "eth2")).touches) == {Thing("tier", "eth2"): (2, "tier-added")}


def test_a_new_password_is_a_change_though_it_is_sealed(router: Router) -> None:
    router.submit(carol("one"))
    router.submit(lease(20))
    router.submit(carol("two"))
    assert numbers(found(router, USER).touches) == {USER: (5, "vpn-users-changed")}
    assert "two" not in repr(found(router, USER).touches)


def test_it_is_looked_for_further_back_and_no_further_than_that(router: Router) -> None:
    router.submit(lease(20))
    for last in range(30, 36):
        router.submit(lease(last))
    assert numbers(found(router, LEASE).touches) == {LEASE: (3, "reservation-put")}
    for last in range(36, 46):
        router.submit(lease(last))
    assert found(router, LEASE, USER).touches == {LEASE: Touch(seq=9), USER: Touch(seq=9)}
    assert found(router, USER, spans=(5, 10, 100)).touches == {USER: Touch(seq=0)}


def test_a_snapshot_makes_no_difference(router: Router) -> None:
    router.submit(lease(20))
    for last in range(30, 36):
        router.submit(lease(last))
    write_snapshot(router.journal.directory, router.snapshot())
    router.submit(lease(36))
    assert numbers(found(router, LEASE, Thing("reservation", "10.1.2.36")).touches) == {
        LEASE: (3, "reservation-put"),
        Thing("reservation", "10.1.2.36"): (10, "reservation-put"),
    }


def test_what_lies_in_an_archive_that_is_elsewhere_is_not_found_and_said_so(tmp_path: Path) -> None:
    journal, to = tmp_path / "journal", tmp_path / "archive"
    with Router(Journal.open(journal, segment_bytes=400), Settings()) as router:
        router.submit(ConfigureRouter(config=config()))
        router.submit(PutTier(tier=tier(2)))
        for last in range(20, 40):
            router.submit(lease(last))
    until = archive_records(journal, to, before=15, time_ns=1).until
    assert 3 <= until < 15
    with Router.open(journal) as router:
        things = (LEASE, Thing("reservation", "10.1.2.39"))
        there = find(journal, things, router.state, router.seq).touches
        assert there[LEASE].seq == 3
        to.rename(tmp_path / "away")
        gone = find(journal, things, router.state, router.seq).touches
        assert gone == {LEASE: Touch(seq=until), things[1]: there[things[1]]}


def test_it_goes_on_from_what_was_found(router: Router) -> None:
    router.submit(lease(20))
    first = found(router, LEASE, USER)
    router.submit(RemoveReservation(address="10.1.2.20", mac="02:00:00:00:00:14"))
    # What was found before is not looked for again: the older records could be gone.
    wrong = Found(seq=first.seq, state=first.state, touches={LEASE: first.touches[LEASE], USER: Touch(seq=77)})
    second = found(router, LEASE, USER, Thing("tier", "eth2"), before=wrong)
    assert numbers(second.touches) == {
        LEASE: (4, "reservation-removed"),
        USER: (77, ""),
        Thing("tier", "eth2"): (2, "tier-added"),
    }


def test_who_gives_up_claims_nothing(router: Router) -> None:
    router.submit(lease(20))
    assert find(router.journal.directory, [LEASE], router.state, router.seq, given_up=lambda: True).touches == {}


def test_keys_that_are_none_are_nowhere(router: Router) -> None:
    """Another router has told of them."""
    things = (Thing("firewall", "x"), Thing("port forwarding", "a b"), Thing("tier", "\0"))
    assert found(router, *things).touches == dict.fromkeys(things, Touch(seq=0))


def test_the_agent_is_told_once_it_is_known_and_does_not_wait(router: Router) -> None:
    provenance = Provenance(router.journal.directory)
    router.submit(lease(20))

    async def until_known(*things: Thing) -> Mapping[Thing, Touch]:
        assert provenance.look(things, router.state, router.seq).keys() < set(things)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if len(known := provenance.look(things, router.state, router.seq)) == len(things):
                return known
        raise AssertionError("nothing was found")

    async def run() -> None:
        assert numbers(await until_known(LEASE)) == {LEASE: (3, "reservation-put")}
        assert numbers(await until_known(LEASE, Thing("tier", "eth2")))[Thing("tier", "eth2")] == (2, "tier-added")
        assert provenance.look([Thing("of-tomorrow", "1")], router.state, router.seq) == {}
        router.submit(lease(20, name="other"))
        assert numbers(await until_known(LEASE)) == {LEASE: (4, "reservation-put")}

    asyncio.run(run())
    provenance.close()


def test_a_journal_that_cannot_be_read_is_logged_and_names_nothing(
    router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    provenance = Provenance(router.journal.directory / "nowhere")
    assert provenance._find([LEASE], router.state, router.seq, None) is None
    assert "the commands in which the routers differ cannot be named: " in caplog.text
    provenance.close()
