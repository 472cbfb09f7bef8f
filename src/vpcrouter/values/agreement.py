"""What two routers tell each other of their configuration when it differs."""

from __future__ import annotations

from attrs import frozen

WINDOW_SIZE = 128
"""Hashes in a window, of four bytes each: half of what fits into a packet."""
MOST_TRACED = 20
"""So many of the things that a router alone has are looked up and told; whoever differs in more has lost a burst."""
TRACES = 6
"""In a beacon: about 600 bytes."""
MAX_KEY, MAX_EVENT, MAX_COMMAND_ID = 80, 40, 40
"""Characters. A thing with a longer key is not told, a longer id is cut off."""


@frozen(kw_only=True)
class Window:
    """All things of a router whose hashes lie in a range."""

    low: int
    high: int
    """Not included."""
    hashes: tuple[int, ...]


@frozen(order=True)
class Thing:
    """What stands in one place of the configuration that routers share: `reservation` `10.1.2.30`. Never a secret."""

    kind: str
    key: str = ""
    """Which one of the kind; empty where there is one at most."""

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".rstrip()


@frozen(kw_only=True)
class Touch:
    """The command that last changed a thing, as the journal of one router has it; or that there is none."""

    seq: int
    """Its number in that journal; of none, the record after which there is none: 0 if there never was one."""
    event: str = ""
    """What it brought about, as `acl-replaced`; empty for none."""
    time_ms: int = 0
    """When it was stored, since 1970 by that router's clock."""
    command_id: str = ""
    """By which the one who handed it in knows it, if it has any."""


@frozen(kw_only=True)
class Trace:
    """What one router says of one thing in which it differs from another."""

    thing: Thing
    hash: int | None
    """32 bits of what it has there; None if it has nothing there."""
    touch: Touch


@frozen(kw_only=True)
class Side:
    """How a thing is on one of two routers."""

    is_there: bool
    touch: Touch | None = None
    """None if it is not known (yet)."""


@frozen(kw_only=True)
class Difference:
    """One thing that is not the same on two routers."""

    thing: Thing
    here: Side
    there: Side | None
    """None if the other one has not told (yet)."""
