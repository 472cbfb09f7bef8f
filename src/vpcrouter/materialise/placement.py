"""Which addresses and routes are this router's own, and which belong to whichever router serves.

On a redundant router every tier's gateway, every public address, the default route and the routes behind the public
side are virtual: keepalived sets and removes them, and until there is a tier nobody does. On a router that is alone
they are its own. The order matters in both lists: the first address of a subnet on a device becomes its primary one,
the source address of what the router itself sends. So the own address comes before the gateway, and the source NAT
address before the other public ones.

Known hole: packets that came in by a second public device are answered by the default route of the first.
"""

from __future__ import annotations

from attrs import frozen

from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import PublicAddress, Tier
from vpcrouter.values.desired import InterfaceAddress, Route
from vpcrouter.values.networks import prefix_length

ANYWHERE = "0.0.0.0/0"


@frozen(kw_only=True)
class Placement:
    """Addresses and routes by who sets them."""

    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]
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
    public = sorted(effective.public_addresses, key=lambda each: each.address != effective.source_nat_address)
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
    return Placement(
        addresses=tuple(own),
        routes=tuple(own_routes),
        virtual_addresses=tuple(shared),
        virtual_routes=tuple(shared_routes),
    )


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
