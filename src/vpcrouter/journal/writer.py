"""The single writer: what `append` returned survives; a group is there as a whole or not at all.

A group is one write and one sync, in this order, and nothing follows a call that failed: the writer is then
poisoned and refuses everything, since after a failed sync nobody knows what the disk holds (repeating the sync
would report success for bytes that are lost). Opening the journal again reads what is really there.

A full disk is the one exception: a write that finds no room has stored nothing that counts, and no sync has failed. It
is taken back, durably, and the next append tries again. Essential records may use the `reserve`.

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

from vpcrouter.errors import FullDiskError, JournalError, JournalWriteError, MalformedInputError
from vpcrouter.journal.command_ids import CommandIds
from vpcrouter.journal.disk import Disk, NoRoomError, make_durable_directory, no_room, write_all, write_whole
from vpcrouter.journal.group import Prepared, pack_group, prepare
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.layout import CHAIN_BYTES, FIRST_CHAIN, MIN_RECORD_BYTES, TAIL, Chain, Header
from vpcrouter.journal.manifest import read_archive
from vpcrouter.journal.reader import read_journal
from vpcrouter.journal.records import Entry, JournalRecord, TornTail
from vpcrouter.journal.recovery import recover
from vpcrouter.journal.reserve import Reserve
from vpcrouter.journal.segments import SEGMENT_BYTES, Segment, segment_path
from vpcrouter.journal.snapshots import proven_seq, require_records
from vpcrouter.lock import Lock

_PROBE = "writable"
_SLACK_BYTES = 8192
"""What a group may need besides its own bytes: the file system's blocks, the header of a new segment."""


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
        self._reserve = Reserve(disk, directory)
        self.shortage_bytes = 0
        """What the newest refused group needed, if it was refused for want of room and there is none since."""

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
            try:
                return cls._open(directory, owner or {}, segment_bytes, disk)
            except (OSError, JournalError) as error:
                cause = error if isinstance(error, OSError) else error.__cause__
                if not isinstance(cause, OSError) or not no_room(cause) or not Reserve(disk, directory).release():
                    raise
            return cls._open(directory, owner or {}, segment_bytes, disk)
        except OSError as error:
            raise JournalError(
                f"cannot be opened for writing: {error}", where=str(directory), hint="look at the disk and its rights"
            ) from error

    @classmethod
    def _open(cls, directory: Path, owner: Mapping[str, str], segment_bytes: int, disk: Disk) -> Journal:
        lock = Lock.take(directory, owner)
        try:
            journal = cls(directory, lock, disk, segment_bytes)
            proven = proven_seq(directory)
            journal._recover(proven)
            require_records(directory, journal.seq, proven)
        except BaseException:
            lock.release()
            raise
        return journal

    def append(self, entries: Sequence[Entry], *, time_ns: int, essential: bool = False) -> int:
        """Add the entries as one group, all or nothing; durable on return. Returns the number of the last record.

        Raises FullDiskError if there is no room, for essential entries not even with the reserve: nothing was stored,
        and a later append may succeed. JournalWriteError if the disk refuses otherwise; nothing was acknowledged
        then, and nothing more can be appended before the journal is opened anew. MalformedInputError (a label over
        255 bytes, a group that is too large) changes nothing, nor does KeyFileError.
        """
        return self._append(
            [prepare(each, time_ns, seq, self.keys) for seq, each in enumerate(entries, start=self.seq + 1)], essential
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

    def find_command(self, command_id: str) -> tuple[JournalRecord, ...]:
        """The records of the first command that had this id; empty if there was none."""
        return self._command_ids.find(command_id)

    def keep_reserve(self, size: int) -> None:
        """Keep so many bytes of room for essential records; 0: none."""
        self._reserve.keep(size)

    @property
    def has_reserve(self) -> bool:
        """Whether there is room for essential records on a full disk."""
        return self._reserve.is_there

    def tend(self) -> None:
        """Look whether there is room again: build the reserve anew, and forget a shortage that is over."""
        if self.shortage_bytes:
            with contextlib.suppress(OSError):
                if self._disk.free_bytes(self.directory) >= self.shortage_bytes:
                    self.shortage_bytes = 0
        if not self.shortage_bytes:
            self._reserve.rebuild()

    @property
    def refusal(self) -> str:
        """Why nothing can be appended any more; empty while the journal can be written."""
        return self._refusal

    def could_be_opened_anew(self) -> bool:
        """Whether the disk takes a file, durably: after a refusal, a new writer finds what is really there."""
        probe = self.directory / _PROBE
        try:
            write_whole(self._disk, probe, b"")
            self._disk.remove(probe)
        except OSError:
            return False
        return True

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

    def _append(self, group: Sequence[Prepared], essential: bool = False) -> int:
        if self._refusal:
            raise JournalWriteError(
                self._refusal, where=str(self.directory), hint="look at the disk, then open the journal again"
            )
        if not group:
            return self.seq
        try:
            try:
                self._store(group)
            except NoRoomError:
                if not essential or not self._reserve.release():
                    raise
                self._store(group)
        except NoRoomError as error:
            raise self._no_room(group, error) from error
        except OSError as error:
            self._poison(error)
            raise JournalWriteError(
                f"the disk refused to store record {self.seq + 1}: {error}",
                where=str(self.directory),
                hint="nothing was acknowledged; make room or look at the disk, then open the journal again",
            ) from error
        self._command_ids.note((each.command_id for each in group), self.seq + 1)
        self.seq += len(group)
        self.shortage_bytes = 0
        return self.seq

    def _store(self, group: Sequence[Prepared]) -> None:
        if self._fd < 0 or self._size >= self._segment_bytes:
            self._begin_segment(group[0].time_ns)
        chain = self._chain.copy()
        data = pack_group(chain, group, self.seq + 1)
        self._write(data)
        self._size += len(data)
        self._chain = chain
        self._chain_value = data[-TAIL.size :][:CHAIN_BYTES]

    def _write(self, data: bytes) -> None:
        """The one write and the one sync of a group; whatever stops them (an interrupt, too) stops the writer.

        Only a write that found no room does not: what it left is cut off, and the cut is durable before any other.
        """
        try:
            try:
                write_all(self._disk, self._fd, data, self._size)
            except NoRoomError:
                self._disk.truncate(self._fd, self._size)
                self._disk.sync_data(self._fd)
                raise
            self._disk.sync_data(self._fd)
        except NoRoomError:
            raise
        except BaseException as error:
            self._poison(error)
            raise

    def _no_room(self, group: Sequence[Prepared], error: OSError) -> FullDiskError:
        self.shortage_bytes = sum(len(each.event) + MIN_RECORD_BYTES for each in group) + _SLACK_BYTES
        free = 0
        with contextlib.suppress(OSError):
            free = self._disk.free_bytes(self.directory)
        return FullDiskError(
            f"the disk is full: record {self.seq + 1} needs {self.shortage_bytes} bytes, {free} are free "
            f"({error.strerror})",
            where=str(self.directory),
            hint="nothing was stored; make room, for example with `vpcrouter journal archive --to` another disk, "
            "then hand it in again",
            needed_bytes=self.shortage_bytes,
            free_bytes=free,
        )

    def _recover(self, proven: int) -> None:
        walk, self.torn_tail = recover(self._disk, self.directory, proven)
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
