"""Which addresses and routes are this router's own, and which belong to whichever router serves.

On a redundant router every tier's gateway, every public address, the default route and the routes behind the public
side are virtual: keepalived sets and removes them, and until there is a tier nobody does. On a router that is alone
they are its own. The order matters in both lists: the first address of a subnet on a device becomes its primary one,
the source address of what the router itself sends. So the own address comes before the gateway, and the source NAT
address before the other public ones.

Each device with public addresses, private gateways included, has a routing table of its own, which a mark selects
(`reply`): its networks, the static routes by way of it, its default route. These tables stand on both routers, for
nothing but a mark leads there; a failover has nothing to do.

IPv6: a tier has an own address and, on whichever router serves, its gateway address and a link-local one that is the
same on both routers: guests learn that as their next hop, and it stays when the router changes. On the public side the
router that serves has the public address, and a link-local one that neighbour discovery needs there; a router that does
not serve has neither, and is silent. There is one way out, the first public device's.

Known hole: a device with addresses of two public networks has the default gateway of one of them only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve, frozen

from vpcrouter.projections.effective import Effective, RoutedVia
from vpcrouter.values.boot_keys import control_ipv6, has_public_network, management
from vpcrouter.values.config import PublicAddress, Tier, TierIpv6
from vpcrouter.values.desired import InterfaceAddress, PolicyRule, Route
from vpcrouter.values.fields import device_number
from vpcrouter.values.incremental import Sorted
from vpcrouter.values.networks import ROUTER_LINK_LOCAL, is_link_local, link_local_of, prefix_length

ANYWHERE = "0.0.0.0/0"
ANYWHERE_IPV6 = "::/0"
_PUBLIC_IPV6_DEVICE = "eth1"
"""CloudStack's: a tier's command says no other."""
_OWN_TABLES = 1000
"""The table of ethN, and the mark that leads there, is 1000 + N: the kernel's own tables are 253 to 255."""
_RULE_PRIORITY = 1000
"""After strongSwan's table (priority 220), before the main one (32766)."""


@frozen(kw_only=True)
class Placement:
    """Addresses and routes by who sets them."""

    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]
    rules: tuple[PolicyRule, ...]
    virtual_addresses: tuple[InterfaceAddress, ...]
    virtual_routes: tuple[Route, ...]


def place(effective: Effective) -> Placement:
    """The placement of everything that needs an address or a route. There must be boot parameters."""
    config = effective.config
    redundant = config is not None and config.redundant
    own: list[InterfaceAddress] = []
    if config is not None and config.control_address is not None:
        own.append(InterfaceAddress(device="eth0", address=config.control_address))
    if config is not None and (address := control_ipv6(config)) is not None:
        own.append(InterfaceAddress(device="eth0", address=address))
    shared: list[InterfaceAddress] = []
    for tier in effective.tiers:
        own.append(_on_tier(tier, tier.address))
        if tier.is_gateway and tier.gateway != tier.address:
            (shared if redundant else own).append(_on_tier(tier, tier.gateway))
        if tier.ipv6 is not None:
            own.append(_with_ipv6(tier.device, tier.ipv6.address, tier.ipv6.network))
            (shared if redundant else own).extend(_gateway_ipv6(tier, tier.ipv6))
    public = _source_nat_first(effective, effective.public_addresses)
    (shared if redundant else own).extend(_on_public_device(each) for each in public)

    (shared if redundant else own).extend(_public_ipv6(effective))

    virtual = [route for route in effective.routes if redundant and route.virtual]
    own_routes = [*_STATIC.of(route for route in effective.routes if not (redundant and route.virtual))]
    shared_routes = [*map(_main_route, virtual)]
    if (uplink := way_out(effective)) is not None:
        default = Route(network=ANYWHERE, gateway=uplink.gateway, device=uplink.device)
        (shared_routes if redundant else own_routes).insert(0, default)
    elif (outer := tier_out(effective)) is not None:
        own_routes.insert(0, Route(network=ANYWHERE, gateway=outer.gateway, device=outer.device))
    if (gateway := ipv6_way_out(effective)) is not None:
        default = Route(network=ANYWHERE_IPV6, gateway=gateway, device=_PUBLIC_IPV6_DEVICE)
        (shared_routes if redundant else own_routes).append(default)
    if config is not None and (there := management(config)) is not None:
        own_routes += (Route(network=each, gateway=there.gateway, device="eth0") for each in there.networks)
    own_routes += _own_tables(effective)
    marks = sorted({way_mark(device) for device in public_devices(effective)})
    return Placement(
        addresses=tuple(own),
        routes=tuple(own_routes),
        rules=tuple(PolicyRule(mark=mark, table=mark, priority=_RULE_PRIORITY) for mark in marks),
        virtual_addresses=tuple(shared),
        virtual_routes=tuple(shared_routes),
    )


