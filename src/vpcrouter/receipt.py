"""What a caller gets back for a command."""

from __future__ import annotations

from typing import Any, NamedTuple


class Receipt(NamedTuple):
    """The acknowledgement of one command: what it says is durable."""

    seq: int
    """Of the event; of the newest event if nothing had to change."""
    status: str
    """`accepted` or `unchanged`."""
    event: str | None = None
    """The kind of event, such as `tier-added`."""
    pending: tuple[str, ...] = ()
    """What is stored and waits for something that has not arrived."""
    removed: tuple[str, ...] = ()
    """What went along with what the command removed."""
    confirmation: str = ""
    """What the change must be confirmed by, or it is taken back at `confirm_by_ms`, by the wall clock since 1970."""
    confirm_by_ms: int = 0
    unconfirmed: tuple[str, ...] = ()
    """Nothing had to change, but perhaps only thanks to these changes, which may yet be taken back."""

    def as_dict(self) -> dict[str, Any]:
        """As the command line prints it."""
        line: dict[str, Any] = {"seq": self.seq, "status": self.status, "event": self.event, "error": None}
        if self.pending:
            line["pending"] = list(self.pending)
        if self.removed:
            line["removed"] = list(self.removed)
        if self.confirmation:
            line["confirmation"] = self.confirmation
            line["confirm_by_ms"] = self.confirm_by_ms
        if self.unconfirmed:
            line["unconfirmed"] = list(self.unconfirmed)
        return line


def rejection(error: str) -> dict[str, Any]:
    """The same for a command that was refused."""
    return {"seq": None, "status": "rejected", "event": None, "error": error}
