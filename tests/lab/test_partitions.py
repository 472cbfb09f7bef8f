"""Networks between the routers are cut and no link goes down: one router serves, wherever they hear each other.

Who holds the gateway of a tier is seen in the kernels' notifications, and a guest sends a probe each millisecond.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from attrs import define, field

from tests.lab.test_moves import OTHER, carried_on
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.holders import Holders
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

LOWEST, NEXT = "eth2", "eth3"
GUEST = "vm4"
GATEWAY = "10.1.3.1"
SETTLED_S = 20.0
TIMEOUT_MS = 3 * 100 + 100 * (256 - 199) / 256
"""The master-down interval at 100 ms advertisements: how long VRRP itself may take to see that a master is gone."""
BUSY_MS = 150
"""What a busy machine of two cores adds: a reload, a look, a probe that waits for its turn."""


@define
class Watch:
    """Since when and for how long both routers held the gateway, or neither did, in milliseconds."""

    both_ms: list[float] = field(factory=list)
    neither_ms: list[float] = field(factory=list)


@contextmanager
def watched(laboratory: Laboratory) -> Iterator[Watch]:
    """The lists are there when the block has ended."""
    watch = Watch()
    with Holders(laboratory, GATEWAY) as holders:
        yield watch
        watch.both_ms += [(end - start) * 1000 for start, end in holders.both()]
        watch.neither_ms += [(end - start) * 1000 for start, end in holders.neither()]


def master_of(laboratory: Laboratory) -> str:
    (master,) = (router for router, each in laboratory.status().items() if each["role"] == "master")
    return master


def counted(laboratory: Laboratory, name: str) -> int:
    return sum(each["counters"].get(name, 0) for each in laboratory.status().values())


@pytest.mark.parametrize("cut_at", ["master", "backup"])
def test_a_silent_cut_of_the_carrier_s_tier_leaves_one_master(pair: Laboratory, cut_at: str) -> None:
    assert pair.wait(lambda status: is_pair(status) and carried_on(status, LOWEST), SETTLED_S), pair.status()
    master, before = master_of(pair), counted(pair, "double_masters")
    with Probe(pair, GUEST, Target.parse("ext")) as probing, watched(pair) as watch:
        pair.cut(master if cut_at == "master" else OTHER[master], LOWEST, silent=True)
        time.sleep(1.0)
        assert pair.wait(lambda status: is_pair(status) and carried_on(status, NEXT), SETTLED_S), pair.status()
        assert master_of(pair) == master
        reported = counted(pair, "double_masters")
        pair.heal()
        assert pair.wait(lambda status: is_pair(status) and carried_on(status, LOWEST), SETTLED_S), pair.status()
        result = probing.stop()
    assert master_of(pair) == master
    assert reported > before, "nobody said that two served"
    assert sum(watch.both_ms) <= TIMEOUT_MS + BUSY_MS, watch
    assert result.longest_outage_ms <= TIMEOUT_MS + BUSY_MS, result


@pytest.mark.parametrize("device", [NEXT, "eth6", "eth1"])
def test_a_silent_cut_of_another_network_moves_nothing(pair: Laboratory, device: str) -> None:
    master, before = master_of(pair), counted(pair, "role_changes")
    with Probe(pair, GUEST, Target.parse("ext")) as probing, watched(pair) as watch:
        pair.cut(OTHER[master], device, silent=True)
        time.sleep(1.5)
        pair.heal()
        assert pair.wait(is_pair, SETTLED_S), pair.status()
        result = probing.stop()
    assert counted(pair, "role_changes") == before
    assert (watch.both_ms, result.lost) == ([], 0)


def test_two_masters_of_a_whole_partition_are_ended_and_told(pair: Laboratory) -> None:
    master, before = master_of(pair), counted(pair, "double_master_ms")
    pair.cut_off(master)
    assert pair.wait(lambda status: [each["role"] for each in status.values()] == ["master"] * 2, SETTLED_S)
    time.sleep(0.5)
    with watched(pair) as watch:
        pair.heal()
        assert pair.wait(is_pair, SETTLED_S), pair.status()
        time.sleep(0.5)
    assert master_of(pair) == OTHER[master], "the one that took over has the connections"
    assert watch.both_ms and sum(watch.both_ms) <= TIMEOUT_MS, watch
    assert pair.wait(lambda status: counted(pair, "double_master_ms") - before >= 2 * 500, SETTLED_S), pair.status()
