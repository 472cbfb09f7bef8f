"""Nothing is deleted: bytes that do not count are moved to `aside/`, durably, before they leave their place.

Called by recovery (torn tails) and by `repair` (damage). Stopped in between, the bytes lie in both places, and
doing it again finds them kept.
"""

from __future__ import annotations

import os
from pathlib import Path

from vpcrouter.errors import JournalError
from vpcrouter.journal.disk import Disk, make_durable_directory, write_whole

ASIDE = "aside"
"""The directory beside the segments."""
_MOST_NAMES = 9999


def cut_tail(disk: Disk, path: Path, data: bytes, end: int, kind: str) -> Path:
    """Cut the file, whose bytes are `data`, at `end`; returns the file that keeps the tail."""
    kept = _free_name(disk, path, end, kind, data[end:])
    write_whole(disk, kept, data[end:])
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        disk.truncate(fd, end)
        disk.sync_data(fd)
    finally:
        os.close(fd)
    return kept


def move_whole(disk: Disk, path: Path, kind: str) -> Path:
    """Move a whole segment; returns its new place."""
    kept = _free_name(disk, path, 0, kind, None)
    disk.rename(path, kept)
    disk.sync_directory(kept.parent)
    disk.sync_directory(path.parent)
    return kept


def _free_name(disk: Disk, path: Path, offset: int, kind: str, data: bytes | None) -> Path:
    """`<segment>-<offset>.<kind>`, with a number if other bytes than these have that name already."""
    aside = path.parent / ASIDE
    make_durable_directory(disk, aside)
    wanted = f"{path.stem}-{offset}.{kind}"
    for name in (wanted, *(f"{wanted}.{number}" for number in range(2, _MOST_NAMES))):
        free = aside / name
        if not free.exists() or (data is not None and free.read_bytes() == data):
            return free
    raise JournalError("there is no free name left", where=str(aside / wanted), hint="clear this directory out")
