"""Tells when the routers of a set are not configured alike, in what, and by which commands.

Used by the agent, about once a second. What is compared and concluded is `machines.agreement`, how it came about
`machines.explanation`; the things are `projections.things`, the words `wording`. The same commands reach the routers
at different times, so for a while it is nobody's business that their digests differ.

    look ─▶ window: what the peers are told        concerned ─▶ which commands? ─▶ explain ─▶ traces: likewise
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import define, field

from vpcrouter.machines.agreement import AgreementMachine
from vpcrouter.machines.explanation import ExplanationMachine
from vpcrouter.projections.things import shared_things
from vpcrouter.state import State
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.agreement import TRACES, Thing, Touch, Trace, Window
from vpcrouter.values.beacon import Peer
from vpcrouter.wording import describe_differences

LOG = logging.getLogger("vpcrouter.disagreement")

SHOWN = 20
"""So many names in a log line or a status; whoever differs in more has lost a whole burst."""
STEADY_LOOKS = 3
"""Commands are logged when nothing more was learnt of them for so many looks: peers tell a few at a time."""
_NS_PER_S = 1_000_000_000


@define(kw_only=True)
class _Other:
    """What is known of one other router."""

    name: str
    agreement: AgreementMachine
    explanation: ExplanationMachine = field(factory=ExplanationMachine)
    things: tuple[Thing, ...] = ()


class Disagreement:
    """What this router knows of the difference."""

    def __init__(self, patience_s: float, surroundings: Surroundings = HERE) -> None:
        self._surroundings = surroundings
        self._patience_ns = round(patience_s * _NS_PER_S)
        self._others: dict[int, _Other] = {}
        """By number of the peer."""
        self._state: State | None = None
        self._things: Mapping[Thing, int] = {}
        self._by_hash: Mapping[int, Thing] = {}
        self._touches: Mapping[Thing, Touch] = {}
        self._turn = 0
        self._logged: tuple[list[Thing], int] | None = None
        self._logged_commands: list[str] = []
        self._commands: list[str] = []
        self._steady = 0
        self.window: Window | None = None
        """What the peers are to be told of what is here."""
        self.traces: tuple[Trace, ...] = ()
        """What they are to be told of how it came to be so."""

    def look(self, state: State, digest: str, peers: Sequence[Peer], key: bytes) -> None:
        """Take in how things are now. `peers`: those that are heard; what was known of another stays.

        `key`: the pair's, that the beacons have.
        """
        now_ns = self._surroundings.monotonic_ns()
        for each in peers:
            other = self._others.setdefault(each.number, self._stranger())
            other.name = _name(each, peers)
            other.agreement.observe(digest, each.saying.digest, now_ns)
        differing = {number: each for number, each in self._others.items() if each.agreement.is_worth_telling(now_ns)}
        for number, other in self._others.items():
            if number not in differing:
                other.explanation, other.things = ExplanationMachine(), ()
        if not differing:
            if self._logged is not None and self._differs_ns(now_ns) is None:
                LOG.info("all routers are configured alike again")
                self._logged, self._logged_commands = None, []
            self.window, self.traces = None, ()
            return
        self._take(state, key)
        self.window = next(iter(differing.values())).agreement.window(self._by_hash)
        for each in peers:
            if each.number in differing:
                other = differing[each.number]
                if each.saying.window is not None:
                    other.agreement.hear(each.saying.window, self._by_hash)
                other.explanation.hear(each.saying.traces)
        for other in differing.values():
            agreement = other.agreement
            other.things = other.explanation.things(
                self._things, agreement.only_here(self._by_hash), agreement.only_there
            )
        self._log()

    def forget(self, known: Collection[int]) -> None:
        """Other routers than these are none of the set any more."""
        self._others = {number: each for number, each in self._others.items() if number in known}

    @property
    def concerned(self) -> tuple[Thing, ...]:
        """The things of which it is worth knowing which command of this router has changed them last."""
        return tuple(sorted({thing for each in self._others.values() for thing in each.things}))

    def explain(self, touches: Mapping[Thing, Touch]) -> None:
        """Take in what the journal tells of them, as far as it is known."""
        self._touches = touches
        known = [each for each in self.concerned if each in touches]
        start = self._turn % max(len(known), 1)
        self._turn = start + TRACES
        self.traces = tuple(
            Trace(thing=each, hash=self._things.get(each), touch=touches[each])
            for each in [*known[start:], *known[:start]][:TRACES]
        )
        self._log_commands()

    def describe(self) -> dict[str, Any] | None:
        """What a status says of it; None while all are configured alike."""
        differs_ns = self._differs_ns(self._surroundings.monotonic_ns())
        if differs_ns is None:
            return None
        names, there = self._found()
        return {
            "seconds": round(differs_ns / _NS_PER_S, 1),
            "only_here": [
                *(str(each) for each in names[:SHOWN]),
                *([f"… {len(names) - SHOWN} more"] if len(names) > SHOWN else []),
            ],
            "only_there": there,
            "counts": {"here": len(names), "there": there},
            "commands": self._describe_commands(),
        }

    def _describe_commands(self) -> list[dict[str, Any]]:
        return [
            found
            for each in self._others.values()
            for found in describe_differences(
                each.explanation.differences(each.things, self._things, self._touches), each.name
            )
        ]

    def _differs_ns(self, now_ns: int) -> int | None:
        return max(
            (ns for each in self._others.values() if (ns := each.agreement.differs_ns(now_ns)) is not None),
            default=None,
        )

    def _found(self) -> tuple[list[Thing], int]:
        """What one of the others at least has not, and how many things the one that has most of them has."""
        machines = [each.agreement for each in self._others.values()]
        names = sorted({thing for each in machines for thing in each.only_here(self._by_hash)})
        return names, max((len(each.only_there) for each in machines), default=0)

    def _take(self, state: State, key: bytes) -> None:
        if self._state is not state:
            self._state, self._things = state, shared_things(state, key)
            self._by_hash = {short_hash: thing for thing, short_hash in self._things.items()}

    def _stranger(self) -> _Other:
        return _Other(name="", agreement=AgreementMachine(patience_ns=self._patience_ns))

    def _log(self) -> None:
        found = self._found()
        if found == self._logged or found == ([], 0):
            return
        self._logged = found
        names, there = found
        LOG.warning(
            "the routers are not configured alike: only here, or otherwise there: %s; only there: %d",
            ", ".join(map(str, names[:SHOWN])) or "nothing",
            there,
        )

    def _log_commands(self) -> None:
        """Once no more is learnt, each only once; so many at most until all are configured alike again."""
        found = [each["text"] for each in self._describe_commands()]
        self._steady = self._steady + 1 if found == self._commands else 0
        self._commands = found
        if self._steady < STEADY_LOOKS:
            return
        for text in found:
            if text not in self._logged_commands and len(self._logged_commands) <= SHOWN:
                self._logged_commands.append(text)
                if len(self._logged_commands) <= SHOWN:
                    LOG.warning("the routers differ in %s", text)
                else:
                    LOG.warning("the routers differ in more than is logged here; `vpcrouter status` has the rest")


def _name(peer: Peer, peers: Sequence[Peer]) -> str:
    """Of several, by where its frames come from first."""
    return f"the peer {peer.places[0].address}" if len(peers) > 1 and peer.places else "the peer"
