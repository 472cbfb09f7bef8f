"""A simulated pair: the same case gives the same run, whole pairs work, and each kind of fault is survived."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vpcrouter.simulation.case import (
    DISK_FAULTS,
    DRIFTS,
    EVERYWHERE,
    Case,
    Crash,
    CutCable,
    DiskFault,
    Drift,
    Network,
    Pause,
    PowerOff,
    SetClock,
    Snapshot,
    Step,
    Unplug,
    dumps,
)
from vpcrouter.simulation.pair import Pair, Report, run
from vpcrouter.simulation.strategies import (
    BASE_MS,
    Timing,
    add_tier,
    boot,
    public,
    remove_tier,
    schedule,
)
from vpcrouter.simulation.world import MS

ROUTERS = ("rA", "rB")


def case(*extra: Step, tiers: tuple[int, ...] = (2, 3), seed: int = 0) -> Case:
    base = (boot(), public(10), *map(add_tier, tiers))
    return Case(steps=(*(each.to(router, BASE_MS) for router in ROUTERS for each in base), *extra), seed=seed)


def sound(report: Report) -> Report:
    assert report.violations == (), "\n".join(map(str, report.violations))
    assert report.unknown == ()
    return report


def test_two_bare_machines_become_a_pair() -> None:
    report = sound(run(case()))
    assert report.master in ROUTERS
    assert report.outages == ()


@pytest.mark.parametrize("skew_ms", [0, 30, 700, 3000])
@pytest.mark.parametrize("late", ROUTERS)
def test_the_lowest_tier_goes_and_comes_and_nobody_notices(late: str, skew_ms: int) -> None:
    timing = Timing(late=late, skew_ms=skew_ms, gap_ms=4_000)
    report = sound(run(case(*schedule([remove_tier(2), add_tier(2)], timing), tiers=(2, 3, 4))))
    assert [outage for outage in report.outages if outage.tier != "eth2"] == []


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize(
    "fault",
    [
        *(Crash(at_ms=2000, router="", process=process) for process in EVERYWHERE),
        *(Pause(at_ms=2000, router="", process=process, for_ms=900) for process in (*EVERYWHERE, "all")),
        *(DiskFault(at_ms=2000, router="", how=how, for_ms=900) for how in DISK_FAULTS),
        *(Drift(at_ms=2000, router="", what=what) for what in DRIFTS),
        *(CutCable(at_ms=2000, router="", device=device, how=how, for_ms=900) for device, how in
          (("all", "silent"), ("eth1", "carrier"), ("eth2", "carrier"), ("eth3", "silent"))),
        *(Unplug(at_ms=2000, router="", device=device, for_ms=900) for device in ("eth1", "eth2", "eth3")),
        PowerOff(at_ms=2000, router="", for_ms=500),
        SetClock(at_ms=2000, router="", by_s=-3600),
        Snapshot(at_ms=2000, router=""),
    ],
    ids=lambda fault: dumps(Case(steps=(fault,))).split("\n")[2].split(None, 1)[1].replace(" ", "-"),
)  # fmt: skip
def test_a_fault_is_survived(fault: Step, router: str) -> None:
    from attrs import evolve

    sound(run(case(evolve(fault, router=router))))


def test_a_bad_network_is_survived() -> None:
    sound(run(case(Network(at_ms=1800, loss=0.1, copies=0.2, delay_ms=5, for_ms=1500))))


def test_the_same_case_gives_the_same_run_in_another_process(tmp_path: Path) -> None:
    """Whatever the order of Python's hashes is there."""
    wanted = case(
        *schedule([remove_tier(2), add_tier(4)], Timing(skew_ms=40)),
        Crash(at_ms=2100, router="rA", process="keepalived"),
        PowerOff(at_ms=2300, router="rB", for_ms=400),
        seed=7,
    )
    path = tmp_path / "x.case"
    path.write_text(dumps(wanted))
    program = (
        "import sys; from pathlib import Path; from vpcrouter.simulation import loads, run;"
        "print('\\n'.join(run(loads(Path(sys.argv[1]).read_text())).trace))"
    )
    traces = [
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert traces[0] == "\n".join(run(wanted).trace) + "\n"
    assert len(traces[0]) > 1000


def test_routers_without_parameters_rest() -> None:
    """They have nothing to say, and look for something rarely."""
    with Pair() as pair:
        pair.run_for(2)
        before = pair.world._number
        pair.run_for(10)
        assert (pair.world._number - before) / 10 < 100


def test_networks_that_are_bad_at_the_same_time_are_as_bad_as_the_worst_of_them() -> None:
    """The first one ends in the middle of the second, and does not end that."""
    with Pair() as pair:
        for step in (
            Network(at_ms=0, loss=0.5, delay_ms=1, for_ms=100),
            Network(at_ms=50, loss=0.2, delay_ms=20, for_ms=100),
        ):
            pair.world.at(step.at_ms * MS, lambda step=step: pair.do(step))  # type: ignore[misc]
        seen = []
        for at_ms in (40, 90, 140, 160):
            pair.world.run_until(at_ms * MS)
            seen.append((pair.networks.loss, pair.networks.delay_ns // MS))
        assert seen == [(0.5, 1), (0.5, 20), (0.2, 20), (0.0, 0)]


def test_disks_that_are_bad_in_two_ways_get_well_one_after_the_other() -> None:
    with Pair() as pair:
        disk = pair.machines["rA"].disk
        for step in (
            DiskFault(at_ms=0, router="rA", how="slow", for_ms=100),
            DiskFault(at_ms=50, router="rA", how="full", for_ms=100),
        ):
            pair.world.at(step.at_ms * MS, lambda step=step: pair.do(step))  # type: ignore[misc]
        seen = []
        for at_ms in (40, 90, 140, 160):
            pair.world.run_until(at_ms * MS)
            seen.append((disk.slow_ns > 0, disk.is_full))
        assert seen == [(True, False), (True, True), (False, True), (False, False)]
