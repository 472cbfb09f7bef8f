"""The carrier moves and no packet is lost: tiers come and go on both routers, at once, one by one, or on one alone.

What is killed in the middle of a move is in test_fault_matrix.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_drift import differences, pid_of, within
from vpcrouter.lab.demo import find_burst
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import OUTSIDE, ROUTERS
from vpcrouter.lab.probing import Probe, Target, Transfer

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

LOWEST, NEXT = "eth2", "eth3"
GUEST = "vm4"
"""Of a tier that nothing happens to."""
MOVED_S = 5.0
SKEW_S = 10.0
"""How far apart the two may hear of a change."""
OTHER = {"rA": "rB", "rB": "rA"}


@pytest.fixture(params=ROUTERS, ids=["rA-serves", "rB-serves"])
def master(request: pytest.FixtureRequest, routers: Laboratory) -> str:
    """The serving router, which is the one asked for; the pair is whole and has all its tiers."""
    return make_whole(routers, request.param)


def make_whole(routers: Laboratory, wanted: str) -> str:
    routers.heal()
    for router in ROUTERS:
        change_tier(routers, router, add=True)
    assert routers.wait(is_pair, SETTLED_S), routers.status()
    if routers.status()[wanted]["role"] != "master":
        os.kill(pid_of(routers, OTHER[wanted], "keepalived"), signal.SIGKILL)
        assert routers.wait(lambda status: status[wanted].get("role") == "master", SETTLED_S)
    assert routers.wait(lambda status: is_pair(status) and carried_on(status, LOWEST), SETTLED_S), routers.status()
    return wanted


def change_tier(routers: Laboratory, router: str, *, add: bool, device: str = LOWEST) -> None:
    """Add or remove a tier of the example burst."""
    for path in sorted((find_burst(None) / router).iterdir()):
        command = json.loads(path.read_text())
        if command.get("type") == "guestnetwork" and command.get("device") == device:
            with routers.connect(router) as agent:
                (line,) = agent.submit(path.name, json.dumps({**command, "add": add}))
            assert line["status"] in ("accepted", "unchanged"), line
            return
    raise AssertionError(f"the burst has no tier on {device}")


def carried_on(status: dict[str, dict[str, Any]], device: str) -> bool:
    return all(each.get("interface") == device and each["held"] == [] for each in status.values())


def role_changes(routers: Laboratory) -> dict[str, int]:
    return {router: status["counters"].get("role_changes", 0) for router, status in routers.status().items()}


def virtual_addresses(routers: Laboratory, router: str) -> bool:
    """Whether the gateways of the other tiers are there."""
    words = ["ip", "-brief", "-4", "address"]
    argv, environment = routers.command_line(router, words)
    listed = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout
    return "10.1.4.1/24" in listed


def change(routers: Laboratory, order: Sequence[str], *, add: bool, skew_s: float, ends_on: str) -> None:
    """Hand the change to these routers, and see that nobody on another tier notices."""
    before, roles = role_changes(routers), {name: each["role"] for name, each in routers.status().items()}
    stream = Transfer(routers, OUTSIDE, GUEST, bytes_per_s=100_000)
    with stream, Probe(routers, GUEST, Target.parse("ext")) as probing:
        for number, router in enumerate(order):
            if number:
                time.sleep(skew_s)
            change_tier(routers, router, add=add)
        moved = routers.wait(lambda status: is_pair(status) and carried_on(status, ends_on), MOVED_S)
        time.sleep(0.5)
        result, survived = probing.stop(), stream.stop()
    assert moved, routers.status()
    assert result.lost == 0, result
    assert survived.survived, survived
    assert {name: each["role"] for name, each in routers.status().items()} == roles
    assert role_changes(routers) == before
    assert within(MOVED_S, lambda: [differences(routers, router) for router in ROUTERS] == [[], []])
    for router in ROUTERS:
        assert virtual_addresses(routers, router) == (roles[router] == "master")


@pytest.mark.parametrize("first", ROUTERS)
def test_the_lowest_tier_goes_and_comes(routers: Laboratory, master: str, first: str) -> None:
    order = (first, OTHER[first])
    change(routers, order, add=False, skew_s=0, ends_on=NEXT)
    change(routers, order, add=True, skew_s=0, ends_on=LOWEST)


@pytest.mark.parametrize("first", ROUTERS)
def test_the_two_hear_of_it_ten_seconds_apart_in_either_order(routers: Laboratory, first: str) -> None:
    """Who hears first that the tier goes is the last one to hear that it comes. rA serves."""
    make_whole(routers, "rA")
    change(routers, (first, OTHER[first]), add=False, skew_s=SKEW_S, ends_on=NEXT)
    change(routers, (OTHER[first], first), add=True, skew_s=SKEW_S, ends_on=LOWEST)


@pytest.mark.parametrize("on_the", ["master", "backup"])
def test_one_of_them_never_hears_of_it(routers: Laboratory, master: str, on_the: str) -> None:
    only = master if on_the == "master" else OTHER[master]
    change(routers, [only], add=False, skew_s=0, ends_on=NEXT)
    with Probe(routers, GUEST, Target.parse("ext")) as probing:
        time.sleep(0.5)
        routers.cut_off(master)
        assert routers.wait(lambda status: status[OTHER[master]]["role"] == "master", SETTLED_S)
        time.sleep(0.5)
        result = probing.stop()
    assert len(result.outages) == 1
    assert result.longest_outage_ms <= 500, result


@pytest.mark.parametrize("only", ROUTERS)
def test_a_lower_tier_that_one_of_them_never_hears_of_does_not_carry(routers: Laboratory, only: str) -> None:
    """rA serves."""
    make_whole(routers, "rA")
    change(routers, ROUTERS, add=False, skew_s=0, ends_on=NEXT)
    change(routers, [only], add=True, skew_s=0, ends_on=NEXT)
    time.sleep(1.0)
    assert carried_on(routers.status(), NEXT), routers.status()


def test_a_peer_whose_agent_is_dead_is_waited_for(routers: Laboratory) -> None:
    master = make_whole(routers, "rA")
    backup = OTHER[master]
    os.kill(routers.machines[backup].status()["pid"], signal.SIGKILL)
    with Probe(routers, GUEST, Target.parse("ext")) as probing:
        change_tier(routers, master, add=False)
        time.sleep(3.0)
        status = routers.machines[master].status()
        assert (status["interface"], status["held"], status["role"]) == (NEXT, [LOWEST], "master")
        assert status["peer"]["silent"] is True
        assert not virtual_addresses(routers, backup)
        routers.machines[backup].wait_until_it_answers(routers.machines[backup].start(100))
        assert routers.wait(lambda both: is_pair(both) and carried_on(both, NEXT), MOVED_S), routers.status()
        result = probing.stop()
    assert result.lost == 0, result
