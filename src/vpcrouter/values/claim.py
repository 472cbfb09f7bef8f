"""Somebody on a network says by ARP that an address is its own."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True, order=True)
class Claim:
    """Who said so of which address, and on which device it was heard."""

    device: str
    address: str
    mac: str
