"""Make a damaged journal usable again: keep what is provably sound, move the rest aside, delete nothing.

What comes after the first damage goes, sound or not: events build on one another, and a journal with a hole
would replay to a state that never was. The moved bytes stay in `aside/` for whoever wants to look. Called by a
person who has read what `verify` says, never by the software on its own.

The order: later segments first, from the last one down, then the rest of the damaged one. Stopped anywhere in
between, the journal is still refused, and a second run goes on.
"""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal.aside import keep_aside, move_aside
from vpcrouter.journal.disk import Disk
from vpcrouter.journal.layout import HEADER_BYTES
from vpcrouter.journal.lock import Lock
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.records import TornTail
from vpcrouter.journal.recovery import recover
from vpcrouter.journal.segments import Segment, list_segments


@frozen(kw_only=True)
class Repair:
    """What was done: records up to `seq` are kept; `moved` are the files that hold everything else now."""

    seq: int
    moved: tuple[Path, ...]
    torn_tail: TornTail | None


def repair(directory: Path, *, disk: Disk | None = None) -> Repair:
    """Cut the journal to what is provably sound, and bring a torn tail in order; a sound journal is left as it is.

    Raises LockedJournalError while a writer is active, and passes on what no cut can mend: a beginning that is
    missing, a newer format, an event of a newer version.
    """
    disk = disk or Disk()
    list_segments(directory)
    lock = Lock.take(directory, {"doing": "repair"})
    try:
        moved = _cut_damage(disk, directory)
        walk, torn_tail = recover(disk, directory)
    except OSError as error:
        raise JournalError(
            f"cannot be repaired: {error}", where=str(directory), hint="look at the disk, then repeat; nothing is lost"
        ) from error
    finally:
        lock.release()
    return Repair(seq=walk.next_seq - 1 if walk else 0, moved=moved, torn_tail=torn_tail)


def _cut_damage(disk: Disk, directory: Path) -> tuple[Path, ...]:
    segments = list_segments(directory)
    if segments and segments[0].first_seq != 1:
        raise DamagedJournalError(
            f"the journal begins with record {segments[0].first_seq}",
            where=str(segments[0].path),
            hint="bring the older segments back first: without them nothing after can be told from a forgery",
        )
    end = HEADER_BYTES
    current: Segment | None = None
    try:
        for walk, frames in walk_journal(directory):
            current, end = walk.segment, walk.end
            for frame in frames:
                decoded(walk.segment, walk.data, frame)
    except DamagedJournalError as error:
        return _move_after(disk, segments, current, end, error.sound_until + 1)
    return ()


def _move_after(
    disk: Disk, segments: list[Segment], current: Segment | None, end: int, first_lost: int
) -> tuple[Path, ...]:
    """Move everything from record `first_lost` on; `current` is the last segment with a sound group, up to `end`."""
    ...
