"""The model of conntrackd, and what guests have opened: it goes on with a router that said that it was ready."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vpcrouter.simulation.case import ROUTERS, Crash, CutCable, PowerOff
from vpcrouter.simulation.pair import Pair
from vpcrouter.simulation.strategies import add_tier, boot, public


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A pair with two tiers whose backup is ready."""
    with Pair(seed=1) as made:
        made.run_for(0.3)
        for command in (boot(), public(10), add_tier(2), add_tier(3)):
            for router in ROUTERS:
                made.do(command.to(router, 0))
        made.run_for(4)
        assert is_ready(made)
        yield made
        assert made.watch.violations == []


def roles(pair: Pair) -> tuple[str, str]:
    """Master and backup."""
    found = {str((pair.status(name) or {}).get("role")): name for name in ROUTERS}
    return found["master"], found["backup"]


def is_ready(pair: Pair) -> bool:
    return bool((pair.status(roles(pair)[1]) or {}).get("ready"))


def known(pair: Pair, router: str) -> set[int]:
    return pair.machines[router].connections


def test_they_survive_the_loss_of_the_master(pair: Pair) -> None:
    master, backup = roles(pair)
    before = set(known(pair, master))
    pair.do(PowerOff(at_ms=0, router=master, for_ms=5_000))
    pair.run_for(1)
    assert pair.watch.serving() == backup
    assert before
    assert before <= known(pair, backup)
    assert pair.watch.guests.lost == 0


def test_who_was_off_is_not_ready_before_it_has_them(pair: Pair) -> None:
    master, backup = roles(pair)
    pair.do(PowerOff(at_ms=0, router=backup, for_ms=400))
    while not (pair.status(backup) or {}).get("ready"):
        pair.run_for(0.05)
        assert pair.world.now_ns < 30e9
    assert known(pair, backup) == known(pair, master) != set()


@pytest.mark.parametrize("which", [0, 1], ids=["of-the-master", "of-the-backup"])
def test_what_came_while_a_conntrackd_was_dead_is_told_within_five_seconds(pair: Pair, which: int) -> None:
    master, backup = roles(pair)
    pair.do(Crash(at_ms=0, router=roles(pair)[which], process="conntrackd"))
    pair.machines[master].connect(77)
    assert 77 not in known(pair, backup)
    pair.run_for(5)
    assert 77 in known(pair, backup)
    assert is_ready(pair)


def test_what_was_not_acknowledged_is_sent_again(pair: Pair) -> None:
    master, backup = roles(pair)
    pair.do(CutCable(at_ms=0, router=backup, device="eth2", how="silent", for_ms=250))
    pair.machines[master].connect(77)
    pair.run_for(0.2)
    assert 77 not in known(pair, backup)
    pair.run_for(0.3)
    assert 77 in known(pair, backup)


def test_what_a_first_router_opened_survives_two_failovers(pair: Pair) -> None:
    """The second one's conntrackd has not seen it, and tells of it all the same."""
    master, backup = roles(pair)
    first = set(known(pair, master))
    pair.do(PowerOff(at_ms=0, router=master, for_ms=300))
    pair.run_for(6)
    assert (roles(pair), is_ready(pair)) == ((backup, master), True)
    pair.do(PowerOff(at_ms=0, router=backup, for_ms=300))
    pair.run_for(1)
    assert pair.watch.serving() == master
    assert first <= known(pair, master)
    assert pair.watch.guests.lost == 0
