"""Commands about everything of a VPC but its tiers: what guests are offered, what is let in, who is connected to it.

As those of `strategies`, each is drawn by a tier's number and a small variant, so that commands meet: what one puts,
another one changes, refers to or takes away. None of them may interrupt any tier's way out.
"""

from __future__ import annotations

from collections.abc import Callable

from vpcrouter import commands
from vpcrouter.values.balancing import BalancedServer, Balancer, BalancerRule, Certificate, StatisticsPage, Stickiness
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.config import (
    Acl,
    AclRule,
    FirewallRule,
    Ipv6FirewallRule,
    PortForward,
    PublicAddress,
    Reservation,
    Secret,
    StaticNat,
    StaticRoute,
)
from vpcrouter.values.guests import GuestPages
from vpcrouter.values.monitoring import Monitoring
from vpcrouter.values.vpn import RemoteAccess, SiteVpn, VpnUser

Make = Callable[[int, int, int], commands.Command]
"""Tier (2 to 5), variant (0 to 3), last byte of the router's own addresses (2 or 3) → a command."""

PROTOCOLS = ("tcp", "udp", "icmp", "all")
_SOURCES = (("0.0.0.0/0",), ("198.51.100.0/24",), ("0.0.0.0/0", "::/0"), ("198.51.100.7/32", "203.0.113.0/24"))


def guest(number: int, variant: int) -> str:
    """The address of a guest on ethN."""
    return f"10.1.{number}.{10 + variant}"


# What is let in -----------------------------------------------------------------------------------


def acl(number: int, variant: int, _: int) -> commands.Command:
    """Rules of each protocol in both directions, or none at all."""
    ports = (80, 80 + variant)
    rules = tuple(
        AclRule(
            protocol=each,
            first_port=ports[0] if each in ("tcp", "udp") else 0,
            last_port=ports[1] if each in ("tcp", "udp") else 0,
            icmp_type=variant - 1 if each == "icmp" else -1,
            icmp_code=0 if each == "icmp" and variant == 2 else -1,
            networks=_SOURCES[variant],
            allowed=(each == "all") is (variant % 2 == 0),
        )
        for each in (*PROTOCOLS, "47")[: 2 + variant]
    )
    if variant == 3:
        rules = ()
    return commands.ReplaceAcl(acl=Acl(device=f"eth{number}", ingress=rules, egress=rules[::2]))


def firewall(number: int, variant: int, _: int) -> commands.Command:
    """A rule of a public address; another one goes."""
    protocol = PROTOCOLS[variant]
    has_ports = protocol in ("tcp", "udp")
    rule = FirewallRule(
        rule_id=40 + number,
        address=f"203.0.113.{10 + variant}",
        protocol=protocol,
        first_port=8000 if has_ports else 0,
        last_port=8000 + variant if has_ports else 0,
        icmp_type=8 if protocol == "icmp" else -1,
        icmp_code=0 if protocol == "icmp" else -1,
        sources=_SOURCES[variant],
    )
    return commands.ChangeFirewallRules(put=(rule,), remove=(39 + number,) if variant else ())


def ipv6_firewall(number: int, variant: int, _: int) -> commands.Command:
    """A rule of a tier's IPv6 network, towards the guests or from them."""
    protocol = PROTOCOLS[variant]
    has_ports = protocol in ("tcp", "udp")
    rule = Ipv6FirewallRule(
        rule_id=60 + number,
        network=f"2001:db8:{number}::/64",
        ingress=variant % 2 == 0,
        opens=variant != 3,
        protocol=protocol,
        first_port=443 if has_ports else 0,
        last_port=443 if has_ports else 0,
        icmp_type=128 if protocol == "icmp" else -1,
        icmp_code=0 if protocol == "icmp" else -1,
        sources=("2001:db8:77::/48",) if variant else (),
        destinations=(f"2001:db8:{number}::/64",) if variant == 1 else (),
    )
    return commands.ChangeIpv6FirewallRules(put=(rule,), remove=(59 + number,) if variant else ())


# What is translated -------------------------------------------------------------------------------


def forward(number: int, variant: int, _: int) -> commands.Command:
    """A range of public ports, for some sources; or such a one goes."""
    made = PortForward(
        address=f"203.0.113.{11 + number % 2}",
        protocol=("tcp", "udp")[variant % 2],
        first_port=2200,
        last_port=2200 + variant,
        target=guest(number, 0),
        target_port=8022,
        sources=("198.51.100.0/24",) if variant == 1 else (),
    )
    return commands.ChangePortForwards(**{"remove" if variant == 3 else "put": (made,)})


def static_nat(number: int, variant: int, _: int) -> commands.Command:
    """One public address becomes a guest's, another one's does not stay so."""
    made = StaticNat(address=f"203.0.113.{12 + variant}", target=guest(number, variant))
    remove = (f"203.0.113.{12 + (variant + 1) % 4}",)
    return commands.ChangeStaticNats(put=() if variant == 3 else (made,), remove=remove if variant else ())


