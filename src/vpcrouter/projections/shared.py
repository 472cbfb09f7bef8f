"""What the routers of a pair have in common, kind by kind: where the state has it, and the form of it that is compared.

Used by `digest`, which hashes all of it, and by `things`, which tells one thing from the other. Left out is what is a
router's own: its name, its control address, its addresses and MACs in the tiers and on the public side, the server's
guess at the first master, the devices it has released, the changes that wait for a confirmation (each router has its
own deadline), whether a guest has fetched its password (the peer learns that later), what is watched of a router's
health, and the marks on public addresses that only say which one came first in a command. What is pending counts: it
is configuration.

The forms are a promise (golden journals name digests): msgpack of lists, field order written out below. A new kind of
thing is added at the end.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any

import msgpack
from attrs import frozen

from vpcrouter.events import registry
from vpcrouter.references import source_nat_address
from vpcrouter.state import StateView
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.config import PortForward, PublicAddress, RouterConfig, Secret, Tier
from vpcrouter.values.guests import GuestPages, GuestPassword

_LOCAL_PARAMETERS = frozenset(
    {"authorized_key", "eth0ip6", "eth0ip6prelen", "localgw", "nic_macs", "redundant_primary", "template"}
)
"""Boot parameters that may differ between the two routers."""


@frozen
class Kind:
    """One kind of shared things."""

    name: str
    """Part of what is hashed, for a thing and (of `LATER`) for all of them."""
    all: Callable[[StateView], Iterable[Any]]
    """Every thing of the kind, in the order in which they are hashed."""
    keys: Callable[[StateView], Iterable[str]]
    """For each of them, which one it is; things of one key are looked at together."""
    at: Callable[[StateView, str], tuple[Any, ...]]
    """The things of one key. Raises ValueError for what can be no key."""
    form: Callable[[Any], Any]
    """What is hashed of a thing. It may hold a `Secret`, to be packed by `Secret.reveal`."""


def _mapping(name: str, attribute: str, form: Callable[[Any], Any], key: Callable[[str], Any] = str) -> Kind:
    """What the state has in a mapping, each under a key of its own; `key`: its key of a text."""

    def every(view: StateView) -> list[Any]:
        return [each for _, each in sorted(getattr(view, attribute).items())]

    def keys(view: StateView) -> list[str]:
        return [str(each) for each in sorted(getattr(view, attribute))]

    def at(view: StateView, which: str) -> tuple[Any, ...]:
        found = getattr(view, attribute).get(key(which))
        return () if found is None else (found,)

    return Kind(name, every, keys, at, form)


def _single(name: str, find: Callable[[StateView], Any], form: Callable[[Any], Any]) -> Kind:
    """What there is one of, or none."""

    def every(view: StateView) -> tuple[Any, ...]:
        found = find(view)
        return () if found is None else (found,)

    return Kind(name, every, lambda view: [""] * len(every(view)), lambda view, _: every(view), form)


def _hash(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()


def _router(config: RouterConfig) -> list[Any]:
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


def _public_address(p: PublicAddress) -> list[Any]:
    return [p.address, p.network, p.gateway, p.device, p.mtu, p.private_gateway, p.private_gateway and p.source_nat]


def _tier(tier: Tier) -> list[Any]:
    ipv6 = tier.ipv6
    return [
        tier.device,
        tier.network,
        tier.gateway,
        tier.domain,
        tier.resolvers,
        tier.mtu,
        tier.is_gateway,
        None if ipv6 is None else [ipv6.network, ipv6.gateway, ipv6.resolvers, ipv6.public_gateway],
    ]


def _all_forwards(view: StateView) -> list[PortForward]:
    return [each for _, found in sorted(view.forwards.items()) for each in found]


def _forward_key(forward: PortForward) -> str:
    """Forwardings of one public port are for different clients, and come by one command."""
    return f"{forward.address} {forward.protocol} {forward.first_port}"


def _forwards_at(view: StateView, key: str) -> tuple[PortForward, ...]:
    address, protocol, port = key.split()
    found: Sequence[PortForward] = view.forwards.get(address, ())
    start = bisect_left(found, (protocol, int(port)), key=lambda each: (each.protocol, each.first_port))
    return tuple(takewhile(lambda each: _forward_key(each) == key, found[start:]))


@lru_cache(maxsize=16384)  # user data may be a megabyte each, and every command asks for the digest
def _pages(pages: GuestPages) -> bytes:
    return hashlib.sha256(msgpack.packb(registry.GUEST_PAGES.pack(pages), default=Secret.reveal)).digest()


def _password(each: GuestPassword) -> list[Any]:
    """Not whether it was fetched: the peer learns that a moment later."""
    return [each.address, _hash(each.password)]


def _peerings_at(view: StateView, key: str) -> tuple[BgpPeering, ...]:
    return tuple(each for each in view.bgp_peerings if str(each.peer_id) == key)


SINGLE = (
    _single("boot parameters", lambda view: view.router, _router),
    _single("source NAT address", source_nat_address, str),
)
"""Hashed as one thing each, or None."""
FIRST = (
    _mapping("public address", "public_addresses", _public_address),
    _mapping("tier", "tiers", _tier),
    _mapping("ACL", "acls", registry.ACL.pack),
    Kind(
        "port forwarding",
        _all_forwards,
        lambda view: map(_forward_key, _all_forwards(view)),
        _forwards_at,
        registry.PORT_FORWARD.pack,
    ),
    _mapping("static NAT", "static_nats", registry.STATIC_NAT.pack),
    _mapping("static route", "routes", registry.STATIC_ROUTE.pack),
    _mapping("reservation", "reservations", registry.RESERVATION.pack),
)
"""Hashed as a list each, without a name."""
LATER = (
    _mapping("firewall", "firewall_rules", registry.FIREWALL_RULE.pack, int),
    _mapping("ipv6-firewall", "ipv6_firewall_rules", registry.IPV6_FIREWALL_RULE.pack, int),
    _single("balancer", lambda view: view.balancer, registry.BALANCER.pack),
    _mapping("guest-pages", "guest_pages", _pages),
    _mapping("guest-passwords", "guest_passwords", _password),
    _mapping("site-vpns", "site_vpns", registry.SITE_VPN.pack),
    _mapping("remote-accesses", "remote_accesses", registry.REMOTE_ACCESS.pack),
    _mapping("vpn-users", "vpn_users", registry.VPN_USER.pack),
    Kind(
        "bgp-peerings",
        lambda view: view.bgp_peerings,
        lambda view: [str(each.peer_id) for each in view.bgp_peerings],
        _peerings_at,
        registry.BGP_PEERING.pack,
    ),
)
"""Hashed as a list that begins with the name, and only where there are any, so that old digests stay."""
