"""What is said of a difference: in the status and in the log, of some things or of thousands, and never a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.differing import Clock, Speaker, open_router, talk
from tests.strategies import additive_commands, config
from vpcrouter.commands import (
    ChangeVpnUsers,
    ConfigureRouter,
    PutGuestPages,
    PutGuestPassword,
    PutReservation,
    PutSiteVpn,
    RemoveReservation,
    ReplaceBgpPeerings,
)
from vpcrouter.disagreement import SHOWN
from vpcrouter.values.agreement import MOST_TRACED, TRACES
from vpcrouter.values.config import Reservation, Secret
from vpcrouter.values.guests import GuestPages
from vpcrouter.values.vpn import VpnUser

(SITE,) = (each.vpn for each in additive_commands(2) if isinstance(each, PutSiteVpn))
((PEERING,),) = (each.peerings for each in additive_commands(2) if isinstance(each, ReplaceBgpPeerings))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def speakers(tmp_path: Path, clock: Clock) -> Iterator[tuple[Speaker, Speaker]]:
    with open_router(tmp_path / "a") as one, open_router(tmp_path / "b") as other:
        yield Speaker(one, clock), Speaker(other, clock)


def lease(number: int) -> PutReservation:
    address = f"10.1.{2 + number // 250}.{number % 250 + 4}"
    mac = f"02:00:00:00:{number // 256:02x}:{number % 256:02x}"
    return PutReservation(reservation=Reservation(address=address, mac=mac, host_name="x"))


def said(speaker: Speaker) -> dict[str, Any]:
    found = speaker.disagreement.describe()
    assert found is not None
    return found


def texts(speaker: Speaker) -> list[str]:
    return [each["text"] for each in said(speaker)["commands"]]


AT = "(2027-01-15T08:00:00Z)"


def test_a_command_that_only_one_has_is_named_on_both(
    speakers: tuple[Speaker, Speaker], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = speakers
    one.router.submit_many([lease(1), lease(2)])
    other.router.submit_many([lease(2)])
    caplog.set_level(logging.INFO)
    talk(one, other, clock)
    assert texts(one) == [f"reservation 10.1.2.5: reservation-put #1 {AT} was never stored on the peer"]
    assert texts(other) == [f"reservation 10.1.2.5: reservation-put #1 {AT} of the peer was never stored here"]
    assert said(one)["counts"] == {"here": 1, "there": 0}
    assert said(other)["counts"] == {"here": 0, "there": 1}
    logged = [each.getMessage() for each in caplog.records]
    for speaker in speakers:
        assert logged.count(f"the routers differ in {texts(speaker)[0]}") == 1
    assert not [each for each in logged if "not known yet" in each]
    caplog.clear()
    other.router.submit(lease(1))
    talk(one, other, clock, rounds=2)
    assert [each.getMessage() for each in caplog.records] == ["all routers are configured alike again"] * 2
    for speaker in speakers:
        assert speaker.disagreement.describe() is None
        assert (speaker.disagreement.window, speaker.disagreement.traces) == (None, ())
        assert speaker.disagreement.concerned == ()


def test_what_was_removed_on_one_of_them_is_told_by_that_one(speakers: tuple[Speaker, Speaker], clock: Clock) -> None:
    one, other = speakers
    for each in speakers:
        each.router.submit(lease(1))
    one.router.submit(RemoveReservation(address="10.1.2.5", mac="02:00:00:00:00:01"))
    talk(one, other, clock)
    assert texts(one) == [
        f"reservation 10.1.2.5: here reservation-removed #2 {AT}, on the peer reservation-put #1 {AT}"
    ]
    assert texts(other) == [
        f"reservation 10.1.2.5: here reservation-put #1 {AT}, on the peer reservation-removed #2 {AT}"
    ]


def test_what_was_mended_is_named_no_more_and_the_rest_not_again(
    speakers: tuple[Speaker, Speaker], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = speakers
    one.router.submit(lease(1))
    other.router.submit(lease(2))
    talk(one, other, clock)
    caplog.clear()
    other.router.submit(lease(1))
    talk(one, other, clock)
    assert texts(one) == [f"reservation 10.1.2.6: reservation-put #1 {AT} of the peer was never stored here"]
    assert not [each for each in caplog.records if "the routers differ in" in each.getMessage()], "it was said before"


def test_of_thousands_some_are_explained_and_all_are_counted(
    speakers: tuple[Speaker, Speaker], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = speakers
    one.router.submit_many([lease(number) for number in range(1000)])
    other.router.submit_many([lease(number) for number in range(1000, 1500)])
    for _ in range(30):
        talk(one, other, clock, rounds=1)
        for speaker in speakers:
            assert len(speaker.disagreement.traces) <= TRACES
            assert len(speaker.disagreement.concerned) <= 3 * MOST_TRACED
            assert len(speaker.say()) < 1472
    assert said(one)["counts"] == {"here": 1000, "there": 500}
    assert len(said(one)["only_here"]) == SHOWN + 1
    assert said(one)["only_here"][-1] == "… 980 more"
    found = texts(one)
    assert sum("was never stored on the peer" in each for each in found) == MOST_TRACED
    assert MOST_TRACED <= sum("of the peer was never stored here" in each for each in found) <= 2 * MOST_TRACED
    assert not [each for each in found if "not known yet" in each]
    assert len(json.dumps(said(one))) < 40_000
    logged = [each.getMessage() for each in caplog.records if "the routers differ in" in each.getMessage()]
    more = "the routers differ in more than is logged here; `vpcrouter status` has the rest"
    assert logged.count(more) == 2
    assert len(logged) == 2 * (SHOWN + 1)


def test_no_secret_is_said(speakers: tuple[Speaker, Speaker], clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The other router has another one of each."""
    for number, speaker in enumerate(speakers):
        secret = Secret(text=f"ExampleSecret{number:03}")
        speaker.router.submit_many(
            [
                ConfigureRouter(config=evolve(config(), password=secret, secret_parameters=(("k", secret),))),
                PutGuestPassword(address="10.1.2.20", password=secret),
                PutGuestPages(pages=GuestPages(address="10.1.2.20", user_data=secret)),
                ChangeVpnUsers(put=(VpnUser(name="carol", password=secret),)),
                PutSiteVpn(vpn=evolve(SITE, key=secret)),
                ReplaceBgpPeerings(peerings=(evolve(PEERING, password=secret),)),
            ]
        )
    caplog.set_level(logging.DEBUG)
    talk(*speakers, clock)
    for speaker in speakers:
        assert sorted(name for each in said(speaker)["commands"] for name in each["things"]) == [
            "bgp-peerings 9",
            "boot parameters",
            "guest-pages 10.1.2.20",
            "guest-passwords 10.1.2.20",
            f"site-vpns {SITE.peer}",
            "vpn-users carol",
        ]
        everything = json.dumps(said(speaker)) + caplog.text + repr((speaker.disagreement.traces, speaker.touches))
        assert "ExampleSecret" not in everything
