"""Whether a backup could take over now, connections included: pure, told what was found, asked what is missing.

Called by `standby`. The serving router tells in its beacons some connections that it has had for a while
(`ConnectionSampler`); a backup looks for each of them in its own table (`ConnectionComparison`). Counting would not do:
each router has connections of its own, tables change all the time, and a hundred may be gone while a hundred others
came. A sample is exact for what it names, and names everything where there is little.

A connection that ended between two looks is missing for a moment. So one counts as missing only when it was not there
twice, while the serving router went on naming it. An epoch keeps to the same connections for a few samples, so that
there is a second look; the next one takes others.

Known hole: of 100,000 connections a few that are missing stay unnoticed for long. What can be missing for a reason (a
daemon that was down, messages that were lost) is many.
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import nsmallest
from operator import itemgetter

from vpcrouter.values.connections import SAMPLE_SIZE, ConnectionSample

EPOCH_SAMPLES = 8
_SPREAD = 0x9E3779B1
"""Near 2³² divided by the golden ratio: its multiples are spread evenly, so each epoch begins elsewhere."""


class ConnectionSampler:
    """The samples of a router that serves. `start` is a random 32-bit number, new with each agent."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._number = 0
        self._before: frozenset[int] = frozenset()

    def take(self, found: frozenset[int]) -> ConnectionSample:
        """The next sample, of what is in the table now and was at the look before."""
        lasting, self._before = self._before & found, found
        self._number += 1
        epoch = self._start + self._number // EPOCH_SAMPLES
        place = epoch * _SPREAD & 0xFFFFFFFF
        chosen = nsmallest(SAMPLE_SIZE, ((each ^ place, each) for each in lasting), key=itemgetter(0))
        return ConnectionSample(
            number=self._number, epoch=epoch, total=len(found), hashes=tuple(each for _, each in chosen)
        )

    def forget(self) -> None:
        """This router does not serve any more: what it had says nothing when it serves again."""
        self._before = frozenset()


class ConnectionComparison:
    """The backup's side. In step is what two looks in a row have confirmed since the last doubt."""

    def __init__(self) -> None:
        self._before: ConnectionSample | None = None
        self._missed: frozenset[int] = frozenset()
        self._in_step = False
        self._missing = 0

    @property
    def is_in_step(self) -> bool:
        """Whether everything that was named is here."""
        return self._in_step

    @property
    def missing(self) -> int:
        """How many of the last sample are not here, though they were named twice."""
        return self._missing

    def has_seen(self, sample: ConnectionSample) -> bool:
        """Whether that one has been compared already."""
        return self._before is not None and self._before == sample

    def doubt(self) -> None:
        """Something may have been missed: the answer is no until it has been confirmed again."""
        self._before, self._missed, self._in_step, self._missing = None, frozenset(), False, 0

    def compare(self, sample: ConnectionSample, own: Collection[int]) -> None:
        """Look for a sample in a table that was read after the sample was heard."""
        missed = frozenset(each for each in sample.hashes if each not in own)
        before = self._before
        if before is not None and before.epoch == sample.epoch and sample.number > before.number:
            lacking = missed & self._missed
            self._missing = len(lacking)
            self._in_step = not lacking
        elif not missed and before is not None:
            self._in_step, self._missing = True, 0  # a new epoch, and nothing to look at twice
        self._before, self._missed = sample, missed
