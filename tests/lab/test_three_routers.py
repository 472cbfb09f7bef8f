"""Three routers in a set, with packets: one joins, the serving one crashes, one leaves, the carrier moves meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S, new_laboratory
from tests.lab.sets import crash, is_whole, make_whole, master_of, said, survive_crashes, write_burst
from tests.lab.test_connections import assert_alive, flows
from tests.lab.test_drift import within
from tests.lab.test_moves import GUEST, LOWEST, MOVED_S, NEXT, carried_on, role_changes
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ALL_ROUTERS, ROUTERS
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.lab.provision import tier_of

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

ALL = ALL_ROUTERS[:3]
THIRD, FOURTH = ALL_ROUTERS[2:]


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example burst, to as many as there may be."""
    return write_burst(tmp_path_factory.mktemp("burst"), ALL_ROUTERS)


@pytest.fixture(scope="module")
def three(burst: Path) -> Iterator[Laboratory]:
    """A pair that a third router will join."""
    laboratory = new_laboratory("--found-after-ms", "1000")  # how long that is, is seen in test_faults
    try:
        laboratory.up()
        files = burst_files(burst)
        assert run_burst(laboratory, {router: files[router] for router in ROUTERS}).is_good
        assert laboratory.wait(lambda status: is_pair(status) and carried_on(status, LOWEST), SETTLED_S)
        yield laboratory
    finally:
        laboratory.down()


def test_a_third_joins_and_nobody_notices(three: Laboratory, burst: Path) -> None:
    master, before = master_of(three), role_changes(three)
    files = burst_files(burst)
    with Probe(three, GUEST, Target.parse("ext")) as probing:
        time.sleep(0.2)
        three.join()
        assert run_burst(three, {THIRD: files[THIRD]}).routers[THIRD].settled
        assert make_whole(three) == master
        result = probing.stop()
    assert result.lost == 0, result
    assert role_changes(three) == {**before, THIRD: 1}
    proven = [f"eth{tier}" for tier in range(2, 7)]
    for router, status in three.status().items():
        assert len(status["peers"]) == 2
        assert [each["proven"] for each in status["peers"]] == [proven] * 2, router
        assert status["peer"] == status["peers"][0]
        assert (status["peer"]["role"] == "master") == (router != master)


def test_two_crashes_and_the_streams_go_on(three: Laboratory) -> None:
    survive_crashes(three)


@pytest.mark.parametrize("at", ["once", "skewed"])
def test_the_lowest_tier_goes_and_comes(three: Laboratory, burst: Path, at: str) -> None:
    master, before = make_whole(three), role_changes(three)
    order = (master, *(each for each in ALL if each != master))
    with Probe(three, GUEST, Target.parse("ext")) as probing:
        for add, ends_on in ((False, NEXT), (True, LOWEST)):
            change(three, burst, order if not add else order[::-1], add=add, skew_s=0 if at == "once" else 0.5)
            assert three.wait(partial(carried_on, device=ends_on), MOVED_S), said(three)
            assert make_whole(three) == master
        result = probing.stop()
    assert result.lost == 0, result
    assert role_changes(three) == before


def change(three: Laboratory, burst: Path, order: tuple[str, ...], *, add: bool, skew_s: float) -> None:
    for number, router in enumerate(order):
        time.sleep(skew_s if number else 0)
        with three.connect(router) as agent:
            for name, text in tier_of(burst, LOWEST, add=add, routers=order)[router]:
                assert all(line["status"] in ("accepted", "unchanged") for line in agent.submit(name, text))


def handover(three: Laboratory, router: str, *words: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "vpcrouter", "--json", "--journal", str(three.machines[router].journal), "handover"]
    done = subprocess.run([*argv, *words], capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout) if done.stdout else {"said": done.stderr}


def test_the_service_is_handed_to_the_one_that_is_named(three: Laboratory) -> None:
    master = make_whole(three)
    one, other = (each for each in ALL if each != master)
    with Probe(three, GUEST, Target.parse("ext")) as probing:
        for giver, taker in ((master, other), (other, one)):
            assert handover(three, giver, "--to", "10.1.2.77")["refused"]
            assert handover(three, giver, "--to", f"10.1.2.{ALL.index(taker) + 2}")["done"], said(three)
            assert make_whole(three) == taker
        result = probing.stop()
    assert result.lost == 0, result


def test_a_master_that_was_cut_off_is_one_of_three_again(three: Laboratory) -> None:
    away = make_whole(three)
    three.cut_off(away)
    time.sleep(2.2)  # long enough to be silent
    there = {router: each["role"] for router, each in three.status().items() if router != away}
    assert sorted(there.values()) == ["backup", "master"]
    three.heal()
    assert make_whole(three) == next(router for router, role in there.items() if role == "master"), "the newer goes on"


def are_on(three: Laboratory, routers: tuple[str, ...], device: str) -> bool:
    return {three.machines[each].status()["interface"] for each in routers} == {device}


def test_one_leaves_for_good_and_the_others_go_on(three: Laboratory, burst: Path) -> None:
    master = make_whole(three)
    gone, other = (each for each in ALL if each != master)
    three.crash(gone, "namespace")
    left = (master, other)
    with Probe(three, GUEST, Target.parse("ext")) as probing:
        assert three.wait(lambda status: is_whole(status, 2), SETTLED_S), said(three)
        for add, ends_on in ((False, NEXT), (True, LOWEST)):
            change(three, burst, left, add=add, skew_s=0)
            assert within(MOVED_S, partial(are_on, three, left, ends_on)), said(three)
        result = probing.stop()
    assert result.lost == 0, result
    assert master_of(three) == master
    for each in left:
        assert [p["silent"] for p in three.status()[each]["peers"]] == [False, True]


def test_a_fourth_joins_and_a_crash_is_survived(three: Laboratory, burst: Path) -> None:
    """The last test: four it stays."""
    three.heal()
    master = make_whole(three)
    with flows(three) as streams, Probe(three, GUEST, Target.parse("ext")) as probing:
        three.join()
        assert run_burst(three, {FOURTH: burst_files(burst)[FOURTH]}).routers[FOURTH].settled
        assert make_whole(three) == master
        result = probing.stop()
        crashed = crash(three, "namespace")
        serving = master_of(three)
        assert crashed == master
        three.reboot([crashed])
        assert make_whole(three) == serving
        assert_alive(streams)
    assert result.lost == 0, result
