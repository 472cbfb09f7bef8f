"""`guestnetwork` (guest_network.json): one tier, put or removed.

Both forms must be complete, as the server sends them; a removal keeps only device and network.
"""

from __future__ import annotations

from vpcrouter.cloudstack import wire_values
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.wire_values import comma_list, or_empty
from vpcrouter.commands import PutTier, RemoveTier
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields, networks
from vpcrouter.values.config import Tier, TierIpv6

_WIRE = {
    "device": "device",
    "network": "router_guest_netmask",
    "gateway": "router_guest_gateway",
    "address": "router_guest_ip",
    "mac": "mac_address",
    "domain": "domain_name",
    "resolvers": "dns",
    "mtu": "mtu",
    "network_id": "network_id",
}
_WIRE_IPV6 = {
    "network": "router_guest_ip6_cidr",
    "gateway": "router_guest_ip6_gateway",
    "address": "router_guest_ip6",
    "resolvers": "dns6",
    "public_network": "router_ip6_cidr",
    "public_gateway": "router_ip6_gateway",
    "public_address": "router_ip6",
}


def decode(top: Reader) -> PutTier | RemoveTier:
    """The command of the whole object."""
    add = top.needed("add", fields.flag)
    gateway = top.needed("router_guest_gateway", fields.ipv4)
    length = top.needed("router_guest_netmask", fields.prefix_length)
    if top.sent("cidr", wire_values.number_text(1, 32), length) != length:
        raise MalformedInputError(f"does not agree with the netmask, which is a /{length}", where=top.at("cidr"))
    tier = top.build(
        Tier,
        _WIRE,
        device=top.needed("device", fields.tier_device),
        network=networks.network_of(gateway, length),
        gateway=gateway,
        address=top.needed("router_guest_ip", fields.ipv4),
        mac=top.needed("mac_address", fields.mac),
        domain=top.optional("domain_name", or_empty(fields.domain)),
        resolvers=top.optional("dns", comma_list(fields.ipv4)) or (),
        mtu=top.needed("mtu", wire_values.MTU),
        network_id=top.sent("network_id", wire_values.integer(0, 2**63 - 1), 0),
        is_gateway=top.sent("is_vr_guest_gateway", fields.flag, True),
        ipv6=_ipv6(top),
    )
    top.unused("mac_address", tier.mac, "stored, and names no device: the kernel's name does")
    top.unused("network_id", tier.network_id, "stored, and nothing depends on it: tiers are known by their devices")
    return PutTier(tier=tier) if add else RemoveTier(device=tier.device, network=tier.network)


def _ipv6(top: Reader) -> TierIpv6 | None:
    length = top.optional("cidr6", wire_values.number_text(1, 128))
    resolvers = top.optional("dns6", comma_list(fields.ipv6)) or ()
    guest = _three(top, "router_guest_ip6")
    public = _three(top, "router_ip6")
    if guest is None:
        if public is not None:
            raise MalformedInputError("needs router_guest_ip6 beside it", where=top.at("router_ip6"))
        top.unused("cidr6", length, "the tier has no IPv6")
        top.unused("dns6", resolvers, "the tier has no IPv6")
        return None
    public_network, public_gateway, public_address = public or (None, None, None)
    network, gateway, address = guest
    if length is not None and length != networks.parse_network(network).prefixlen:
        raise MalformedInputError(f"does not agree with router_guest_ip6_cidr, {network}", where=top.at("cidr6"))
    return top.build(
        TierIpv6,
        _WIRE_IPV6,
        network=network,
        gateway=gateway,
        address=address,
        resolvers=resolvers,
        public_network=public_network,
        public_gateway=public_gateway,
        public_address=public_address,
    )


def _three(top: Reader, name: str) -> tuple[str, str, str] | None:
    """Network, gateway and address: all or none of them."""
    found = {
        f"{name}_cidr": top.optional(f"{name}_cidr", wire_values.ipv6_network),
        f"{name}_gateway": top.optional(f"{name}_gateway", fields.ipv6),
        name: top.optional(name, fields.ipv6),
    }
    there = [value for value in found.values() if value is not None]
    if not there:
        return None
    for key, value in found.items():
        if value is None:
            raise MalformedInputError("is missing, and what belongs with it is there", where=top.at(key))
    network, gateway, address = there
    return network, gateway, address