def static_route(number: int, variant: int, _: int) -> commands.Command:
    """A network behind a guest, the public gateway or a private gateway; another one goes."""
    gateway = (f"10.1.{number}.14", "203.0.113.1", "192.0.2.193", f"10.1.{number}.13")[variant]
    made = StaticRoute(network=f"192.0.2.{64 * (variant % 3)}/26", gateway=gateway)
    return commands.ChangeStaticRoutes(
        put=() if variant == 3 else (made,), remove=(f"192.0.2.{64 * ((variant + 1) % 3)}/26",) if variant else ()
    )


def balancer(number: int, variant: int, _: int) -> commands.Command:
    """The whole load balancer; or none."""
    if variant == 3:
        return commands.ReplaceBalancer(balancer=Balancer())
    is_http, is_sticky = variant == 1, variant == 2
    more = int(is_sticky)
    rule = BalancerRule(
        address=f"203.0.113.{10 + number % 2}",
        port=8080 + variant,
        algorithm=("roundrobin", "leastconn", "source")[variant],
        http=is_http,
        keeps_alive=is_http,
        servers=tuple(
            BalancedServer(
                address=guest(number, each),
                port=8080 + each,
                tls=is_http,
                send_proxy=is_sticky,
                most_connections=100 * more,
                least_connections=10 * more,
                most_queued=50 * more,
            )
            for each in range(variant + 1)
        ),
        sources=("198.51.100.0/24",) if is_sticky else (),
        stickiness=(None, _BY_COOKIE, Stickiness(table_size=1000, expire_s=60))[variant],
        certificate=_CERTIFICATE if is_http else None,
        http2=is_http,
        tls_profile="modern" if is_http else "intermediate",
        connect_timeout_ms=1_000 * more,
        client_timeout_ms=2_000 * more,
        server_timeout_ms=3_000 * more,
        most_connections=1_000 * more,
        full_connections=500 * more,
    )
    page = StatisticsPage(
        address=rule.address,
        port=8090 + variant,
        uri=f"/admin{variant}?stats",
        user=f"admin-{variant}",
        password=Secret(text=f"Example-Pw-{variant}"),
        sources=("198.51.100.0/24",) if is_sticky else (),
    )
    return commands.ReplaceBalancer(
        balancer=Balancer(rules=(rule,), pages=(page,) if variant else (), most_connections=4096 << variant)
    )


_BY_COOKIE = Stickiness(
    cookie_name="SRV", cookie_mode="rewrite", indirect=True, nocache=True, postonly=True, domains=("example.com",)
)
_CERTIFICATE = Certificate(certificates=("MAA=",), key=Secret(text="MAA="), key_label="EC PRIVATE KEY")
"""An empty sequence of DER twice: nobody looks into it here."""


# What guests get ----------------------------------------------------------------------------------


def lease(number: int, variant: int, _: int) -> commands.Command:
    """A reservation with a time, of a NIC that is not the default one; or one goes."""
    address, mac = guest(number, variant % 2), f"02:02:00:00:{number:02x}:{variant % 2:02x}"
    if variant == 3:
        return commands.RemoveReservation(address=guest(number, 0), mac=f"02:02:00:00:{number:02x}:00")
    return commands.PutReservation(
        reservation=Reservation(
            address=address, mac=mac, host_name=f"vm-{number}-{variant}", is_default=variant == 0, lease_seconds=3600
        )
    )


def pages(number: int, variant: int, _: int) -> commands.Command:
    """User data and metadata of a guest; or none."""
    address = guest(number, 0)
    if variant == 3:
        return commands.RemoveGuestPages(address=address)
    found = GuestPages(
        address=address,
        user_data=None if variant == 0 else Secret(text="I2Nsb3VkLWNvbmZpZwo="),
        metadata=tuple((f"key-{each}", f"line {each}\nof {number}") for each in range(variant)),
    )
    return commands.PutGuestPages(pages=found)


def password(number: int, variant: int, _: int) -> commands.Command:
    """A guest's password waits, was fetched, or is withdrawn."""
    address = guest(number, 0)
    match variant:
        case 2:
            return commands.ConfirmGuestPassword(address=address)
        case 3:
            return commands.RemoveGuestPassword(address=address)
    return commands.PutGuestPassword(address=address, password=Secret(text=f"Example-Pw-{variant}"))


# Who is connected ---------------------------------------------------------------------------------


def site_vpn(number: int, variant: int, _: int) -> commands.Command:
    """The tunnels to another site; or none."""
    peer = f"198.18.0.{number}"
    if variant == 3:
        return commands.RemoveSiteVpn(peer=peer)
    return commands.PutSiteVpn(
        vpn=SiteVpn(
            peer=peer,
            address=f"203.0.113.{10 + number % 2}",
            local_network=("10.1.0.0/16", f"10.1.{number}.0/24", "10.1.0.0/17")[variant],
            remote_networks=(f"172.16.{number}.0/24", f"172.17.{number}.0/24")[: 1 + variant % 2],
            ike_version=variant,
            ike_proposals=("aes256-sha256-modp2048", "aes128-sha1-modp1024")[: 1 + variant % 2],
            esp_proposals=("aes128-sha1", "aes256gcm16")[: 1 + variant % 2],
            key=Secret(text=f"example key {variant}"),
            ike_lifetime_s=86_400 >> variant,
            esp_lifetime_s=3_600 >> variant,
            forces_encapsulation=variant == 2,
            detects_dead_peer=variant == 1,
            is_passive=variant == 2,
            splits=variant == 1,
        )
    )


