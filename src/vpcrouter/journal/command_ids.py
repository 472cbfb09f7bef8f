"""Which command ids the journal holds, so that a command that is sent again is answered, not done again.

A finished segment never changes, so its ids are kept sorted in a file of their own, `ids/<segment>.ids`: a cache,
bound to the segment by its last chain value, made anew when it is missing or wrong. The ids of the segment that is
being written are in memory. What the index says is checked against the records before it is believed, so two ids
with one hash cost a read and nothing else.

The ids of archived segments are known as long as the archive is there. Called by the writer; does nothing before
the first question. Known cost: a question tries each finished segment.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from attrs import frozen

from vpcrouter.journal.checksum import crc32c
from vpcrouter.journal.disk import Disk, make_durable_directory, write_whole
from vpcrouter.journal.layout import CHAIN_BYTES, TAIL
from vpcrouter.journal.manifest import read_archive
from vpcrouter.journal.reader import read_journal
from vpcrouter.journal.records import JournalRecord
from vpcrouter.journal.segments import Segment, list_segments
from vpcrouter.journal.walk import Walk

IDS = "ids"
"""The directory beside the segments."""
SUFFIX = ".ids"
MAGIC = b"\x89VPCI\r\n\x1a"
_HEAD = struct.Struct("=8s16sII")
"""magic, chain value of the segment's last record, number of ids, CRC32C of all that follows.

In the machine's own byte order: carried to another kind of machine, the number does not fit and the file is made anew.
"""


class CommandIds:
    """The command ids of one journal, which goes on being written."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk = disk
        self._directory = directory
        self._finished: list[_Finished] | None = None
        self._current: dict[bytes, int] = {}

    def find(self, command_id: str) -> tuple[JournalRecord, ...]:
        """The records of the first command with this id, in their order; empty if there is none."""
        if self._finished is None:
            self._finished = self._load()
        for seq in self._candidates(command_id, self._finished):
            records = read_journal(self._directory, seq - 1)
            if found := tuple(takewhile(lambda record: record.command_id == command_id, records)):
                return found
        return ()

    def note(self, command_ids: Iterable[bytes], first_seq: int) -> None:
        """These ids were appended, one a record, from record `first_seq` on."""
        if self._finished is not None:
            _add(self._current, command_ids, first_seq)

    def finish_segment(self, segment: Segment) -> None:
        """Nothing will be appended to this segment any more."""
        if self._finished is not None:
            self._finished.append(self._indexed(segment, self._current))
            self._current = {}

    def _candidates(self, command_id: str, finished: list[_Finished]) -> Iterator[int]:
        key = command_id.encode(errors="surrogatepass")
        wanted = _hash(key)
        for each in finished:
            yield from each.find(wanted)
        if key in self._current:
            yield self._current[key]

    def _load(self) -> list[_Finished]:
        live = list_segments(self._directory)
        archive = read_archive(self._directory)
        older = archive.segments() if archive is not None and archive.is_there else []
        segments = [*(each for each in older if not live or each.first_seq < live[0].first_seq), *live]
        finished = []
        for segment in segments[:-1]:
            known = _read(self._path(segment), segment)
            finished.append(known or self._indexed(segment, _ids_of(segment)))
        if segments:
            self._current = _ids_of(segments[-1])
        return finished

    def _indexed(self, segment: Segment, ids: Mapping[bytes, int]) -> _Finished:
        """The index of a segment; its file is a cache, and a disk that refuses it does no harm."""
        pairs = sorted((_hash(command_id), seq - segment.first_seq) for command_id, seq in ids.items())
        body = struct.pack(f"={len(pairs)}Q", *(key for key, _ in pairs))
        body += struct.pack(f"={len(pairs)}I", *(place for _, place in pairs))
        path = self._path(segment)
        with contextlib.suppress(OSError):
            make_durable_directory(self._disk, path.parent)
            head = _HEAD.pack(MAGIC, _last_chain(segment), len(pairs), crc32c(body))
            write_whole(self._disk, path, head + body)
        return _finished(segment, len(pairs), body)

    def _path(self, segment: Segment) -> Path:
        return self._directory / IDS / f"{segment.path.stem}{SUFFIX}"


@frozen
class _Finished:
    """The index of a finished segment: sorted hashes, and for each the place of its record."""

    first_seq: int
    keys: memoryview
    places: memoryview

    def find(self, key: int) -> Iterator[int]:
        """The sequence numbers of the records whose id has this hash."""
        at = bisect_left(self.keys, key)
        while at < len(self.keys) and self.keys[at] == key:
            yield self.first_seq + self.places[at]
            at += 1


def _finished(segment: Segment, count: int, body: bytes) -> _Finished:
    view = memoryview(body)
    return _Finished(segment.first_seq, view[: 8 * count].cast("Q"), view[8 * count :].cast("I"))


def _read(path: Path, segment: Segment) -> _Finished | None:
    """The cached index, if it is there, whole, and this segment's."""
    try:
        data = path.read_bytes()
        chain = _last_chain(segment)
    except OSError:
        return None
    if len(data) < _HEAD.size:
        return None
    magic, bound_to, count, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if magic != MAGIC or bound_to != chain or len(body) != 12 * count or crc32c(body) != checksum:
        return None
    return _finished(segment, count, body)


def _ids_of(segment: Segment) -> dict[bytes, int]:
    """The ids of a segment's records, each with its first record."""
    walk = Walk(segment, segment.read())
    ids: dict[bytes, int] = {}
    for frames in walk.groups():
        _add(ids, (frame.command_id(walk.data) for frame in frames), frames[0].seq)
    return ids


def _add(ids: dict[bytes, int], command_ids: Iterable[bytes], first_seq: int) -> None:
    for seq, command_id in enumerate(command_ids, start=first_seq):
        if command_id:
            ids.setdefault(command_id, seq)


def _hash(command_id: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(command_id, digest_size=8).digest(), "little")


def _last_chain(segment: Segment) -> bytes:
    with segment.path.open("rb") as file:
        file.seek(-TAIL.size, 2)
        return file.read(CHAIN_BYTES)
