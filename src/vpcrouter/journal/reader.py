"""Reading a journal: every record from a place on, or the error that says where it is damaged.

Takes no lock and writes nothing: works on read-only media and beside an active writer, whose group in progress
it does not see. It may see a group in the instant before its sync has returned, that is, before anybody was told
that it is safe. Called by the writer for its own replay, and by whoever looks without writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError, KeyFileError, MalformedInputError
from vpcrouter.events import Event
from vpcrouter.events.codec import decode, restore
from vpcrouter.events.sealing import Sealer
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.layout import FIRST_CHAIN, HEADER_BYTES, Frame, Header
from vpcrouter.journal.manifest import read_archive, readable_after
from vpcrouter.journal.records import JournalRecord
from vpcrouter.journal.segments import Segment, checked_header, gap, list_segments, missing
from vpcrouter.journal.tail import is_unfinished, judge
from vpcrouter.journal.walk import Walk, refusal


def read_journal(directory: Path, after: int = 0, sealer: Sealer | None = None) -> Iterator[JournalRecord]:
    """The records after number `after`, oldest first, as far as whole groups are there when it starts.

    Sealed secrets are opened with the keys beside the journal, if there is no other `sealer`.

    Raises DamagedJournalError at the first record that is not what was written, JournalError if the files cannot
    be read or an event is of a newer version, KeyFileError if a key is missing. Nothing is ever modified.
    """
    sealer = sealer or Keys.beside(directory)
    for walk, frames in walk_journal(directory, after):
        for frame in frames:
            if frame.seq > after:
                yield decoded(walk.segment, walk.data, frame, sealer)


@frozen
class Batch:
    """Some records in a row: the bytes of their events, the first being record `first_seq`."""

    first_seq: int
    bodies: list[bytes]
    _walk: Walk
    _sealer: Sealer

    def event(self, index: int) -> Event:
        """One of the events. Raises JournalError, with its place, if it cannot be read."""
        return self._read(index, restore)

    def check(self) -> None:
        """Raise JournalError, with its place, for the first event that is not what its class says it is."""
        for index in range(len(self)):
            self._read(index, lambda body, seq, sealer: decode(body, seq=seq, sealer=sealer))

    def _read(self, index: int, read: Callable[[bytes, int, Sealer], Event]) -> Event:
        seq = self.first_seq + index
        try:
            return read(self.bodies[index], seq, self._sealer)
        except (MalformedInputError, KeyFileError) as error:
            walk = Walk(self._walk.segment, self._walk.data)
            frame = next(each for frames in walk.groups() for each in frames if each.seq == seq)
            raise _unreadable(walk.segment, frame, error) from error

    def __len__(self) -> int:
        return len(self.bodies)


def read_batches(
    directory: Path, after: int = 0, sealer: Sealer | None = None, *, before: int | None = None
) -> Iterator[Batch]:
    """As `read_journal`, for replays: no labels, no times, and the events are still bytes.

    Only until the segment that begins with record `before`, whose header has to go on from there.
    """
    sealer = sealer or Keys.beside(directory)
    for walk, found in _walked(directory, after, Walk.bodies, before):
        first = walk.next_seq - len(found)
        if first <= after:
            found = found[after + 1 - first :]
            first = after + 1
        if found:
            yield Batch(first, found, walk, sealer)


def read_events(directory: Path, after: int = 0, sealer: Sealer | None = None) -> Iterator[tuple[int, Event]]:
    """Number and event of each record after number `after`, oldest first."""
    for batch in read_batches(directory, after, sealer):
        for index in range(len(batch)):
            yield batch.first_seq + index, batch.event(index)


def joints(directory: Path, after: int, parts: int, least_bytes: int) -> list[int]:
    """Where the journal after record `after` can be divided: the first records of all parts but the first.

    As many parts of about one size as there can be of `least_bytes`, `parts` at most. A part ends before a segment.
    """
    segments, _ = _segments(directory, after)
    try:
        sizes = [each.path.stat().st_size for each in segments]
    except OSError:  # archived since it was listed
        return []
    whole = sum(sizes)
    parts = min(parts, whole // least_bytes)
    found: list[int] = []
    for each, start in zip(segments[1:], accumulate(sizes), strict=False):
        if len(found) + 1 < parts and start * parts >= whole * (len(found) + 1):
            found.append(each.first_seq)
    return found


def walk_journal(directory: Path, after: int = 0) -> Iterator[tuple[Walk, list[Frame]]]:
    """All sound frames from the segment of record `after` + 1 on, batch by batch, with the walk that found them.

    Each segment ends with an empty batch; its walk then shows what, if anything, is torn after the last group.
    What was archived is read from the archive; MissingArchiveError if that is not there.
    """
    return _walked(directory, after, Walk.groups)


_Item = TypeVar("_Item")


def _walked(
    directory: Path, after: int, batches: Callable[[Walk], Iterator[list[_Item]]], before: int | None = None
) -> Iterator[tuple[Walk, list[_Item]]]:
    """See `walk_journal`; `batches` takes what it wants of a walk."""
    segments, chain_before = _segments(directory, after)
    for segment, following in zip(segments, (*segments[1:], None), strict=False):
        data = _bytes_of(directory, segment)
        if segment.first_seq == before:
            checked_header(segment, data, chain_before)
            return
        if following is None and is_unfinished(data):
            return
        walk = Walk(segment, data, chain_before)
        for found in batches(walk):
            yield walk, found
        if following is None:
            while _goes_on(walk):
                for found in batches(walk):
                    yield walk, found
        elif not walk.is_complete:
            raise refusal(walk)
        elif following.first_seq != walk.next_seq:
            raise missing(segment, walk.end, walk.next_seq, following)
        yield walk, []
        chain_before = walk.chain_value


def decoded(segment: Segment, data: bytes, frame: Frame, sealer: Sealer) -> JournalRecord:
    """The record of a frame."""
    try:
        origin, command_id = frame.origin(data).decode(), frame.command_id(data).decode()
        event = restore(frame.payload(data), frame.seq, sealer)
    except (UnicodeDecodeError, MalformedInputError, KeyFileError) as error:
        raise _unreadable(segment, frame, error) from error
    return JournalRecord(seq=frame.seq, time_ns=frame.time_ns, origin=origin, command_id=command_id, event=event)


def _unreadable(segment: Segment, frame: Frame, error: Exception) -> JournalError:
    if isinstance(error, KeyFileError):
        return error.of_record(frame.seq)
    reason = error.what if isinstance(error, MalformedInputError) else str(error)
    return JournalError(
        f"record {frame.seq} is intact, but cannot be read: {reason}",
        where=f"{segment.path} at byte {frame.start}",
        hint="read it with the version of vpcrouter that wrote it",
    )


def _segments(directory: Path, after: int) -> tuple[list[Segment], bytes | None]:
    """The segments from the one on that holds record `after` + 1, and the chain value before it if that is known."""
    live = list_segments(directory)
    first = FIRST_CHAIN if after == 0 else None
    if live and live[0].first_seq == 1:
        return _from(live, after + 1), first
    archive = read_archive(directory)
    if archive is None:
        if live and live[0].first_seq > after + 1:
            raise DamagedJournalError(
                gap(after + 1, live[0].first_seq),
                where=str(live[0].path),
                hint="bring the older segments back, or read from a snapshot that is newer than they are",
                sound_until=after,
            )
        return _from(live, after + 1), None
    if after < (live[0].first_seq - 1 if live else archive.until):
        if not archive.is_there:
            raise archive.missing()
        older = [each for each in archive.segments() if not live or each.first_seq < live[0].first_seq]
        return _from([*older, *live], after + 1), first
    segments = _from(live, after + 1)
    is_next = bool(segments) and segments[0].first_seq == archive.until + 1
    return segments, archive.chain if is_next else None


def _from(segments: list[Segment], seq: int) -> list[Segment]:
    """The segments from the one on that holds record `seq`, or would hold it next."""
    return segments[max(sum(each.first_seq <= seq for each in segments) - 1, 0) :]


def _bytes_of(directory: Path, segment: Segment) -> bytes:
    """The bytes of a segment, which may have been archived since it was listed."""
    if not segment.path.exists() and (archive := read_archive(directory)) is not None:
        segment = Segment(segment.first_seq, archive.directory / segment.path.name)
    return segment.read()


def _goes_on(walk: Walk) -> bool:
    """Whether there is more after the last sound group of the last segment; DamagedJournalError if that is damage.

    What looks like damage is looked at again: an opening writer may just have cut a torn tail off and gone on.
    """
    if walk.is_complete or judge(walk.data, walk.end, walk.next_seq).torn:
        return False
    if not walk.look_again():
        raise refusal(walk)
    return True


def first_at(directory: Path, time_ns: int) -> int:
    """The number of the first record of this time or a later one; one more than the last if there is none.

    Where the clock went back, in the last segment that began before that time.
    """
    seq = max(reach_of(directory, time_ns - 1)[0], readable_after(directory))
    for _, frames in walk_journal(directory, seq):
        for frame in frames:
            if frame.seq > seq:
                if frame.time_ns >= time_ns:
                    return frame.seq
                seq = frame.seq
    return seq + 1


def reach_of(directory: Path, time_ns: int) -> tuple[int, int | None]:
    """The record before the last segment that had begun by this time, and the last one of that segment.

    Only the headers are read, which hold the time of each segment's first record. The second number is None if the
    segment is the newest one; if none had begun, both are the number of the record before the first.
    """
    archive, live = read_archive(directory), list_segments(directory)
    older = archive.segments() if archive is not None and archive.is_there else []
    segments = [*(each for each in older if not live or each.first_seq < live[0].first_seq), *live]
    begun = [number for number, segment in enumerate(segments) if _begun_by(segment, time_ns)]
    if not begun:
        first = segments[0].first_seq - 1 if segments else 0
        return first, first
    last = begun[-1]
    following = segments[last + 1 : last + 2]
    return segments[last].first_seq - 1, following[0].first_seq - 1 if following else None


def _begun_by(segment: Segment, time_ns: int) -> bool:
    """A header that cannot be read is no answer here; whoever reads the segment is told."""
    try:
        with segment.path.open("rb") as file:
            header = Header.unpack(file.read(HEADER_BYTES))
    except OSError:
        return False
    return header is not None and header.created_ns <= time_ns
