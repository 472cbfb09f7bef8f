"""Which two things cannot both be configured, and why.

Only what both routers of a pair have in common is asked about: a command that names an address which one of the two
has as its own in a tier must fare alike on both, or their configurations part. It is stored on both, and has no
effect on the router concerned (`references.missing`).

One function for each pair of kinds. Each returns the reason in words, or None. `decide` asks them about the new
thing and every old one, so that of two contradicting commands the second is refused, whichever that is.
"""

from __future__ import annotations

from vpcrouter.values import networks
from vpcrouter.values.balancing import BalancerRule, StatisticsPage
from vpcrouter.values.config import PortForward, PublicAddress, Reservation, RouterConfig, StaticNat, StaticRoute, Tier
from vpcrouter.values.forwarding import sources_meet
from vpcrouter.values.vpn import Far, RemoteAccess, SiteVpn


def tier_and_tier(one: Tier, other: Tier) -> str | None:
    """Two tiers on one device are the caller's affair: there one replaces the other."""
    if networks.overlap(one.network, other.network):
        return f"the tier {one.network} on {one.device} overlaps the tier {other.network} on {other.device}"
    if one.ipv6 is None or other.ipv6 is None:
        return None
    for name, network in ((f"tier {one.ipv6.network} on {one.device}", one.ipv6.network), *_public_ipv6(one)):
        if networks.overlap(network, other.ipv6.network):
            return f"the {name} overlaps the tier {other.ipv6.network} on {other.device}"
    for name, network in _public_ipv6(other):
        if networks.overlap(network, one.ipv6.network):
            return f"the tier {one.ipv6.network} on {one.device} overlaps the {name}"
    return None


def _public_ipv6(tier: Tier) -> tuple[tuple[str, str], ...]:
    network = None if tier.ipv6 is None else tier.ipv6.public_network
    return () if network is None else ((f"public network {network} of {tier.device}", network),)


def tier_and_config(tier: Tier, config: RouterConfig) -> str | None:
    """A tier lies in the VPC's network, apart from the control network, with an own address on each router."""
    if not networks.covers(config.vpc_network, tier.network):
        return f"the tier {tier.network} on {tier.device} is outside the VPC's network {config.vpc_network}"
    if config.control_address is not None and networks.overlap(tier.network, _control_network(config)):
        return f"the tier {tier.network} on {tier.device} overlaps the control network {_control_network(config)}"
    if config.source_nat_address is not None and networks.holds(tier.network, config.source_nat_address):
        return f"the tier {tier.network} on {tier.device} holds the source NAT address {config.source_nat_address}"
    if config.redundant and tier.address == tier.gateway:
        return (
            f"{tier.address} is the gateway of the tier on {tier.device}, which both routers share;"
            " a redundant router needs an own address"
        )
    if config.redundant and tier.ipv6 is not None and tier.ipv6.address == tier.ipv6.gateway:
        return (
            f"{tier.ipv6.address} is the IPv6 gateway of the tier on {tier.device}, which both routers share;"
            " a redundant router needs an own address"
        )
    return None


def tier_and_public(tier: Tier, public: PublicAddress) -> str | None:
    """A device carries a tier or public addresses, and their networks are apart."""
    if public.device == tier.device:
        return f"{tier.device} cannot carry the tier {tier.network} and the public address {public.address}"
    if networks.overlap(public.network, tier.network):
        return f"the tier {tier.network} on {tier.device} overlaps the public network {public.network}"
    return None


def tier_and_route(tier: Tier, route: StaticRoute) -> str | None:
    """A route leads away from the tiers, by way of somebody else."""
    if networks.overlap(route.network, tier.network):
        return f"the static route {route.network} covers the tier {tier.network} on {tier.device}"
    if route.gateway == tier.gateway:
        return f"the next hop {route.gateway} of the static route {route.network} is the router itself"
    return _next_hop_in(tier.network, route)


def tier_and_reservation(tier: Tier, reservation: Reservation) -> str | None:
    """A guest's address is a host address that the routers do not share."""
    address = reservation.address
    if address == tier.gateway:
        return f"{address}, reserved for the guest {reservation.host_name}, is the router's own on {tier.device}"
    if networks.reserves(tier.network, address):
        return f"{address}, reserved for the guest {reservation.host_name}, is not a host address of {tier.network}"
    return None


def tier_and_target(tier: Tier, target: str) -> str | None:
    """What is translated to a guest goes to a host address that the routers do not share."""
    if target == tier.gateway:
        return f"the guest {target} is the router itself on {tier.device}"
    if networks.reserves(tier.network, target):
        return f"the guest {target} is not a host address of {tier.network}"
    return None


def public_and_public(one: PublicAddress, other: PublicAddress) -> str | None:
    """A network is on one device, a device serves the public or a private gateway, and a gateway is somebody else."""
    if one.device == other.device and one.private_gateway != other.private_gateway:
        return f"{one.device} cannot be a public device and a private gateway's at once"
    if one.device != other.device and networks.overlap(one.network, other.network):
        return f"{one.network} on {one.device} overlaps {other.network} on {other.device}"
    for each, own in ((one, other.address), (other, one.address)):
        if each.gateway == own:
            return f"the gateway {own} of {each.address} is the router itself"
    return None


def public_and_config(public: PublicAddress, config: RouterConfig) -> str | None:
    """The control network is apart, and so is its device."""
    if config.control_address is not None and networks.overlap(public.network, _control_network(config)):
        return f"{public.network} on {public.device} overlaps the control network {_control_network(config)}"
    return None


