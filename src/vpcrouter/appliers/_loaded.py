"""What a running daemon has loaded, in a small file beside its pid, so that the next agent need not guess.

Used by `_supervised`. What is about to be read anew is written down as unknown before, and as loaded after the fact: a
crash in between costs one reload or restart too many and never one too few. A file that cannot be read is no record.

What a daemon remembers line by line is kept beside the record as it was, under a name of its own, and believed only if
the record has its digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from vpcrouter.appliers import _files
from vpcrouter.plan.daemons import LoadedFile
from vpcrouter.values.desired import digest

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
        return _parse(path, json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write_record(path: Path, record: LoadedRecord) -> None:
    """Replace the record."""
    for name, file in record.files.items():
        if file.content is not None:
            _files.write_atomically(_beside(path, name), file.content.encode(), 0o600)
    content = {
        "version": _VERSION,
        "pid": record.pid,
        "start_time": record.start_time,
        "files": {
            name: {"digest": file.digest} | ({"remembered": True} if file.is_remembered else {})
            for name, file in record.files.items()
        },
        "surroundings": dict(record.surroundings),
    }
    _files.write_atomically(path, json.dumps(content).encode() + b"\n", 0o600)


def remove_record(path: Path) -> None:
    """No record any more."""
    _files.remove_file(path)
    for each in _files.list_directory(path.parent):
        if each.name.startswith(f"{path.stem}."):
            _files.remove_file(each)


def _beside(path: Path, name: str) -> Path:
    """`dnsmasq.loaded.dnsmasq.dhcp-hosts` for `dnsmasq.loaded.json`."""
    return path.with_name(f"{path.stem}.{Path(name).name}")


def _parse(path: Path, content: Any) -> LoadedRecord | None:
    if content["version"] != _VERSION:
        return None
    return LoadedRecord(
        pid=int(content["pid"]),
        start_time=int(content["start_time"]),
        files={str(name): _file(path, str(name), file) for name, file in content["files"].items()},
        surroundings={str(name): int(number) for name, number in content["surroundings"].items()},
    )


def _file(path: Path, name: str, file: Any) -> LoadedFile:
    # `lines`: an earlier version's digests of them, which say too little.
    is_remembered = bool(file.get("remembered")) or "lines" in file
    loaded = LoadedFile(digest=str(file["digest"]), is_remembered=is_remembered)
    if not is_remembered or (found := _files.read_file(_beside(path, name))) is None:
        return loaded
    content = found.decode(errors="backslashreplace")
    return evolve(loaded, content=content) if digest(content) == loaded.digest else loaded
