"""Older segments move to an archive, and the journal goes on from a base: what the state was after the last of them.

The order is what makes every step safe to stop after, and to repeat:

    copy each segment, sync, compare ─▶ walk the whole archive ─▶ base ─▶ manifest ─▶ remove segments, oldest first
                                                                          (counts)

Until the manifest is there, the journal has all it had; from then on it needs nothing that is removed. What is read
from before the base comes from the archive, if that is there (`reader`). A base is a snapshot that is no cache.

Called by `archiving`, which makes the base, also beside an active writer: finished segments do not change.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

from vpcrouter.errors import JournalError, LockedJournalError, MissingArchiveError
from vpcrouter.journal.disk import Disk, make_durable_directory, write_whole
from vpcrouter.journal.layout import FIRST_CHAIN, HEADER_BYTES, Header, sound_groups
from vpcrouter.journal.manifest import Archive, read_archive, write_archive
from vpcrouter.journal.segments import Segment, list_segments
from vpcrouter.journal.snapshots import Snapshot, base_fault, base_files, write_base
from vpcrouter.journal.walk import Walk, refusal
from vpcrouter.lock import Lock

MakeBase = Callable[[int, bytes], Snapshot]
"""From a record's number and chain value: the snapshot of what was after it."""


@frozen(kw_only=True)
class Archiving:
    """What was done: the records up to `until` are in `directory`; `moved` are segments that were not there before."""

    until: int
    directory: Path
    moved: tuple[Path, ...]


def archive(
    directory: Path, to: Path, make_base: MakeBase, *, schema: int, before: int, disk: Disk | None = None
) -> Archiving:
    """Move the segments all of whose records are before record `before` to the directory `to`; the last one stays.

    A base of another schema than `schema`, which is what `make_base` makes, is made anew.
    Raises JournalError: a segment is damaged, `to` holds another journal's segments or lacks those that were archived
    before, the disk refuses. Whatever was done until then does no harm, and repeating goes on from there.
    """
    disk = disk or Disk()
    to = Path(os.path.realpath(to))
    if to.is_relative_to(os.path.realpath(directory)):
        raise JournalError("the archive cannot be in the journal", where=str(to), hint="name another directory")
    with _alone(directory):
        try:
            return _archive(disk, directory, to, make_base, schema, before)
        except OSError as error:
            raise JournalError(
                f"cannot be archived: {error.strerror or error}",
                where=error.filename or str(to),
                hint="make room or look at the disk, then repeat; nothing is lost",
            ) from error


def _archive(disk: Disk, directory: Path, to: Path, make_base: MakeBase, schema: int, before: int) -> Archiving:
    known, segments = read_archive(directory), list_segments(directory)
    movable = _movable(segments, before)
    make_durable_directory(disk, to)
    moved = [path for segment in movable if (path := _copied(disk, segment, to)) is not None]
    until = max(segments[len(movable)].first_seq - 1 if movable else 0, known.until if known is not None else 0)
    if not until:
        return Archiving(until=0, directory=to, moved=())
    found = Archive(until=until, chain=_walked(to, until), directory=to)
    if base_fault(directory, found, schema=schema):
        write_base(directory, make_base(until, found.chain), disk=disk)
    if known != found:
        write_archive(disk, directory, found)
    for segment in movable:
        disk.remove(segment.path)
        disk.sync_directory(directory)
    for old in base_files(directory):
        if int(old.stem) != until:
            disk.remove(old)
    return Archiving(until=until, directory=to, moved=tuple(moved))


def _movable(segments: list[Segment], before: int) -> list[Segment]:
    """The segments before record `before`; the one after them has a record, since the journal begins with it."""
    count = 0
    for number, following in enumerate(segments[1:], start=1):
        if following.first_seq > before:
            break
        data = following.read()
        header = Header.unpack(data)
        if header is not None and sound_groups(data, HEADER_BYTES, following.first_seq, limit=1):
            count = number
    return segments[:count]


def _copied(disk: Disk, segment: Segment, to: Path) -> Path | None:
    """Copy a segment and compare; None if it was there already."""
    target, data = to / segment.path.name, segment.read()
    is_new = not target.exists()
    if is_new:
        write_whole(disk, target, data)
    if target.read_bytes() != data:
        raise JournalError(
            "this is not the journal's segment of that name" if not is_new else "the copy is not what was written",
            where=str(target),
            hint="give each journal an archive of its own",
        )
    return target if is_new else None


def _walked(to: Path, until: int) -> bytes:
    """Check every record of the archive up to `until`; the chain value of that one."""
    chain, due = FIRST_CHAIN, 1
    for segment in list_segments(to):
        if segment.first_seq > until or segment.first_seq != due:
            break
        walk = Walk(segment, segment.read(), chain)
        for _ in walk.groups():
            pass
        if not walk.is_complete:
            raise refusal(walk)
        chain, due = walk.chain_value, walk.next_seq
    if due != until + 1:
        raise MissingArchiveError(
            f"the archive lacks record {due}",
            where=str(to),
            hint="bring the segments that were archived before into this directory first",
        )
    return chain


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else archives, and nobody repairs: where no writer is active, its lock is taken."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise JournalError(f"no journal can be read here: {error.strerror}", where=str(directory)) from error
    lock = None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedJournalError(
                "somebody else archives this journal", where=str(directory), hint="wait until that has ended"
            ) from None
        with contextlib.suppress(LockedJournalError):
            lock = Lock.take(directory, {"doing": "archive"})
        yield
    finally:
        if lock is not None:
            lock.release()
        os.close(fd)
