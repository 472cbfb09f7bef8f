"""What refers to what: where an address lies, and what something still waits for.

A command may refer to what has not arrived yet, or name an address that is this router's own. It is stored all the
same and is *pending* until that changes: `missing` says what it waits for, in words for the receipt and the status.
`decide` asks it about one thing, `projections.effective` about all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.state import StateView
from vpcrouter.values import networks
from vpcrouter.values.balancing import BalancerRule, StatisticsPage
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.config import (
    Acl,
    FirewallRule,
    Ipv6FirewallRule,
    PortForward,
    PublicAddress,
    Reservation,
    StaticNat,
    StaticRoute,
    Tier,
)
from vpcrouter.values.guests import GuestPages, GuestPassword
from vpcrouter.values.vpn import Far, RemoteAccess, SiteVpn

Referring = (
    Acl
    | PortForward
    | StaticNat
    | StaticRoute
    | Reservation
    | FirewallRule
    | Ipv6FirewallRule
    | GuestPages
    | GuestPassword
    | SiteVpn
    | RemoteAccess
    | BgpPeering
    | BalancerRule
    | StatisticsPage
)
"""What can be pending."""


def tier_of(view: StateView, address: str) -> Tier | None:
    """The tier in whose network the address lies."""
    for tier in view.tiers.values():
        if networks.holds(tier.network, address):
            return tier
    return None


def public_side_of(view: StateView, address: str) -> PublicAddress | None:
    """An address of the router in whose public (or private gateway's) network the address lies."""
    return next((each for each in view.public_addresses.values() if networks.holds(each.network, address)), None)


def source_nat_address(view: StateView) -> str | None:
    """The true source NAT address, whether it is attached or not.

    It is the boot parameters' where they name one. Otherwise it is the lowest public address that came marked:
    a redundant router's commands mark the first address of each command, so a mark alone proves little, and the
    lowest does not depend on the order of arrival.
    """
    if view.router is not None and view.router.source_nat_address is not None:
        return view.router.source_nat_address
    marked = [each.address for each in view.public_addresses.values() if each.source_nat and not each.private_gateway]
    return min(marked, key=networks.parse_address, default=None)


def missing(view: StateView, thing: Referring) -> str | None:
    """What the thing waits for, in words; None if everything it refers to is there."""
    match thing:
        case Acl(device=device):
            known = device in view.tiers or any(
                each.device == device and each.private_gateway for each in view.public_addresses.values()
            )
            return None if known else f"a tier or private gateway on {device}"
        case PortForward(address=address, target=target) | StaticNat(address=address, target=target):
            if address not in view.public_addresses:
                return f"the public address {address}"
            return guest_missing(view, target)
        case StaticRoute(gateway=gateway):
            if tier := tier_of(view, gateway):
                return _not_ours(tier, gateway)
            return None if public_side_of(view, gateway) else f"a network that holds the next hop {gateway}"
        case Reservation(address=address) | GuestPages(address=address) | GuestPassword(address=address):
            return guest_missing(view, address)
        case BalancerRule(address=address):
            return None if address in view.public_addresses else f"the public address {address}"
        case StatisticsPage(address=address):
            return None if address in _own_addresses(view) else f"an address {address} of this router"
        case FirewallRule(address=address):
            return _firewall_missing(view, address)
        case Ipv6FirewallRule(network=network):
            there = any(tier.ipv6 is not None and tier.ipv6.network == network for tier in view.tiers.values())
            return None if there else f"a tier with the network {network}"
        case SiteVpn(address=address) | RemoteAccess(address=address):
            return None if address in view.public_addresses else f"the public address {address}"
        case BgpPeering():
            return _peering_missing(view, thing)


def _firewall_missing(view: StateView, address: str) -> str | None:
    if view.router is not None and not view.router.filters_public_addresses:
        return "boot parameters with vpc_firewall_enabled=true"
    public = view.public_addresses.get(address)
    return f"the public address {address}" if public is None or public.private_gateway else None


def _peering_missing(view: StateView, peering: BgpPeering) -> str | None:
    if peering.ipv4 is not None and source_nat_address(view) not in view.public_addresses:
        return "the source NAT address, which neighbours know the router by"
    networks4 = {tier.network for tier in view.tiers.values()}
    networks6 = {tier.ipv6.network for tier in view.tiers.values() if tier.ipv6 is not None}
    for network, there in ((peering.network4, networks4), (peering.network6, networks6)):
        if network is not None and network not in there:
            return f"the tier {network}"
    return None


def far_of(thing: SiteVpn | RemoteAccess) -> tuple[Far, ...]:
    """What is reached through its tunnels."""
    found = thing.remote_networks if isinstance(thing, SiteVpn) else thing.clients
    return tuple(Far(describe(thing), network) for network in found)


def far_networks(view: StateView) -> Iterator[Far]:
    """Everything that is reached through a tunnel."""
    for vpn in view.site_vpns.values():
        yield from far_of(vpn)
    for access in view.remote_accesses.values():
        yield from far_of(access)


def guest_missing(view: StateView, guest: str) -> str | None:
    """What waits for that guest's address waits for this; None if a guest can have it."""
    tier = tier_of(view, guest)
    return f"a tier that holds {guest}" if tier is None else _not_ours(tier, guest)


def _own_addresses(view: StateView) -> frozenset[str]:
    own = {*view.public_addresses, *(a for tier in view.tiers.values() for a in (tier.gateway, tier.address))}
    if view.router is not None and view.router.control_address is not None:
        own.add(view.router.control_address.partition("/")[0])
    return frozenset(own)


def tier_of_guest(view: StateView, guest: str) -> Tier | None:
    """The tier of a guest's address; None while the address is none that a guest can have there."""
    tier = tier_of(view, guest)
    return tier if tier is not None and _not_ours(tier, guest) is None else None


def _not_ours(tier: Tier, address: str) -> str | None:
    """The own address of a router is its own affair: the peer cannot refuse for it, so neither does this router."""
    return f"another address than this router's own on {tier.device}, {address}" if address == tier.address else None


def describe(thing: Referring) -> str:
    """The thing in a few words, the same ones wherever it is spoken of."""
    match thing:
        case Acl(device=device):
            return f"ACL of {device}"
        case PortForward():
            ports = str(thing.first_port)
            if thing.last_port != thing.first_port:
                ports = f"{ports}-{thing.last_port}"
            return f"port forwarding {thing.address} {thing.protocol} {ports}"
        case StaticNat():
            return f"static NAT {thing.address}"
        case StaticRoute():
            return f"static route {thing.network}"
        case Reservation():
            return f"reservation {thing.address}"
        case FirewallRule():
            return f"firewall rule {thing.rule_id} of {thing.address}"
        case Ipv6FirewallRule():
            return f"firewall rule {thing.rule_id} of {thing.network}"
        case GuestPages():
            return f"metadata of the guest {thing.address}"
        case GuestPassword():
            return f"password of the guest {thing.address}"
        case SiteVpn():
            return f"site-to-site VPN to {thing.peer}"
        case RemoteAccess():
            return f"remote access at {thing.address}"
        case BgpPeering():
            return f"BGP neighbour {thing.ipv4 or thing.ipv6} (AS {thing.as_number}), tier {thing.network_id}"
        case BalancerRule():
            return f"load balancer {thing.address}:{thing.port}"
        case StatisticsPage():
            return f"statistics {thing.address}:{thing.port}"
