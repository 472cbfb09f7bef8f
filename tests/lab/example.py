"""The example burst and what it comes to, computed without a machine."""

from __future__ import annotations

from pathlib import Path

from vpcrouter.decide import decide
from vpcrouter.state import State, evolve
from vpcrouter.submission import read_submission

BURST = Path(__file__).parents[2] / "examples/burst"


def state_after(files: list[Path]) -> State:
    """The state after all commands, each of which must be accepted and change something."""
    state = State()
    for path in files:
        for submitted in read_submission(path.read_text(), name=path.name):
            assert submitted.command is not None, f"{path.name}: {submitted.error}"
            decision = decide(state, submitted.command)
            assert decision.event is not None, f"{path.name} changes nothing"
            state = evolve(state, decision.event)
    return state
