"""How the command line prints, and the options that all verbs share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import typer


class Options(NamedTuple):
    """What was given before the verb."""

    journal: Path
    json: bool


def options(ctx: typer.Context) -> Options:
    """The options of this run."""
    found: Options = ctx.obj
    return found


def say(text: str = "") -> None:
    """A line for people, on standard output."""
    sys.stdout.write(f"{text}\n")


def say_json(value: Any) -> None:
    """A line for scripts, on standard output."""
    sys.stdout.write(f"{json.dumps(value, ensure_ascii=False)}\n")


def say_pretty(value: Any) -> None:
    """The same, indented, for people."""
    sys.stdout.write(f"{json.dumps(value, ensure_ascii=False, indent=2)}\n")


def note(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{text}\n")


def fail(text: str) -> NoReturn:
    """Say what is wrong and end with 1."""
    note(f"vpcrouter: {text}")
    sys.exit(1)
