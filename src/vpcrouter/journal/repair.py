"""Make a damaged journal usable again: keep what is provably sound, move the rest aside, delete nothing.

What comes after the first damage goes, sound or not: events build on one another, and a journal with a hole
would replay to a state that never was. The moved bytes stay in `aside/` for whoever wants to look. Called by a
person who has read what `verify` says, never by the software on its own.

The order: later segments first, from the last one down, then the rest of the damaged one. Stopped anywhere in
between, the journal is still refused, and a second run goes on.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.events.sealing import Hidden
from vpcrouter.journal.aside import cut_tail, move_whole
from vpcrouter.journal.disk import Disk
from vpcrouter.journal.manifest import read_archive
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.records import TornTail
from vpcrouter.journal.recovery import recover
from vpcrouter.journal.segments import Segment, list_segments
from vpcrouter.journal.snapshots import snapshot_files
from vpcrouter.journal.walk import Walk
from vpcrouter.lock import Lock


@frozen(kw_only=True)
class Repair:
    """What was done: records up to `seq` are kept; `moved` are the files that hold everything else now."""

    seq: int
    moved: tuple[Path, ...]
    torn_tail: TornTail | None


def repair(directory: Path, *, disk: Disk | None = None) -> Repair:
    """Cut the journal to what is provably sound, and bring a torn tail in order; a sound journal is left as it is.

    Raises LockedJournalError while a writer is active, and passes on what no cut can mend: a beginning that is
    missing, a newer format, an event of a newer version. What is archived is not looked at.
    """
    disk = disk or Disk()
    list_segments(directory)
    lock = Lock.take(directory, {"doing": "repair"})
    try:
        moved = _cut_damage(disk, directory)
        walk, torn_tail = recover(disk, directory)
        archive = read_archive(directory)
        seq = walk.next_seq - 1 if walk else 0 if archive is None else archive.until
        moved += _move_later_snapshots(disk, directory, seq)
    except OSError as error:
        raise JournalError(
            f"cannot be repaired: {error}", where=str(directory), hint="look at the disk, then repeat; nothing is lost"
        ) from error
    finally:
        lock.release()
    return Repair(seq=seq, moved=moved, torn_tail=torn_tail)


def _move_later_snapshots(disk: Disk, directory: Path, seq: int) -> tuple[Path, ...]:
    """Snapshots of records that are lost would go on proving the loss."""
    return tuple(move_whole(disk, path, "snapshot") for path in snapshot_files(directory) if int(path.stem) > seq)


def _cut_damage(disk: Disk, directory: Path) -> tuple[Path, ...]:
    segments = list_segments(directory)
    archive = read_archive(directory)
    archived = 0 if archive is None else archive.until
    if segments and segments[0].first_seq > archived + 1:
        raise DamagedJournalError(
            f"the journal begins with record {segments[0].first_seq}",
            where=str(segments[0].path),
            hint="bring the older segments back first: without them nothing after can be told from a forgery",
        )
    sound: Walk | None = None
    try:
        for walk, frames in walk_journal(directory, archived):
            sound = walk
            for frame in frames:
                decoded(walk.segment, walk.data, frame, Hidden())
    except DamagedJournalError:
        return _move_after(disk, segments, sound)
    return ()


def _move_after(disk: Disk, segments: list[Segment], sound: Walk | None) -> tuple[Path, ...]:
    """Move everything behind the last sound group; `sound` is the walk that ended there, None if there is none."""
    later = [each for each in segments if sound is None or each.first_seq > sound.segment.first_seq]
    moved = [move_whole(disk, segment.path, "damaged") for segment in reversed(later)]
    if sound is not None and not sound.is_complete:
        moved.append(cut_tail(disk, sound.segment.path, sound.data, sound.end, "damaged"))
    return tuple(reversed(moved))
