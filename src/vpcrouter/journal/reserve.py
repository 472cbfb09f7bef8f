"""Room that is kept for what must not wait when the disk is full: a file of no content, given up when it is needed.

Called by the writer. Given up for essential records (what a role became, what is taken away or taken back) and to open
a journal at all; built again when there is more than enough room. A reserve that cannot be built is no error.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from vpcrouter.journal.disk import Disk

RESERVE = "reserve"
"""The file beside the segments."""


class Reserve:
    """The reserve of one journal; of `size` bytes once `keep` was called."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self.size = 0
        self._disk = disk
        self._path = directory / RESERVE

    @property
    def is_there(self) -> bool:
        """Whether there is any."""
        return self._path.exists()

    def keep(self, size: int) -> None:
        """Have one of this size from now on; 0: none. What is there of another size is replaced."""
        self.size = size
        if self.is_there and self._path.stat().st_size != size:
            self.release()
        self.rebuild()

    def rebuild(self) -> None:
        """Build it if it is missing and there is at least as much room again."""
        if not self.size or self.is_there:
            return
        with contextlib.suppress(OSError):
            if self._disk.free_bytes(self._path.parent) < 2 * self.size:
                return
            fd = self._disk.create(self._path)
            try:
                self._disk.allocate(fd, self.size)
            except OSError:
                self._disk.remove(self._path)
            finally:
                os.close(fd)

    def release(self) -> bool:
        """Give it up; whether there was one."""
        if not self.is_there:
            return False
        try:
            self._disk.remove(self._path)
            self._disk.sync_directory(self._path.parent)
        except OSError:
            return False
        return True


def reserve_bytes(directory: Path) -> int:
    """How much there is; 0 if there is none."""
    try:
        return (directory / RESERVE).stat().st_size
    except OSError:
        return 0
