"""What the journal knows of its archive: the file `archive` tells where its older segments went, and what binds them.

Written by `archive` when everything it says is durable, and then the truth: a journal that begins after record 1 is
whole only with it. Read by `reader`, `snapshots` and `verify`. The format is in journal/FORMAT.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError, MissingArchiveError
from vpcrouter.journal.disk import Disk, write_whole
from vpcrouter.journal.layout import CHAIN_BYTES
from vpcrouter.journal.segments import Segment, list_segments

MANIFEST = "archive"
"""The file beside the segments."""
_FORMAT = 1


@frozen(kw_only=True)
class Archive:
    """The records up to `until` are in segments in `directory`; `chain` is the chain value of the last of them."""

    until: int
    chain: bytes
    directory: Path

    def segments(self) -> list[Segment]:
        """The segments that are there; none if the directory cannot be read."""
        try:
            return [
                Segment(each.first_seq, each.path, archived=True)
                for each in list_segments(self.directory)
                if each.first_seq <= self.until
            ]
        except JournalError:
            return []

    @property
    def is_there(self) -> bool:
        """Whether it can be read from its first record on."""
        found = self.segments()
        return bool(found) and found[0].first_seq == 1

    def missing(self, reason: str = "") -> MissingArchiveError:
        """The error for whoever needs it when it is not there."""
        return MissingArchiveError(
            f"the records up to {self.until} are in an archive that is not there" + (f": {reason}" if reason else ""),
            where=str(self.directory),
            hint="mount it or bring it back; after moving it, name the new place with `vpcrouter journal archive --to`",
        )


def read_archive(directory: Path) -> Archive | None:
    """What this journal's file says; None if nothing was archived. Raises DamagedJournalError."""
    path = directory / MANIFEST
    try:
        line, _, check = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        if check != _check(line):
            raise ValueError("its hash is wrong")  # noqa: TRY301
        found = json.loads(line)
        if found["format"] != _FORMAT:
            raise ValueError(f"it is of format {found['format']!r}")  # noqa: TRY301
        chain = bytes.fromhex(found["chain"])
        if len(chain) != CHAIN_BYTES:
            raise ValueError("it has no chain value")  # noqa: TRY301
        return Archive(until=int(found["until"]), chain=chain, directory=Path(found["directory"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedJournalError(
            f"it should tell where older segments are, and cannot be read: {error}",
            where=str(path),
            hint="restore this file from a copy, or bring the older segments back into the journal and remove it",
        ) from None


def readable_after(directory: Path) -> int:
    """The record after which the journal can be read: 0, or where its archive ends if that is not there."""
    found = read_archive(directory)
    if found is None or found.is_there:
        return 0
    live = list_segments(directory)
    return live[0].first_seq - 1 if live else found.until


def write_archive(disk: Disk, directory: Path, archive: Archive) -> None:
    """Put it there, whole or not at all. Raises OSError."""
    found = {
        "format": _FORMAT,
        "until": archive.until,
        "chain": archive.chain.hex(),
        "directory": str(archive.directory),
    }
    line = json.dumps(found).encode()
    write_whole(disk, directory / MANIFEST, line + b"\n" + _check(line))


def _check(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=32).hexdigest().encode() + b"\n"
