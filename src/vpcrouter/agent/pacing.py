"""When the agent settles: the coalescer's deadlines on the event loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vpcrouter.machines.coalescer import Coalescer
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.settings import Settings

_EARLY_NS = 500_000
"""The loop's timers may be so much early."""


class Pacing:
    """Calls `due` when it is time to settle, one settle at a time."""

    def __init__(self, settings: Settings, surroundings: Surroundings, due: Callable[[], None]) -> None:
        self._surroundings = surroundings
        self._due = due
        self._timer: asyncio.TimerHandle | None = None
        self._has_begun = False
        self._coalescer = Coalescer(
            quiet_ms=settings.quiet_ms, max_delay_ms=settings.max_delay_ms, long_delay_ms=settings.long_delay_ms
        )

    def begin(self) -> None:
        """Settle from now on, at once. Before that, what changes waits.

        Commands come as soon as there is a socket. A settle for a role that was not learnt yet takes the addresses
        away from a keepalived that serves: it was 60 ms without traffic where an agent was killed within a burst.
        """
        self._has_begun = True
        self.urgent()

    def notice(self) -> None:
        """Something has changed: settle when it is quiet."""
        self._coalescer.notice(self._surroundings.monotonic_ns())
        self.arm()

    def urgent(self) -> None:
        """Settle as soon as the settle that runs has ended."""
        self._coalescer.urgent(self._surroundings.monotonic_ns())
        self.arm()

    def finished(self) -> None:
        """A settle has ended. The next one waits for `arm`."""
        self._coalescer.finished(self._surroundings.monotonic_ns())

    def arm(self) -> None:
        """Sleep until the next settle is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._coalescer.deadline() if self._has_begun else None
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline / 1e9, self._on_time)

    def _on_time(self) -> None:
        now_ns = self._surroundings.monotonic_ns()
        if self._coalescer.is_due(now_ns + _EARLY_NS):
            self._coalescer.started(now_ns)
            self._due()
        else:
            self.arm()
