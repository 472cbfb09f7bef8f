"""Every system call by which the journal changes the disk, and the order that makes a new file durable.

`Disk` is the seam at which tests let writes fail, fall short or get lost; it decides nothing. Files are 0600,
directories 0700. Reading needs no seam: it is done with the plain functions at the end.
"""

from __future__ import annotations

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
        """Delete a file; only snapshots and what a crash left half made are ever deleted."""
        path.unlink()

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


def write_whole(disk: Disk, path: Path, data: bytes) -> None:
    """Put a file there whole or not at all: temporary file, write, sync, rename, sync the directory."""
    temporary = path.with_name(path.name + ".new")
    fd = disk.create(temporary)
    try:
        if (written := disk.write(fd, data, 0)) != len(data):
            raise OSError(f"only {written} of {len(data)} bytes were written to {temporary}")
        disk.sync_data(fd)
    finally:
        os.close(fd)
    disk.rename(temporary, path)
    disk.sync_directory(path.parent)


def make_durable_directory(disk: Disk, path: Path) -> None:
    """Make a directory and those above it; their names are on the disk when this returns."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        disk.make_directory(each)
        disk.sync_directory(each.parent)
