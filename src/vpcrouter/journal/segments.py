"""The files of a journal: their names, their order, reading one whole.

A segment is named after its first record, so that the place of a sequence number is known without opening any.
Segments are small (see `SEGMENT_BYTES`), but one group is never split, so a large group makes a large segment.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal.layout import FORMAT_VERSION, Header

SEGMENT_BYTES = 2 * 1024 * 1024
"""A group that would begin after this many bytes goes to a new segment. Opening with a snapshot walks the last segment
three times, at half a microsecond for a record of a hundred bytes."""
SUFFIX = ".journal"
_DIGITS = 20


@frozen(order=True)
class Segment:
    """One file; `first_seq` is what its name says."""

    first_seq: int
    path: Path
    archived: bool = False
    """It lies in the archive, which nothing here ever changes."""

    def read(self) -> bytes:
        """All its bytes, as they are now."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise JournalError(f"cannot be read: {error.strerror}", where=str(self.path)) from error


def segment_path(directory: Path, first_seq: int) -> Path:
    """The file that begins with this record."""
    return directory / f"{first_seq:0{_DIGITS}d}{SUFFIX}"


def list_segments(directory: Path) -> list[Segment]:
    """All segments in their order."""
    try:
        names = [path for path in directory.iterdir() if path.suffix == SUFFIX]
    except OSError as error:
        raise JournalError(
            f"no journal can be read here: {error.strerror}", where=str(directory), hint="name the journal's directory"
        ) from error
    found = []
    for path in names:
        if not (len(path.stem) == _DIGITS and path.stem.isascii() and path.stem.isdecimal() and int(path.stem)):
            raise JournalError(
                "this is not a segment's name", where=str(path), hint="move what is not the journal's elsewhere"
            )
        found.append(Segment(int(path.stem), path))
    return sorted(found)


def checked_header(segment: Segment, data: bytes, chain_before: bytes | None) -> Header:
    """The header, if it is sound and goes with the name and with the chain value of the record before."""
    header = Header.unpack(data)
    if header is None:
        raise damaged(segment, 0, segment.first_seq, "the segment's header is unreadable")
    if header.version != FORMAT_VERSION:
        raise JournalError(
            f"written in journal format {header.version}; this version of vpcrouter reads format {FORMAT_VERSION}",
            where=str(segment.path),
            hint="read it with the version that wrote it",
        )
    if header.first_seq != segment.first_seq:
        raise damaged(segment, 0, segment.first_seq, f"the header says that record {header.first_seq} comes first")
    if chain_before is not None and header.chain_before != chain_before:
        raise damaged(segment, 0, segment.first_seq, "the segment does not follow from the one before")
    return header


def damaged(
    segment: Segment, offset: int, seq: int, reason: str, *, sound_until: int | None = None
) -> DamagedJournalError:
    """The error for a record that is not what it was; `sound_until` if its group began before it."""
    kept = seq - 1 if sound_until is None else sound_until
    return DamagedJournalError(
        f"record {seq} is damaged: {reason}",
        where=f"{segment.path} at byte {offset}",
        hint=_what_to_do(segment, "restore this file from a copy", kept),
        sound_until=kept,
    )


def missing(segment: Segment, offset: int, due: int, following: Segment) -> DamagedJournalError:
    """The error for a segment that does not begin where the one before ended."""
    if following.first_seq <= due:
        what = f"record {due} is due, but the next segment begins with record {following.first_seq}"
    else:
        what = gap(due, following.first_seq)
    return DamagedJournalError(
        what,
        where=f"{segment.path} at byte {offset}",
        hint=_what_to_do(segment, "bring the right segment back", due - 1),
        sound_until=due - 1,
    )


def gap(first: int, after: int) -> str:
    """What is said about records that are not there, from `first` until before `after`."""
    return f"record {first} is missing" if after == first + 1 else f"records {first} to {after - 1} are missing"


def _what_to_do(segment: Segment, first: str, sound_until: int) -> str:
    if segment.archived:
        return f"{first}; this is the archive, the journal itself goes on without it"
    return f"{first}, or `vpcrouter journal repair`: it keeps the records up to {sound_until} and moves the rest aside"
