"""What a counter has counted."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Traffic:
    """Packets, and their bytes with IP headers."""

    packets: int = 0
    bytes: int = 0
