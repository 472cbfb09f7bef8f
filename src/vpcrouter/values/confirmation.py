"""A change that is kept only if it is confirmed in time: what is asked of it, and when its time is up. Pure.

Time is counted by the clock that runs from the machine's boot and that nobody sets: a step of the wall clock neither
shortens nor lengthens it, and an agent that died and came back goes on with the same count. Only over a reboot does the
wall clock say how much is left, and never more than was given at first.
"""

from __future__ import annotations

from math import isfinite

from attrs import frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.checks import checked, each, within

SHORTEST_MS = 100
LONGEST_MS = 7 * 24 * 3600 * 1000
"""A change that nobody confirmed in a week is not being watched."""
LONGEST_NAME = 200


def _name(value: object, path: str) -> str:
    return fields.word(value, path, LONGEST_NAME)


def condition(value: object, path: str) -> str:
    """What confirms a change by itself: `settled`, `ping ADDRESS` or `tcp ADDRESS PORT`, in its canonical form.

    There is no program to name here: what the journal holds is carried out by root after every restart.
    """
    match value.split() if isinstance(value, str) else []:
        case ["settled"]:
            return "settled"
        case ["ping", address]:
            return f"ping {fields.address(address, path)}"
        case ["tcp", address, port] if port.isascii() and port.isdecimal():
            return f"tcp {fields.address(address, path)} {fields.port(int(port), path)}"
    raise fields.malformed(path, value, "settled, ping ADDRESS or tcp ADDRESS PORT")


def _range(value: object, path: str) -> tuple[int, int]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise MalformedInputError("a range of events is a first and a last one", where=path)
    return fields.integer(value[0], path, 0, 2**63 - 1), fields.integer(value[1], path, 0, 2**63 - 1)


def milliseconds(seconds: float, path: str) -> int:
    """A time in seconds as one of `Terms`, which bound it. Raises MalformedInputError for what is no number at all."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not isfinite(seconds):
        raise fields.malformed(path, seconds, "a time in seconds")
    return round(seconds * 1000)


@frozen(kw_only=True)
class Moment:
    """Now: by the wall clock (since 1970), and by the clock that has run since the boot of this name."""

    wall_ms: int
    boot_id: str
    boot_ms: int


@frozen(kw_only=True)
class Terms:
    """How long a change may wait for its confirmation, and what confirms it by itself."""

    within_ms: int = within(SHORTEST_MS, LONGEST_MS, 60_000)
    conditions: tuple[str, ...] = each(condition)
    """All of these at once, with the change in effect; none: only somebody who says so."""
    name: str = ""
    """What it is confirmed by; empty: the number of its last event."""

    def __attrs_post_init__(self) -> None:
        """A name is one word."""
        if self.name:
            _name(self.name, "name")


@frozen(kw_only=True)
class Confirmation:
    """A change that waits: the events after `before` up to `until`."""

    name: str = checked(_name)
    before: int = within(0, 2**63 - 1, 0)
    """The event after which the state is what it was without the change."""
    until: int = within(0, 2**63 - 1, 0)
    within_ms: int = within(SHORTEST_MS, LONGEST_MS, 60_000)
    deadline_ms: int = within(0, 2**63 - 1, 0)
    """By the wall clock, since 1970."""
    boot_id: str = checked(_name)
    boot_deadline_ms: int = within(0, 2**63 - 1, 0)
    """By the clock of that boot."""
    conditions: tuple[str, ...] = each(condition)
    beneath: tuple[tuple[int, int], ...] = each(_range)
    """Changes, as `before` and `until`, that this one was made upon and that were taken back since; newest first."""

    def due_ms(self, now: Moment) -> int:
        """When its time is up, by the clock of the present boot."""
        if now.boot_id == self.boot_id:
            return self.boot_deadline_ms
        return now.boot_ms + min(self.within_ms, max(0, self.deadline_ms - now.wall_ms))
