"""One writer at a time: a lock on the file `lock` in the journal's directory, which also says who holds it.

The lock belongs to the open file (Linux OFD lock), so the kernel drops it with the process, and asking for the
holder does not take it: a curious client can never be in a starting writer's way, as it could with flock(2).
It stands outside the journal's package, since a client that asks who writes must not pay for the journal itself.
The file holds one JSON line, the owner's pid and whatever the owner adds; when nobody writes, an empty line, so that
a full disk has room for the next owner's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from vpcrouter.errors import JournalError, LockedJournalError

LOCK_NAME = "lock"
FILE_MODE = 0o600
_FLOCK = struct.Struct("hhqqi0q")
"""C's struct flock: type, whence, start, length (0: all), pid."""
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


class Lock:
    """The lock, held from `take` to `release`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, directory: Path, owner: Mapping[str, str]) -> Lock:
        """Become the writer of this journal, or raise LockedJournalError naming the one that is."""
        path = directory / LOCK_NAME
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise JournalError(f"cannot be opened: {error.strerror}", where=str(path)) from error
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)
            line = json.dumps({"pid": os.getpid(), **owner}).encode() + b"\n"
            os.pwrite(fd, line, 0)
            os.ftruncate(fd, len(line))
        except (BlockingIOError, PermissionError):
            holder = _read_owner(fd).get("pid", "unknown")
            os.close(fd)
            raise LockedJournalError(
                f"process {holder} writes this journal",
                where=str(directory),
                hint="submit through it, or stop it first",
            ) from None
        except OSError as error:
            os.close(fd)
            raise JournalError(f"cannot be locked: {error.strerror}", where=str(path)) from error
        return cls(fd)

    def release(self) -> None:
        """Let the next writer in; a second call does nothing."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.pwrite(self._fd, b"\n", 0)
                os.ftruncate(self._fd, 1)
            os.close(self._fd)
            self._fd = -1


def lock_owner(directory: Path) -> Mapping[str, str] | None:
    """Who writes the journal right now: `pid` and what that process added; None if nobody does.

    Empty in the instant in which a writer has the lock and has not written its line yet.
    """
    try:
        fd = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"cannot be opened: {error.strerror}", where=str(directory / LOCK_NAME)) from error
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        return None if _FLOCK.unpack(answer)[0] == fcntl.F_UNLCK else _read_owner(fd)
    finally:
        os.close(fd)


def _read_owner(fd: int) -> dict[str, str]:
    try:
        owner = json.loads(os.pread(fd, 65536, 0))
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in owner.items()} if isinstance(owner, dict) else {}
