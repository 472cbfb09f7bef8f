"""Nothing but this module writes a generated file: whole or not at all, with the mode it should have.

Called by the appliers (and borrowed by the lab). It does not know what a file means. There is one writer for
a directory (the holder of the journal's lock), so the temporary name of a file is fixed and what a crash left
behind is overwritten, not collected.

No fsync. A generated file can be made again from the journal and is compared with what it should be at every
start, before a daemon reads it; an empty file after a power loss is one more difference to repair. (On a virtual
disk a file takes 0.3 ms so, and 0.8 ms with an fsync of it and its directory.)
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from vpcrouter.errors import ApplierError


@frozen
class FileIdentity:
    """What `stat` says of a file: equal identities mean that nobody has touched it in between.

    Every write, chmod, chown, link and rename changes ctime, which nobody can set.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int


def file_identity(path: Path) -> FileIdentity | None:
    """The identity of a regular file, without following a link; None if there is none."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _identity(status) if stat.S_ISREG(status.st_mode) else None


def inode_number(path: Path) -> int | None:
    """What tells a file of any kind from another one that takes its place; None if there is none."""
    try:
        return path.lstat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_file(path: Path) -> bytes | None:
    """The content of a regular file, without following a link; None if there is none."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ApplierError(f"cannot be read: {error.strerror}", where=str(path)) from None


def write_atomically(path: Path, content: bytes, mode: int = 0o644, *, group: int | None = None) -> FileIdentity:
    """Put a file with this content and mode in place of what is there; returns its identity.

    A reader sees the old file or the new one. The content is never readable by more than `mode` allows. `group` is the
    number of the group it is given to. A directory in its place is refused.
    """
    temporary = temporary_name(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            if group is not None:
                os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), mode)
            temporary.rename(path)
            # After the rename, which changes ctime; through the descriptor, so that it is our file for sure.
            return _identity(os.fstat(file.fileno()))
    except OSError as error:
        with suppress(OSError):  # on a file system that is read-only this fails too
            temporary.unlink(missing_ok=True)
        raise ApplierError(
            f"cannot be written: {error.strerror}", where=str(path), hint="look at the disk and its rights"
        ) from None


def temporary_name(path: Path) -> Path:
    """Where the next content of a file is prepared: beside it, hidden."""
    return path.with_name(f".{path.name}.new")


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Make a directory and those above it; an existing one stays as it is."""
    try:
        if not path.is_dir():
            path.mkdir(mode=mode, parents=True, exist_ok=True)
            path.chmod(mode)  # whatever our umask is
    except OSError as error:
        raise ApplierError(f"cannot be made: {error.strerror}", where=str(path)) from None


def give_to_group(path: Path, group: int, mode: int) -> None:
    """Let a group have what the mode says, and nobody else anything more."""
    try:
        os.chown(path, -1, group)
        path.chmod(mode)
    except OSError as error:
        raise ApplierError(f"cannot be given to group {group}: {error.strerror}", where=str(path)) from None


def directory_identity(path: Path) -> tuple[int, ...] | None:
    """What changes with every file that comes, goes or is replaced in a directory, and with its own rights."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns) if _is_directory(status) else None


def _is_directory(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def list_directory(path: Path) -> tuple[Path, ...]:
    """What lies in a directory; nothing if there is none."""
    try:
        return tuple(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise ApplierError(f"cannot be listed: {error.strerror}", where=str(path)) from None


def remove_file(path: Path) -> bool:
    """Remove a file, a FIFO, a socket or a link; False if there was none."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ApplierError(f"cannot be removed: {error.strerror}", where=str(path)) from None
    return True


def remove_directory(path: Path) -> None:
    """Remove a directory and the files in it; nothing happens if there is none."""
    for each in list_directory(path):
        remove_file(each)
    try:
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ApplierError(f"cannot be removed: {error.strerror}", where=str(path)) from None


def make_fifo(path: Path, mode: int = 0o600) -> None:
    """Make a FIFO, with the directory it lies in, unless there is one; whatever else stands there gives way."""
    make_directory(path.parent)
    try:
        if not _is_fifo(path):
            path.unlink(missing_ok=True)
            os.mkfifo(path, mode)
        path.chmod(mode)
    except OSError as error:
        raise ApplierError(f"cannot be made: {error.strerror}", where=str(path)) from None


def _is_fifo(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _identity(status: os.stat_result) -> FileIdentity:
    return FileIdentity(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        mode=stat.S_IMODE(status.st_mode),
    )
