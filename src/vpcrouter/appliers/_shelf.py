"""A directory of many small files: each is as desired, and nothing else lies there. Look, act, look.

Used by `daemons`. Of each file that this applier wrote or read, the digest of its content is known until its identity
changes (`_files`); between full looks only the directory itself is looked at, whose time changes with every file that
comes, goes or is replaced.

Known hole: a file that is changed in place, by hand, is found by the next full look and not before.
"""

from __future__ import annotations

import grp
import time
from pathlib import Path

from attrs import frozen

from vpcrouter.appliers import _files
from vpcrouter.appliers._files import FileIdentity
from vpcrouter.plan import Operation
from vpcrouter.values.desired import Shelf, content_digest

FULL_LOOK_S = 60.0
"""Two thousand files take 10 ms to look at."""
_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640
_UNREAD = b""
"""Stands for the digest of a file with other rights than it should have: no desired one."""


@frozen
class _Known:
    identity: FileIdentity
    digest: bytes


class ShelfApplier:
    """Keeps one directory."""

    def __init__(self, path: Path, target: str) -> None:
        """`target` names it in operations."""
        self._path = path
        self._target = target
        self._known: dict[str, _Known] = {}
        self._directory: tuple[int, ...] | None = None
        """The directory's identity when all files in it were known."""
        self._settled: Shelf | None = None
        self._looked: float | None = None
        """When every file was looked at."""

    def settle(self, desired: Shelf | None) -> tuple[Operation, ...]:
        """Make it so; returns what was done."""
        full = self._looked is None or time.monotonic() - self._looked >= FULL_LOOK_S
        if not full and desired is self._settled and self._directory == _files.directory_identity(self._path):
            return ()
        self._look(full=full)
        operations = self._operations(desired)
        if desired is None:
            for operation in operations:
                self._remove(Path(operation.subject).name)
        elif operations or self._directory is None:
            self._fill(desired, operations)
        self._directory = _files.directory_identity(self._path)
        self._settled = desired
        return operations

    def plan(self, desired: Shelf | None, *, full: bool = True) -> tuple[Operation, ...]:
        """What would be done. Touches nothing. `full` looks at every file."""
        self._look(full=full)
        return self._operations(desired)

    def _fill(self, desired: Shelf, operations: tuple[Operation, ...]) -> None:
        group = group_number(desired.group)
        make_shelf(self._path, desired.group)
        files = {each.name: each for each in desired.files}
        for operation in operations:
            name = Path(operation.subject).name
            if operation.action == "remove":
                self._remove(name)
            else:
                identity = _files.write_atomically(self._path / name, files[name].content(), _FILE_MODE, group=group)
                self._known[name] = _Known(identity, files[name].digest)

    def _remove(self, name: str) -> None:
        _files.remove_file(self._path / name)
        self._known.pop(name, None)

    def _operations(self, desired: Shelf | None) -> tuple[Operation, ...]:
        wanted = {} if desired is None else {each.name: each.digest for each in desired.files}
        write = (name for name, digest in wanted.items() if not self._has(name, digest))
        remove = (name for name in sorted(self._known) if name not in wanted)
        return (
            *(self._operation("write", name) for name in write),
            *(self._operation("remove", name) for name in remove),
        )

    def _operation(self, action: str, name: str) -> Operation:
        return Operation(target=self._target, action=action, subject=str(self._path / name))

    def _has(self, name: str, digest: bytes) -> bool:
        known = self._known.get(name)
        return known is not None and known.digest == digest

    def _look(self, *, full: bool) -> None:
        """Learn what lies there, as far as it is not known."""
        if not full and self._directory is not None and self._directory == _files.directory_identity(self._path):
            return
        self._looked = time.monotonic()
        found: dict[str, _Known] = {}
        for path in _files.list_directory(self._path):
            identity = _files.file_identity(path)
            if identity is None:
                continue  # a socket, or whatever else is no file
            known = self._known.get(path.name)
            if known is not None and known.identity == identity:
                found[path.name] = known
            else:
                found[path.name] = _Known(identity, self._read(path) if identity.mode == _FILE_MODE else _UNREAD)
        self._known = found

    def _read(self, path: Path) -> bytes:
        return content_digest(_files.read_file(path) or b"")


def make_shelf(path: Path, group: str) -> None:
    """The directory, for root and that group only."""
    _files.make_directory(path, _DIRECTORY_MODE)
    _files.give_to_group(path, group_number(group), _DIRECTORY_MODE)


def group_number(name: str) -> int:
    """The number of a group; root's if there is none of that name."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return 0
