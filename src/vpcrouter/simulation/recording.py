"""What real journals tell becomes a case, and a list of roles: the commands with their times, and who served when.

A journal holds events; the command that makes each is found by comparing the states before and after it. Time counts
from the first record of either router, and begins at LEAD_MS, when the simulated agents are there. Reads only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from vpcrouter.command_json import dumps
from vpcrouter.errors import DamagedJournalError
from vpcrouter.events import RoleChanged
from vpcrouter.events.sealing import Hidden
from vpcrouter.journal import JournalRecord, read_journal
from vpcrouter.revert import commands_between
from vpcrouter.simulation.case import Case, Submit
from vpcrouter.state import State, evolve
from vpcrouter.values.role import Role

LEAD_MS = 300


@frozen(kw_only=True)
class RoleStep:
    """A router changed its role; `at_ms` counts from whatever the caller names as the beginning."""

    router: str
    at_ms: float
    role: str


def role_steps(journals: Mapping[str, Path], began_ns: int) -> tuple[RoleStep, ...]:
    """All changes of role since `began_ns` (time of day, ns), in their order, as far as the journals are sound."""
    steps = [
        RoleStep(router=router, at_ms=round((record.time_ns - began_ns) / 1e6, 1), role=record.event.role.value)
        for router, directory in journals.items()
        for record in _sound(directory)
        if isinstance(record.event, RoleChanged) and record.time_ns >= began_ns
    ]
    return tuple(sorted(steps, key=lambda step: step.at_ms))


def served_last(roles: Sequence[RoleStep]) -> str | None:
    """Who serves after these changes, which are in their order; where nobody does, who did last. None: nobody ever did.

    Of two that say so, the one that came later: the other one, which is switched off or has no agent, has not said
    anything since.
    """
    now = {step.router: step.role for step in roles}
    masters = [step.router for step in roles if step.role == Role.MASTER.value]
    if not masters:
        return None
    return next((router for router in reversed(masters) if now[router] == Role.MASTER.value), masters[-1])


def _sound(directory: Path) -> Iterator[JournalRecord]:
    with suppress(DamagedJournalError):
        yield from read_journal(directory, sealer=Hidden())  # no change of role holds a secret


def recorded_case(journals: Mapping[str, Path], *, advertisement_ms: int = 100) -> Case:
    """The case of two real routers: `journals` by router, rA and rB. Raises what reading a journal raises."""
    found = {router: list(_commands(directory)) for router, directory in journals.items()}
    began_ns = _began_ns(found)
    steps = tuple(
        Submit(
            at_ms=LEAD_MS + (time_ns - began_ns) // 1_000_000,
            router=router,
            name=f"record-{number}",
            text=text,
        )
        for router, commands in found.items()
        for number, (time_ns, text) in enumerate(commands, 1)
    )
    return Case(steps=steps, advertisement_ms=advertisement_ms)


def recorded_roles(journals: Mapping[str, Path]) -> tuple[RoleStep, ...]:
    """Who served when, as the journals tell, by the clock of `recorded_case`."""
    began_ns = _began_ns({router: list(_commands(directory)) for router, directory in journals.items()})
    return role_steps(journals, began_ns - LEAD_MS * 1_000_000)


def _began_ns(found: Mapping[str, Sequence[tuple[int, str]]]) -> int:
    return min((time_ns for commands in found.values() for time_ns, _ in commands), default=0)


def _commands(directory: Path) -> Iterator[tuple[int, str]]:
    state = State()
    for record in read_journal(directory):
        after = evolve(state, record.event)
        for command in commands_between(state, after):
            yield record.time_ns, dumps(command)
        state = after
