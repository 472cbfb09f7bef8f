"""How each thing in which two routers differ has come to be what it is, by what both tell of it. Pure.

Called by the agent, once for each peer. `agreement` finds the things; each router tells of its own part of them which
command of its journal last changed a thing (a `Trace`), and answers what the other one tells so: also of a thing that
it has not, since it may have removed it. Nothing is asked. Both number their journals by themselves, so a number says
nothing without the router.

    only here ──┐                          ┌──▶ thing: here #42, there #40
    told of ────┴─▶ things ─▶ traces ──────┴──▶ thing: here #57, there none

What a peer has told counts as long as it can be so, by the hashes that both have told since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from vpcrouter.values.agreement import MOST_TRACED, Difference, Side, Thing, Touch, Trace

_MOST_TOLD = 2 * MOST_TRACED
"""What a peer tells of: its own, and what was told to it."""


class ExplanationMachine:
    """What is known of the difference from one peer."""

    def __init__(self) -> None:
        self._told: dict[Thing, Trace] = {}

    def hear(self, traces: Iterable[Trace]) -> None:
        """Take in what the peer tells, the newest last."""
        for each in traces:
            self._told.pop(each.thing, None)
            self._told[each.thing] = each
        self._told = dict(list(self._told.items())[-_MOST_TOLD:])

    def things(
        self, own: Mapping[Thing, int], only_here: Sequence[Thing], only_there: Collection[int]
    ) -> tuple[Thing, ...]:
        """What to look up and to tell of: some of what only this router has, and what the peer says that it has.

        `own`: what this router has; `only_there`: the hashes of what only the peer has.
        """
        here = set(only_here)
        self._told = {thing: each for thing, each in self._told.items() if _counts(each, own, here, only_there)}
        there = (thing for thing, each in self._told.items() if each.hash is not None)
        return tuple(sorted({*only_here[:MOST_TRACED], *there}))

    def differences(
        self, things: Iterable[Thing], own: Mapping[Thing, int], touches: Mapping[Thing, Touch]
    ) -> list[Difference]:
        """What is known of these things; `touches`: how they came to be what they are here."""
        return [
            Difference(
                thing=each, here=Side(is_there=each in own, touch=touches.get(each)), there=_side(self._told.get(each))
            )
            for each in things
        ]


def _counts(trace: Trace, own: Mapping[Thing, int], only_here: Collection[Thing], only_there: Collection[int]) -> bool:
    if trace.hash is None:
        return trace.thing in only_here
    return trace.hash in only_there and trace.hash != own.get(trace.thing)


def _side(trace: Trace | None) -> Side | None:
    return None if trace is None else Side(is_there=trace.hash is not None, touch=trace.touch)
