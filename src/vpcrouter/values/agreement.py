"""What two routers tell each other of their configuration when it differs."""

from __future__ import annotations

from attrs import frozen

WINDOW_SIZE = 128
"""Hashes in a window, of four bytes each: half of what fits into a packet."""


@frozen(kw_only=True)
class Window:
    """All things of a router whose hashes lie in a range."""

    low: int
    high: int
    """Not included."""
    hashes: tuple[int, ...]
