"""What happened to a router, in the past tense: one frozen class for each kind of event, one file per subject.

An event holds facts only, all of them: `state.evolve` needs nothing but the state and the event. Its stored
name, version and field order stand as literals in `registry`; `codec` turns it into bytes and back.
"""

from __future__ import annotations

from vpcrouter.events.addresses import PublicAddressesChanged
from vpcrouter.events.balancing import BalancerReplaced
from vpcrouter.events.bgp import BgpPeeringsReplaced
from vpcrouter.events.confirmation import ChangeConfirmed, ChangeReverted, ConfirmationRequired
from vpcrouter.events.dhcp import ReservationPut, ReservationRemoved
from vpcrouter.events.firewall import FirewallRulesChanged, Ipv6FirewallRulesChanged
from vpcrouter.events.guests import (
    GuestPagesPut,
    GuestPagesRemoved,
    GuestPasswordFetched,
    GuestPasswordPut,
    GuestPasswordRemoved,
)
from vpcrouter.events.monitoring import MonitoringReplaced
from vpcrouter.events.nat import PortForwardsChanged, StaticNatsChanged
from vpcrouter.events.router import RoleChanged, RouterConfigured
from vpcrouter.events.routes import StaticRoutesChanged
from vpcrouter.events.tiers import AclReplaced, TierAdded, TierChanged, TierRemoved
from vpcrouter.events.vpn import (
    RemoteAccessPut,
    RemoteAccessRemoved,
    SiteVpnPut,
    SiteVpnRemoved,
    VpnUsersChanged,
)

Event = (
    RouterConfigured
    | RoleChanged
    | PublicAddressesChanged
    | TierAdded
    | TierChanged
    | TierRemoved
    | AclReplaced
    | PortForwardsChanged
    | StaticNatsChanged
    | StaticRoutesChanged
    | ReservationPut
    | ReservationRemoved
    | FirewallRulesChanged
    | Ipv6FirewallRulesChanged
    | ConfirmationRequired
    | ChangeConfirmed
    | ChangeReverted
    | BalancerReplaced
    | MonitoringReplaced
    | GuestPagesPut
    | GuestPagesRemoved
    | GuestPasswordPut
    | GuestPasswordFetched
    | GuestPasswordRemoved
    | SiteVpnPut
    | SiteVpnRemoved
    | RemoteAccessPut
    | RemoteAccessRemoved
    | VpnUsersChanged
    | BgpPeeringsReplaced
)

__all__ = [
    "AclReplaced",
    "BalancerReplaced",
    "BgpPeeringsReplaced",
    "ChangeConfirmed",
    "ChangeReverted",
    "ConfirmationRequired",
    "Event",
    "FirewallRulesChanged",
    "GuestPagesPut",
    "GuestPagesRemoved",
    "GuestPasswordFetched",
    "GuestPasswordPut",
    "GuestPasswordRemoved",
    "Ipv6FirewallRulesChanged",
    "MonitoringReplaced",
    "PortForwardsChanged",
    "PublicAddressesChanged",
    "RemoteAccessPut",
    "RemoteAccessRemoved",
    "ReservationPut",
    "ReservationRemoved",
    "RoleChanged",
    "RouterConfigured",
    "SiteVpnPut",
    "SiteVpnRemoved",
    "StaticNatsChanged",
    "StaticRoutesChanged",
    "TierAdded",
    "TierChanged",
    "TierRemoved",
    "VpnUsersChanged",
]
