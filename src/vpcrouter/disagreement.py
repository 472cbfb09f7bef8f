"""Tells when the routers of a set are not configured alike, and in what.

Used by the agent, about once a second. What is compared and concluded is `machines.agreement`; the names of things are
`projections.digest`. The same commands reach the routers at different times, so for a while it is nobody's
business that their digests differ.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vpcrouter.machines.agreement import AgreementMachine
from vpcrouter.projections.digest import shared_things
from vpcrouter.state import State
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.agreement import Window
from vpcrouter.values.beacon import Peer

LOG = logging.getLogger("vpcrouter.disagreement")

SHOWN = 20
"""So many names in a log line or a status; whoever differs in more has lost a whole burst."""
_NS_PER_S = 1_000_000_000


class Disagreement:
    """What this router knows of the difference."""

    def __init__(self, patience_s: float, surroundings: Surroundings = HERE) -> None:
        self._surroundings = surroundings
        self._patience_ns = round(patience_s * _NS_PER_S)
        self._machines: dict[int, AgreementMachine] = {}
        """By peer: what differs from each."""
        self._things: tuple[State, Mapping[int, str]] | None = None
        self._logged: tuple[list[str], int] | None = None
        self.window: Window | None = None
        """What the peers are to be told."""

    def look(self, state: State, digest: str, peers: Sequence[Peer]) -> None:
        """Take in how things are now. `peers`: those that are heard; what was known of another stays."""
        now_ns = self._surroundings.monotonic_ns()
        for each in peers:
            machine = self._machines.setdefault(each.number, AgreementMachine(patience_ns=self._patience_ns))
            machine.observe(digest, each.saying.digest, now_ns)
        differing = {number: each for number, each in self._machines.items() if each.is_worth_telling(now_ns)}
        if not differing:
            if self._logged is not None and self._differs_ns(now_ns) is None:
                LOG.info("all routers are configured alike again")
                self._logged = None
            self.window = None
            return
        own = self._own(state)
        self.window = next(iter(differing.values())).window(own)
        for each in peers:
            if each.number in differing and each.saying.window is not None:
                differing[each.number].hear(each.saying.window, own)
        self._log(own)

    def forget(self, known: Collection[int]) -> None:
        """Other routers than these are none of the set any more."""
        self._machines = {number: each for number, each in self._machines.items() if number in known}

    def describe(self) -> dict[str, Any] | None:
        """What a status says of it; None while all are configured alike."""
        differs_ns = self._differs_ns(self._surroundings.monotonic_ns())
        if differs_ns is None:
            return None
        names, there = self._found({} if self._things is None else self._things[1])
        return {
            "seconds": round(differs_ns / _NS_PER_S, 1),
            "only_here": [*names[:SHOWN], *([f"… {len(names) - SHOWN} more"] if len(names) > SHOWN else [])],
            "only_there": there,
        }

    def _differs_ns(self, now_ns: int) -> int | None:
        return max(
            (ns for each in self._machines.values() if (ns := each.differs_ns(now_ns)) is not None), default=None
        )

    def _found(self, own: Mapping[int, str]) -> tuple[list[str], int]:
        """What one of the others at least has not, by name, and how many things the one that has most of them has."""
        machines = self._machines.values()
        names = sorted({name for each in machines for name in each.only_here(own)})
        return names, max((each.only_there for each in machines), default=0)

    def _own(self, state: State) -> Mapping[int, str]:
        if self._things is None or self._things[0] is not state:
            self._things = (state, shared_things(state))
        return self._things[1]

    def _log(self, own: Mapping[int, str]) -> None:
        found = self._found(own)
        if found == self._logged or found == ([], 0):
            return
        self._logged = found
        names, there = found
        LOG.warning(
            "the routers are not configured alike: only here, or otherwise there: %s; only there: %d",
            ", ".join(names[:SHOWN]) or "nothing",
            there,
        )
