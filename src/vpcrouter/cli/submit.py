"""`vpcrouter submit`: hand in commands, through the agent where one runs, else straight into the journal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from vpcrouter.cli.output import fail, options, say_json
from vpcrouter.client import AgentClient, find_agent, read_command_file
from vpcrouter.errors import HostError

EPILOG = """Examples:

  vpcrouter submit guest_network.json network_acl.json

  vpcrouter submit VR-1b4e28ba.cfg --wait 5

  echo '{"command": "remove-tier", "device": "eth9", "network": "10.1.9.0/24"}' | vpcrouter submit -
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("submit", epilog=EPILOG)(submit)


def submit(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE…|-", help="Command files; - is standard input.")],
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="Wait until the machine is settled, at most so long.")
    ] = 0.0,
) -> None:
    """Store commands: CloudStack's JSON files, aggregated .cfg files, or JSON lines.

    Prints one JSON line for each command: {"seq", "status", "event", "error"}, status being accepted, unchanged
    or rejected. What is accepted is durable. Ends with 1 if any command was rejected.
    """
    rejected, seq = False, 0
    contents = list(_read(files))  # all of them before the first is stored
    with open_door(options(ctx).journal) as door:
        for name, data in contents:
            for line in door.submit(name, data):
                say_json(line)
                rejected |= line["status"] == "rejected"
                seq = max(seq, line["seq"] or 0)
        if wait > 0 and not door.settled(seq, wait)["settled"]:
            fail(f"not settled after {wait:g} s; see `vpcrouter status`")
    if rejected:
        sys.exit(1)


def _read(files: list[str]) -> Iterator[tuple[str, str]]:
    for name in files:
        if name == "-":
            yield name, sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
        else:
            yield name, read_command_file(Path(name))


class JournalDoor:
    """Straight into the journal, where no agent runs. Looks like an AgentClient."""

    def __init__(self, journal: Path) -> None:
        from vpcrouter.router import Router

        self._router = Router.open(journal)

    def submit(self, name: str, data: str) -> list[dict[str, Any]]:
        """One receipt for each command of the file."""
        from vpcrouter.receipt import Receipt, rejection
        from vpcrouter.submission import read_submission

        lines = []
        for each in read_submission(data, name=name):
            result = self._router.submit_each([each.command], origin="command line")[0] if each.command else each.error
            line = result.as_dict() if isinstance(result, Receipt) else rejection(str(result))
            lines.append({**line, "where": each.where})
        return lines

    def revert(self, seq: int) -> list[dict[str, Any]]:
        """One receipt for each event that it took."""
        return [receipt.as_dict() for receipt in self._router.revert(seq, origin="command line")]

    def settled(self, seq: int, timeout: float) -> dict[str, Any]:
        """Nobody settles without an agent."""
        fail("no agent runs on this journal, so nothing will settle; try `vpcrouter apply`")

    def __enter__(self) -> JournalDoor:
        return self

    def __exit__(self, *_: object) -> None:
        self._router.close()


def open_door(journal: Path) -> AgentClient | JournalDoor:
    path = find_agent(journal)
    if path is not None:
        try:
            return AgentClient(path)
        except HostError:
            pass  # the lock file of an agent that is gone; the lock itself decides
    return JournalDoor(journal)
