"""The part of the state that can take effect, sorted; and what is pending, with what it waits for.

`materialise` takes everything from here and so never meets a reference to something that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from attrs import evolve as with_changes
from attrs import frozen

from vpcrouter import references
from vpcrouter.state import StateView
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
    Tier,
)
from vpcrouter.values.fields import device_number
from vpcrouter.values.guests import GuestPages
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
    return Effective(
        config=view.router,
        tiers=tuple(sorted(view.tiers.values(), key=lambda tier: device_number(tier.device))),
        public_addresses=tuple(
            sorted(
                public.values(),
                key=lambda each: (device_number(each.device), networks.parse_address(each.address)),
            )
        ),
        source_nat_address=hidden if hidden in public else None,
        acls={
            device: acl
            for device, acl in sorted(view.acls.items(), key=lambda item: device_number(item[0]))
            if references.missing(view, acl) is None
        },
        forwards=tuple(
            each
            for address in sorted(view.forwards, key=networks.parse_address)
            for each in view.forwards[address]
            if references.missing(view, each) is None
        ),
        static_nats=tuple(
            view.static_nats[address]
            for address in sorted(view.static_nats, key=networks.parse_address)
            if references.missing(view, view.static_nats[address]) is None
        ),
        routes=tuple(_routes(view)),
        reservations=_reservations(view),
        firewall_rules=tuple(_there(view, view.firewall_rules)),
        ipv6_firewall_rules=tuple(_there(view, view.ipv6_firewall_rules)),
        released=tuple(sorted(view.released, key=device_number)),
        balancer_rules=tuple(each for each in balancer.rules if references.missing(view, each) is None),
        statistics_pages=tuple(each for each in balancer.pages if references.missing(view, each) is None),
        most_balanced_connections=balancer.most_connections,
        guest_pages=tuple(
            view.guest_pages[address]
            for address in sorted(view.guest_pages, key=networks.parse_address)
            if references.missing(view, view.guest_pages[address]) is None
        ),
        has_guest_passwords=bool(view.guest_passwords),
        site_vpns=tuple(
            view.site_vpns[peer]
            for peer in sorted(view.site_vpns, key=networks.parse_address)
            if references.missing(view, view.site_vpns[peer]) is None
        ),
        remote_access=next(
            (each for each in view.remote_accesses.values() if references.missing(view, each) is None), None
        ),
        vpn_users=tuple(view.vpn_users[name] for name in sorted(view.vpn_users)),
        bgp_peerings=tuple(_peerings(view)),
    )


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


_Rule = TypeVar("_Rule", FirewallRule, Ipv6FirewallRule)


def _there(view: StateView, rules: Mapping[int, _Rule]) -> Iterator[_Rule]:
    return (rule for _, rule in sorted(rules.items()) if references.missing(view, rule) is None)


def _routes(view: StateView) -> Iterator[RoutedVia]:
    for network in sorted(view.routes):
        route = view.routes[network]
        if references.missing(view, route) is not None:
            continue
        if tier := references.tier_of(view, route.gateway):
            yield RoutedVia(network=network, gateway=route.gateway, device=tier.device, virtual=False)
        elif public := references.public_side_of(view, route.gateway):
            yield RoutedVia(network=network, gateway=route.gateway, device=public.device, virtual=True)


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


def _reservations(view: StateView) -> dict[str, tuple[Reservation, ...]]:
    by_device: dict[str, list[Reservation]] = {device: [] for device in sorted(view.tiers, key=device_number)}
    for reservation in view.reservations.values():
        if tier := references.tier_of_guest(view, reservation.address):
            by_device[tier.device].append(reservation)
    return {
        device: tuple(sorted(found, key=lambda each: networks.parse_address(each.address)))
        for device, found in by_device.items()
        if found
    }
