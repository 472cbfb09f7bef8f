"""The difference between two routers in words and as plain data: the same in the log, the status and for scripts.

    ACL eth2: here acl-replaced #42 (2026-07-13T12:03:07Z), on the peer acl-replaced #40 (2026-07-13T11:58:01Z)
    reservation 10.1.2.20: reservation-put #57 (2026-07-13T12:04:10Z) was never stored on the peer

A command is named by what it brought about, its number in the journal of the router in question, its time by that
router's clock, and the id that it was handed in with. No value is said: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from vpcrouter.values.agreement import Difference, Side, Thing, Touch

_SHOWN = 3
"""So many of the things that one command has changed are named."""


def describe_differences(differences: Iterable[Difference], peer: str) -> list[dict[str, Any]]:
    """One entry for each pair of commands; `peer`: what the other router is called.

    {"things": ["reservation 10.1.2.20"], "peer": "the peer", "here": {"present", "seq", "event", "time", "command_id"},
    "there": the same, or None if that is not known (yet), "text": all of it in words}. `seq`, `event` and `time`
    (seconds since 1970) are None where the journal has no command about it; `since` is then the record after which that
    is so.
    """
    grouped: dict[tuple[Side, Side | None], list[Thing]] = {}
    for each in differences:
        grouped.setdefault((each.here, each.there), []).append(each.thing)
    return [
        {
            "things": [str(each) for each in things],
            "peer": peer,
            "here": _plain(here),
            "there": _plain(there),
            "text": _words(things, here, there, peer),
        }
        for (here, there), things in grouped.items()
    ]


def _plain(side: Side | None) -> dict[str, Any] | None:
    if side is None or side.touch is None:
        return None
    touch, found = side.touch, bool(side.touch.event)
    return {
        "present": side.is_there,
        "seq": touch.seq if found else None,
        "event": touch.event or None,
        "time": touch.time_ms / 1000 if found else None,
        "command_id": touch.command_id,
        "since": None if found else touch.seq,
    }


def _words(things: list[Thing], here: Side, there: Side | None, peer: str) -> str:
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    what = ", ".join(str(each) for each in things[:_SHOWN]) + more
    if _is_command(here) and _is_never(there):
        return f"{what}: {_command(here)} was never stored on {peer}"
    if _is_command(there) and _is_never(here):
        return f"{what}: {_command(there)} of {peer} was never stored here"
    return f"{what}: here {_command(here)}, on {peer} {_command(there)}"


def _is_command(side: Side | None) -> bool:
    return side is not None and side.touch is not None and bool(side.touch.event)


def _is_never(side: Side | None) -> bool:
    """Whether nothing about the thing was ever stored there."""
    return side is not None and side.touch == Touch(seq=0)


def _command(side: Side | None) -> str:
    touch = None if side is None else side.touch
    if touch is None:
        return "not known yet"
    if not touch.event:
        return f"no command since #{touch.seq}" if touch.seq else "no command"
    when = datetime.fromtimestamp(touch.time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{touch.event} #{touch.seq} ({when}{f', id {touch.command_id}' if touch.command_id else ''})"
