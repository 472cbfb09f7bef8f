"""Disks that fail, a disk that remembers enough to be cut off at any moment, and one that does not wait.

`FaultyDisk` lets one chosen call fail, or a write fall short. `RecordingDisk` notes every call that changes
something; `images` then gives the states in which a power failure after that many calls may leave the files.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from attrs import define, field

from vpcrouter.journal.disk import Disk

SECTOR = 512


class HastyDisk(Disk):
    """Waits for no sync: for tests in which no power fails."""

    def sync_data(self, fd: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


@define
class FaultyDisk(Disk):
    """Fails at call number `at` (from 0): with this error, or, for a write, after `taken` of its bytes."""

    at: int
    error: int = errno.EIO
    taken: int | None = None
    stays: bool = False
    """Every later call fails as well."""
    calls: list[str] = field(factory=list)

    def _step(self, name: str) -> None:
        self.calls.append(name)
        number = len(self.calls) - 1
        if number == self.at or (self.stays and number > self.at):
            raise OSError(self.error, os.strerror(self.error))

    def write(self, fd: int, data: bytes, offset: int) -> int:
        if self.taken is not None and len(self.calls) == self.at:
            self.calls.append("write")
            super().write(fd, data[: self.taken], offset)
            if self.error:
                raise OSError(self.error, os.strerror(self.error))
            return min(self.taken, len(data))
        self._step("write")
        return super().write(fd, data, offset)

    def sync_data(self, fd: int) -> None:
        self._step("sync_data")
        super().sync_data(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)

    def create(self, path: Path) -> int:
        self._step("create")
        return super().create(path)

    def rename(self, source: Path, target: Path) -> None:
        self._step("rename")
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        self._step("remove")
        super().remove(path)

    def make_directory(self, path: Path) -> None:
        self._step("make_directory")
        super().make_directory(path)

    def sync_directory(self, path: Path) -> None:
        self._step("sync_directory")
        super().sync_directory(path)


@define
class _File:
    """A file's bytes on the disk, and the changes since its last sync that may or may not have got there."""

    durable: bytearray = field(factory=bytearray)
    pending: list[Callable[[bytearray, Random], None]] = field(factory=list)

    def after_power_failure(self, random: Random) -> bytes:
        """The bytes that are found; each pending write with any of its sectors, each cut done or not."""
        data = bytearray(self.durable)
        for change in self.pending[: random.randint(0, len(self.pending))]:
            change(data, random)
        return bytes(data)


@define
class RecordingDisk(Disk):
    """Does everything, and keeps a model of what of it is certain to be on the disk.

    Names become certain with the sync of their directory; changes of names since then survive in their order up
    to some point, as on a journalling file system. Directories themselves are taken as certain.
    """

    root: Path
    files: dict[int, _File] = field(factory=dict)
    names: dict[Path, int] = field(factory=dict)
    pending_names: list[tuple[Path, int | None]] = field(factory=list)
    observer: Callable[[], None] = lambda: None
    """Called after every call: the moments at which power may fail."""

    def _file(self, fd: int) -> _File:
        return self.files[os.fstat(fd).st_ino]

    def write(self, fd: int, data: bytes, offset: int) -> int:
        def apply(found: bytearray, random: Random) -> None:
            end = offset + (len(data) if random.random() < 0.5 else random.randint(0, len(data)))
            found.extend(bytes(max(0, end - len(found))))
            everything = random.random() < 0.3
            for low in [offset, *range((offset // SECTOR + 1) * SECTOR, end, SECTOR)]:
                high = min((low // SECTOR + 1) * SECTOR, end)
                if everything or random.random() < 0.5:
                    found[low:high] = data[low - offset : high - offset]

        self._file(fd).pending.append(apply)
        taken = super().write(fd, data, offset)
        self.observer()
        return taken

    def sync_data(self, fd: int) -> None:
        super().sync_data(fd)
        file = self._file(fd)
        file.durable = bytearray(os.pread(fd, os.fstat(fd).st_size, 0))
        file.pending.clear()
        self.observer()

    def truncate(self, fd: int, size: int) -> None:
        def apply(found: bytearray, _: Random) -> None:
            del found[size:]

        self._file(fd).pending.append(apply)
        super().truncate(fd, size)
        self.observer()

    def create(self, path: Path) -> int:
        fd = super().create(path)
        inode = os.fstat(fd).st_ino
        self.files.setdefault(inode, _File()).pending.append(lambda found, _: found.clear())
        self.pending_names.append((path, inode))
        self.observer()
        return fd

    def rename(self, source: Path, target: Path) -> None:
        inode = source.stat().st_ino
        super().rename(source, target)
        self.pending_names.append((target, inode))
        self.pending_names.append((source, None))
        self.observer()

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        for name, inode in [each for each in self.pending_names if each[0].parent == path]:
            self._settle_name(self.names, name, inode)
        self.pending_names = [each for each in self.pending_names if each[0].parent != path]
        self.observer()

    def after_power_failure(self, target: Path, random: Random) -> None:
        """Write what may be found after a power failure right now to the directory `target`."""
        names = dict(self.names)
        for name, inode in self.pending_names[: random.randint(0, len(self.pending_names))]:
            self._settle_name(names, name, inode)
        for name, inode in names.items():
            path = target / name.relative_to(self.root)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.files[inode].after_power_failure(random))

    @staticmethod
    def _settle_name(names: dict[Path, int], name: Path, inode: int | None) -> None:
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode
