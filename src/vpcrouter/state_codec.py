"""A state as bytes, for snapshots: the things of the state in the field order that `events.registry` writes out.

A snapshot is a cache: with another SCHEMA it is passed over and the journal replayed, it is never brought forward.
So whoever changes a record in the registry, or what a state holds, counts SCHEMA up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgpack

from vpcrouter.errors import MalformedInputError
from vpcrouter.events import registry
from vpcrouter.events.schema import Record
from vpcrouter.state import State
from vpcrouter.values.config import Secret
from vpcrouter.values.confirmation import Confirmation
from vpcrouter.values.forwarding import sort_forwards

SCHEMA = 7
"""The number of this form."""


def pack_state(state: State) -> bytes:
    """The bytes of a state, its secrets in clear: a snapshot is sealed as a whole. Equal states pack to equal bytes."""
    packed: bytes = msgpack.packb(
        [
            None if state.router is None else registry.ROUTER_CONFIG.pack(state.router),
            [registry.PUBLIC_ADDRESS.pack(each) for _, each in sorted(state.public_addresses.items())],
            [registry.TIER.pack(each) for _, each in sorted(state.tiers.items())],
            [registry.ACL.pack(each) for _, each in sorted(state.acls.items())],
            [registry.PORT_FORWARD.pack(each) for _, found in sorted(state.forwards.items()) for each in found],
            [registry.STATIC_NAT.pack(each) for _, each in sorted(state.static_nats.items())],
            [registry.STATIC_ROUTE.pack(each) for _, each in sorted(state.routes.items())],
            [registry.RESERVATION.pack(each) for _, each in sorted(state.reservations.items())],
            sorted(state.released),
            [registry.FIREWALL_RULE.pack(each) for _, each in sorted(state.firewall_rules.items())],
            [registry.IPV6_FIREWALL_RULE.pack(each) for _, each in sorted(state.ipv6_firewall_rules.items())],
            [registry.CONFIRMATION.pack(each) for each in _oldest_first(state.confirmations.values())],
            None if state.monitoring is None else registry.MONITORING.pack(state.monitoring),
            None if state.balancer is None else registry.BALANCER.pack(state.balancer),
            [registry.GUEST_PAGES.pack(each) for _, each in sorted(state.guest_pages.items())],
            [registry.GUEST_PASSWORD.pack(each) for _, each in sorted(state.guest_passwords.items())],
            [registry.SITE_VPN.pack(each) for _, each in sorted(state.site_vpns.items())],
            [registry.REMOTE_ACCESS.pack(each) for _, each in sorted(state.remote_accesses.items())],
            [registry.VPN_USER.pack(each) for _, each in sorted(state.vpn_users.items())],
            [registry.BGP_PEERING.pack(each) for each in state.bgp_peerings],
        ],
        default=Secret.reveal,
    )
    return packed


def unpack_state(body: bytes) -> State:
    """The state of these bytes. Raises MalformedInputError. They were checked before they were stored."""
    try:
        return _state(*msgpack.unpackb(body, strict_map_key=True, use_list=True))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedInputError(f"not a stored state: {error}", where="snapshot") from None


def _state(
    router: Any,
    public_addresses: Iterable[Any],
    tiers: Iterable[Any],
    acls: Iterable[Any],
    forwards: Iterable[Any],
    static_nats: Iterable[Any],
    routes: Iterable[Any],
    reservations: Iterable[Any],
    released: Iterable[str],
    firewall_rules: Iterable[Any],
    ipv6_firewall_rules: Iterable[Any],
    confirmations: Iterable[Any],
    monitoring: Any,
    balancer: Any,
    guest_pages: Iterable[Any],
    guest_passwords: Iterable[Any],
    site_vpns: Iterable[Any],
    remote_accesses: Iterable[Any],
    vpn_users: Iterable[Any],
    bgp_peerings: Iterable[Any],
) -> State:
    by_address: dict[str, list[Any]] = {}
    for each in _all(registry.PORT_FORWARD, forwards):
        by_address.setdefault(each.address, []).append(each)
    leases = {each.address: each for each in _all(registry.RESERVATION, reservations)}
    return State(
        router=None if router is None else registry.ROUTER_CONFIG.restore(router),
        public_addresses={each.address: each for each in _all(registry.PUBLIC_ADDRESS, public_addresses)},
        tiers={each.device: each for each in _all(registry.TIER, tiers)},
        acls={each.device: each for each in _all(registry.ACL, acls)},
        forwards={address: sort_forwards(found) for address, found in by_address.items()},
        static_nats={each.address: each for each in _all(registry.STATIC_NAT, static_nats)},
        routes={each.network: each for each in _all(registry.STATIC_ROUTE, routes)},
        reservations=leases,
        leases={each.mac: each.address for each in leases.values()},
        released=frozenset(released),
        firewall_rules={each.rule_id: each for each in _all(registry.FIREWALL_RULE, firewall_rules)},
        ipv6_firewall_rules={each.rule_id: each for each in _all(registry.IPV6_FIREWALL_RULE, ipv6_firewall_rules)},
        confirmations={each.name: each for each in _all(registry.CONFIRMATION, confirmations)},
        monitoring=None if monitoring is None else registry.MONITORING.restore(monitoring),
        balancer=None if balancer is None else registry.BALANCER.restore(balancer),
        guest_pages={each.address: each for each in _all(registry.GUEST_PAGES, guest_pages)},
        guest_passwords={each.address: each for each in _all(registry.GUEST_PASSWORD, guest_passwords)},
        site_vpns={each.peer: each for each in _all(registry.SITE_VPN, site_vpns)},
        remote_accesses={each.address: each for each in _all(registry.REMOTE_ACCESS, remote_accesses)},
        vpn_users={each.name: each for each in _all(registry.VPN_USER, vpn_users)},
        bgp_peerings=tuple(_all(registry.BGP_PEERING, bgp_peerings)),
    )


def _oldest_first(confirmations: Iterable[Confirmation]) -> list[Confirmation]:
    return sorted(confirmations, key=lambda each: each.before)


def _all(record: Record, packed: Iterable[Any]) -> Iterator[Any]:
    return map(record.restore, packed)