def way_mark(device: str) -> int:
    """The mark of what has to leave by a device, and the number of the device's routing table."""
    return _OWN_TABLES + device_number(device)


def _own_tables(effective: Effective) -> Iterator[Route]:
    """The routes of all devices' tables; in each the networks first, for the gateway must be reachable."""
    devices = public_devices(effective)
    behind = _BEHIND.of(route for route in effective.routes if route.device in devices)
    for device in devices:
        there = _source_nat_first(effective, (each for each in effective.public_addresses if each.device == device))
        for network in sorted({each.network for each in there}):
            yield Route(network=network, gateway="", device=device, table=way_mark(device))
        yield from (route for route in behind if route.device == device)
        yield Route(network=ANYWHERE, gateway=there[0].gateway, device=device, table=way_mark(device))


def _main_route(via: RoutedVia) -> Route:
    return Route(network=via.network, gateway=via.gateway, device=via.device)


# There may be thousands: only what is new is made.
_STATIC: Sorted[RoutedVia, Route] = Sorted(lambda via: (_main_route(via),), key=lambda route: route.network)
_BEHIND: Sorted[RoutedVia, Route] = Sorted(
    lambda via: (evolve(_main_route(via), table=way_mark(via.device)),), key=lambda route: route.network
)


def _source_nat_first(effective: Effective, addresses: Iterable[PublicAddress]) -> list[PublicAddress]:
    return sorted(addresses, key=lambda each: each.address != effective.source_nat_address)


def way_out(effective: Effective) -> PublicAddress | None:
    """The address whose gateway is the default one: the source NAT address, else the first public address."""
    public = [each for each in effective.public_addresses if not each.private_gateway]
    for each in public:
        if each.address == effective.source_nat_address:
            return each
    return public[0] if public else None


def tier_out(effective: Effective) -> Tier | None:
    """The lowest tier with another gateway, where there is no public network; both routers have an address in it."""
    if effective.config is None or has_public_network(effective.config):
        return None
    return next((tier for tier in effective.tiers if not tier.is_gateway), None)


def ipv6_way_out(effective: Effective) -> str | None:
    """The next hop of IPv6: that of the lowest tier that names one, if the public device is there."""
    if _PUBLIC_IPV6_DEVICE not in public_devices(effective):
        return None
    tiers = (tier.ipv6 for tier in effective.tiers if tier.ipv6 is not None)
    return next((each.public_gateway for each in tiers if each.public_gateway is not None), None)


def ipv6_devices(effective: Effective) -> tuple[str, ...]:
    """The devices that speak IPv6: those of tiers that have it, and the public one."""
    public = () if ipv6_way_out(effective) is None else (_PUBLIC_IPV6_DEVICE,)
    return (*public, *(tier.device for tier in effective.tiers if tier.ipv6 is not None))


def _gateway_ipv6(tier: Tier, ipv6: TierIpv6) -> Iterator[InterfaceAddress]:
    if not tier.is_gateway:
        return
    if ipv6.gateway != ipv6.address and not is_link_local(ipv6.gateway):
        yield _with_ipv6(tier.device, ipv6.gateway, ipv6.network)
    yield InterfaceAddress(device=tier.device, address=f"{ROUTER_LINK_LOCAL}/64")


def _public_ipv6(effective: Effective) -> Iterator[InterfaceAddress]:
    """The public addresses, each with the link-local address that has the same last half: nobody else there has."""
    if ipv6_way_out(effective) is None:
        return
    tiers = (tier.ipv6 for tier in effective.tiers if tier.ipv6 is not None)
    found = {(each.public_address, each.public_network): None for each in tiers}
    for address, network in found:
        if address is not None and network is not None:
            yield _with_ipv6(_PUBLIC_IPV6_DEVICE, address, network)
            yield InterfaceAddress(device=_PUBLIC_IPV6_DEVICE, address=f"{link_local_of(address)}/64")


def _with_ipv6(device: str, address: str, network: str) -> InterfaceAddress:
    return InterfaceAddress(device=device, address=f"{address}/{prefix_length(network)}")


def public_devices(effective: Effective) -> tuple[str, ...]:
    """The devices with public addresses, private gateways included, by number."""
    return tuple(dict.fromkeys(each.device for each in effective.public_addresses))


def private_gateways(effective: Effective) -> tuple[str, ...]:
    """The devices of private gateways, by number."""
    return tuple(dict.fromkeys(each.device for each in effective.public_addresses if each.private_gateway))


def _on_tier(tier: Tier, address: str) -> InterfaceAddress:
    return InterfaceAddress(device=tier.device, address=f"{address}/{prefix_length(tier.network)}")


def _on_public_device(each: PublicAddress) -> InterfaceAddress:
    return InterfaceAddress(device=each.device, address=f"{each.address}/{prefix_length(each.network)}")
