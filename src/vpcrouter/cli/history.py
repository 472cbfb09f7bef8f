"""`state`, `log` and `diff`: what the journal tells. They read only, beside a running agent and without root."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpcrouter.cli.output import fail, note, options, say, say_json, say_pretty, visible

if TYPE_CHECKING:
    from vpcrouter.past import Past

_AGO = re.compile(r"(\d+)(s|m|h|d)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_POINT = "A sequence number, a time (2026-07-13T12:00:00, UTC unless it says otherwise), or how long ago (90s, 5m, 2h)."


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("state")(state)
    app.command("log")(log)
    app.command("diff")(diff)
    app.command("revert")(revert)


def state(
    ctx: typer.Context,
    at: Annotated[str, typer.Option("--at", metavar="SEQ|TIME", help=_POINT)] = "",
) -> None:
    """Print the materialised state, now or as it was; secrets are masked."""
    from vpcrouter.projections.listing import listing

    past = _past(options(ctx).journal, at)
    found = {"seq": past.seq, "digest": past.digest, **listing(past.state)}
    (say_json if options(ctx).json else say_pretty)(found)


def log(
    ctx: typer.Context,
    since: Annotated[str, typer.Option("--since", metavar="SEQ|TIME", help=_POINT)] = "",
    kind: Annotated[str, typer.Option("--type", metavar="EVENT", help="Only events like tier-added.")] = "",
) -> None:
    """Print the events, newest last; secrets are masked."""
    from vpcrouter.events.codec import event_name, event_names
    from vpcrouter.events.sealing import Hidden
    from vpcrouter.journal import first_at, read_journal, readable_after
    from vpcrouter.projections.plain import plain

    if kind and kind not in event_names():
        raise typer.BadParameter(f"{kind!r} is no event; there are {', '.join(sorted(event_names()))}")
    seq, time_ns = parse_point(since) if since else (None, None)
    directory = existing(options(ctx).journal)
    after = max(seq - 1, 0) if seq is not None else readable_after(directory)
    if since == "" and after:
        note(f"records 1 to {after} are in an archive that is not there: see `vpcrouter journal verify`")
    if time_ns is not None:
        after = first_at(directory, time_ns) - 1
    for record in read_journal(directory, after, sealer=Hidden()):
        name = event_name(record.event)
        if kind and name != kind:
            continue
        when = moment(record.time_ns)
        body = plain(record.event)
        if options(ctx).json:
            say_json({"seq": record.seq, "time": when, "origin": record.origin, "event": name, **body})
        else:
            say(f"{record.seq:>8}  {when}  {name:<26} {_short(body)}")


def diff(
    ctx: typer.Context,
    one: Annotated[str, typer.Argument(metavar="A", help=_POINT)],
    other: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
) -> None:
    """Print what changed in the state between two points. Ends with 1 if anything did."""
    from vpcrouter.projections.listing import listing

    before, after = (_past(options(ctx).journal, point) for point in (one, other))
    changes = _changes(listing(before.state), listing(after.state))
    if options(ctx).json:
        say_json({"from": before.seq, "to": after.seq, "changes": changes})
    else:
        for change in changes:
            say(f"{change['sign']} {change['what']}: {_short(change['value'])}")
    if changes:
        sys.exit(1)


def revert(
    ctx: typer.Context,
    seq: Annotated[int, typer.Argument(metavar="SEQ", help="The event to go back to; `vpcrouter log` lists them.")],
) -> None:
    """Bring back the state as it was after event SEQ, by new events; prints a line for each.

    Through the agent where one runs, which then settles the machine; else straight into the journal.
    """
    from vpcrouter.cli.submit import open_door

    with open_door(existing(options(ctx).journal)) as door:
        for line in door.revert(seq):
            say_json(line)


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    changes = []
    for what in before:
        old, new = (value if isinstance(value, list) else [value] for value in (before[what], after[what]))
        changes += [{"sign": "-", "what": what, "value": each} for each in old if each not in new and each is not None]
        changes += [{"sign": "+", "what": what, "value": each} for each in new if each not in old and each is not None]
    return changes


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(each)}" for key, each in value.items() if each not in (None, [], {}))
    if isinstance(value, list):
        return "[" + ", ".join(_short(each) for each in value) + "]"
    return visible(str(value))


def _past(journal: Path, point: str) -> Past:
    from vpcrouter.past import replay

    seq, time_ns = parse_point(point) if point else (None, None)
    past = replay(existing(journal), until=seq, until_ns=time_ns)
    if seq is not None and past.seq != seq:
        fail(f"there is no event {seq}; the newest is {past.seq}")
    return past


def moment(time_ns: int) -> str:
    """A time in nanoseconds since 1970 as people and scripts write it, in UTC."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def existing(journal: Path) -> Path:
    """The journal's directory; it must be there, since reading makes nothing."""
    if not journal.is_dir():
        fail(f"{journal}: there is no journal (name one with --journal DIR or VPCROUTER_JOURNAL)")
    return journal


def parse_point(text: str) -> tuple[int | None, int | None]:
    """A sequence number, or a time in nanoseconds."""
    if text.isascii() and text.isdecimal():
        return int(text), None
    try:
        if match := _AGO.fullmatch(text):
            return None, time.time_ns() - int(timedelta(**{_UNITS[match[2]]: int(match[1])}).total_seconds() * 1e9)
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return None, int(when.timestamp() * 1e9)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no sequence number, time or age") from None
