"""What two routers tell each other of their connection tables."""

from __future__ import annotations

from attrs import frozen

SAMPLE_SIZE = 32
"""Connections in a sample, four bytes each in a beacon. If a tenth of the table is missing, one sample in thirty shows
nothing of it; the next one is of others."""


@frozen(kw_only=True)
class ConnectionSample:
    """Some connections that a router has had for a while, chosen evenly; all of them where there are few."""

    number: int
    """Counts the samples of one agent."""
    epoch: int
    """Samples of one epoch are of the same connections, as long as these live."""
    total: int
    """Connections in the table that are shared with the peer."""
    hashes: tuple[int, ...]
    """32 bits of each: addresses, ports and protocol, before translation and after it."""
