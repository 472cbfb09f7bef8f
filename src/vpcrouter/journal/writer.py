"""The single writer: what `append` returned survives; a group is there as a whole or not at all.

A group is one write and one sync, in this order, and nothing follows a call that failed: the writer is then
poisoned and refuses everything, since after a failed sync nobody knows what the disk holds (repeating the sync
would report success for bytes that are lost). Opening the journal again reads what is really there.

Called by `router`; knows events only as what the codec makes of them. Not for two threads at once.
Known hole: a disk that acknowledges a sync it has not done, and files removed whole from the journal's end,
leave nothing here by which the loss could be seen; a newer snapshot or the other router's digest shows it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from vpcrouter.errors import JournalError, JournalWriteError, MalformedInputError
from vpcrouter.events import Event
from vpcrouter.journal.command_ids import CommandIds
from vpcrouter.journal.disk import Disk, make_durable_directory, write_whole
from vpcrouter.journal.group import Prepared, pack_group, prepare
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.layout import CHAIN_BYTES, FIRST_CHAIN, TAIL, Chain, Header
from vpcrouter.journal.manifest import read_archive
from vpcrouter.journal.reader import read_events, read_journal
from vpcrouter.journal.records import Entry, JournalRecord, TornTail
from vpcrouter.journal.recovery import recover
from vpcrouter.journal.segments import SEGMENT_BYTES, Segment, segment_path
from vpcrouter.journal.snapshots import proven_seq, require_records
from vpcrouter.lock import Lock


class Journal:
    """An open journal. `seq` is the number of the last record, 0 if there is none."""

    def __init__(self, directory: Path, lock: Lock, disk: Disk, segment_bytes: int) -> None:
        """For `open` only."""
        self.directory = directory
        self.seq = 0
        self.torn_tail: TornTail | None = None
        self.keys = Keys.beside(directory)
        self._lock = lock
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._command_ids = CommandIds(disk, directory)
        self._segment: Segment | None = None
        self._fd = -1
        self._size = 0
        self._chain = Chain(b"")
        self._chain_value = FIRST_CHAIN
        self._refusal = ""

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        owner: Mapping[str, str] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> Journal:
        """Become the writer of the journal in `directory`, which is made if it is not there.

        A torn tail is cut and kept aside, see `torn_tail`. `owner` is shown to whoever asks `lock_owner`.
        Raises LockedJournalError, DamagedJournalError if the last segment is, JournalError if it cannot be opened.
        """
        disk = disk or Disk()
        try:
            make_durable_directory(disk, directory)
            lock = Lock.take(directory, owner or {})
            try:
                journal = cls(directory, lock, disk, segment_bytes)
                journal._recover()
                require_records(directory, journal.seq, proven_seq(directory))
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            raise JournalError(
                f"cannot be opened for writing: {error}", where=str(directory), hint="look at the disk and its rights"
            ) from error
        return journal

    def append(self, entries: Sequence[Entry], *, time_ns: int) -> int:
        """Add the entries as one group, all or nothing; durable on return. Returns the number of the last record.

        Raises JournalWriteError if the disk refuses; nothing was acknowledged then, and nothing more can be
        appended before the journal is opened anew. MalformedInputError (a label over 255 bytes, a group that is
        too large) changes nothing, nor does KeyFileError.
        """
        return self._append(
            [prepare(each, time_ns, seq, self.keys) for seq, each in enumerate(entries, start=self.seq + 1)]
        )

    def append_records(self, records: Sequence[JournalRecord]) -> int:
        """As `append`, for records of another journal that keep their own times; their numbers must go on from here."""
        for number, record in enumerate(records, start=self.seq + 1):
            if record.seq != number:
                raise MalformedInputError(f"record {record.seq} stands where record {number} is due", where="seq")
        return self._append([prepare(record, record.time_ns, record.seq, self.keys) for record in records])

    def records(self, after: int = 0) -> Iterator[JournalRecord]:
        """The records after number `after`, oldest first."""
        return read_journal(self.directory, after, self.keys)

    def events(self, after: int = 0) -> Iterator[tuple[int, int, Event]]:
        """Number, time and event of each record after number `after`, oldest first: what a replay needs."""
        return read_events(self.directory, after, self.keys)

    def find_command(self, command_id: str) -> tuple[JournalRecord, ...]:
        """The records of the first command that had this id; empty if there was none."""
        return self._command_ids.find(command_id)

    @property
    def chain(self) -> bytes:
        """The chain value of the last record: a snapshot of the state after it names this value."""
        return self._chain_value

    def close(self) -> None:
        """Let go of the journal; a second call does nothing. Nothing is left to be written at this point."""
        self._refusal = self._refusal or "the journal is closed"
        self._close_segment()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, group: Sequence[Prepared]) -> int:
        if self._refusal:
            raise JournalWriteError(
                self._refusal, where=str(self.directory), hint="look at the disk, then open the journal again"
            )
        if not group:
            return self.seq
        try:
            if self._fd < 0 or self._size >= self._segment_bytes:
                self._begin_segment(group[0].time_ns)
            chain = self._chain.copy()
            data = pack_group(chain, group, self.seq + 1)
            self._write(data)
        except OSError as error:
            self._poison(error)
            raise JournalWriteError(
                f"the disk refused to store record {self.seq + 1}: {error}",
                where=str(self.directory),
                hint="nothing was acknowledged; make room or look at the disk, then open the journal again",
            ) from error
        self._size += len(data)
        self._chain = chain
        self._chain_value = data[-TAIL.size :][:CHAIN_BYTES]
        self._command_ids.note((each.command_id for each in group), self.seq + 1)
        self.seq += len(group)
        return self.seq

    def _write(self, data: bytes) -> None:
        """The one write and the one sync of a group; whatever stops them (an interrupt, too) stops the writer."""
        try:
            written = self._disk.write(self._fd, data, self._size)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")  # noqa: TRY301
            self._disk.sync_data(self._fd)
        except BaseException as error:
            self._poison(error)
            raise

    def _recover(self) -> None:
        walk, self.torn_tail = recover(self._disk, self.directory)
        if walk is None:
            if (archive := read_archive(self.directory)) is not None:
                self.seq, self._chain_value = archive.until, archive.chain
            return
        self.seq = walk.next_seq - 1
        self._chain = walk.chain
        self._chain_value = walk.chain_value
        self._size = walk.end
        self._segment = walk.segment
        self._fd = os.open(walk.segment.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._make_last_group_durable(walk.data[walk.last_group : walk.end], walk.last_group)
        except BaseException:
            self._close_segment()
            raise

    def _make_last_group_durable(self, group: bytes, offset: int) -> None:
        """The writer before may have died between write and sync, or its sync may have failed.

        After a failed sync the system takes the bytes for written, and a sync alone would do nothing: so they
        are written again, the same bytes at the same place.
        """
        if group and self._disk.write(self._fd, group, offset) != len(group):
            raise OSError(f"the last {len(group)} bytes could not be made durable")
        self._disk.sync_data(self._fd)
        self._disk.sync_directory(self.directory)

    def _begin_segment(self, time_ns: int) -> None:
        """A new file with its header, durable under its name before any record goes into it."""
        header = Header(first_seq=self.seq + 1, created_ns=time_ns, chain_before=self._chain_value).pack()
        path = segment_path(self.directory, self.seq + 1)
        write_whole(self._disk, path, header)
        if self._segment is not None:
            self._command_ids.finish_segment(self._segment)
        self._segment = Segment(self.seq + 1, path)
        self._close_segment()
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._size = len(header)
        self._chain = Chain(header)

    def _poison(self, error: BaseException) -> None:
        """No append ever again, and what was written of the group taken back as far as the disk lets us.

        Otherwise whoever opens the file next could read a group, from memory, that never reached the disk.
        """
        if self._refusal:
            return
        self._refusal = f"the journal was closed for writing after an error: {str(error) or type(error).__name__}"
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                self._disk.truncate(self._fd, self._size)

    def _close_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
