"""The hash over the part of the state that both routers of a pair share: equal digests, equal configuration.

Left out is what is a router's own: its name, its control address, its addresses and MACs in the tiers and on the
public side, the server's guess at the first master, the devices it has released, the changes that wait for a
confirmation (each router has its own deadline), whether a guest has fetched its password (the peer learns that later),
what is watched of a router's health, and the marks on public addresses that only say which one came first
in a command. What is pending counts: it is configuration.

The form that is hashed is a promise (golden journals name digests): msgpack of sorted lists, field order written
out below. A new kind of thing adds a list with its name at the end, and only when it is not empty, so that old digests
stay.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import msgpack

from vpcrouter.events import registry
from vpcrouter.references import source_nat_address
from vpcrouter.state import StateView
from vpcrouter.values.config import Secret
from vpcrouter.values.guests import GuestPages

_LOCAL_PARAMETERS = frozenset(
    {"authorized_key", "eth0ip6", "eth0ip6prelen", "localgw", "nic_macs", "redundant_primary", "template"}
)
"""Boot parameters that may differ between the two routers."""


def digest(view: StateView) -> str:
    """SHA-256 of the shared part, in hexadecimal."""
    return hashlib.sha256(msgpack.packb(_shared(view), default=Secret.reveal)).hexdigest()


def shared_things(view: StateView) -> dict[int, str]:
    """The names of all shared things, by 32 bits of what each is: what another router has otherwise is not there.

    A name says what the thing is and which one (`reservation 10.1.2.30`), and no more: it holds no secret.
    """
    shared = _shared(view)
    found = {}
    for kind, part in zip(_KINDS, shared[1:], strict=False):
        for thing in part if kind in _MANY else [part]:
            found[_short_hash(kind, thing)] = _name(kind, thing)
    for kind, *things in shared[1 + len(_KINDS) :]:
        found.update({_short_hash(kind, thing): _name(kind, thing) for thing in things})
    return found


_KINDS = (
    "boot parameters",
    "source NAT address",
    "public address",
    "tier",
    "ACL",
    "port forwarding",
    "static NAT",
    "static route",
    "reservation",
)
"""Of what stands in `_shared` without a name, after the first entry."""
_MANY = frozenset(_KINDS[2:])
_NAMED_BY = {"port forwarding": 3}
"""So many fields say which one it is; otherwise the first."""


def _short_hash(kind: str, thing: Any) -> int:
    packed = msgpack.packb([kind, thing], default=Secret.reveal)
    return int.from_bytes(hashlib.sha256(packed).digest()[:4])


def _name(kind: str, thing: Any) -> str:
    if not isinstance(thing, list) or (kind not in _MANY and kind in _KINDS):
        return kind
    return " ".join([kind, *(str(each) for each in thing[: _NAMED_BY.get(kind, 1)])])


def _shared(view: StateView) -> list[Any]:
    shared: list[Any] = [
        1,
        _router(view),
        source_nat_address(view),
        [
            [p.address, p.network, p.gateway, p.device, p.mtu, p.private_gateway, p.private_gateway and p.source_nat]
            for _, p in sorted(view.public_addresses.items())
        ],
        [
            [
                tier.device,
                tier.network,
                tier.gateway,
                tier.domain,
                tier.resolvers,
                tier.mtu,
                tier.is_gateway,
                None
                if tier.ipv6 is None
                else [tier.ipv6.network, tier.ipv6.gateway, tier.ipv6.resolvers, tier.ipv6.public_gateway],
            ]
            for _, tier in sorted(view.tiers.items())
        ],
        [registry.ACL.pack(acl) for _, acl in sorted(view.acls.items())],
        [registry.PORT_FORWARD.pack(each) for _, found in sorted(view.forwards.items()) for each in found],
        [registry.STATIC_NAT.pack(nat) for _, nat in sorted(view.static_nats.items())],
        [registry.STATIC_ROUTE.pack(route) for _, route in sorted(view.routes.items())],
        [registry.RESERVATION.pack(each) for _, each in sorted(view.reservations.items())],
    ]
    later = (
        ["firewall", *(registry.FIREWALL_RULE.pack(each) for _, each in sorted(view.firewall_rules.items()))],
        ["ipv6-firewall", *(registry.IPV6_FIREWALL_RULE.pack(r) for _, r in sorted(view.ipv6_firewall_rules.items()))],
        ["balancer", *((registry.BALANCER.pack(view.balancer),) if view.balancer is not None else ())],
        ["guest-pages", *(_pages_digest(pages) for _, pages in sorted(view.guest_pages.items()))],
        # Not whether a password was fetched: the peer learns that a moment later.
        ["guest-passwords", *([a, _hash(each.password)] for a, each in sorted(view.guest_passwords.items()))],
        ["site-vpns", *(registry.SITE_VPN.pack(each) for _, each in sorted(view.site_vpns.items()))],
        ["remote-accesses", *(registry.REMOTE_ACCESS.pack(each) for _, each in sorted(view.remote_accesses.items()))],
        ["vpn-users", *(registry.VPN_USER.pack(each) for _, each in sorted(view.vpn_users.items()))],
        ["bgp-peerings", *(registry.BGP_PEERING.pack(each) for each in view.bgp_peerings)],
    )
    return [*shared, *(each for each in later if len(each) > 1)]


def _hash(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()


@lru_cache(maxsize=16384)  # user data may be a megabyte each, and every command asks for the digest
def _pages_digest(pages: GuestPages) -> bytes:
    return hashlib.sha256(msgpack.packb(registry.GUEST_PAGES.pack(pages), default=Secret.reveal)).digest()


def _router(view: StateView) -> list[Any] | None:
    config = view.router
    if config is None:
        return None
    return [
        config.vpc_network,
        config.domain,
        config.resolvers,
        config.redundant,
        config.source_nat_address,
        config.public_mtu,
        config.routed,
        config.uses_external_resolvers,
        config.uses_only_own_resolver,
        None if config.password is None else _hash(config.password),
        [list(pair) for pair in config.parameters if pair[0] not in _LOCAL_PARAMETERS],
    ]
