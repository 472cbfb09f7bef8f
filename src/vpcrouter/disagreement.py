"""Tells when the two routers of a pair are not configured alike, and in what.

Used by the agent, about once a second. What is compared and concluded is `machines.agreement`; the names of things are
`projections.digest`. The same commands reach the two routers at different times, so for a while it is nobody's
business that their digests differ.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vpcrouter.machines.agreement import AgreementMachine
from vpcrouter.projections.digest import shared_things
from vpcrouter.state import State
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.agreement import Window
from vpcrouter.values.beacon import Saying

LOG = logging.getLogger("vpcrouter.disagreement")

SHOWN = 20
"""So many names in a log line or a status; whoever differs in more has lost a whole burst."""
_NS_PER_S = 1_000_000_000


class Disagreement:
    """What this router knows of the difference."""

    def __init__(self, patience_s: float, surroundings: Surroundings = HERE) -> None:
        self._surroundings = surroundings
        self._machine = AgreementMachine(patience_ns=round(patience_s * _NS_PER_S))
        self._things: tuple[State, Mapping[int, str]] | None = None
        self._logged: tuple[list[str], int] | None = None
        self.window: Window | None = None
        """What the peer is to be told."""

    def look(self, state: State, digest: str, peer: Saying | None) -> None:
        """Take in how things are now."""
        now_ns = self._surroundings.monotonic_ns()
        self._machine.observe(digest, None if peer is None else peer.digest, now_ns)
        if not self._machine.is_worth_telling(now_ns):
            if self._logged is not None and self._machine.differs_ns(now_ns) is None:
                LOG.info("both routers are configured alike again")
                self._logged = None
            self.window = None
            return
        own = self._own(state)
        self.window = self._machine.window(own)
        if peer is not None and peer.window is not None:
            self._machine.hear(peer.window, own)
        self._log(own)

    def describe(self) -> dict[str, Any] | None:
        """What a status says of it; None while both are configured alike."""
        differs_ns = self._machine.differs_ns(self._surroundings.monotonic_ns())
        if differs_ns is None:
            return None
        names = self._machine.only_here({} if self._things is None else self._things[1])
        return {
            "seconds": round(differs_ns / _NS_PER_S, 1),
            "only_here": [*names[:SHOWN], *([f"… {len(names) - SHOWN} more"] if len(names) > SHOWN else [])],
            "only_there": self._machine.only_there,
        }

    def _own(self, state: State) -> Mapping[int, str]:
        if self._things is None or self._things[0] is not state:
            self._things = (state, shared_things(state))
        return self._things[1]

    def _log(self, own: Mapping[int, str]) -> None:
        found = (self._machine.only_here(own), self._machine.only_there)
        if found == self._logged or found == ([], 0):
            return
        self._logged = found
        names, there = found
        LOG.warning(
            "the routers are not configured alike: only here, or otherwise there: %s; only there: %d",
            ", ".join(names[:SHOWN]) or "nothing",
            there,
        )