def remote_access(number: int, variant: int, _: int) -> commands.Command:
    """Clients are let in; or no more."""
    address = f"203.0.113.{10 + (number + variant) % 2}"
    if variant == 3:
        return commands.RemoveRemoteAccess(address=address)
    return commands.PutRemoteAccess(
        access=RemoteAccess(
            address=address,
            first_client=f"172.20.0.{2 + variant}",
            last_client=f"172.20.0.{20 + variant}",
            local_address=("172.20.0.1", "172.20.0.254", "172.20.0.253")[variant],
            local_network=("10.1.0.0/16", "10.1.0.0/17", f"10.1.{number}.0/24")[variant],
            key=Secret(text=f"example key {variant}"),
        )
    )


def vpn_users(number: int, variant: int, _: int) -> commands.Command:
    """Somebody may come in, somebody else no more."""
    put = (VpnUser(name=f"user-{number}", password=Secret(text=f"Example-Pw-{variant}")),)
    return commands.ChangeVpnUsers(
        put=() if variant == 3 else put, remove=(f"user-{(number + 1) % 6}",) if variant else ()
    )


def bgp(number: int, variant: int, _: int) -> commands.Command:
    """What neighbours are told; or there is no BGP."""
    if variant == 3:
        return commands.ReplaceBgpPeerings(peerings=())
    peerings = tuple(
        BgpPeering(
            peer_id=each,
            network_id=200 + number,
            as_number=64500 + each,
            own_as_number=64496 + number // 5,
            ipv4=f"203.0.113.20{each}",
            ipv6=f"2001:db8:100::20{each}" if each == 2 else None,
            password=Secret(text="example-md5-key") if variant == 2 else None,
            network4=f"10.1.{number}.0/24",
            network6=f"2001:db8:{number}::/64" if each == 2 else None,
            hops=1 + variant,
        )
        for each in range(1, 2 + variant)
    )
    return commands.ReplaceBgpPeerings(peerings=peerings)


def monitoring(_: int, variant: int, __: int) -> commands.Command:
    """What is watched of the router's health."""
    return commands.ChangeMonitoring(
        monitoring=Monitoring(
            enabled=variant != 3,
            services=("dhcp", "ssh")[:variant],
            excluded=("gateways_check.py",) if variant == 2 else (),
            gateways=("203.0.113.1", "198.18.5.1")[: 1 + variant % 2],
            least_disk_mb=variant,
            most_cpu_percent=100 - variant,
            most_memory_percent=100 - variant,
            basic_interval_min=3 - variant,
            advanced_interval_min=variant,
        ),
        names_services=variant != 1,
    )


# The outside --------------------------------------------------------------------------------------


def private_gateway(_: int, variant: int, own: int) -> commands.Command:
    """A private gateway on eth9; or it goes."""
    if variant == 3:
        return commands.ChangePublicAddresses(remove=("192.0.2.194",))
    put = PublicAddress(
        address="192.0.2.194",
        network="192.0.2.192/26",
        gateway="192.0.2.193",
        device="eth9",
        mac=f"02:01:00:09:00:{own:02x}",
        private_gateway=True,
        source_nat=variant == 1,
    )
    return commands.ChangePublicAddresses(put=(put,))


def private_acl(_: int, variant: int, __: int) -> commands.Command:
    """The rules of the private gateway."""
    rules = (AclRule(protocol="udp", first_port=7000, last_port=7000 + variant, networks=_SOURCES[variant]),)
    return commands.ReplaceAcl(acl=Acl(device="eth9", ingress=rules if variant else (), private_gateway=True))


def more_public(_: int, variant: int, __: int) -> commands.Command:
    """A public address more, on a second public device too; or one goes."""
    if variant == 3:
        return commands.ChangePublicAddresses(remove=("203.0.113.11", "203.0.113.13"))
    second = variant == 2
    network = "198.18.5" if second else "203.0.113"
    put = PublicAddress(
        address=f"{network}.{11 + variant}",
        network=f"{network}.0/24",
        gateway=f"{network}.1",
        device="eth8" if second else "eth1",
        mac=None,
        mtu=1400 if second else 1500,
    )
    return commands.ChangePublicAddresses(put=(put,))


SERVICES: tuple[Make, ...] = (
    acl,
    firewall,
    ipv6_firewall,
    forward,
    static_nat,
    static_route,
    balancer,
    lease,
    pages,
    password,
    site_vpn,
    remote_access,
    vpn_users,
    bgp,
    monitoring,
    private_gateway,
    private_acl,
    more_public,
)
"""Every kind of such a command."""
