"""What the agent's settles have come to: the newest outcome, who waits for one, what had drifted, their durations."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from vpcrouter.durations import Durations
from vpcrouter.host import Outcome
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.losses import Fault

LOG = logging.getLogger("vpcrouter.agent")

KEPT = 100
"""How many drift reports and settles are remembered."""


class Settlements:
    """Remembers the settles of one agent, and tells who waits for one."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._settled: deque[tuple[int, int]] = deque(maxlen=KEPT)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.outcome: Outcome | None = None
        self.drift: deque[dict[str, Any]] = deque(maxlen=KEPT)
        """Newest last: `time`, seconds since the epoch, and `what`."""
        self.durations = Durations()
        """Of settles that changed something, in seconds."""

    @property
    def newest_seq(self) -> int:
        """Up to which event the machine has been as configured; 0 if it never was."""
        return self._settled[-1][0] if self._settled else 0

    @property
    def differences(self) -> list[str]:
        """What the newest settle has left undone."""
        return list(self.outcome.differences) if self.outcome is not None else ["not settled yet"]

    def is_settled(self, seq: int) -> bool:
        """Whether the newest settle was of this event and left nothing undone."""
        return self.outcome is not None and self.outcome.settled and bool(self._settled) and self.newest_seq == seq

    def covers(self, seq: int) -> bool:
        """Whether the machine is as the events up to this one have it, as far as the newest settle knows."""
        return self.outcome is not None and self.outcome.settled and self.newest_seq >= seq

    def take_in(self, seq: int, outcome: Outcome) -> tuple[Fault, ...]:
        """A settle of events up to `seq` has ended. Returns the faults that the one before it did not have."""
        before = self.outcome.faults if self.outcome is not None else ()
        self.outcome = outcome
        for what in outcome.drift:
            self.drift.append({"time": self._surroundings.time_ns() / 1e9, "what": what})
            LOG.warning("repaired drift: %s", what)
        if outcome.settled:
            if not self._settled or self.newest_seq != seq:
                self._settled.append((seq, self._surroundings.monotonic_ns()))
            for wanted, future in self._waiting:
                if wanted <= seq and not future.done():
                    future.set_result(None)
        return tuple(each for each in outcome.faults if each not in before)

    async def wait(self, seq: int, timeout: float, *, again: bool = False) -> dict[str, Any]:
        """Until the events up to `seq` are applied and verified, `timeout` seconds at most; `again`: from now on.

        Returns `settled`, `seq`, and `verified_ns` (the monotonic clock's) or the `differences`.
        """
        if again or self.newest_seq < seq or not self._settled:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((seq, future))
            try:
                await asyncio.wait_for(future, timeout)
            except TimeoutError:
                return {"settled": False, "seq": seq, "differences": self.differences}
            finally:
                self._waiting = [each for each in self._waiting if each[1] is not future]
        verified = next((when for covered, when in self._settled if covered >= seq), self._surroundings.monotonic_ns())
        return {"settled": True, "seq": seq, "verified_ns": verified}
