"""A case of the simulator in the laboratory: who is master is known when a step begins, also if its agent is dead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.conftest import new_laboratory
from tests.lab.test_calibration import FAULT_MS, bare_pair, scenario
from tests.lab.test_commands import json_of, lab
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.replay import Due, carry_out, replay
from vpcrouter.lab.topology import NAMESPACES
from vpcrouter.simulation.case import Crash, CutCable, Pause, Step
from vpcrouter.simulation.recording import RoleStep, served_last

__all__ = ["bare_pair"]

CASE = Path(__file__).parents[1] / "simulation" / "cases" / "master-for-a-moment.case"


def roles(*told: str) -> tuple[RoleStep, ...]:
    steps = (each.split() for each in told)
    return tuple(RoleStep(router=router, at_ms=number, role=role) for number, (router, role) in enumerate(steps))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((), None),
        (("rA backup", "rB backup"), None),
        (("rA backup", "rB backup", "rB master"), "rB"),
        (("rA master", "rB backup", "rA fault"), "rA"),
        (("rA master", "rB backup", "rA fault", "rB master"), "rB"),
        # Its agent is dead, or it is switched off: it says nothing more.
        (("rA master", "rB backup", "rB master"), "rB"),
        # Both served, and the one that came later has stepped back.
        (("rA master", "rB master", "rB backup"), "rA"),
        (("rA master", "rB master", "rB backup", "rA backup"), "rB"),
    ],
)
def test_the_one_that_serves_or_did_so_last(told: tuple[str, ...], expected: str | None) -> None:
    assert served_last(roles(*told)) == expected


def test_each_step_begins_and_ends_in_its_time() -> None:
    """What a step comes to is decided when it begins, and not when the case is read."""
    happened: list[str] = []
    cut = CutCable(at_ms=100, router="master", device="eth2", how="silent", for_ms=300)
    pause = Pause(at_ms=200, router="rA", process="agent", for_ms=50)

    def note(what: str) -> Callable[[], None]:
        return lambda: happened.append(what)

    def begin(step: Step) -> list[Due]:
        happened.append(f"{type(step).__name__} begins")
        ends_ms = step.at_ms + int(getattr(step, "for_ms", 0))
        return [(step.at_ms, note("done")), (ends_ms, note(f"{type(step).__name__} ends"))]

    carry_out([pause, cut], begin, lambda at_ms: happened.append(str(at_ms)))
    assert happened == [
        *("100", "CutCable begins", "done"),
        *("200", "Pause begins", "done"),
        *("250", "Pause ends"),
        *("400", "CutCable ends"),
    ]


@pytest.mark.lab
@pytest.mark.slow
def test_a_step_that_goes_by_the_role_hits_who_serves_then(bare_pair: Laboratory) -> None:
    """rA serves first; killed with its agent dead beside it, it makes way for rB, which is the master then."""
    case = scenario(
        Crash(at_ms=FAULT_MS, router="master", process="agent"),
        Crash(at_ms=FAULT_MS + 100, router="master", process="keepalived"),
        Pause(at_ms=FAULT_MS + 6_000, router="master", process="all", for_ms=1_000),
    )
    found = replay(bare_pair, case)
    assert [each.rpartition(" ")[2] for each in found.hits] == ["rA", "rA", "rB"], found
    assert found.left_out == ()
    assert found.rests, found


@pytest.mark.lab
@pytest.mark.slow
def test_the_verb_needs_no_laboratory_and_leaves_none() -> None:
    """A case that the simulator found: who serves in the end is as there."""
    laboratory = new_laboratory()
    found = json_of(lab(laboratory, "replay", str(CASE), "--json"))
    assert found["rests"], found
    assert len(set(found["digests"])) == 2, "rB is never told that eth2 is gone"
    assert not (NAMESPACES / laboratory.names.namespace("rA")).exists()
    assert not laboratory.directory.exists()
