"""When to try again what failed: soon at first, then after twice the delay each time, up to a cap.

One for each applier and daemon, owned by whoever tries. Times are a monotonic clock's nanoseconds and are passed
in: nothing here waits or reads a clock, and there is no random part, since nobody competes for one machine.

Success makes it forget. So does a quiet time: what holds for as long as the cap after its last retry and fails
then has not failed in a row. Thus a daemon that starts well and dies a moment later is retried ever more slowly,
though every one of its starts succeeded; its owner must not report such starts as success.
"""

from __future__ import annotations

_NS_PER_MS = 1_000_000


class Backoff:
    """The retries of one thing."""

    def __init__(self, *, first_ms: int = 50, cap_ms: int = 5_000) -> None:
        self._first_ns = first_ms * _NS_PER_MS
        self._cap_ns = max(first_ms, cap_ms) * _NS_PER_MS
        self._failures = 0
        self._forgets_ns = 0

    @property
    def failures(self) -> int:
        """How often it has failed in a row."""
        return self._failures

    def failed(self, now_ns: int) -> int:
        """It failed now; when to try again."""
        if now_ns >= self._forgets_ns:
            self._failures = 0
        # The exponent is bounded, so that a year of failures does not build a number of a million digits.
        retry_ns = now_ns + min(self._first_ns << min(self._failures, 32), self._cap_ns)
        self._forgets_ns = retry_ns + self._cap_ns
        self._failures += 1
        return retry_ns

    def succeeded(self) -> None:
        """It works; the next failure is a first one."""
        self._failures = 0
