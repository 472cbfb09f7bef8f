"""Hypothesis strategies of faults: what happens, when, and what happens to the other router because of it or beside it.

    kinds ──▶ a fault, at a moment of the burst ──▶ perhaps another one that depends on it

Faults that are drawn one by one seldom meet. What breaks a pair is a second fault while it is busy with the first one:
an agent is dead, and then the master is lost; the peer is still booting, an election is going on, a carrier is on its
way; or both have the same fault. So a fault may have another one follow it, at a distance that was chosen for what
goes on then. Moments are drawn relative to the commands, and faults without a time: a strategy that is made once is
checked by hypothesis once, which took as long as a tenth of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from attrs import evolve, frozen
from hypothesis import strategies as st

from vpcrouter.simulation.case import (
    CUTS,
    DISK_FAULTS,
    DRIFTS,
    EVERY_DEVICE,
    EVERYWHERE,
    MORTALS,
    PROCESSES,
    QUESTIONS,
    ROLES,
    ROUTERS,
    Ask,
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
)

_MORTALS = st.sampled_from(MORTALS) | st.sampled_from((*MORTALS[-2:], *EVERYWHERE))
"""All, and half of the time those that every router has."""
_STOPPABLE = st.sampled_from((*PROCESSES, "all")) | st.sampled_from((*EVERYWHERE, "all"))
_LENGTHS = st.sampled_from((50, 400, 1_500))
_Values = Mapping[str, st.SearchStrategy[object]]

_QUESTION = st.sampled_from((*QUESTIONS, *["handover"] * 3))

_KINDS: Mapping[str, tuple[Callable[..., Step], _Values]] = {
    "crash": (Crash, {"process": _MORTALS}),
    "agent": (Crash, {"process": st.just("agent")}),
    "power": (PowerOff, {"for_ms": _LENGTHS}),
    "pause": (Pause, {"process": _STOPPABLE, "for_ms": _LENGTHS}),
    "cut": (
        CutCable,
        {
            "device": st.sampled_from((EVERY_DEVICE, "eth1", "eth2", "eth3")),
            "how": st.sampled_from(CUTS),
            "for_ms": _LENGTHS,
        },
    ),
    "unplug": (Unplug, {"device": st.sampled_from(("eth1", "eth2", "eth3")), "for_ms": _LENGTHS}),
    "disk": (DiskFault, {"how": st.sampled_from(("slow", "slow", *DISK_FAULTS)), "for_ms": _LENGTHS}),
    "clock": (SetClock, {"by_s": st.sampled_from((-86_400, -1, 1, 86_400))}),
    "drift": (Drift, {"what": st.sampled_from(DRIFTS)}),
    "snapshot": (Snapshot, {}),
    "operator": (Ask, {"what": _QUESTION}),
    "network": (
        Network,
        {
            "loss": st.sampled_from((0.0, 0.02, 0.2)),
            "copies": st.sampled_from((0.0, 0.1)),
            "delay_ms": st.sampled_from((0, 1, 20)),
            "for_ms": _LENGTHS,
        },
    ),
    "partition": (Network, {"loss": st.just(1.0), "for_ms": _LENGTHS}),
}
FAULTS = tuple(_KINDS)
"""Their names: what `--faults` takes."""
_TOGETHER = (("agent", "power"), ("agent", "crash"), ("agent", "cut"), ("disk", "power"), ("disk", "agent"))
"""An agent that is not there, and a router that is lost; a bad disk, and who wrote to it is gone: drawn more often."""
_WHO = st.sampled_from((("rA",), ("rB",), ROUTERS, ROLES))

# When ---------------------------------------------------------------------------------------------

ESTABLISHED_MS = 2_000
"""The first election is over."""
_EARLIEST_MS = ESTABLISHED_MS - 500
_CALM_MS = 3_000
"""After the last command: no command excuses anything any more, and the backup is ready."""
_STORING = (0, 1, 2, 3)
_MOVING = (40, 120, 200, 350, 700)
"""After a command: it is settled, an elector begins, the carrier moves."""
_BEFORE = (-100, -400, -900)


@frozen
class Moment:
    """A time that is known when the commands are."""

    since: str
    """start, command or calm."""
    by_ms: int
    number: int = 0
    """Of the command's time."""

    def at(self, times: Sequence[int]) -> int:
        """That time; `times` are those at which commands come, ascending."""
        match self.since:
            case "command" if times:
                return max(0, times[self.number % len(times)] + self.by_ms)
            case "calm":
                return max((ESTABLISHED_MS, *times[-1:])) + _CALM_MS + self.by_ms
            case _:
                return _EARLIEST_MS + self.by_ms % 4_000


_AT_A_COMMAND = st.builds(
    Moment,
    since=st.just("command"),
    by_ms=st.sampled_from((*_STORING * 2, *_BEFORE * 3, *_MOVING)),
    number=st.integers(0, 31),
)
_STORED = st.builds(Moment, since=st.just("command"), by_ms=st.just(0), number=st.integers(0, 31))
_CALM = st.just(Moment("calm", 0))
_MOMENTS = st.one_of(
    *[_AT_A_COMMAND] * 3,
    st.builds(Moment, since=st.just("start"), by_ms=st.integers(0, 4_000)),
    _CALM,
)

# What follows -------------------------------------------------------------------------------------

