"""`vpcrouter submit`: hand in commands, through the agent where one runs, else straight into the journal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vpcrouter.cli.history import existing
from vpcrouter.cli.output import fail, note, options, say_json
from vpcrouter.client import AgentClient, find_agent, read_command_file
from vpcrouter.errors import HostError

EPILOG = """Examples:

  vpcrouter submit guest_network.json network_acl.json

  vpcrouter submit VR-1b4e28ba.cfg --wait 5

  vpcrouter submit acl.json --confirm-within 60s     # and then, if all is well: vpcrouter confirm

  echo '{"command": "remove-tier", "device": "eth9", "network": "10.1.9.0/24"}' | vpcrouter submit -
"""

_SPAN = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("submit", epilog=EPILOG)(submit)
    app.command("confirm")(confirm)


def submit(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE…|-", help="Command files; - is standard input.")],
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="Wait until the machine is settled, at most so long.")
    ] = 0.0,
    command_id: Annotated[
        str, typer.Option("--command-id", metavar="ID", help="Do it once: a repeated ID gets the first answer.")
    ] = "",
    expect_seq: Annotated[
        int | None, typer.Option("--expect-seq", metavar="N", min=0, help="Only if N is the newest event.")
    ] = None,
    confirm_within: Annotated[
        str,
        typer.Option(
            "--confirm-within",
            metavar="TIME",
            help="Make it one change, taken back after TIME (60s, 5m) unless `vpcrouter confirm` comes before.",
        ),
    ] = "",
    confirm_if: Annotated[
        list[str] | None,
        typer.Option(
            "--confirm-if",
            metavar="CONDITION",
            help="Confirm it without a person: settled, 'ping ADDRESS', 'tcp ADDRESS PORT'; given twice, both.",
        ),
    ] = None,
) -> None:
    """Store commands: CloudStack's JSON files, aggregated .cfg files, or JSON lines.

    Prints one JSON line for each command: {"seq", "status", "event", "error"}, status being accepted, unchanged
    or rejected. What is accepted is durable. Ends with 1 if any command was rejected.
    """
    rejected, seq, waits_for = False, 0, ""
    asked = _asked(command_id, expect_seq, confirm_within, confirm_if)
    contents = list(_read(files))  # all of them before the first is stored
    with open_door(options(ctx).journal) as door:
        parts = [contents] if asked else [[each] for each in contents]
        for line in (line for part in parts for line in door.submit_files(part, **asked)):
            say_json(line)
            rejected |= line["status"] == "rejected"
            seq = max(seq, line["seq"] or 0)
            waits_for = line.get("confirmation", waits_for)
        if waits_for:
            note(f"taken back unless `vpcrouter confirm {waits_for}` comes in time; of a pair, on each router")
        if wait > 0 and not door.settled(seq, wait)["settled"]:
            fail(f"not settled after {wait:g} s; see `vpcrouter status`")
    if rejected:
        sys.exit(1)


def confirm(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="The changes; not needed if one alone waits.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All changes that wait.")] = False,
    take_back: Annotated[bool, typer.Option("--take-back", help="Take them back now instead.")] = False,
) -> None:
    """Keep changes that were submitted with --confirm-within; prints a line for each."""
    with open_door(existing(options(ctx).journal)) as door:
        waiting = [each["confirmation"] for each in door.unconfirmed()]
        chosen = names or (waiting if everything or len(waiting) == 1 else [])
        if not chosen:
            fail(f"name one of them, or --all: {', '.join(waiting)}" if waiting else "no change waits for confirmation")
        for name in reversed(chosen) if take_back else chosen:
            for line in door.take_back(name) if take_back else door.confirm(name):
                say_json({**line, "confirmation": name})
        for name in door.unconfirmed_by_peer():
            note(f"the other router still waits for `vpcrouter confirm {name}`: each takes its own back")


def _asked(
    command_id: str, expect_seq: int | None, confirm_within: str, confirm_if: list[str] | None
) -> dict[str, Any]:
    """What is asked beside the commands, as the agent takes it."""
    asked: dict[str, Any] = {}
    if command_id:
        asked["command_id"] = command_id
    if expect_seq is not None:
        asked["expected_seq"] = expect_seq
    if confirm_within:
        asked["confirm_within_ms"] = _span_ms(confirm_within)
        asked["confirm_if"] = confirm_if or []
    elif confirm_if:
        raise typer.BadParameter("--confirm-if needs --confirm-within: how long may it take?")
    return asked


def _span_ms(text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no span of time like 60s or 5m")
    return int(match[1]) * _MS[match[2]]


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
        return self.submit_files([(name, data)])

    def submit_files(self, files: Sequence[tuple[str, str]], **asked: Any) -> list[dict[str, Any]]:
        """One receipt for each command of the files. A deadline needs an agent: nobody else is there to keep it."""
        from vpcrouter import desk

        handed = desk.read_request({"files": files, **asked})
        if handed.terms is not None:
            fail("no agent runs on this journal, so nobody would take the change back in time (start `vpcrouter run`)")
        return desk.submit(self._router, [handed], origin="command line")[0]

    def confirm(self, name: str) -> list[dict[str, Any]]:
        """Keep a change whose agent is not there now; what is overdue is taken back instead."""
        return [self._router.confirm(name, origin="command line").as_dict()]

    def take_back(self, name: str) -> list[dict[str, Any]]:
        """Take a change back; the next agent settles the machine."""
        return [self._router.take_back(name, origin="command line").as_dict()]

    def unconfirmed(self) -> list[dict[str, Any]]:
        """The changes that wait, oldest first."""
        from vpcrouter.confirming import describe

        return describe(self._router)

    def unconfirmed_by_peer(self) -> list[str]:
        """Nobody hears the peer without an agent."""
        return []

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