def public_and_route(public: PublicAddress, route: StaticRoute) -> str | None:
    """A route does not take the place of a connected network, and its next hop is somebody else."""
    if networks.covers(route.network, public.network):
        return f"the static route {route.network} covers the public network {public.network}"
    if route.gateway == public.address:
        return f"the next hop {route.gateway} of the static route {route.network} is the router itself"
    return _next_hop_in(public.network, route)


def _next_hop_in(network: str, route: StaticRoute) -> str | None:
    if networks.reserves(network, route.gateway):
        return f"the next hop {route.gateway} of the static route {route.network} is not a host address of {network}"
    return None


def route_and_config(route: StaticRoute, config: RouterConfig) -> str | None:
    """A route may lead to a part of the VPC's network that has no tier, not to all of it."""
    if networks.covers(route.network, config.vpc_network):
        return f"the static route {route.network} covers the VPC's network {config.vpc_network}"
    if config.control_address is not None and networks.overlap(route.network, _control_network(config)):
        return f"the static route {route.network} overlaps the control network {_control_network(config)}"
    return None


def guest_and_config(address: str, config: RouterConfig) -> str | None:
    """Guests live in the VPC's network."""
    if not networks.holds(config.vpc_network, address):
        return f"the guest {address} is outside the VPC's network {config.vpc_network}"
    return None


def forward_and_forward(one: PortForward, other: PortForward) -> str | None:
    """A packet to a public port is for one guest (two forwardings of the same ports replace each other)."""
    if (
        one.address == other.address
        and one.protocol == other.protocol
        and one.first_port <= other.last_port
        and other.first_port <= one.last_port
        and sources_meet(one, other)
    ):
        return (
            f"the ports {one.first_port}-{one.last_port} overlap the port forwarding"
            f" {other.address} {other.protocol} {other.first_port}-{other.last_port}"
        )
    return None


def forward_and_listener(forward: PortForward, listener: BalancerRule | StatisticsPage) -> str | None:
    """A connection to a public port goes to a guest or to the load balancer."""
    if (
        forward.address == listener.address
        and forward.protocol == "tcp"
        and forward.first_port <= listener.port <= forward.last_port
    ):
        return (
            f"port {listener.port} of {listener.address} cannot be the load balancer's and that of the port forwarding"
            f" {forward.first_port}-{forward.last_port}"
        )
    return None


def static_nat_and_listener(nat: StaticNat, listener: BalancerRule | StatisticsPage) -> str | None:
    """All of an address with a static NAT is one guest's."""
    if nat.address == listener.address:
        return f"{nat.address} cannot be the static NAT of {nat.target} and the load balancer's at port {listener.port}"
    return None


def static_nat_and_static_nat(one: StaticNat, other: StaticNat) -> str | None:
    """A guest has one public address of its own, or it would not be known which one its packets leave with."""
    if one.target == other.target and one.address != other.address:
        return f"the guest {one.target} cannot have the static NATs {one.address} and {other.address}"
    return None


IPSEC_PORTS = (500, 4500)
"""IKE, and IKE and ESP behind NAT (RFC 3947, RFC 3948)."""


def forward_and_ipsec(forward: PortForward, what: str) -> str | None:
    """IPsec comes to the router itself."""
    if forward.protocol == "udp" and any(forward.first_port <= port <= forward.last_port for port in IPSEC_PORTS):
        return f"UDP 500 and 4500 of {forward.address} are for the {what}"
    return None


def far_and_far(one: Far, other: Far) -> str | None:
    """What is behind one tunnel is not behind another."""
    if networks.overlap(one.network, other.network):
        return f"{one.network} of the {one.what} overlaps {other.network} of the {other.what}"
    return None


def tier_and_far(tier: Tier, far: Far) -> str | None:
    """What is behind a tunnel is not in a tier."""
    if networks.overlap(tier.network, far.network):
        return f"the tier {tier.network} on {tier.device} overlaps {far.network} of the {far.what}"
    return None


def public_and_far(public: PublicAddress, far: Far) -> str | None:
    """What is behind a tunnel is not next to the router."""
    if networks.overlap(public.network, far.network):
        return f"{public.network} on {public.device} overlaps {far.network} of the {far.what}"
    return None


def route_and_far(route: StaticRoute, far: Far) -> str | None:
    """What is behind a tunnel is not routed elsewhere."""
    if networks.overlap(route.network, far.network):
        return f"the static route {route.network} overlaps {far.network} of the {far.what}"
    return None


def site_vpn_and_config(vpn: SiteVpn, config: RouterConfig) -> str | None:
    """A tunnel leads from the VPC's network to somewhere else."""
    if not networks.covers(config.vpc_network, vpn.local_network):
        return f"its local network {vpn.local_network} is outside the VPC's network {config.vpc_network}"
    for network in vpn.remote_networks:
        if networks.overlap(network, config.vpc_network):
            return f"its remote network {network} overlaps the VPC's network {config.vpc_network}"
    return None


def remote_access_and_config(access: RemoteAccess, config: RouterConfig) -> str | None:
    """Clients get at the VPC's network; their own addresses may be of a part of it that has no tier."""
    if not networks.covers(config.vpc_network, access.local_network):
        return f"its local network {access.local_network} is outside the VPC's network {config.vpc_network}"
    return None


def _control_network(config: RouterConfig) -> str:
    host, _, length = (config.control_address or "").partition("/")
    return networks.network_of(host, int(length))
