"""The aggregate: everything a router is configured with, and how each event changes it.

`State` is immutable. `Draft` is a state being changed; it has the same attributes, and copies a mapping the first
time it writes to it. `evolve` applies one event through a draft, `replay` many through one draft, so that one set
of functions (`EVOLVE`) serves a single command and a million records alike. An event was decided before it was stored:
nothing here refuses anything, and an event that changes nothing is not an error.

The functions for the kinds in `events.stored` only read attributes, and compare no thing with another: `folding` gives
them events whose things are not made yet.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

from attrs import evolve as with_changes
from attrs import frozen

from vpcrouter import events
from vpcrouter.values import networks
from vpcrouter.values.balancing import Balancer
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
    StaticRoute,
    Tier,
)
from vpcrouter.values.confirmation import Confirmation
from vpcrouter.values.forwarding import place_among_forwards
from vpcrouter.values.guests import GuestPages, GuestPassword
from vpcrouter.values.monitoring import Monitoring
from vpcrouter.values.vpn import RemoteAccess, SiteVpn, VpnUser


class StateView(Protocol):
    """What can be read of a state, finished or in the making."""

    @property
    def router(self) -> RouterConfig | None:
        """The boot parameters; None before they came."""

    @property
    def public_addresses(self) -> Mapping[str, PublicAddress]:
        """By address."""

    @property
    def tiers(self) -> Mapping[str, Tier]:
        """By device."""

    @property
    def acls(self) -> Mapping[str, Acl]:
        """By device. A device whose lists are both empty is not here."""

    @property
    def forwards(self) -> Mapping[str, Sequence[PortForward]]:
        """By public address; sorted by protocol, port and sources."""

    @property
    def static_nats(self) -> Mapping[str, StaticNat]:
        """By public address."""

    @property
    def routes(self) -> Mapping[str, StaticRoute]:
        """By network."""

    @property
    def reservations(self) -> Mapping[str, Reservation]:
        """By address."""

    @property
    def leases(self) -> Mapping[str, str]:
        """The reserved address of each MAC: a MAC has one."""

    @property
    def firewall_rules(self) -> Mapping[int, FirewallRule]:
        """Of public addresses, by number."""

    @property
    def ipv6_firewall_rules(self) -> Mapping[int, Ipv6FirewallRule]:
        """Of guests' IPv6 networks, by number."""

    @property
    def balancer(self) -> Balancer | None:
        """The load balancer; None if there is none."""

    @property
    def monitoring(self) -> Monitoring | None:
        """What is watched of the router's health; None for what is watched if nobody asks."""

    @property
    def guest_pages(self) -> Mapping[str, GuestPages]:
        """By the guest's address. They go with its reservation: the next guest there must not get them."""

    @property
    def guest_passwords(self) -> Mapping[str, GuestPassword]:
        """By the guest's address; those that were fetched too."""

    @property
    def released(self) -> frozenset[str]:
        """Devices that were used once and are not any more: the router keeps them bare."""

    @property
    def confirmations(self) -> Mapping[str, Confirmation]:
        """By name, oldest first: the changes that wait for their confirmation. No configuration, and this router's."""

    @property
    def site_vpns(self) -> Mapping[str, SiteVpn]:
        """By the other site's gateway."""

    @property
    def remote_accesses(self) -> Mapping[str, RemoteAccess]:
        """By public address; there is one at most."""

    @property
    def vpn_users(self) -> Mapping[str, VpnUser]:
        """By name."""

    @property
    def bgp_peerings(self) -> tuple[BgpPeering, ...]:
        """Sorted by neighbour and tier."""


@frozen(kw_only=True)
class State:
    """A finished state; see StateView for its attributes. Its mappings are never written to."""

    router: RouterConfig | None = None
    public_addresses: Mapping[str, PublicAddress] = {}
    tiers: Mapping[str, Tier] = {}
    acls: Mapping[str, Acl] = {}
    forwards: Mapping[str, tuple[PortForward, ...]] = {}
    static_nats: Mapping[str, StaticNat] = {}
    routes: Mapping[str, StaticRoute] = {}
    reservations: Mapping[str, Reservation] = {}
    leases: Mapping[str, str] = {}
    firewall_rules: Mapping[int, FirewallRule] = {}
    ipv6_firewall_rules: Mapping[int, Ipv6FirewallRule] = {}
    balancer: Balancer | None = None
    monitoring: Monitoring | None = None
    guest_pages: Mapping[str, GuestPages] = {}
    guest_passwords: Mapping[str, GuestPassword] = {}
    released: frozenset[str] = frozenset()
    confirmations: Mapping[str, Confirmation] = {}
    site_vpns: Mapping[str, SiteVpn] = {}
    remote_accesses: Mapping[str, RemoteAccess] = {}
    vpn_users: Mapping[str, VpnUser] = {}
    bgp_peerings: tuple[BgpPeering, ...] = ()


