"""What goes into the journal and what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from attrs import frozen

from vpcrouter.events import Event


class Entry(NamedTuple):
    """One event to append. `origin` says who asked, `command_id` what was asked; both at most 255 bytes."""

    event: Event
    origin: str = ""
    command_id: str = ""


@frozen(kw_only=True)
class JournalRecord:
    """One event as it was appended; `time_ns` is the writer's clock, nanoseconds since 1970."""

    seq: int
    time_ns: int
    origin: str
    command_id: str
    event: Event


@frozen(kw_only=True)
class TornTail:
    """An unfinished last group that was cut when the journal was opened: nothing of it was ever acknowledged."""

    segment: Path
    offset: int
    size: int
    kept: Path
    """The file that holds the cut bytes now."""
    reason: str
