"""A state as the shortest history that leads to it: what a journal begins with when its older records are elsewhere.

A snapshot is a cache, in a form that the next version may not know (`state_codec`). This is no cache but part of the
journal, so it is in the one form that every later version reads: events, which are brought forward as the journal's own
are. Whoever adds to the state adds to `history_of`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgpack

from vpcrouter import events
from vpcrouter.errors import MalformedInputError
from vpcrouter.events import Event
from vpcrouter.events.codec import encode, restore
from vpcrouter.state import State, replay
from vpcrouter.values.config import PublicAddress


def pack_history(state: State) -> bytes:
    """The bytes of that history, its secrets in clear: a base is sealed as a whole."""
    packed: bytes = msgpack.packb([encode(each) for each in history_of(state)])
    return packed


def unpack_history(body: bytes) -> State:
    """The state that the history of these bytes leads to. Raises MalformedInputError."""
    try:
        return replay(State(), [restore(each) for each in msgpack.unpackb(body)])
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise MalformedInputError(f"not a stored history: {error}", where="base") from None


def history_of(state: State) -> Iterator[Event]:
    """Events that lead from nothing to this state."""
    for device in sorted(state.released):
        used = PublicAddress(address="192.0.2.2", network="192.0.2.0/24", gateway="192.0.2.1", device=device)
        yield events.PublicAddressesChanged(put=(used,))
        yield events.PublicAddressesChanged(removed=(used.address,))
    if state.router is not None:
        yield events.RouterConfigured(config=state.router)
    if state.public_addresses:
        yield events.PublicAddressesChanged(put=tuple(state.public_addresses.values()))
    for tier in state.tiers.values():
        yield events.TierAdded(tier=tier)
    for acl in state.acls.values():
        yield events.AclReplaced(acl=acl)
    if state.forwards:
        yield events.PortForwardsChanged(put=tuple(each for found in state.forwards.values() for each in found))
    if state.static_nats:
        yield events.StaticNatsChanged(put=tuple(state.static_nats.values()))
    if state.routes:
        yield events.StaticRoutesChanged(put=tuple(state.routes.values()))
    for reservation in state.reservations.values():
        yield events.ReservationPut(reservation=reservation)
    if state.firewall_rules:
        yield events.FirewallRulesChanged(put=tuple(state.firewall_rules.values()))
    if state.ipv6_firewall_rules:
        yield events.Ipv6FirewallRulesChanged(put=tuple(state.ipv6_firewall_rules.values()))
    yield from _services(state)
    for confirmation in state.confirmations.values():
        yield events.ConfirmationRequired(confirmation=confirmation)


def _services(state: State) -> Iterator[Event]:
    if state.monitoring is not None:
        yield events.MonitoringReplaced(monitoring=state.monitoring)
    if state.balancer is not None:
        yield events.BalancerReplaced(balancer=state.balancer)
    for pages in state.guest_pages.values():
        yield events.GuestPagesPut(pages=pages)
    for address, guest in state.guest_passwords.items():
        yield events.GuestPasswordPut(address=address, password=guest.password)
        if guest.fetched:
            yield events.GuestPasswordFetched(address=address)
    for vpn in state.site_vpns.values():
        yield events.SiteVpnPut(vpn=vpn)
    for access in state.remote_accesses.values():
        yield events.RemoteAccessPut(access=access)
    if state.vpn_users:
        yield events.VpnUsersChanged(put=tuple(state.vpn_users.values()))
    if state.bgp_peerings:
        yield events.BgpPeeringsReplaced(peerings=state.bgp_peerings)