MAPPINGS = (
    "public_addresses",
    "tiers",
    "acls",
    "forwards",
    "static_nats",
    "routes",
    "reservations",
    "leases",
    "firewall_rules",
    "ipv6_firewall_rules",
    "confirmations",
    "guest_pages",
    "guest_passwords",
    "site_vpns",
    "remote_accesses",
    "vpn_users",
)
"""The attributes of a state that are mappings."""


class Draft:
    """A state in the making. Reads like a State; `apply` changes it; `finish` hands out a State."""

    router: RouterConfig | None
    public_addresses: dict[str, PublicAddress]
    tiers: dict[str, Tier]
    acls: dict[str, Acl]
    forwards: dict[str, Sequence[PortForward]]
    static_nats: dict[str, StaticNat]
    routes: dict[str, StaticRoute]
    reservations: dict[str, Reservation]
    leases: dict[str, str]
    firewall_rules: dict[int, FirewallRule]
    ipv6_firewall_rules: dict[int, Ipv6FirewallRule]
    balancer: Balancer | None
    monitoring: Monitoring | None
    guest_pages: dict[str, GuestPages]
    guest_passwords: dict[str, GuestPassword]
    released: frozenset[str]
    confirmations: dict[str, Confirmation]
    site_vpns: dict[str, SiteVpn]
    remote_accesses: dict[str, RemoteAccess]
    vpn_users: dict[str, VpnUser]
    bgp_peerings: tuple[BgpPeering, ...]

    def __init__(self, state: StateView) -> None:
        self.router = state.router
        self.released = state.released
        self.bgp_peerings = state.bgp_peerings
        self.balancer = state.balancer
        self.monitoring = state.monitoring
        for name in MAPPINGS:
            setattr(self, name, getattr(state, name))
        self._owned: set[str] = set()
        self._lists: dict[str, list[PortForward]] = {}

    def apply(self, event: events.Event) -> None:
        """Change this draft by what happened."""
        change, writes = EVOLVE[type(event)]
        for name in writes:
            if name not in self._owned:
                self.own(name)
        change(self, event)

    def finish(self) -> State:
        """The state as it is now. The draft may go on; what was handed out does not change with it."""
        for address, found in self._lists.items():
            if address in self.forwards:
                self.forwards[address] = tuple(found)
        self._lists.clear()
        self._owned.clear()
        return State(
            router=self.router,
            released=self.released,
            bgp_peerings=self.bgp_peerings,
            balancer=self.balancer,
            monitoring=self.monitoring,
            **{name: getattr(self, name) for name in MAPPINGS},
        )

    def own(self, name: str) -> None:
        """Make the mapping of that name one that may be written to."""
        if name not in self._owned:
            setattr(self, name, dict(getattr(self, name)))
            self._owned.add(name)

    def forwards_of(self, address: str) -> list[PortForward]:
        """The forwardings of that address as a list that may be written to; it goes where it stays empty.

        Of ten thousand, a change moves one, and neither sorts nor copies the others.
        """
        found = self._lists.get(address)
        if found is None:
            found = self._lists[address] = list(self.forwards.get(address, ()))
        self.forwards[address] = found
        return found


def evolve(state: State, event: events.Event) -> State:
    """The state after one event."""
    return replay(state, (event,))


def replay(state: State, history: Iterable[events.Event]) -> State:
    """The state after all these events."""
    draft = Draft(state)
    for event in history:
        draft.apply(event)
    return draft.finish()


def _router_configured(draft: Draft, event: events.RouterConfigured) -> None:
    draft.router = event.config


def _role_changed(draft: Draft, event: events.RoleChanged) -> None:
    """An observation, not configuration."""


def _confirmation_required(draft: Draft, event: events.ConfirmationRequired) -> None:
    draft.confirmations[event.confirmation.name] = event.confirmation


def _change_confirmed(draft: Draft, event: events.ChangeConfirmed) -> None:
    draft.confirmations.pop(event.name, None)


def _change_reverted(draft: Draft, event: events.ChangeReverted) -> None:
    """What was made upon the change, and still waits, must not bring it back one day."""
    confirmations = draft.confirmations
    gone: Confirmation | None = confirmations.pop(event.name, None)
    for name, each in confirmations.items():
        if gone is not None and each.before >= gone.until:
            beneath = sorted((*each.beneath, (gone.before, gone.until)), reverse=True)
            confirmations[name] = with_changes(each, beneath=tuple(beneath))


