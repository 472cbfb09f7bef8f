"""When to settle in a burst of changes: once it is over, but never later than its first change can bear.

The agent tells it of every change and of every settle, and asks when the next one is due; it sleeps until then.
Times are a monotonic clock's nanoseconds and are passed in: nothing here waits or reads a clock.

    change  c  c  c c     c           c              urgent
    time    ─────────────────┬───────────────────────┬───────▶
                        quiet└settle … one more┘     └settle at once

A change pushes the settle that is due to `quiet_ms` after itself, but not beyond `max_delay_ms` after the first
change that waits. What changes while a settle runs waits for it to end, and then makes one more. So n changes
within d lead to at most 1 + d / min(quiet_ms, max_delay_ms) settles, and never to more than n.

A burst that goes on after its first settle is a long one. Its first commands work by then; the rest is settled at its
end, or `long_delay_ms` after the first change that waits. Its end has to be quieter than a pause for breath (`_LONGER`)
and as quiet as the last settle was long: on a busy machine both who sends and who settles are slower.
So a burst of any order and pace within that time is two settles, and keepalived is told twice.

Known hole: it does not know whether a settle succeeded. Who settles in vain uses `backoff` and reports the retry
as urgent when it is due.
"""

from __future__ import annotations

_NS_PER_MS = 1_000_000
_LONGER = 5
"""The end of a long burst is so many quiet times: on a busy machine one command in some dozens waits that long."""


class Coalescer:
    """The settles of one router."""

    def __init__(self, *, quiet_ms: int, max_delay_ms: int, long_delay_ms: int) -> None:
        self._quiet_ns = quiet_ms * _NS_PER_MS
        self._max_delay_ns = max_delay_ms * _NS_PER_MS
        self._long_delay_ns = max(max_delay_ms, long_delay_ms) * _NS_PER_MS
        self._longer_ns = self._quiet_ns * _LONGER
        self._changed_ns: int | None = None
        self._started_ns = 0
        self._is_long = False
        self._due_ns: int | None = None
        self._latest_ns: int | None = None
        self._runs = False

    @property
    def is_pending(self) -> bool:
        """Whether something changed that no settle has taken up yet."""
        return self._due_ns is not None

    def notice(self, now_ns: int) -> None:
        """Something changed that can wait for the end of its burst."""
        if self._changed_ns is None or now_ns - self._changed_ns > self._longer_ns:
            self._is_long = False
        self._changed_ns = now_ns
        if self._latest_ns is None:
            self._latest_ns = now_ns + (self._long_delay_ns if self._is_long else self._max_delay_ns)
        self._due_ns = min(now_ns + (self._longer_ns if self._is_long else self._quiet_ns), self._latest_ns)

    def urgent(self, now_ns: int) -> None:
        """Something changed that cannot wait: the role, a dead daemon, drift. Also takes along what does wait."""
        self._latest_ns = now_ns if self._latest_ns is None else min(now_ns, self._latest_ns)
        self._due_ns = self._latest_ns

    def deadline(self) -> int | None:
        """When the next settle should start, perhaps in the past; None if nothing waits or a settle runs."""
        return None if self._runs else self._due_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether a settle should start now."""
        deadline = self.deadline()
        return deadline is not None and deadline <= now_ns

    def started(self, now_ns: int) -> None:
        """A settle starts and takes up everything that changed so far, due or not."""
        self._started_ns = now_ns
        self._due_ns = self._latest_ns = None
        self._is_long = self._changed_ns is not None
        self._runs = True

    def finished(self, now_ns: int) -> None:
        """The settle is over, however it ended."""
        self._runs = False
        self._longer_ns = max(self._quiet_ns * _LONGER, now_ns - self._started_ns)
        if self._is_long and self._changed_ns is not None and self._due_ns is not None and self._latest_ns is not None:
            is_urgent = self._due_ns == self._latest_ns
            self._due_ns = self._due_ns if is_urgent else min(self._changed_ns + self._longer_ns, self._latest_ns)
