"""The part of the state that can take effect, sorted; and what is pending, with what it waits for.

`materialise` takes everything from here and so never meets a reference to something that is not there.

Of kinds of which there may be thousands, only what changed since the last call is looked at (`values.incremental`), as
long as what they refer to is the same: the tiers, the networks of the public side.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TypeVar

from attrs import evolve as with_changes
from attrs import frozen

from vpcrouter import references
from vpcrouter.state import State, StateView
from vpcrouter.values import networks
from vpcrouter.values.balancing import Balancer, BalancerRule, StatisticsPage
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.config import (
    Acl,
    FirewallRule,
    Ipv6FirewallRule,
    PortForward,
    PublicAddress,
    Reservation,
    RouterConfig,
    StaticNat,
    StaticRoute,
    Tier,
)
from vpcrouter.values.fields import device_number
from vpcrouter.values.forwarding import place_among_forwards
from vpcrouter.values.guests import GuestPages
from vpcrouter.values.incremental import Sorted
from vpcrouter.values.vpn import RemoteAccess, SiteVpn, VpnUser


@frozen(kw_only=True)
class Pending:
    """Something that is stored and has no effect yet."""

    what: str
    waits_for: str

    def __str__(self) -> str:
        return f"{self.what} waits for {self.waits_for}"


@frozen(kw_only=True)
class RoutedVia:
    """A static route with the device its next hop is behind.

    `virtual`: the next hop is on the public side, where only the master has an address.
    """

    network: str
    gateway: str
    device: str
    virtual: bool


@frozen(kw_only=True)
class Effective:
    """What can take effect. Devices are in the order of their number, addresses in numeric order."""

    config: RouterConfig | None
    tiers: tuple[Tier, ...]
    """The first is the lowest: VRRP runs there."""
    public_addresses: tuple[PublicAddress, ...]
    source_nat_address: str | None
    """The true one, if it is attached."""
    acls: Mapping[str, Acl]
    forwards: tuple[PortForward, ...]
    static_nats: tuple[StaticNat, ...]
    routes: tuple[RoutedVia, ...]
    reservations: Mapping[str, tuple[Reservation, ...]]
    """By the tier's device."""
    firewall_rules: tuple[FirewallRule, ...]
    """By number."""
    ipv6_firewall_rules: tuple[Ipv6FirewallRule, ...]
    """By number."""
    released: tuple[str, ...]
    balancer_rules: tuple[BalancerRule, ...] = ()
    statistics_pages: tuple[StatisticsPage, ...] = ()
    most_balanced_connections: int = 0
    guest_pages: tuple[GuestPages, ...] = ()
    has_guest_passwords: bool = False
    """Whether some guest was given a password, fetched or not."""
    site_vpns: tuple[SiteVpn, ...] = ()
    remote_access: RemoteAccess | None = None
    vpn_users: tuple[VpnUser, ...] = ()
    bgp_peerings: tuple[BgpPeering, ...] = ()


def effective(view: StateView) -> Effective:
    """Everything that refers only to what is there."""
    public = view.public_addresses
    hidden = references.source_nat_address(view)
    balancer = view.balancer or Balancer()
    tiers = State(router=view.router, tiers=dict(view.tiers))
    forwards = _FORWARDS.of(chain.from_iterable(view.forwards.values()), tiers)
    nats = _STATIC_NATS.of(view.static_nats.values(), tiers)
    reservations = _RESERVATIONS.of(view.reservations.values(), tiers)
    return Effective(
        config=view.router,
        tiers=tuple(sorted(view.tiers.values(), key=lambda tier: device_number(tier.device))),
        public_addresses=_PUBLIC_ADDRESSES.of(public.values()),
        source_nat_address=hidden if hidden in public else None,
        acls={
            device: acl
            for device, acl in sorted(view.acls.items(), key=lambda item: device_number(item[0]))
            if references.missing(view, acl) is None
        },
        forwards=tuple(each for each in forwards if each.address in public),
        static_nats=tuple(each for each in nats if each.address in public),
        routes=_ROUTES.of(view.routes.values(), with_changes(tiers, public_addresses=_one_for_each_network(public))),
        reservations=_by_device(view, reservations),
        firewall_rules=_FIREWALL_RULES.of(
            view.firewall_rules.values(), with_changes(tiers, public_addresses=dict(public))
        ),
        ipv6_firewall_rules=_IPV6_FIREWALL_RULES.of(view.ipv6_firewall_rules.values(), tiers),
        released=tuple(sorted(view.released, key=device_number)),
        balancer_rules=tuple(each for each in balancer.rules if references.missing(view, each) is None),
        statistics_pages=tuple(each for each in balancer.pages if references.missing(view, each) is None),
        most_balanced_connections=balancer.most_connections,
        guest_pages=_GUEST_PAGES.of(view.guest_pages.values(), tiers),
        has_guest_passwords=bool(view.guest_passwords),
        site_vpns=tuple(
            view.site_vpns[peer]
            for peer in sorted(view.site_vpns, key=networks.parse_address)
            if references.missing(view, view.site_vpns[peer]) is None
        ),
        remote_access=next(
            (each for each in view.remote_accesses.values() if references.missing(view, each) is None), None
        ),
        vpn_users=_VPN_USERS.of(view.vpn_users.values()),
        bgp_peerings=tuple(_peerings(view)),
    )


_Kind = TypeVar("_Kind", bound=references.Referring)


def _if_there(thing: _Kind, view: StateView) -> tuple[_Kind, ...]:
    return (thing,) if references.missing(view, thing) is None else ()


_Translated = TypeVar("_Translated", PortForward, StaticNat)


