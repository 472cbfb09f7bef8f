"""The stored name, version and field order of every event: literals, so that code can move and journals stay.

A released line here is never edited. A new field means a new version: a new line, and an upcaster from the old
one (`UPCASTERS`: name and version → function from the old array of fields to the next version's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vpcrouter import events
from vpcrouter.events.schema import By, Many, Maybe, Record
from vpcrouter.values import balancing, bgp, config, confirmation, guests, monitoring, vpn
from vpcrouter.values.role import Role


def _kept(secret: Any) -> config.Secret:
    """A secret is packed by `sealing`, which sees all of the event."""
    if not isinstance(secret, config.Secret):
        raise TypeError(f"{type(secret).__name__} is not a Secret")
    return secret


def _pair(packed: Any) -> tuple[Any, Any]:
    key, value = packed
    return key, value


_SECRET = By(_kept, lambda packed: config.Secret(text=packed))
"""A field of this codec, alone or in Maybe, Many and so on, is sealed in the journal."""
_ROLE = By(lambda role: role.value, Role)
_PAIR = By(list, _pair)
_SECRET_PAIR = By(
    lambda pair: [pair[0], _kept(pair[1])], lambda packed: (_pair(packed)[0], config.Secret(text=packed[1]))
)

ROUTER_CONFIG = Record(
    config.RouterConfig,
    name=None,
    vpc_network=None,
    domain=None,
    resolvers=Many(),
    control_address=None,
    redundant=None,
    prefers_master=None,
    source_nat_address=None,
    public_mtu=None,
    routed=None,
    uses_external_resolvers=None,
    uses_only_own_resolver=None,
    password=Maybe(_SECRET),
    parameters=Many(_PAIR),
    secret_parameters=Many(_SECRET_PAIR),
)
TIER_IPV6 = Record(
    config.TierIpv6,
    network=None,
    gateway=None,
    address=None,
    resolvers=Many(),
    public_network=None,
    public_gateway=None,
    public_address=None,
)
TIER = Record(
    config.Tier,
    device=None,
    network=None,
    gateway=None,
    address=None,
    mac=None,
    domain=None,
    resolvers=Many(),
    mtu=None,
    network_id=None,
    is_gateway=None,
    ipv6=Maybe(TIER_IPV6),
)
PUBLIC_ADDRESS = Record(
    config.PublicAddress,
    address=None,
    network=None,
    gateway=None,
    device=None,
    mac=None,
    mtu=None,
    private_gateway=None,
    source_nat=None,
)
ACL_RULE = Record(
    config.AclRule,
    protocol=None,
    first_port=None,
    last_port=None,
    icmp_type=None,
    icmp_code=None,
    networks=Many(),
    allowed=None,
)
ACL = Record(config.Acl, device=None, ingress=Many(ACL_RULE), egress=Many(ACL_RULE), private_gateway=None)
PORT_FORWARD = Record(
    config.PortForward,
    address=None,
    protocol=None,
    first_port=None,
    last_port=None,
    target=None,
    target_port=None,
    sources=Many(),
)
STATIC_NAT = Record(config.StaticNat, address=None, target=None)
STATIC_ROUTE = Record(config.StaticRoute, network=None, gateway=None)
RESERVATION = Record(config.Reservation, address=None, mac=None, host_name=None, is_default=None, lease_seconds=None)
FIREWALL_RULE = Record(
    config.FirewallRule,
    rule_id=None,
    address=None,
    protocol=None,
    first_port=None,
    last_port=None,
    icmp_type=None,
    icmp_code=None,
    sources=Many(),
)
IPV6_FIREWALL_RULE = Record(
    config.Ipv6FirewallRule,
    rule_id=None,
    network=None,
    ingress=None,
    opens=None,
    protocol=None,
    first_port=None,
    last_port=None,
    icmp_type=None,
    icmp_code=None,
    sources=Many(),
    destinations=Many(),
)
CONFIRMATION = Record(
    confirmation.Confirmation,
    name=None,
    before=None,
    until=None,
    within_ms=None,
    deadline_ms=None,
    boot_id=None,
    boot_deadline_ms=None,
    conditions=Many(),
    beneath=Many(_PAIR),
)
MONITORING = Record(
    monitoring.Monitoring,
    enabled=None,
    services=Many(),
    excluded=Many(),
    gateways=Many(),
    least_disk_mb=None,
    most_cpu_percent=None,
    most_memory_percent=None,
    basic_interval_min=None,
    advanced_interval_min=None,
)
BALANCED_SERVER = Record(
    balancing.BalancedServer,
    address=None,
    port=None,
    tls=None,
    send_proxy=None,
    most_connections=None,
    least_connections=None,
    most_queued=None,
)
STICKINESS = Record(
    balancing.Stickiness,
    cookie_name=None,
    cookie_mode=None,
    indirect=None,
    nocache=None,
    postonly=None,
    domains=Many(),
    table_size=None,
    expire_s=None,
)
CERTIFICATE = Record(balancing.Certificate, certificates=Many(), key=_SECRET, key_label=None)
BALANCER_RULE = Record(
    balancing.BalancerRule,
    address=None,
    port=None,
    algorithm=None,
    http=None,
    keeps_alive=None,
    servers=Many(BALANCED_SERVER),
    sources=Many(),
    stickiness=Maybe(STICKINESS),
    certificate=Maybe(CERTIFICATE),
    http2=None,
    tls_profile=None,
    connect_timeout_ms=None,
    client_timeout_ms=None,
    server_timeout_ms=None,
    most_connections=None,
    full_connections=None,
)
STATISTICS_PAGE = Record(
    balancing.StatisticsPage, address=None, port=None, uri=None, user=None, password=_SECRET, sources=Many()
)
BALANCER = Record(balancing.Balancer, rules=Many(BALANCER_RULE), pages=Many(STATISTICS_PAGE), most_connections=None)
GUEST_PAGES = Record(guests.GuestPages, address=None, user_data=Maybe(_SECRET), metadata=Many(_PAIR))
GUEST_PASSWORD = Record(guests.GuestPassword, address=None, password=_SECRET, fetched=None)
SITE_VPN = Record(
    vpn.SiteVpn,
    peer=None,
    address=None,
    local_network=None,
    remote_networks=Many(),
    ike_version=None,
    ike_proposals=Many(),
    esp_proposals=Many(),
    ike_lifetime_s=None,
    esp_lifetime_s=None,
    key=_SECRET,
    detects_dead_peer=None,
    is_passive=None,
    forces_encapsulation=None,
    splits=None,
)
REMOTE_ACCESS = Record(
    vpn.RemoteAccess,
    address=None,
    first_client=None,
    last_client=None,
    local_address=None,
    local_network=None,
    key=_SECRET,
)
VPN_USER = Record(vpn.VpnUser, name=None, password=_SECRET)
BGP_PEERING = Record(
    bgp.BgpPeering,
    peer_id=None,
    network_id=None,
    as_number=None,
    own_as_number=None,
    ipv4=None,
    ipv6=None,
    password=Maybe(_SECRET),
    network4=None,
    network6=None,
    hops=None,
)

EVENTS: Mapping[tuple[str, int], Record] = {
    ("router-configured", 1): Record(events.RouterConfigured, config=ROUTER_CONFIG),
    ("role-changed", 1): Record(events.RoleChanged, role=_ROLE, previous=_ROLE, reason=None),
    ("public-addresses-changed", 1): Record(events.PublicAddressesChanged, put=Many(PUBLIC_ADDRESS), removed=Many()),
    ("tier-added", 1): Record(events.TierAdded, tier=TIER),
    ("tier-changed", 1): Record(events.TierChanged, tier=TIER),
    ("tier-removed", 1): Record(events.TierRemoved, device=None, network=None, reservations=Many()),
    ("acl-replaced", 1): Record(events.AclReplaced, acl=ACL),
    ("port-forwards-changed", 1): Record(
        events.PortForwardsChanged, put=Many(PORT_FORWARD), removed=Many(PORT_FORWARD)
    ),
    ("static-nats-changed", 1): Record(events.StaticNatsChanged, put=Many(STATIC_NAT), removed=Many()),
    ("static-routes-changed", 1): Record(events.StaticRoutesChanged, put=Many(STATIC_ROUTE), removed=Many()),
    ("reservation-put", 1): Record(events.ReservationPut, reservation=RESERVATION, displaced=Many()),
    ("reservation-removed", 1): Record(events.ReservationRemoved, address=None),
    ("firewall-rules-changed", 1): Record(events.FirewallRulesChanged, put=Many(FIREWALL_RULE), removed=Many()),
    ("ipv6-firewall-rules-changed", 1): Record(
        events.Ipv6FirewallRulesChanged, put=Many(IPV6_FIREWALL_RULE), removed=Many()
    ),
    ("confirmation-required", 1): Record(events.ConfirmationRequired, confirmation=CONFIRMATION),
    ("change-confirmed", 1): Record(events.ChangeConfirmed, name=None, by=None),
    ("change-reverted", 1): Record(events.ChangeReverted, name=None, reason=None, kept=Many()),
    ("monitoring-replaced", 1): Record(events.MonitoringReplaced, monitoring=MONITORING),
    ("balancer-replaced", 1): Record(events.BalancerReplaced, balancer=BALANCER),
    ("guest-pages-put", 1): Record(events.GuestPagesPut, pages=GUEST_PAGES),
    ("guest-pages-removed", 1): Record(events.GuestPagesRemoved, address=None),
    ("guest-password-put", 1): Record(events.GuestPasswordPut, address=None, password=_SECRET),
    ("guest-password-fetched", 1): Record(events.GuestPasswordFetched, address=None),
    ("guest-password-removed", 1): Record(events.GuestPasswordRemoved, address=None),
    ("site-vpn-put", 1): Record(events.SiteVpnPut, vpn=SITE_VPN),
    ("site-vpn-removed", 1): Record(events.SiteVpnRemoved, peer=None),
    ("remote-access-put", 1): Record(events.RemoteAccessPut, access=REMOTE_ACCESS),
    ("remote-access-removed", 1): Record(events.RemoteAccessRemoved, address=None),
    ("vpn-users-changed", 1): Record(events.VpnUsersChanged, put=Many(VPN_USER), removed=Many()),
    ("bgp-peerings-replaced", 1): Record(events.BgpPeeringsReplaced, peerings=Many(BGP_PEERING)),
}
"""By stored name and version. The highest version of a name is the one that is written."""

UPCASTERS: Mapping[tuple[str, int], Callable[[list[Any]], list[Any]]] = {}
"""From a name and version to the fields of the next version of that name."""
