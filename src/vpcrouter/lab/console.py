"""What the verbs of `vpcrouter lab` share: options, the laboratory of a run, progress, and how they print.

Called by `commands`; like it, this imports little until a verb runs. Progress goes to standard error, and only when
that is a terminal.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpcrouter.errors import CallerError

if TYPE_CHECKING:
    from vpcrouter.lab.laboratory import Laboratory, Removed, Tell

GENERAL = "vpcrouter.lab"
"""Where the context keeps --prefix and --dir that stood before the verb."""
_WIDTH = 120
"""Of a table that goes to a file or a pipe."""

Prefix = Annotated[
    str | None, typer.Option("--prefix", metavar="P", help="Beginning of all namespaces' names.  [default: vpc]")
]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Where laboratories keep their files.  [default: /run/vpcrouter-lab]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Advertisement = Annotated[
    int,
    typer.Option("--advertisement-ms", min=10, max=40950, help="VRRP advertisement interval; an outage is ~3.5 times."),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="UDP port to probe.  [default: any free one]")]


@contextmanager
def opened(ctx: typer.Context, prefix: str | None, directory: Path | None) -> Iterator[Laboratory]:
    """The laboratory of this run. A signal ends it as Ctrl-C does, so that whatever it began is undone."""
    from vpcrouter.lab.laboratory import DEFAULT_PARENT, DEFAULT_PREFIX, Laboratory

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    general_prefix, general_directory = ctx.meta[GENERAL]
    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with _progress() as tell:
            yield Laboratory(
                next((each for each in (prefix, general_prefix) if each is not None), DEFAULT_PREFIX),
                parent=directory or general_directory or DEFAULT_PARENT,
                tell=tell,
            )
    except CallerError as error:
        sys.stderr.write(f"vpcrouter: {error}\n")
        raise typer.Exit(2) from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Tell]:
    """Something that shows what is going on, while it goes on, if anyone is watching."""
    if not sys.stderr.isatty():
        from vpcrouter.lab.laboratory import tell_nobody

        yield tell_nobody
        return
    from rich.console import Console

    with Console(stderr=True).status("…") as shown:
        yield lambda what: shown.update(what)


def wants_json(ctx: typer.Context, here: bool) -> bool:
    """Whether --json was given, before or after the verb."""
    return here or (ctx.obj is not None and bool(ctx.obj.json))


def say(text: str) -> None:
    """A line for people, on standard output."""
    sys.stdout.write(f"{text}\n")


def say_json(value: Any) -> None:
    """A line for scripts, on standard output."""
    sys.stdout.write(f"{json.dumps(value, ensure_ascii=False)}\n")


def print_table(table: Any) -> None:
    """A table for people. Text in it is text: no markup."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _WIDTH, markup=False).print(table)


def answer(good: bool) -> None:
    """End with 1 unless the answer is good."""
    if not good:
        raise typer.Exit(1)


def removed_words(removed: Removed) -> str:
    """What was taken away, in words."""
    return f"{removed.namespaces} namespaces, {removed.processes} processes" + (
        " and its files" if removed.directory else ""
    )


def milliseconds(text: str) -> float:
    """A time such as 1ms, 500us, 1s; without a unit it is milliseconds."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)?", text.strip())
    if found is None or float(found[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is not a time above 0, such as 1ms, 500us or 1s", param_hint="--interval")
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2] or "ms"]
