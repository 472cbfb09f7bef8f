"""What a running daemon has loaded, in a small file beside its pid, so that the next agent need not guess.

Used by `_supervised`. The file is written after the fact: a crash in between leaves a record that is older than the
truth, which costs one reload or restart too many and never one too few. A file that cannot be read is no record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from vpcrouter.appliers import _files
from vpcrouter.plan.daemons import LoadedFile

_VERSION = 1


@frozen(kw_only=True)
class LoadedRecord:
    """A process, and what it read."""

    pid: int
    start_time: int
    files: Mapping[str, LoadedFile]
    """By path."""
    surroundings: Mapping[str, int]
    """Numbers of the devices and FIFOs that it found, by name."""


def read_record(path: Path) -> LoadedRecord | None:
    """The record; None if there is none that makes sense."""
    content = _files.read_file(path)
    if content is None:
        return None
    try:
        return _parse(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write_record(path: Path, record: LoadedRecord) -> None:
    """Replace the record."""
    files = {
        name: {"digest": file.digest} | ({} if file.lines is None else {"lines": sorted(file.lines)})
        for name, file in record.files.items()
    }
    content = {
        "version": _VERSION,
        "pid": record.pid,
        "start_time": record.start_time,
        "files": files,
        "surroundings": dict(record.surroundings),
    }
    _files.write_atomically(path, json.dumps(content).encode() + b"\n", 0o600)


def _parse(content: Any) -> LoadedRecord | None:
    if content["version"] != _VERSION:
        return None
    return LoadedRecord(
        pid=int(content["pid"]),
        start_time=int(content["start_time"]),
        files={
            str(path): LoadedFile(
                digest=str(file["digest"]), lines=frozenset(map(str, file["lines"])) if "lines" in file else None
            )
            for path, file in content["files"].items()
        },
        surroundings={str(name): int(number) for name, number in content["surroundings"].items()},
    )
