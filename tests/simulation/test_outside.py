"""Nothing of a simulation reaches the machine that it runs on, and nothing of that machine reaches the simulation."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import evolve

from tests.simulation.test_pair import case, sound
from vpcrouter.appliers import _files, _kernel_features, _process, keepalived
from vpcrouter.simulation.case import EVERYWHERE, PROCESSES, QUESTIONS, ROUTERS, Ask, Case, Crash, Pause, Submit
from vpcrouter.simulation.pair import run

EVERYTHING = Path(__file__).parents[2] / "examples" / "everything"


def everything() -> Case:
    """A command of every type, put and taken away again, with a reload of every daemon in between."""
    steps = []
    for router in ROUTERS:
        for at_ms, folder in ((300, "provision"), (5_000, "teardown")):
            for file in sorted((EVERYTHING / folder / router).iterdir()):
                steps.append(Submit(at_ms=at_ms, router=router, name=file.name, text=file.read_text("utf-8")))
    asked = [Ask(at_ms=3_000 + 100 * number, router="rA", what=each) for number, each in enumerate(QUESTIONS)]
    return Case(steps=(*steps, *(each for each in asked if each.what not in ("revert", "forced-handover"))))


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: Any, **_: Any) -> NoReturn:
        raise AssertionError(f"the simulation reached outside: {words}")

    for module, names in (
        (_process, ("run", "spawn", "open_process", "find_processes", "find_users", "_state", "_children")),
        (_process.Process, ("make_room", "printed", "_ended_within")),
        (_kernel_features, ("_opens",)),
        (_files, ("write_atomically", "make_directory", "remove_file", "make_fifo")),
        (socket, ("if_nameindex",)),
        (keepalived, ("ask_instances",)),
        (subprocess, ("run", "Popen")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, fail)


@pytest.mark.usefixtures("sealed")
def test_a_command_of_every_type_stays_within_the_simulation() -> None:
    report = sound(run(everything()))
    assert report.master is not None or report.role_changes
    answered = {line.split()[3].rstrip(":") for line in report.trace if " answers " in line}
    assert len(answered) > 25
    assert {"handover:", "usage:", "plan:", "checkup:", "settle:"} <= {
        line.split()[3] for line in report.trace if " answers " in line
    }


def test_every_daemon_that_dies_is_started_again() -> None:
    killed = [name for name in PROCESSES if name not in EVERYWHERE]
    crashes = [Crash(at_ms=2_500, router="rA", process=name) for name in killed]
    report = sound(run(evolve(everything(), steps=(*everything().steps, *crashes))))
    for name in killed:
        lines = [line.split(" ", 1) for line in report.trace if f" rA/{name} " in line]
        starts = [float(at_ms) for at_ms, what in lines if what.endswith("starts") and 2_500 < float(at_ms) < 3_000]
        assert len(starts) == 1, (name, lines)


def test_a_keepalived_that_is_stopped_is_continued_for_a_reload() -> None:
    """As the real applier does it after a quarter of a second: by virtual time, or it would never be over."""
    paused = Pause(at_ms=2_000, router="master", process="keepalived", for_ms=8_000)
    from vpcrouter.simulation.strategies import add_tier

    report = sound(run(case(paused, *(add_tier(4).to(router, 2_050) for router in ROUTERS))))
    assert report.settle_ms == 0.0


def test_what_a_daemon_printed_does_not_depend_on_the_processes_of_this_machine() -> None:
    """The simulated processes have numbers that real ones have, too."""
    report = sound(run(case(Crash(at_ms=2_000, router="rA", process="agent"), tiers=(2, 3, 4))))
    assert report.trace == run(case(Crash(at_ms=2_000, router="rA", process="agent"), tiers=(2, 3, 4))).trace
