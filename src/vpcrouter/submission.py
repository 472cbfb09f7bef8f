"""What a user hands in, whatever its form, becomes its commands in order, each readable or with its own error.

    first character `<` or `#`      an aggregated cfg file: one command per file block
    one JSON object                 one command, CloudStack's (`type`) or vpcrouter's own (`command`)
                                    vpcrouter's own may also carry `command_id` and `expected_seq`
    one JSON object per line        JSON lines, both kinds mixed; empty lines do not count

One unreadable command does not hide the others. If the file as a whole cannot be read, the one entry there is
carries that error. A file that is not one JSON document counts as JSON lines if at least one line of it names a
known kind of command. Called by whoever takes files from users: the agent, the command line. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from vpcrouter.cloudstack import read_cfg
from vpcrouter.cloudstack.decoder import LAST_WINS, decode_document
from vpcrouter.cloudstack.names import FILE_NAMES
from vpcrouter.commands import Command
from vpcrouter.errors import CallerError, MalformedInputError
from vpcrouter.strict_json import MAX_BYTES, load
from vpcrouter.values import fields


@frozen(kw_only=True)
class Submitted:
    """One command of a file, or the error that says why it is none."""

    where: str
    """The file's name, and the line in it if the file can hold several commands."""
    command: Command | None = None
    error: CallerError | None = None
    without_effect: Mapping[str, str] = field(factory=dict)
    """What the file says beside the command, and why nothing is made of it."""
    type: str = ""
    """The command's type or name as the file has it (`networkacl`, `put-tier`), if it is a known one."""
    command_id: str = ""
    """Do it once; vpcrouter's own form may carry it."""
    expected_seq: int | None = None
    """Do it only if this is the newest event; likewise."""


_BESIDE: Mapping[str, Callable[[object], Any]] = {
    "command_id": lambda value: fields.word(value, "command_id", 255),
    "expected_seq": lambda value: fields.integer(value, "expected_seq", 0, 2**63 - 1),
}
"""What our own form may say beside the command; no command has a field of that name."""


def read_submission(data: bytes | str, *, name: str = "-") -> tuple[Submitted, ...]:
    """All commands in `data`, the content of the file of that name; at least one entry."""
    if len(data) > MAX_BYTES:
        error = MalformedInputError(f"is larger than {MAX_BYTES // 1024 // 1024} MiB", where="file")
        return (Submitted(where=name, error=error),)
    start = data.lstrip()[:1]
    if not start:
        return (_nothing(name),)
    if start in ("<", "#", b"<", b"#"):
        return _blocks(data, name)
    whole = _read(data, name, name)
    if whole.command is not None or whole.type:
        return (whole,)
    lines = tuple(_lines(data, name))
    return lines if any(each.type for each in lines) else (whole,)


def _blocks(data: bytes | str, name: str) -> tuple[Submitted, ...]:
    try:
        blocks = read_cfg(data)
    except CallerError as error:
        return (Submitted(where=name, error=error),)
    if not blocks:
        return (_nothing(name),)
    return tuple(_read(block.content, f"{name}:{block.line}", block.name) for block in blocks)


def _nothing(name: str) -> Submitted:
    return Submitted(where=name, error=MalformedInputError("holds no command", where="file"))


def _lines(data: bytes | str, name: str) -> Iterator[Submitted]:
    lines: list[bytes | str] = [*(data.split("\n") if isinstance(data, str) else data.split(b"\n"))]
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _read(line, f"{name}:{number}", "")


def _read(data: bytes | str, where: str, file_name: str) -> Submitted:
    """One command in either form."""
    kind = ""
    try:
        document = load(data, last_wins=LAST_WINS)
        if isinstance(document, dict) and "command" in document:
            # cattrs is imported for this form only: it takes longer than everything else here
            from vpcrouter import command_json

            kind = _known(document["command"], command_json.NAMES)
            asked = {name: document.pop(name) for name in _BESIDE if name in document}
            return Submitted(
                where=where,
                command=command_json.load(document),
                type=kind,
                **{name: _BESIDE[name](value) for name, value in asked.items()},
            )
        kind = _known(document.get("type") if isinstance(document, dict) else None, FILE_NAMES)
        decoded = decode_document(document, name=file_name)
        return Submitted(where=where, command=decoded.command, without_effect=decoded.without_effect, type=kind)
    except CallerError as error:
        return Submitted(where=where, error=error, type=kind)


def _known(value: object, names: Container[str]) -> str:
    return value if isinstance(value, str) and value in names else ""
