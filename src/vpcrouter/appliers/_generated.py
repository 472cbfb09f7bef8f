"""The generated files of the daemons on the disk: written, removed, and known without being read again.

Used by `daemons`. A file whose identity (see `_files`) is the one it had when its content was last known has that
content still. It never reads a file to learn the configuration, only to compare.

The files of a daemon lie in the configuration directory, and their names begin with the daemon's name and a dot.
So what it had in an earlier life, or a crash left half written, is known for its own without any record.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vpcrouter.appliers import _files
from vpcrouter.appliers._shelf import ShelfApplier
from vpcrouter.plan.daemons import WrittenFile
from vpcrouter.values.desired import File, digest

MARK = "# Written by vpcrouter;"
"""How a file begins that we wrote, wherever it lies."""


class GeneratedFiles:
    """What lies on the disk, as far as somebody asked."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[_files.FileIdentity, str]] = {}

    def open_shelf(self, path: Path, target: str) -> ShelfApplier:
        """Who keeps a directory of many files; `target` names it in operations."""
        return ShelfApplier(path, target)

    def present(self, directory: Path) -> dict[str, Path]:
        """All files that are there, wanted or not, by name."""
        return {path.name: path for path in _files.list_directory(directory)}

    def ours(self, paths: Iterable[Path]) -> set[Path]:
        """Those of these files that we wrote, as their first line says."""
        return {path for path in paths if (_files.read_file(path) or b"").startswith(MARK.encode())}

    def look(self, path: Path, *, full: bool) -> WrittenFile | None:
        """The file that is there; `full` reads it even if nobody seems to have touched it."""
        identity = _files.file_identity(path)
        if identity is None:
            return None
        known = self._known.get(path)
        if full or known is None or known[0] != identity:
            content = _files.read_file(path)
            if content is None:
                return None
            # A content that is not text is not ours, whatever stands for it.
            known = self._known[path] = (identity, digest(content.decode(errors="backslashreplace")))
        return WrittenFile(digest=known[1], mode=identity.mode)

    def write(self, file: File) -> None:
        """Replace one."""
        path = Path(file.path)
        _files.make_directory(path.parent)
        identity = _files.write_atomically(path, file.content.encode(), file.mode)
        self._known[path] = (identity, file.digest)

    def remove(self, path: Path) -> None:
        """Remove one."""
        _files.remove_file(path)
        self._known.pop(path, None)
