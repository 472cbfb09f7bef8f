"""Torn or damaged: what the bytes after the last sound group of a journal are.

A group is one write and one sync, and the next one is only written when that sync has returned. So a crash can
leave nothing but the beginning of one group, or that group with whole disk sectors still zero. Everything else
was acknowledged once, or was never ours, and must not be cut in silence. journal/FORMAT.md argues each case.
Pure; called by the reader and by recovery.

Known hole: two faults at once (an acknowledged last record whose head *and* end are overwritten) look like a
torn tail; it is cut, reported and kept aside.
"""

from __future__ import annotations

from itertools import pairwise

from attrs import frozen

from vpcrouter.journal import layout

SECTOR_BYTES = 512
"""The smallest unit that a disk writes as a whole; larger ones are multiples of it."""


@frozen(kw_only=True)
class Verdict:
    """`torn`: may be cut as a whole. Otherwise record `seq`, at `offset`, is damaged; `reason` says how.

    `sound_until` is the last record of the group before: a damaged group counts as little as a torn one.
    """

    torn: bool
    offset: int
    seq: int
    sound_until: int
    reason: str


def judge(data: bytes, start: int, seq: int) -> Verdict:
    """The verdict on `data` from `start` on, where a group beginning with record `seq` should be, and is not."""
    offset, seq_at, position = _first_unsound(data, start, seq)
    later = _group_after(data, offset, seq)
    sound_until = seq - 1
    if later is not None:
        reason = f"it is not what was written, for record {later} after it is sound"
        return Verdict(torn=False, offset=offset, seq=seq_at, sound_until=sound_until, reason=reason)
    stop = _written_until(data, offset, seq_at, position)
    if stop is None:
        reason = "the last group is incomplete"
        return Verdict(torn=True, offset=start, seq=seq, sound_until=sound_until, reason=reason)
    if data[stop - 1] == 0 or _has_empty_sector(data, offset, stop):
        reason = "parts of the last group were never written"
        return Verdict(torn=True, offset=start, seq=seq, sound_until=sound_until, reason=reason)
    reason = "all its bytes were written, and they changed since"
    return Verdict(torn=False, offset=offset, seq=seq_at, sound_until=sound_until, reason=reason)


def is_unfinished(data: bytes) -> bool:
    """Whether these bytes of a last segment hold no record yet, and no readable header either."""
    return layout.Header.unpack(data) is None and not any(data[layout.HEADER_BYTES :])


def _first_unsound(data: bytes, start: int, seq: int) -> tuple[int, int, int]:
    """Offset, number and position of the first record of the group that is not sound (it may just be missing)."""
    position = 0
    while layout.sound_record(data, start) == (seq, position):
        head = layout.HEAD.unpack_from(data, start)
        start += head[4]
        seq += 1
        position += 1
        if not head[1] & layout.GROUP_GOES_ON:
            break
    return start, seq, position


def _group_after(data: bytes, offset: int, group: int) -> int | None:
    """The number of a sound record after `offset` that belongs to a later group than the one begun at `group`."""
    last_possible = group + len(data) // layout.MIN_RECORD_BYTES
    start = offset
    while (start := data.find(layout.OPENING_MARK, start)) >= 0:
        number = int.from_bytes(data[start + layout.SEQ_AT : start + layout.SEQ_AT + 8], "little")
        if group < number <= last_possible:
            found = layout.sound_record(data, start)
            if found is not None and found[0] - found[1] > group:
                return found[0]
        start += 1
    return None


def _written_until(data: bytes, offset: int, seq: int, position: int) -> int | None:
    """Where the unsound bytes at `offset` end, if they were written to their end; None if they were not."""
    if offset + layout.MIN_RECORD_BYTES > len(data):
        return None
    _, length, _, closing = layout.TAIL.unpack_from(data, len(data) - layout.TAIL.size)
    if closing == layout.CLOSING_MARK and layout.MIN_RECORD_BYTES <= length <= len(data) - offset:
        return len(data)
    mark, _, _, _, length, found, _, place = layout.HEAD.unpack_from(data, offset)
    if (mark, found, place) == (layout.OPENING_MARK, seq, position):
        stop: int = offset + length
        if length >= layout.MIN_RECORD_BYTES and stop <= len(data):
            return stop
    return None


def _has_empty_sector(data: bytes, start: int, stop: int) -> bool:
    """Whether a disk sector's share of these bytes is all zero, which no part of a written record is."""
    edges = [start, *range((start // SECTOR_BYTES + 1) * SECTOR_BYTES, stop, SECTOR_BYTES), stop]
    return any(not any(data[low:high]) for low, high in pairwise(edges))
