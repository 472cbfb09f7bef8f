"""Which addresses and routes are this router's own, and which belong to whichever router serves.

On a redundant router every tier's gateway, every public address, the default route and the routes behind the public
side are virtual: keepalived sets and removes them, and until there is a tier nobody does. On a router that is alone
they are its own. The order matters in both lists: the first address of a subnet on a device becomes its primary one,
the source address of what the router itself sends. So the own address comes before the gateway, and the source NAT
address before the other public ones.

Each device with public addresses, private gateways included, has a routing table of its own, which a mark selects
(`reply`): its networks, the static routes by way of it, its default route. These tables stand on both routers, for
nothing but a mark leads there; a failover has nothing to do.

Known hole: a device with addresses of two public networks has the default gateway of one of them only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import PublicAddress, Tier
from vpcrouter.values.desired import InterfaceAddress, PolicyRule, Route
from vpcrouter.values.fields import device_number
from vpcrouter.values.networks import prefix_length

ANYWHERE = "0.0.0.0/0"
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
    shared: list[InterfaceAddress] = []
    for tier in effective.tiers:
        own.append(_on_tier(tier, tier.address))
        if tier.is_gateway and tier.gateway != tier.address:
            (shared if redundant else own).append(_on_tier(tier, tier.gateway))
    public = _source_nat_first(effective, effective.public_addresses)
    (shared if redundant else own).extend(_on_public_device(each) for each in public)

    own_routes = [
        Route(network=route.network, gateway=route.gateway, device=route.device)
        for route in effective.routes
        if not (redundant and route.virtual)
    ]
    shared_routes = [
        Route(network=route.network, gateway=route.gateway, device=route.device)
        for route in effective.routes
        if redundant and route.virtual
    ]
    if (uplink := way_out(effective)) is not None:
        default = Route(network=ANYWHERE, gateway=uplink.gateway, device=uplink.device)
        (shared_routes if redundant else own_routes).insert(0, default)
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
    for device in public_devices(effective):
        there = _source_nat_first(effective, (each for each in effective.public_addresses if each.device == device))
        behind = ((route.network, route.gateway) for route in effective.routes if route.device == device)
        networks = ((network, "") for network in sorted({each.network for each in there}))
        for network, gateway in (*networks, *behind, (ANYWHERE, there[0].gateway)):
            yield Route(network=network, gateway=gateway, device=device, table=way_mark(device))


def _source_nat_first(effective: Effective, addresses: Iterable[PublicAddress]) -> list[PublicAddress]:
    return sorted(addresses, key=lambda each: each.address != effective.source_nat_address)


def way_out(effective: Effective) -> PublicAddress | None:
    """The address whose gateway is the default one: the source NAT address, else the first public address."""
    public = [each for each in effective.public_addresses if not each.private_gateway]
    for each in public:
        if each.address == effective.source_nat_address:
            return each
    return public[0] if public else None


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