def _public_addresses_changed(draft: Draft, event: events.PublicAddressesChanged) -> None:
    addresses = draft.public_addresses
    before = {each.device for each in addresses.values()}
    for address in event.removed:
        addresses.pop(address, None)
    for each in event.put:
        addresses[each.address] = each
    after = {each.device for each in addresses.values()}
    draft.released = (draft.released | (before - after)) - after


def _tier_put(draft: Draft, event: events.TierAdded | events.TierChanged) -> None:
    draft.tiers[event.tier.device] = event.tier
    draft.released -= {event.tier.device}


def _tier_removed(draft: Draft, event: events.TierRemoved) -> None:
    draft.tiers.pop(event.device, None)
    draft.acls.pop(event.device, None)
    _forget_reservations(draft, event.reservations)
    told = {*draft.guest_pages, *draft.guest_passwords}
    others = [tier.network for tier in draft.tiers.values()]
    _forget_guests(draft, [a for a in told if networks.holds(event.network, a) and not networks.held_by_any(others, a)])
    draft.released |= {event.device}


def _acl_replaced(draft: Draft, event: events.AclReplaced) -> None:
    acl = event.acl
    if acl.ingress or acl.egress:
        draft.acls[acl.device] = acl
    else:
        draft.acls.pop(acl.device, None)


def _port_forwards_changed(draft: Draft, event: events.PortForwardsChanged) -> None:
    """One that replaces another for the same ports and clients takes its place; most do."""
    new = {(each.address, place_among_forwards(each)): each for each in event.put}
    for each in event.removed:
        found, place = draft.forwards_of(each.address), place_among_forwards(each)
        at = bisect_left(found, place, key=place_among_forwards)
        if at < len(found) and place_among_forwards(found[at]) == place:
            successor = new.pop((each.address, place), None)
            if successor is not None:
                found[at] = successor
            else:
                del found[at]
    for each in new.values():
        insort(draft.forwards_of(each.address), each, key=place_among_forwards)
    for each in event.removed:
        if not draft.forwards.get(each.address, True):
            del draft.forwards[each.address]


def _static_nats_changed(draft: Draft, event: events.StaticNatsChanged) -> None:
    nats = draft.static_nats
    for address in event.removed:
        nats.pop(address, None)
    for each in event.put:
        nats[each.address] = each


def _static_routes_changed(draft: Draft, event: events.StaticRoutesChanged) -> None:
    routes = draft.routes
    for network in event.removed:
        routes.pop(network, None)
    for each in event.put:
        routes[each.network] = each


def _reservation_put(draft: Draft, event: events.ReservationPut) -> None:
    new = event.reservation
    address, mac = new.address, new.mac
    old = draft.reservations.get(address)
    is_same_guest = old is not None and old.mac == mac
    if event.displaced or not is_same_guest:
        gone = event.displaced if old is None or is_same_guest else (*event.displaced, address)
        _forget_guests(draft, gone)
        _forget_reservations(draft, gone)
        draft.leases[mac] = address
    draft.reservations[address] = new


def _reservation_removed(draft: Draft, event: events.ReservationRemoved) -> None:
    _forget_reservations(draft, (event.address,))
    _forget_guests(draft, (event.address,))


def _forget_reservations(draft: Draft, addresses: Iterable[str]) -> None:
    for address in addresses:
        gone = draft.reservations.pop(address, None)
        if gone is not None:
            draft.leases.pop(gone.mac, None)


def _firewall_rules_changed(draft: Draft, event: events.FirewallRulesChanged) -> None:
    _change_rules(draft.firewall_rules, event)


def _ipv6_firewall_rules_changed(draft: Draft, event: events.Ipv6FirewallRulesChanged) -> None:
    _change_rules(draft.ipv6_firewall_rules, event)


def _change_rules(
    rules: MutableMapping[int, Any], event: events.FirewallRulesChanged | events.Ipv6FirewallRulesChanged
) -> None:
    for number in event.removed:
        rules.pop(number, None)
    for each in event.put:
        rules[each.rule_id] = each


def _forget_guests(draft: Draft, addresses: Iterable[str]) -> None:
    """What was told to the guests of these addresses is nobody's any more."""
    for address in addresses:
        if address in draft.guest_pages:
            draft.own("guest_pages")
            del draft.guest_pages[address]
        if address in draft.guest_passwords:
            draft.own("guest_passwords")
            del draft.guest_passwords[address]


def _monitoring_replaced(draft: Draft, event: events.MonitoringReplaced) -> None:
    draft.monitoring = None if event.monitoring == Monitoring() else event.monitoring