def _if_guest_is_there(thing: _Translated, view: StateView) -> tuple[_Translated, ...]:
    """Whether its public address is there is looked at apart: public addresses come and go with translations."""
    return (thing,) if references.guest_missing(view, thing.target) is None else ()


def _one_for_each_network(public: Mapping[str, PublicAddress]) -> dict[str, PublicAddress]:
    """Enough to say by which device a next hop is reached, and the same whatever comes to a network that is there."""
    found: dict[str, PublicAddress] = {}
    for each in public.values():
        found.setdefault(each.network, each)
    return found


def _number(address: str) -> networks.Address:
    return networks.parse_address(address)


def pending(view: StateView) -> tuple[Pending, ...]:
    """What is stored and waits, in a fixed order."""
    waiting = []
    if view.router is None and (view.tiers or view.public_addresses):
        waiting.append(Pending(what="everything", waits_for="the boot parameters (cmd_line)"))
    hidden = references.source_nat_address(view)
    if hidden is not None and hidden not in view.public_addresses:
        waiting.append(Pending(what="source NAT", waits_for=f"the public address {hidden}"))
    return (*waiting, *_pending_references(view))


def _pending_references(view: StateView) -> Iterator[Pending]:
    return (
        Pending(what=references.describe(thing), waits_for=waits_for)
        for thing in _referring(view)
        if (waits_for := references.missing(view, thing)) is not None
    )


def _referring(view: StateView) -> Iterator[references.Referring]:
    yield from (view.acls[device] for device in sorted(view.acls, key=device_number))
    for address in sorted(view.forwards, key=networks.parse_address):
        yield from view.forwards[address]
    yield from (view.static_nats[address] for address in sorted(view.static_nats, key=networks.parse_address))
    yield from (view.routes[network] for network in sorted(view.routes))
    yield from (view.reservations[address] for address in sorted(view.reservations, key=networks.parse_address))
    yield from (rule for _, rule in sorted(view.firewall_rules.items()))
    yield from (rule for _, rule in sorted(view.ipv6_firewall_rules.items()))
    if view.balancer is not None:
        yield from view.balancer.rules
        yield from view.balancer.pages
    yield from (view.guest_pages[address] for address in sorted(view.guest_pages, key=networks.parse_address))
    for address in sorted(view.guest_passwords, key=networks.parse_address):
        if not view.guest_passwords[address].fetched:
            yield view.guest_passwords[address]
    yield from (view.site_vpns[peer] for peer in sorted(view.site_vpns, key=networks.parse_address))
    yield from view.remote_accesses.values()
    yield from view.bgp_peerings


def _routed(route: StaticRoute, view: StateView) -> Iterator[RoutedVia]:
    if references.missing(view, route) is not None:
        return
    if tier := references.tier_of(view, route.gateway):
        yield RoutedVia(network=route.network, gateway=route.gateway, device=tier.device, virtual=False)
    elif public := references.public_side_of(view, route.gateway):
        yield RoutedVia(network=route.network, gateway=route.gateway, device=public.device, virtual=True)


_PUBLIC_ADDRESSES: Sorted[PublicAddress, PublicAddress] = Sorted(
    lambda each: (each,), key=lambda each: (device_number(each.device), _number(each.address))
)
_FORWARDS: Sorted[PortForward, PortForward] = Sorted(
    _if_guest_is_there, key=lambda each: (_number(each.address), place_among_forwards(each))
)
_STATIC_NATS: Sorted[StaticNat, StaticNat] = Sorted(_if_guest_is_there, key=lambda each: _number(each.address))
_ROUTES: Sorted[StaticRoute, RoutedVia] = Sorted(
    lambda route, view: _routed(route, view), key=lambda each: each.network
)
_RESERVATIONS: Sorted[Reservation, Reservation] = Sorted(
    lambda each, view: (each,) if references.tier_of_guest(view, each.address) else (),
    key=lambda each: _number(each.address),
)
_FIREWALL_RULES: Sorted[FirewallRule, FirewallRule] = Sorted(_if_there, key=lambda each: each.rule_id)
_IPV6_FIREWALL_RULES: Sorted[Ipv6FirewallRule, Ipv6FirewallRule] = Sorted(_if_there, key=lambda each: each.rule_id)
_GUEST_PAGES: Sorted[GuestPages, GuestPages] = Sorted(_if_there, key=lambda each: _number(each.address))
_VPN_USERS: Sorted[VpnUser, VpnUser] = Sorted(lambda each: (each,), key=lambda each: each.name)


def _peerings(view: StateView) -> Iterator[BgpPeering]:
    """Neighbours are spoken to before all tiers are there; they are told of those that are."""
    networks4 = {tier.network for tier in view.tiers.values()}
    networks6 = {tier.ipv6.network for tier in view.tiers.values() if tier.ipv6 is not None}
    for each in view.bgp_peerings:
        yield with_changes(
            each,
            network4=each.network4 if each.network4 in networks4 else None,
            network6=each.network6 if each.network6 in networks6 else None,
        )


def _by_device(view: StateView, sorted_by_address: tuple[Reservation, ...]) -> dict[str, tuple[Reservation, ...]]:
    """Tiers are pieces of what is sorted by address: networks that do not overlap."""
    found = {}
    for device, tier in sorted(view.tiers.items(), key=lambda item: device_number(item[0])):
        network = networks.parse_network(tier.network)
        first = bisect_left(sorted_by_address, network.network_address, key=lambda each: _number(each.address))
        last = bisect_right(sorted_by_address, network.broadcast_address, key=lambda each: _number(each.address))
        if first < last:
            found[device] = sorted_by_address[first:last]
    return found
