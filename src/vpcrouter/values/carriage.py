"""Electors and the carrier: which VRRP instances a router runs, and which of them carries its addresses.

An *elector* is the VRRP instance on one tier's device; it has the name of that device. The *carrier* is the one
elector that has the router's virtual addresses and routes, so its role is the router's. See docs/redundancy.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import UNKNOWN, Whereabouts

GENERATIONS = 7
"""So many serving priorities there are; see `materialise.keepalived`."""


@frozen(kw_only=True, order=True)
class Elector:
    """A VRRP instance on a device, and the own address that its advertisements come from."""

    device: str
    source: str
    listed: tuple[str, ...] = ()
    """Where the peer may be on that device, as the settings have it."""


@frozen(kw_only=True)
class FoundElector:
    """What a running keepalived says of one of its instances, and the own address found on its device."""

    device: str
    source: str
    """Empty if the device has none just now."""
    role: Role
    is_carrier: bool
    generation: int | None = None
    """Of a router that serves, as its priority tells; None of another."""


@frozen(kw_only=True)
class Carriage:
    """What keepalived is to run with, beside the elector that every tier has."""

    carrier: str | None = None
    """The device of the carrier; None before the first election."""
    link: str | None = None
    """The device that connections are synchronised over; None: the lowest tier's."""
    held: tuple[Elector, ...] = ()
    """Electors of tiers that are gone here: they must stay until the peer does not need them."""
    is_bridged: bool = False
    """The addresses change hands on a serving router: for a moment they are in nobody's, and routes must not go."""
    generation: int = 0
    """Counts the masters of the pair, modulo `GENERATIONS`: of two that both serve, VRRP lets the newer one go on."""
    takes_over: bool = False
    """Every elector is to win against whoever serves: that router hands its service over."""
    whereabouts: Whereabouts = UNKNOWN
    """From where the peer is listened to."""


@frozen(kw_only=True)
class PeerCarriage:
    """What the other router says of its own."""

    tiers: tuple[str, ...] = ()
    """The devices of its tiers on which an elector runs."""
    carrier: str | None = None
    target: str | None = None
    """Where its carrier is about to be: the same, or the device that it is moving to just now."""
    heard: tuple[str, ...] | None = None
    """What it has heard of our tiers last; None if nothing yet. It moves to none that it knows to be gone."""
    is_silent: bool = False
    """It has not been heard for a while; this is its last word."""
    role: Role = Role.INIT
    roles: Mapping[str, Role] = field(factory=dict)
    """What each of its electors is."""
    generation: int = 0
    contested_ns: int | None = None
    """How long both routers have said, each knowing that the other says so, that they serve; None if they do not."""
    is_senior: bool = False
    """Whether this one gives way where both could, or both must not."""

    @property
    def serves(self) -> bool:
        """Whether it says that it serves, as far as can be known now."""
        return self.role is Role.MASTER and not self.is_silent