_AFTER_ITS_BEGINNING = (0, 1, 50, 100, 250, 320, 400, 900)
"""Beside it; before the peer has noticed; while it takes over; when the agent is started again."""
_AFTER_ITS_END = (-20, 0, 100, 700, 1_000, 1_260, 1_300, 1_500, 2_500)
"""While a machine boots: its agent starts after a second, opens its journal 250 ms later, keepalived elects then."""


@frozen
class Sequel:
    """A fault that depends on another one."""

    step: Step | None
    """None: the same again."""
    by_ms: int
    is_after_its_end: bool
    hits_the_other: bool

    def of(self, first: Step) -> Step:
        """As it happens after that one."""
        at_ms = first.at_ms + self.by_ms + (int(getattr(first, "for_ms", 0)) if self.is_after_its_end else 0)
        step = evolve(first if self.step is None else self.step, at_ms=max(0, at_ms))
        if step.router == "-":
            return step
        router = step.router if first.router == "-" else first.router
        return evolve(step, router=_OTHER[router] if self.hits_the_other else router)


_OTHER = {"rA": "rB", "rB": "rA", "master": "backup", "backup": "master"}


def fault_steps(name: str, moments: st.SearchStrategy[int], routers: Sequence[str]) -> st.SearchStrategy[Step]:
    """Faults of one kind, at these moments, on these routers."""
    kind, values = _KINDS[name]
    who = st.just("-") if kind is Network else st.sampled_from(tuple(routers))
    found = st.builds(kind, at_ms=moments, router=who, **values)
    return found.map(_about_something) if kind is Ask else found


def _about_something(step: Step) -> Step:
    return evolve(step, about="2") if isinstance(step, Ask) and step.what == "revert" else step


@frozen
class PlannedFault:
    """A fault at a time relative to commands, and what follows it."""

    step: Step
    moment: Moment
    sequel: Sequel | None

    def steps(self, times: Sequence[int]) -> tuple[Step, ...]:
        """What happens, where commands come at these times."""
        first = evolve(self.step, at_ms=self.moment.at(times))
        return (first,) if self.sequel is None else (first, self.sequel.of(first))


@lru_cache(maxsize=64)
def planned_faults(faults: tuple[str, ...], most: int) -> st.SearchStrategy[list[PlannedFault]]:
    """Faults of some of these kinds, each perhaps with one that follows it; or one and its sequel, and no more."""
    # Few kinds and often one router only: what has to come together does so more often (swarm testing).
    kinds = st.lists(st.sampled_from(faults), max_size=2, unique=True).map(tuple)
    crowds = st.tuples(kinds, _WHO).flatmap(lambda drawn: _crowd(*drawn, most))
    pairs = st.tuples(*[st.sampled_from(faults)] * 2)
    if together := tuple(each for each in _TOGETHER if set(each) <= set(faults)):
        pairs = pairs | st.sampled_from(together)
    return st.one_of(*[crowds] * 4, pairs.flatmap(lambda drawn: _tale(*drawn)))


@lru_cache(maxsize=1024)
def _crowd(kinds: tuple[str, ...], who: tuple[str, ...], most: int) -> st.SearchStrategy[list[PlannedFault]]:
    if not kinds:
        return st.just([])
    step = st.none() | st.one_of([_step(kind, ROUTERS) for kind in kinds])
    sequels = _sequels(step, st.sampled_from((True, True, False)))
    one = st.builds(
        PlannedFault,
        step=st.one_of([_step(kind, who) for kind in kinds]),
        moment=_MOMENTS,
        sequel=st.one_of(*[st.none()] * 3, *sequels),
    )
    return st.lists(one, min_size=len(kinds), max_size=most)


@lru_cache(maxsize=256)
def _tale(first: str, second: str) -> st.SearchStrategy[list[PlannedFault]]:
    step = st.none() if first == second else _step(second, ROUTERS)
    # A bad disk matters where something is stored, and to whoever is just storing it.
    one = st.builds(
        PlannedFault,
        step=_step(first, ROUTERS if first == "disk" else ROLES),
        moment=_STORED if first == "disk" else _CALM | _MOMENTS,
        sequel=_while_storing(step) if first == "disk" else st.one_of(*_sequels(step, st.just(True))),
    )
    return one.map(lambda each: [each])


def _while_storing(step: st.SearchStrategy[Step | None]) -> st.SearchStrategy[Sequel]:
    return st.builds(
        Sequel,
        step=step,
        by_ms=st.sampled_from((3, 20, 60, 120)),
        is_after_its_end=st.just(False),
        hits_the_other=st.just(False),
    )


def _sequels(
    step: st.SearchStrategy[Step | None], hits_the_other: st.SearchStrategy[bool]
) -> Iterator[st.SearchStrategy[Sequel]]:
    for is_after_its_end, times in ((False, _AFTER_ITS_BEGINNING), (True, _AFTER_ITS_END)):
        yield st.builds(
            Sequel,
            step=step,
            by_ms=st.sampled_from(times),
            is_after_its_end=st.just(is_after_its_end),
            hits_the_other=hits_the_other,
        )


@lru_cache(maxsize=64)
def _step(kind: str, who: tuple[str, ...]) -> st.SearchStrategy[Step]:
    return fault_steps(kind, st.just(0), who)