def _balancer_replaced(draft: Draft, event: events.BalancerReplaced) -> None:
    draft.balancer = None if event.balancer.is_empty else event.balancer


def _guest_pages_put(draft: Draft, event: events.GuestPagesPut) -> None:
    draft.guest_pages[event.pages.address] = event.pages


def _guest_pages_removed(draft: Draft, event: events.GuestPagesRemoved) -> None:
    draft.guest_pages.pop(event.address, None)


def _guest_password_put(draft: Draft, event: events.GuestPasswordPut) -> None:
    draft.guest_passwords[event.address] = GuestPassword(address=event.address, password=event.password)


def _guest_password_fetched(draft: Draft, event: events.GuestPasswordFetched) -> None:
    found = draft.guest_passwords.get(event.address)
    if found is not None:
        draft.guest_passwords[event.address] = with_changes(found, fetched=True)


def _guest_password_removed(draft: Draft, event: events.GuestPasswordRemoved) -> None:
    draft.guest_passwords.pop(event.address, None)


def _site_vpn_put(draft: Draft, event: events.SiteVpnPut) -> None:
    draft.site_vpns[event.vpn.peer] = event.vpn


def _site_vpn_removed(draft: Draft, event: events.SiteVpnRemoved) -> None:
    draft.site_vpns.pop(event.peer, None)


def _remote_access_put(draft: Draft, event: events.RemoteAccessPut) -> None:
    draft.remote_accesses[event.access.address] = event.access


def _remote_access_removed(draft: Draft, event: events.RemoteAccessRemoved) -> None:
    draft.remote_accesses.pop(event.address, None)


def _vpn_users_changed(draft: Draft, event: events.VpnUsersChanged) -> None:
    users = draft.vpn_users
    for name in event.removed:
        users.pop(name, None)
    for each in event.put:
        users[each.name] = each


def _bgp_peerings_replaced(draft: Draft, event: events.BgpPeeringsReplaced) -> None:
    draft.bgp_peerings = event.peerings


Evolution = tuple[Callable[[Draft, Any], None], tuple[str, ...]]

EVOLVE: Mapping[type, Evolution] = {
    events.RouterConfigured: (_router_configured, ()),
    events.RoleChanged: (_role_changed, ()),
    events.ConfirmationRequired: (_confirmation_required, ("confirmations",)),
    events.ChangeConfirmed: (_change_confirmed, ("confirmations",)),
    events.ChangeReverted: (_change_reverted, ("confirmations",)),
    events.PublicAddressesChanged: (_public_addresses_changed, ("public_addresses",)),
    events.TierAdded: (_tier_put, ("tiers",)),
    events.TierChanged: (_tier_put, ("tiers",)),
    events.TierRemoved: (_tier_removed, ("tiers", "acls", "reservations", "leases")),
    events.AclReplaced: (_acl_replaced, ("acls",)),
    events.PortForwardsChanged: (_port_forwards_changed, ("forwards",)),
    events.StaticNatsChanged: (_static_nats_changed, ("static_nats",)),
    events.StaticRoutesChanged: (_static_routes_changed, ("routes",)),
    events.ReservationPut: (_reservation_put, ("reservations", "leases")),
    events.ReservationRemoved: (_reservation_removed, ("reservations", "leases")),
    events.FirewallRulesChanged: (_firewall_rules_changed, ("firewall_rules",)),
    events.Ipv6FirewallRulesChanged: (_ipv6_firewall_rules_changed, ("ipv6_firewall_rules",)),
    events.BalancerReplaced: (_balancer_replaced, ()),
    events.MonitoringReplaced: (_monitoring_replaced, ()),
    events.GuestPagesPut: (_guest_pages_put, ("guest_pages",)),
    events.GuestPagesRemoved: (_guest_pages_removed, ("guest_pages",)),
    events.GuestPasswordPut: (_guest_password_put, ("guest_passwords",)),
    events.GuestPasswordFetched: (_guest_password_fetched, ("guest_passwords",)),
    events.GuestPasswordRemoved: (_guest_password_removed, ("guest_passwords",)),
    events.SiteVpnPut: (_site_vpn_put, ("site_vpns",)),
    events.SiteVpnRemoved: (_site_vpn_removed, ("site_vpns",)),
    events.RemoteAccessPut: (_remote_access_put, ("remote_accesses",)),
    events.RemoteAccessRemoved: (_remote_access_removed, ("remote_accesses",)),
    events.VpnUsersChanged: (_vpn_users_changed, ("vpn_users",)),
    events.BgpPeeringsReplaced: (_bgp_peerings_replaced, ()),
}
"""What each kind of event does to a draft, and the mappings that this writes to, whatever the event says."""
