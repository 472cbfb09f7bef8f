"""One recorded case: a folder of numbered command files, and everything that must come of them.

    about.txt                what goes in, what must come out, why
    01-commands.jsonl        goes in: one command a line, CloudStack's form or vpcrouter's own
    01-outcome.txt           one line for each command, and one for what it leaves waiting or takes along
    01-master/FILE           every generated file on the master
    01-backup.diff           how the files of the backup differ from the master's; no file: not at all
    settings.json            settings of the machine that are others than the defaults, if there are any
    02-commands.jsonl        the next step; its 02-master.diff says what differs from the files of the step before

Every output is compared, and an expectation without an output is a failure as well. Paths inside the files are those of
a router's own root.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

from vpcrouter.decide import decide
from vpcrouter.errors import CallerError
from vpcrouter.events.codec import event_name
from vpcrouter.materialise import materialise
from vpcrouter.render import render_files
from vpcrouter.state import State, evolve
from vpcrouter.submission import read_submission
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

Files = Mapping[str, str]


def outputs(case: Path) -> dict[str, str]:
    """Everything that comes of the case's commands, by its path in the folder."""
    state, before, settings = State(), None, read_settings(case / "settings.json")
    found: dict[str, str] = {}
    for commands in sorted(case.glob("[0-9][0-9]-commands.jsonl")):
        step = commands.name[:2]
        state, lines = run_commands(state, commands)
        found[f"{step}-outcome.txt"] = "".join(f"{line}\n" for line in lines)
        master = render_files(materialise(state, Role.MASTER, settings))
        backup = render_files(materialise(state, Role.BACKUP, settings))
        if before is None:
            found.update({f"{step}-master/{name}": content for name, content in master.items()})
        else:
            found[f"{step}-master.diff"] = difference(before, master)
        found[f"{step}-backup.diff"] = difference(master, backup)
        before = master
    return {name: content for name, content in found.items() if content}


def read_settings(path: Path) -> Settings:
    """The settings in a file; the defaults without one."""
    if not path.exists():
        return Settings()
    found: dict[str, Any] = json.loads(path.read_text())
    values: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in found.items()}
    return Settings(**values)


def recorded(case: Path) -> dict[str, str]:
    """What the folder says must come out."""
    return {
        str(path.relative_to(case)): path.read_text()
        for path in sorted(case.rglob("*"))
        if path.is_file()
        and path.name not in ("about.txt", "settings.json")
        and not path.name.endswith("-commands.jsonl")
    }


def rewrite(case: Path, found: Mapping[str, str]) -> None:
    """Make the folder say what came out."""
    for name in recorded(case):
        (case / name).unlink()
    for name, content in found.items():
        (case / name).parent.mkdir(exist_ok=True)
        (case / name).write_text(content)


def run_commands(state: State, path: Path) -> tuple[State, list[str]]:
    """The state after the commands of a file, and the outcome of each in words."""
    lines: list[str] = []
    for submitted in read_submission(path.read_bytes(), name=path.name):
        try:
            if submitted.command is None:
                raise submitted.error or AssertionError(f"{submitted.where} has neither command nor error")
            decision = decide(state, submitted.command)
        except CallerError as error:
            lines.append(f"rejected   {error}")
            continue
        if decision.event is not None:
            state = evolve(state, decision.event)
            lines.append(f"accepted   {event_name(decision.event)}")
        else:
            lines.append("unchanged")
        lines += [f"  pending  {each}" for each in decision.pending]
        lines += [f"  removed  {each}" for each in decision.removed]
    return state, lines


def difference(one: Files, other: Files) -> str:
    """A unified diff of two sets of files; empty if they are equal."""
    return "".join(_differences(one, other))


def _differences(one: Files, other: Files) -> Iterator[str]:
    for name in sorted(one.keys() | other.keys()):
        old, new = one.get(name), other.get(name)
        yield from unified_diff(
            [] if old is None else old.splitlines(keepends=True),
            [] if new is None else new.splitlines(keepends=True),
            "/dev/null" if old is None else name,
            "/dev/null" if new is None else name,
            n=1,
        )
