"""What a timeline of a simulated run shows: a case and its report become a recording that `vpcrouter.timeline` draws.

Pure. Faults are what was done, lines of the trace are marks, outages stand with the fault that excuses them or without
a cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from vpcrouter.simulation.case import ROUTERS, Case, Step, Submit, words
from vpcrouter.timeline import Deed, Mark, Recording, RoleSpan, Silence

if TYPE_CHECKING:
    from vpcrouter.simulation.pair import Report

_DAEMONS: Mapping[str, str] = {"reloads": "reload", "starts": "start", "ends": "death"}


def recording(case: Case, report: Report) -> Recording:
    """Everything that happened, in seconds of virtual time."""
    length_s = report.ended_ms / 1000
    broken = ", ".join(sorted({each.rule for each in report.violations}))
    return Recording(
        title=f"broken: {broken}" if broken else "no rule was broken",
        length_s=length_s,
        deeds=tuple(_deed(step) for step in case.faults),
        roles={router: tuple(_spans(report, router, length_s)) for router in ROUTERS},
        marks={router: tuple(_marks(report, router)) for router in ROUTERS},
        commands={router: tuple(_commands(case, router)) for router in ROUTERS},
        both_serve=tuple((since_ms / 1000, until_ms / 1000) for since_ms, until_ms in report.both_serve),
        silences={
            tier: tuple(
                Silence(
                    start_s=each.from_ms / 1000,
                    length_ms=each.length_ms,
                    lost=0,
                    cause="a fault or the command itself" if each.is_excused else "",
                )
                for each in report.outages
                if each.tier == tier
            )
            for tier in sorted({each.tier for each in report.outages})
        },
    )


def _deed(step: Step) -> Deed:
    start_s = step.at_ms / 1000
    return Deed(start_s=start_s, end_s=start_s + getattr(step, "for_ms", 0) / 1000, what=f"{step.router} {words(step)}")


def _spans(report: Report, router: str, length_s: float) -> Iterator[RoleSpan]:
    steps = [(each.at_ms / 1000, each.role) for each in report.roles if each.router == router]
    for (start_s, role), (end_s, _) in pairwise([(0.0, "init"), *steps, (length_s, "")]):
        yield RoleSpan(start_s=start_s, end_s=end_s, role=role)


def _marks(report: Report, router: str) -> Iterator[Mark]:
    for line in report.trace:
        at_ms, who, what = line.split(" ", 2)
        machine, _, process = who.partition("/")
        if machine == router and process and (word := _DAEMONS.get(what.partition(":")[0])) is not None:
            yield Mark(at_s=float(at_ms) / 1000, what=f"{process} {word}")


def _commands(case: Case, router: str) -> Iterator[Mark]:
    submitted = [step for step in case.steps if isinstance(step, Submit) and step.router == router]
    for at_ms, steps in groupby(submitted, key=lambda step: step.at_ms):
        names = [step.name for step in steps]
        yield Mark(at_s=at_ms / 1000, what=names[0] if len(names) == 1 else f"{len(names)} commands")
