"""A disk that forgets what was not synced: the journal's own calls on real files, and a model of what would be left.

The files lie in a directory of this machine (in memory, where there is a memory file system), so that everything that
reads them is the real code. `power_failure` puts the files into a state in which a power failure may leave them:
synced bytes stay, of later writes any sectors may be there or not, of later changes of names some first ones.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from attrs import define, field

from vpcrouter.journal.disk import Disk
from vpcrouter.simulation.world import World, die_if_dead

SECTOR_BYTES = 512
SIZE_BYTES = 1 << 30
MOST_LEFT_BYTES = 400
"""On a full disk: a record or two more, or a part of one."""
WRITE_NS = 20_000
SYNC_NS = (150_000, 3_000_000)
"""Least and most, without a fault."""


@define
class _File:
    """A file's bytes on the disk, and the changes since its last sync that may or may not have got there."""

    durable: bytearray = field(factory=bytearray)
    pending: list[Callable[[bytearray, Random | None], None]] = field(factory=list)

    def sync(self) -> None:
        for change in self.pending:
            change(self.durable, None)
        self.pending.clear()

    def lose(self, random: Random) -> None:
        """A sync has failed: the system takes all for written (no later sync does it), and the disk has some of it."""
        for change in self.pending:
            if random.random() < 0.5:
                change(self.durable, random)
        self.pending.clear()

    def after_power_failure(self, random: Random) -> bytes:
        for change in self.pending[: random.randint(0, len(self.pending))]:
            change(self.durable, random)
        self.pending.clear()
        return bytes(self.durable)


class SimulatedDisk(Disk):
    """The disk of one machine, with everything below `root` on it."""

    def __init__(self, world: World, root: Path) -> None:
        self._world = world
        self._root = root
        self._files: dict[int, _File] = {}
        self._names: dict[Path, int] = {}
        self._pending_names: list[tuple[Path, int | None]] = []
        self.slow_ns = 0
        """Added to each sync."""
        self.fails_writes = False
        self.fails_syncs = False
        self._room: int | None = None
        """Bytes that are left on a full disk."""

    @property
    def is_full(self) -> bool:
        """Whether there is no room but a few bytes, and what somebody gives back."""
        return self._room is not None

    @is_full.setter
    def is_full(self, is_full: bool) -> None:
        if is_full is not self.is_full:
            self._room = self._world.random.randint(0, MOST_LEFT_BYTES) if is_full else None

    # The calls ----------------------------------------------------------------------------------

    def write(self, fd: int, data: bytes, offset: int) -> int:
        die_if_dead()
        if self.fails_writes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        data = data[: self._take(len(data))]
        self._world.sleep(WRITE_NS)
        self._file(fd).pending.append(_writing(data, offset))
        return super().write(fd, data, offset)

    def _take(self, size: int) -> int:
        """How much of that finds room; it is taken."""
        if self._room is None:
            return size
        taken = min(size, self._room)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._room -= taken
        return taken

    def free_bytes(self, path: Path) -> int:
        return SIZE_BYTES if self._room is None else self._room

    def sync_data(self, fd: int) -> None:
        die_if_dead()
        self._world.sleep(self._world.jitter(*SYNC_NS) + self.slow_ns)
        if self.fails_syncs:
            self._file(fd).lose(self._world.random)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._file(fd).sync()

    def truncate(self, fd: int, size: int) -> None:
        die_if_dead()

        def cut(found: bytearray, _: Random | None) -> None:
            del found[size:]

        self._file(fd).pending.append(cut)
        super().truncate(fd, size)

    def create(self, path: Path) -> int:
        die_if_dead()
        if self.fails_writes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self._room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fd = super().create(path)
        inode = os.fstat(fd).st_ino
        self._files.setdefault(inode, _File()).pending.append(lambda found, _: found.clear())
        self._pending_names.append((path, inode))
        return fd

    def rename(self, source: Path, target: Path) -> None:
        die_if_dead()
        inode = source.stat().st_ino
        super().rename(source, target)
        self._pending_names += [(target, inode), (source, None)]

    def remove(self, path: Path) -> None:
        die_if_dead()
        if self._room is not None and path.exists():
            self._room += path.stat().st_size
        super().remove(path)
        self._pending_names.append((path, None))

    def allocate(self, fd: int, size: int) -> None:
        if self._room is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(fd, size)  # of the length alone: a megabyte of room takes a millisecond to be made

    def make_directory(self, path: Path) -> None:
        die_if_dead()
        super().make_directory(path)

    def sync_directory(self, path: Path) -> None:
        die_if_dead()
        self._world.sleep(self._world.jitter(*SYNC_NS) + self.slow_ns)
        if self.fails_syncs:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        for name, inode in self._pending_names:
            if name.parent == path:
                _settle_name(self._names, name, inode)
        self._pending_names = [each for each in self._pending_names if each[0].parent != path]

    # The failure --------------------------------------------------------------------------------

    def power_failure(self, directory: Path) -> None:
        """The files below a directory are what a power failure leaves of them."""
        random = self._world.random
        for name, inode in self._pending_names[: random.randint(0, len(self._pending_names))]:
            _settle_name(self._names, name, inode)
        self._pending_names.clear()
        contents = {
            name: self._files[inode].after_power_failure(random)
            for name, inode in sorted(self._names.items())
            if name.is_relative_to(directory)
        }
        shutil.rmtree(directory, ignore_errors=True)
        self._files.clear()
        self._names.clear()
        directory.mkdir(parents=True)
        for name, content in contents.items():
            name.parent.mkdir(parents=True, exist_ok=True)
            name.write_bytes(content)
            inode = name.stat().st_ino
            self._names[name] = inode
            self._files[inode] = _File(bytearray(content))

    def _file(self, fd: int) -> _File:
        inode = os.fstat(fd).st_ino
        if inode not in self._files:
            self._files[inode] = _File(bytearray(os.pread(fd, os.fstat(fd).st_size, 0)))
        return self._files[inode]


def _writing(data: bytes, offset: int) -> Callable[[bytearray, Random | None], None]:
    def apply(found: bytearray, random: Random | None) -> None:
        end = offset + len(data)
        if random is None:
            found.extend(bytes(max(0, offset - len(found))))
            found[offset:end] = data
            return
        if random.random() < 0.5:
            end = offset + random.randint(0, len(data))
        found.extend(bytes(max(0, end - len(found))))
        everything = random.random() < 0.3
        for low in [offset, *range((offset // SECTOR_BYTES + 1) * SECTOR_BYTES, end, SECTOR_BYTES)]:
            high = min((low // SECTOR_BYTES + 1) * SECTOR_BYTES, end)
            if everything or random.random() < 0.5:
                found[low:high] = data[low - offset : high - offset]

    return apply


def _settle_name(names: dict[Path, int], name: Path, inode: int | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode
