"""Both routers say that they serve: whether that is new, has lasted too long for VRRP, or is over. Only judges."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from enum import Enum, auto

LOG = logging.getLogger("vpcrouter.agent")


class Verdict(Enum):
    """What has become of a contest since the last look."""

    NOTHING = auto()
    ENDED = auto()
    DISPUTED = auto()
    """VRRP has not ended it in its time: it does not get through, or a keepalived is stopped. Said once a contest."""


class Contest:
    """Follows one pair's contests."""

    def __init__(self, *, advertisement_interval_ms: int) -> None:
        self._interval_ms = advertisement_interval_ms
        self._is_contested = False
        self._is_disputed = False

    def judge(self, contested_ns: int | None) -> Verdict:
        """`contested_ns`: for how long both have known that both serve; None if they do not."""
        was_contested, self._is_contested = self._is_contested, contested_ns is not None
        if contested_ns is None:
            self._is_disputed = False
            return Verdict.ENDED if was_contested else Verdict.NOTHING
        if contested_ns <= self._interval_ms * 1_000_000 or self._is_disputed:
            return Verdict.NOTHING
        self._is_disputed = True
        LOG.error("the peer serves too")
        return Verdict.DISPUTED

    def count(self, lengths_ms: Iterable[int], counters: Counter[str]) -> None:
        """Report the times for which both served. Shorter ones than an advertisement are how VRRP works."""
        for length_ms in lengths_ms:
            if length_ms >= self._interval_ms:
                LOG.error("two routers served for %d ms", length_ms)
                counters["double_masters"] += 1
                counters["double_master_ms"] += length_ms
