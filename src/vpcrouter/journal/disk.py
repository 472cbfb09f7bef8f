"""Every system call by which the journal changes the disk, and the order that makes a new file durable.

`Disk` is the seam at which tests let writes fail, fall short or get lost; it decides nothing. Files are 0600,
directories 0700. Reading needs no seam: it is done with the plain functions at the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class Disk:
    """The calls, one to one; each raises OSError."""

    def write(self, fd: int, data: bytes, offset: int) -> int:
        """One write; returns how many bytes the system took."""
        return os.pwrite(fd, data, offset)

    def sync_data(self, fd: int) -> None:
        """Until the file's bytes and length are on the disk."""
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(fd, size)

    def create(self, path: Path) -> int:
        """An empty file, open for reading and writing; one of that name is emptied."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)

    def rename(self, source: Path, target: Path) -> None:
        """Move a file within the file system."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """Delete a file; only what is elsewhere, or held nothing of its own, is ever deleted."""
        path.unlink()

    def allocate(self, fd: int, size: int) -> None:
        """Give a file so much room on the disk."""
        os.posix_fallocate(fd, 0, size)

    def free_bytes(self, path: Path) -> int:
        """The room that is left where this is."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def make_directory(self, path: Path) -> None:
        """A directory for the owner alone; fine if it is there."""
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)

    def sync_directory(self, path: Path) -> None:
        """Until the names in a directory are on the disk."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class NoRoomError(OSError):
    """The disk is full, and nothing that counts was changed: the one refusal after which one may try again."""


def no_room(error: OSError) -> NoRoomError | None:
    """The same as a NoRoomError, if it says that the disk is full, or that this user may not have more of it."""
    return NoRoomError(error.errno, error.strerror) if error.errno in (errno.ENOSPC, errno.EDQUOT) else None


def write_all(disk: Disk, fd: int, data: bytes, offset: int) -> None:
    """One write that takes all, or a NoRoomError. A disk that takes less than it was given is full."""
    try:
        written = disk.write(fd, data, offset)
    except OSError as error:
        raise no_room(error) or error from error
    if written != len(data):
        raise NoRoomError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written")


def write_whole(disk: Disk, path: Path, data: bytes) -> None:
    """Put a file there whole or not at all: temporary file, write, sync, rename, sync the directory.

    NoRoomError if the disk is full; then what is half made is removed.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        fd = disk.create(temporary)
    except OSError as error:
        raise no_room(error) or error from error
    try:
        write_all(disk, fd, data, 0)
        disk.sync_data(fd)
    except NoRoomError:
        with contextlib.suppress(OSError):
            disk.remove(temporary)
        raise
    finally:
        os.close(fd)
    try:
        disk.rename(temporary, path)
    except OSError as error:
        raise no_room(error) or error from error
    disk.sync_directory(path.parent)


def make_durable_directory(disk: Disk, path: Path) -> None:
    """Make a directory and those above it; their names are on the disk when this returns."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        disk.make_directory(each)
        disk.sync_directory(each.parent)
