"""What a router can lose that it needs to serve, and how much each thing counts; see docs/redundancy.md."""

from __future__ import annotations

from attrs import frozen

LINK_POINTS = 1
"""One tier or private gateway of several: whoever has lost more of them hands over."""
FAULT_POINTS = 2
"""Something on this machine cannot be made as configured."""
WAY_OUT_POINTS = 4
"""Every tier's way to the Internet."""
JOURNAL_POINTS = 4
"""It serves what it knows, but takes no more commands."""

GATEWAY = "gateway"
JOURNAL = "journal"
FAULTS = "faults"


@frozen(kw_only=True)
class Fault:
    """Something that failed on this machine."""

    what: str
    is_of_kind: bool = False
    """No machine of this kind can do it. It shows on the router that serves only, and the peer is such a machine too:
    handing over for it would go to and fro for ever."""

    def __str__(self) -> str:
        return self.what


@frozen(kw_only=True, order=True)
class Loss:
    """One thing that is lost."""

    subject: str
    """`eth3`, `gateway`, …: what it is about; one subject counts once."""
    points: int
    reason: str
    after_ms: int
    """It counts when it has lasted so long."""
