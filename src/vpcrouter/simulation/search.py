"""Looks for a case that breaks a pair, and for the smallest one: blocks of cases, on as many processors as there are.

A block is a hypothesis run of its own seed, so what is found depends on the seed and not on how many look. Cases are
shrunk in the block that found them, keeping the rule that was broken: by hypothesis, which makes what was drawn
simpler, and then step by step, since what was drawn first decides what can be drawn next, and a step needs no other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice

from attrs import define, evolve, field, frozen
from hypothesis import HealthCheck, Phase, given
from hypothesis import seed as with_seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import HypothesisWarning
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.strategies import SearchStrategy

from vpcrouter.simulation.case import Case, Submit
from vpcrouter.simulation.findings import Violation
from vpcrouter.simulation.pair import Report, run
from vpcrouter.simulation.strategies import Command, cases

BLOCK = 20
"""Cases of one block: a second or two."""
SHRINKS = 400
"""Cases that are tried to make one smaller."""
_ROUNDS, _ROUND, _TWICE = 4, 1_000_000_007, 3
"""What hypothesis draws twice is run once; so it is asked for a few more, and again with another seed."""


@frozen(kw_only=True)
class Finding:
    """A case that broke a rule, as small as it was made."""

    case: Case
    violations: tuple[Violation, ...]
    report: Report
    tried: int
    """Cases that were run until the first failure."""


@frozen(kw_only=True)
class Figures:
    """Of one case."""

    commands: int
    faults: int
    settle_ms: float | None
    reloads: int
    role_changes: int
    outage_ms: float
    double_master_ms: float
    lost_connections: int

    @classmethod
    def of(cls, case: Case, report: Report) -> Figures:
        """The figures of a report."""
        return cls(
            commands=case.commands,
            faults=len(case.faults),
            settle_ms=report.settle_ms,
            reloads=report.reloads,
            role_changes=report.role_changes,
            outage_ms=max((each.length_ms for each in report.outages), default=0.0),
            double_master_ms=report.double_master_ms,
            lost_connections=report.lost_connections,
        )


@define
class Found:
    """What a block, or all of them, came to."""

    figures: list[Figures] = field(factory=list)
    finding: Finding | None = None


class _Chance(HypothesisProvider):
    """Hypothesis' own draws, by the seed alone.

    It would now and then draw a number that stands in the source of a module that this process has loaded, and so try
    other cases after other imports.
    """

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        return None


@contextmanager
def _by_the_seed_alone() -> Iterator[None]:
    before = AVAILABLE_PROVIDERS["hypothesis"]
    AVAILABLE_PROVIDERS["hypothesis"] = f"{_Chance.__module__}.{_Chance.__qualname__}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HypothesisWarning)  # a case of many commands is long, and nobody prints it
            yield
    finally:
        AVAILABLE_PROVIDERS["hypothesis"] = before


class _BrokenError(Exception):
    """For hypothesis: this case fails."""


def search(
    strategy: SearchStrategy[Case],
    *,
    bursts: int,
    seed: int,
    judge: Callable[[Case], Report] = run,
    shrinks: int = SHRINKS,
    is_small: Callable[[Case], bool] = lambda _: False,
) -> Found:
    """Run that many cases, or until one breaks a rule; that one is shrunk, until it is small enough."""
    found = Found()
    known: dict[Case, Report] = {}
    wanted: list[str] = []
    tried = 0

    def attempt(case: Case) -> None:
        nonlocal tried
        if case not in known:
            if wanted and (
                len(known) - tried > shrinks or (found.finding is not None and is_small(found.finding.case))
            ):
                return
            if not wanted and tried >= bursts:
                return
            report = judge(case)
            known[case] = report
            if not wanted:
                tried += 1
                found.figures.append(Figures.of(case, report))
        broken = known[case].violations
        if not wanted and broken:
            wanted.append(broken[0].rule)
        if any(each.rule in wanted for each in broken):
            found.finding = Finding(case=known[case].happened, violations=broken, report=known[case], tried=tried)
            raise _BrokenError

    for number in range(_ROUNDS):
        missing = bursts - len(found.figures)
        if found.finding is not None or missing <= 0:
            break
        attempts = hypothesis_settings(
            max_examples=missing + _TWICE,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        )(given(strategy)(attempt))
        with _by_the_seed_alone(), suppress(_BrokenError):
            with_seed(seed + number * _ROUND)(attempts)()
    if found.finding is not None:
        found.finding = _without_needless_steps(found.finding, wanted[0], judge, shrinks, is_small)
    return found


def _without_needless_steps(
    finding: Finding, rule: str, judge: Callable[[Case], Report], most: int, is_small: Callable[[Case], bool]
) -> Finding:
    """Leave out what is not needed to break the rule, until nothing can go."""
    left = most
    while not is_small(finding.case) and (shorter := _shorter(finding, rule, judge, left)) is not None:
        finding, tried = shorter
        left -= tried
    return finding


def _shorter(finding: Finding, rule: str, judge: Callable[[Case], Report], most: int) -> tuple[Finding, int] | None:
    """The first shorter case that breaks the rule too, and how many were run for that; None if there is none."""
    for tried, case in enumerate(islice(_shorter_cases(finding.case), most), 1):
        report = judge(case)
        if any(each.rule == rule for each in report.violations):
            return evolve(finding, case=report.happened, violations=report.violations, report=report), tried
    return None


def _shorter_cases(case: Case) -> Iterator[Case]:
    """Without one command on either router, before or after the others; without one step. The latest first."""
    names = dict.fromkeys(step.name for step in reversed(case.steps) if isinstance(step, Submit))
    for name in names:
        yield evolve(case, steps=tuple(each for each in case.steps if getattr(each, "name", None) != name))
    for number in reversed(range(len(case.steps))):
        yield evolve(case, steps=case.steps[:number] + case.steps[number + 1 :])


@frozen(kw_only=True)
class Plan:
    """What to look for."""

    bursts: int
    seed: int
    faults: tuple[str, ...]
    burst: tuple[Command, ...] | None = None
    most_commands: int = 8
    most_faults: int = 3
    advertisement_ms: int = 100
    common_tier: bool = False


def search_block(plan: Plan, number: int, bursts: int) -> Found:
    """One block of a plan."""
    strategy = cases(
        faults=plan.faults,
        burst=plan.burst,
        most_commands=plan.most_commands,
        most_faults=plan.most_faults,
        advertisement_ms=plan.advertisement_ms,
        common_tier=plan.common_tier,
    )
    return search(strategy, bursts=bursts, seed=plan.seed * 1_000_003 + number)


def search_blocks(plan: Plan, jobs: int) -> Iterator[Found]:
    """The blocks of a plan as they come; those of a search that has found something are the last ones."""
    sizes = [min(BLOCK, plan.bursts - start) for start in range(0, plan.bursts, BLOCK)]
    if jobs == 1:
        for number, size in enumerate(sizes):
            found = search_block(plan, number, size)
            yield found
            if found.finding is not None:
                return
        return
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        waiting = {pool.submit(search_block, plan, number, size) for number, size in enumerate(sizes)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for each in done:
                found = each.result()
                yield found
                if found.finding is not None:
                    for other in waiting:
                        other.cancel()
            waiting = {each for each in waiting if not each.cancelled()}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
