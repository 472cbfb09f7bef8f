"""How the command line prints, and the options that all verbs share."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import typer

_UNSEEN = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor or turns a line around, and halves of characters: JSON can write them otherwise."""


class Options(NamedTuple):
    """What was given before the verb."""

    journal: Path
    json: bool


def options(ctx: typer.Context) -> Options:
    """The options of this run."""
    found: Options = ctx.obj
    return found


@contextmanager
def standard_streams() -> Iterator[None]:
    """Around a whole run: output is UTF-8, and ends with 1 and a word of why where it finds no room.

    A stream that was closed before the start becomes /dev/null: otherwise the next file that is opened, the journal
    perhaps, would have its number, and what somebody writes there would go into that file.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        yield
    finally:
        _written("")


def _written(text: str) -> None:
    """Write to standard output; nothing means: all that is waiting there."""
    try:
        sys.stdout.write(text) if text else sys.stdout.flush()
    except OSError as error:
        # What is still to be written would fail once more, at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        fail(f"standard output: {error.strerror}")


def say(text: str = "") -> None:
    """A line for people, on standard output."""
    _written(f"{text}\n")


def say_listing(figures: Mapping[str, object]) -> None:
    """A line for each, for people: what a script reads as JSON."""
    for name, value in figures.items():
        say(f"{name:<29} {_words(value)}")


def _words(value: object) -> str:
    match value:
        case None | "" | [] | ():
            return "none"
        case bool():
            return "yes" if value else "no"
        case dict():
            return " ".join(f"{kind}={count}" for kind, count in value.items()) or "none"
        case list() | tuple():
            return ", ".join(map(_words, value))
        case _:
            return str(value)


def visible(text: str) -> str:
    """A text from outside as it may stand in a line for people: no line's end, nothing that a terminal obeys."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def say_json(value: Any) -> None:
    """A line for scripts, on standard output."""
    _say_json(json.dumps(value, ensure_ascii=False))


def say_pretty(value: Any) -> None:
    """The same, indented, for people."""
    _say_json(json.dumps(value, ensure_ascii=False, indent=2))


def _say_json(text: str) -> None:
    say(_UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def note(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{text}\n")


def fail(text: str) -> NoReturn:
    """Say what is wrong and end with 1."""
    note(f"vpcrouter: {text}")
    sys.exit(1)
