"""What is asked of a router, in the imperative: one frozen class for each kind of command.

`cloudstack/` makes them from foreign files, Python callers make them directly, `decide` turns each into at most
one event. A command holds values that have already checked themselves, nothing of its origin.
"""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.balancing import Balancer
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.checks import checked, each, flag, many
from vpcrouter.values.config import (
    Acl,
    FirewallRule,
    Ipv6FirewallRule,
    PortForward,
    PublicAddress,
    Reservation,
    RouterConfig,
    Secret,
    StaticNat,
    StaticRoute,
    Tier,
    rule_id,
)
from vpcrouter.values.guests import GuestPages, guest_password
from vpcrouter.values.monitoring import Monitoring
from vpcrouter.values.vpn import RemoteAccess, SiteVpn, VpnUser, user_name


@frozen(kw_only=True)
class ConfigureRouter:
    """Replace the boot parameters."""

    config: RouterConfig


@frozen(kw_only=True)
class ChangePublicAddresses:
    """Put addresses on public devices and private gateways (upsert by address), take others away."""

    put: tuple[PublicAddress, ...] = many(PublicAddress)
    remove: tuple[str, ...] = each(fields.ipv4)


@frozen(kw_only=True)
class PutTier:
    """Add a tier, or change one that is there."""

    tier: Tier


@frozen(kw_only=True)
class RemoveTier:
    """Remove the tier of a device; `network` must be the tier's, so that a late removal cannot hit a successor."""

    device: str = checked(fields.tier_device)
    network: str = checked(fields.ipv4_network)


@frozen(kw_only=True)
class ReplaceAcl:
    """Replace all rules of a device; two empty lists take the ACL away."""

    acl: Acl


@frozen(kw_only=True)
class ChangePortForwards:
    """Put port forwardings (they replace all others of their public ports), take others away."""

    put: tuple[PortForward, ...] = many(PortForward)
    remove: tuple[PortForward, ...] = many(PortForward)


@frozen(kw_only=True)
class ChangeStaticNats:
    """Put static NATs (upsert by public address), take others away by public address."""

    put: tuple[StaticNat, ...] = many(StaticNat)
    remove: tuple[str, ...] = each(fields.ipv4)


@frozen(kw_only=True)
class ChangeStaticRoutes:
    """Put static routes (upsert by network), take others away by network."""

    put: tuple[StaticRoute, ...] = many(StaticRoute)
    remove: tuple[str, ...] = each(fields.ipv4_network)


@frozen(kw_only=True)
class PutReservation:
    """Put a fixed lease (upsert by address; another one of the same MAC goes)."""

    reservation: Reservation


@frozen(kw_only=True)
class RemoveReservation:
    """Remove the lease of an address, if it is still the one of that MAC."""

    address: str = checked(fields.ipv4)
    mac: str = checked(fields.mac)


@frozen(kw_only=True)
class ChangeFirewallRules:
    """Put rules of public addresses (upsert by number), take others away by number."""

    put: tuple[FirewallRule, ...] = many(FirewallRule)
    remove: tuple[int, ...] = each(rule_id)


@frozen(kw_only=True)
class ChangeIpv6FirewallRules:
    """Put rules of guests' IPv6 networks (upsert by number), take others away by number."""

    put: tuple[Ipv6FirewallRule, ...] = many(Ipv6FirewallRule)
    remove: tuple[int, ...] = each(rule_id)


@frozen(kw_only=True)
class ChangeMonitoring:
    """Replace what is watched of the router's health; its services stay unless they are named."""

    monitoring: Monitoring
    names_services: bool = flag(True)


@frozen(kw_only=True)
class ReplaceBalancer:
    """Replace all of the load balancer; an empty one takes it away."""

    balancer: Balancer


@frozen(kw_only=True)
class PutGuestPages:
    """Replace the user data and metadata of a guest."""

    pages: GuestPages


@frozen(kw_only=True)
class RemoveGuestPages:
    """Remove the user data and metadata of an address."""

    address: str = checked(fields.ipv4)


@frozen(kw_only=True)
class PutSiteVpn:
    """Put the tunnels to another site (upsert by its gateway)."""

    vpn: SiteVpn


@frozen(kw_only=True)
class RemoveSiteVpn:
    """Remove the tunnels to a gateway."""

    peer: str = checked(fields.ipv4)


@frozen(kw_only=True)
class PutRemoteAccess:
    """Let clients in at a public address; a router has one such service."""

    access: RemoteAccess


@frozen(kw_only=True)
class RemoveRemoteAccess:
    """Let no more clients in at that address."""

    address: str = checked(fields.ipv4)


@frozen(kw_only=True)
class PutGuestPassword:
    """Have a guest fetch this password, once."""

    address: str = checked(fields.ipv4)
    password: Secret = checked(guest_password)


@frozen(kw_only=True)
class ConfirmGuestPassword:
    """A guest has its password: it is not handed out any more."""

    address: str = checked(fields.ipv4)


@frozen(kw_only=True)
class RemoveGuestPassword:
    """Withdraw the password of an address, fetched or not."""

    address: str = checked(fields.ipv4)


@frozen(kw_only=True)
class ChangeVpnUsers:
    """Put users (upsert by name), take others away by name."""

    put: tuple[VpnUser, ...] = many(VpnUser)
    remove: tuple[str, ...] = each(user_name)


@frozen(kw_only=True)
class ReplaceBgpPeerings:
    """Replace everything that BGP neighbours are told; with none there is no BGP."""

    peerings: tuple[BgpPeering, ...] = many(BgpPeering)


Command = (
    ConfigureRouter
    | ChangePublicAddresses
    | PutTier
    | RemoveTier
    | ReplaceAcl
    | ChangePortForwards
    | ChangeStaticNats
    | ChangeStaticRoutes
    | PutReservation
    | RemoveReservation
    | ChangeFirewallRules
    | ChangeIpv6FirewallRules
    | ReplaceBalancer
    | ChangeMonitoring
    | PutGuestPages
    | RemoveGuestPages
    | PutGuestPassword
    | ConfirmGuestPassword
    | RemoveGuestPassword
    | PutSiteVpn
    | RemoveSiteVpn
    | PutRemoteAccess
    | RemoveRemoteAccess
    | ChangeVpnUsers
    | ReplaceBgpPeerings
)
