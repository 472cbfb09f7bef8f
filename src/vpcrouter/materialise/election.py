"""Which VRRP instances there are, in the order of the file, and what each is for. Pure.

Called by `materialise`; kernel, ruleset, conntrackd and keepalived all take it from here. Which one carries and which
ones are held is decided elsewhere (`machines.carriage`); what a state without such a decision gets is here: every
tier has its elector, and the lowest one carries.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from vpcrouter.materialise.vrrp_authentication import Authentication, authentication
from vpcrouter.projections.effective import Effective
from vpcrouter.projections.electors import elector
from vpcrouter.values.carriage import Carriage, Elector
from vpcrouter.values.desired import InterfaceAddress
from vpcrouter.values.fields import device_number
from vpcrouter.values.settings import Settings
from vpcrouter.values.whereabouts import Whereabouts

_MARKERS = "169.254.255"
"""The constant addresses are of the link-local range, which nobody else uses inside a VPC."""


@frozen(kw_only=True)
class Election:
    """The electors of a redundant router; there is at least one."""

    electors: tuple[Elector, ...]
    """In the order of keepalived.conf: the carrier is the first, or the lists of two would be mixed up (finding 7)."""
    carrier: str | None
    link: Elector
    """Where connections are synchronised."""
    held: tuple[Elector, ...]
    """Those without a tier."""
    is_bridged: bool
    generation: int
    takes_over: bool
    whereabouts: Whereabouts
    peers: Mapping[str, tuple[str, ...]] | None
    """By device, where the peers are spoken to, and heard from; None: by multicast, and by whoever may speak there."""
    synchronises: bool
    """Whether connections can be told to the peers."""
    authentication: Authentication | None


def elect(effective: Effective, carriage: Carriage | None, settings: Settings) -> Election | None:
    """The election; None where there is no redundancy or no tier.

    With unicast peers, an elector without a known one is kept in fault: it would be master beside a peer that it
    does not hear, and only the listed ones are known of a router that has never been heard.
    """
    config = effective.config
    if config is None or not config.redundant or not effective.tiers:
        return None
    unicast_peers = settings.unicast_peers
    tiers = {tier.device: elector(tier, unicast_peers) for tier in effective.tiers}
    if carriage is None:
        carriage = Carriage(carrier=effective.tiers[0].device)
    held = tuple(each for each in carriage.held if each.device not in tiers)
    electors = sorted(
        (*tiers.values(), *held), key=lambda each: (each.device != carriage.carrier, device_number(each.device))
    )
    links = {each.device: each for each in electors}
    return Election(
        electors=tuple(electors),
        carrier=carriage.carrier if carriage.carrier in links else None,
        link=links.get(carriage.link or carriage.carrier or "", electors[0]),
        held=held,
        is_bridged=carriage.is_bridged,
        generation=carriage.generation,
        takes_over=carriage.takes_over,
        whereabouts=carriage.whereabouts,
        peers={each.device: _peers(each, carriage.whereabouts) for each in electors} if unicast_peers else None,
        synchronises=settings.has_vxlan or not unicast_peers,
        authentication=authentication(config, settings),
    )


def _peers(each: Elector, known: Whereabouts) -> tuple[str, ...]:
    """Where it was heard comes first: that is where it is."""
    heard = (address for device, address in known.remembered if device == each.device and address != each.source)
    return tuple(dict.fromkeys((*heard, *each.listed)))


def marker(device: str) -> InterfaceAddress:
    """The one address that is advertised on a device, the same on both routers for ever (finding 2)."""
    return InterfaceAddress(device=device, address=f"{_MARKERS}.{device_number(device) % 256}/32")
