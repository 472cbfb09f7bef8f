"""The hypothesis strategies of all property tests, in one place.

They draw from small pools, so that commands meet: the same devices, networks, addresses and MACs come again.
"""

from __future__ import annotations

from hypothesis import strategies as st

from vpcrouter import commands
from vpcrouter.values.balancing import BalancedServer, Balancer, BalancerRule, StatisticsPage, Stickiness
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.config import (
    Acl,
    AclRule,
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
    TierIpv6,
)
from vpcrouter.values.guests import GuestPages
from vpcrouter.values.monitoring import Monitoring
from vpcrouter.values.vpn import RemoteAccess, SiteVpn, VpnUser

TIER_NUMBERS = st.integers(2, 6)
DEVICES = TIER_NUMBERS.map("eth{}".format)
PUBLIC = st.integers(10, 16).map("203.0.113.{}".format)
GUESTS = st.tuples(TIER_NUMBERS, st.sampled_from([10, 11, 12, 13, 2, 3])).map("10.1.{0[0]}.{0[1]}".format)
MACS = st.integers(1, 6).map("02:00:00:00:00:{:02x}".format)
CIDRS = st.sampled_from(
    ["0.0.0.0/0", "::/0", "10.1.0.0/16", "198.51.100.0/24", "198.51.100.128/25", "192.0.2.7/32", "2001:db8::/32"]
)
IPV4_CIDRS = CIDRS.filter(lambda cidr: ":" not in cidr)
NAMES = st.sampled_from(["web-1", "db", "a.b", "x1"])


IPV6_TIERS = TIER_NUMBERS.map("2001:db8:1:{}::/64".format)


def tier(number: int, *, own: int = 2, mtu: int = 1500, ipv6: bool = False) -> Tier:
    """The tier on ethN as the router whose addresses end in `own` has it."""
    return Tier(
        device=f"eth{number}",
        network=f"10.1.{number}.0/24",
        gateway=f"10.1.{number}.1",
        address=f"10.1.{number}.{own}",
        mac=f"02:01:00:00:{number:02x}:{own:02x}",
        domain="vpc1.example.com",
        resolvers=("203.0.113.53",),
        mtu=mtu,
        network_id=200 + number,
        ipv6=TierIpv6(
            network=f"2001:db8:1:{number}::/64",
            gateway=f"2001:db8:1:{number}::1",
            address=f"2001:db8:1:{number}::{own:x}",
            resolvers=("2001:db8::53",),
            public_network="2001:db8:0:1::/64",
            public_gateway="2001:db8:0:1::1",
            public_address="2001:db8:0:1::10",
        )
        if ipv6
        else None,
    )


def config(
    *, own: int = 2, redundant: bool = True, true_source_nat: bool = True, filters: bool = False
) -> RouterConfig:
    """Boot parameters of the router whose addresses end in `own`."""
    return RouterConfig(
        name=f"r-{own}-VM",
        vpc_network="10.1.0.0/16",
        domain="vpc1.example.com",
        resolvers=("203.0.113.53",),
        control_address=f"169.254.0.{own}/16",
        redundant=redundant,
        prefers_master=own == 2,
        source_nat_address="203.0.113.10" if true_source_nat else None,
        password=Secret(text="1029137816800961"),
        parameters=(("router_id", "7"), *((("vpc_firewall_enabled", "true"),) if filters else ())),
    )


def public_address(address: str, *, marked: bool = False, mac: str | None = None) -> PublicAddress:
    """A public address on eth1."""
    return PublicAddress(
        address=address,
        network="203.0.113.0/24",
        gateway="203.0.113.1",
        device="eth1",
        mac=mac,
        source_nat=marked,
    )


acl_rules = st.builds(
    lambda kind, ports, icmp, cidrs, allowed: AclRule(
        protocol=kind,
        first_port=ports[0] if kind in ("tcp", "udp") else 0,
        last_port=ports[1] if kind in ("tcp", "udp") else 0,
        icmp_type=icmp if kind == "icmp" else -1,
        networks=tuple(cidrs),
        allowed=allowed,
    ),
    st.sampled_from(["tcp", "udp", "icmp", "all", "47", "6"]),
    st.sampled_from([(0, 0), (80, 80), (8000, 8099), (1, 65535)]),
    st.integers(-1, 12),
    st.lists(CIDRS, min_size=1, max_size=3, unique=True),
    st.booleans(),
)
acls = st.builds(
    lambda device, ingress, egress: Acl(device=device, ingress=tuple(ingress), egress=tuple(egress)),
    DEVICES,
    st.lists(acl_rules, max_size=4),
    st.lists(acl_rules, max_size=3),
)
port_forwards = st.builds(
    lambda address, protocol, first, length, target, target_port, sources: PortForward(
        address=address,
        protocol=protocol,
        first_port=first,
        last_port=first + length,
        target=target,
        target_port=target_port,
        sources=tuple(sources),
    ),
    PUBLIC,
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from([22, 80, 2201, 8000]),
    st.sampled_from([0, 0, 9]),
    GUESTS,
    st.sampled_from([22, 80, 8000, 9000]),
    st.lists(IPV4_CIDRS, max_size=2, unique=True),
)
static_nats = st.builds(lambda address, target: StaticNat(address=address, target=target), PUBLIC, GUESTS)
static_routes = st.builds(
    lambda network, gateway: StaticRoute(network=network, gateway=gateway),
    st.sampled_from(["198.51.100.64/27", "198.51.100.128/26", "192.0.2.0/24", "10.1.200.0/24"]),
    GUESTS | st.just("203.0.113.1"),
)
reservations = st.builds(
    lambda address, mac, name, is_default, lease: Reservation(
        address=address, mac=mac, host_name=name, is_default=is_default, lease_seconds=lease
    ),
    GUESTS,
    MACS,
    NAMES,
    st.booleans(),
    st.sampled_from([0, 3600]),
)
PASSWORDS = st.sampled_from(["Example-Pw-0001", 'pw"\\}{;#', "$(x)"]).map(lambda text: Secret(text=text))
guest_pages = st.builds(
    lambda address, user_data, metadata: GuestPages(
        address=address, user_data=user_data, metadata=tuple(sorted(metadata.items()))
    ),
    GUESTS,
    st.none() | st.sampled_from(["", "I2Nsb3VkLWNvbmZpZwo="]).map(lambda text: Secret(text=text)),
    st.dictionaries(st.sampled_from(["vm-id", "public-keys"]), st.sampled_from(["", "a\nb", '../"\\']), max_size=2),
)

PORTS = st.sampled_from([(0, 0), (80, 80), (8000, 8099), (1, 65535)])
RULE_IDS = st.integers(41, 46)
firewall_rules = st.builds(
    lambda number, address, kind, ports, icmp, cidrs: FirewallRule(
        rule_id=number,
        address=address,
        protocol=kind,
        first_port=ports[0] if kind in ("tcp", "udp") else 0,
        last_port=ports[1] if kind in ("tcp", "udp") else 0,
        icmp_type=icmp if kind == "icmp" else -1,
        sources=tuple(cidrs),
    ),
    RULE_IDS,
    PUBLIC,
    st.sampled_from(["tcp", "udp", "icmp", "all"]),
    PORTS,
    st.integers(-1, 12),
    st.lists(CIDRS, min_size=1, max_size=3, unique=True),
)
ipv6_firewall_rules = st.builds(
    lambda number, network, ingress, opens, kind, ports, cidrs: Ipv6FirewallRule(
        rule_id=number,
        network=network,
        ingress=ingress,
        opens=opens or ingress,
        protocol=kind,
        first_port=ports[0] if kind in ("tcp", "udp") else 0,
        last_port=ports[1] if kind in ("tcp", "udp") else 0,
        sources=tuple(cidrs),
        destinations=tuple(cidrs),
    ),
    RULE_IDS,
    IPV6_TIERS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["tcp", "udp", "icmp", "all"]),
    PORTS,
    st.lists(CIDRS, max_size=3, unique=True),
)
FAR = st.sampled_from(["192.168.7.0/24", "192.168.8.0/24", "192.168.0.0/16", "198.51.100.128/26", "10.1.2.0/25"])
SITES = st.sampled_from(["198.18.0.1", "198.18.0.2"])
NETWORK_IDS = st.integers(202, 206)
site_vpns = st.builds(
    lambda peer, address, far, version, passive, splits: SiteVpn(
        peer=peer,
        address=address,
        local_network="10.1.0.0/16",
        remote_networks=(far,),
        ike_version=version,
        ike_proposals=("aes256-sha256-modp2048",),
        esp_proposals=("aes128-sha1", "aes256gcm16"),
        key=Secret(text="a key"),
        detects_dead_peer=not passive,
        is_passive=passive,
        splits=splits,
    ),
    SITES,
    PUBLIC,
    FAR.filter(lambda far: not far.startswith("10.")),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
)
remote_accesses = st.builds(
    lambda address, first: RemoteAccess(
        address=address,
        first_client=f"192.168.7.{first}",
        last_client="192.168.7.20",
        local_address="192.168.7.1",
        local_network="10.1.0.0/16",
        key=Secret(text="another"),
    ),
    PUBLIC,
    st.integers(2, 20),
)
vpn_users = st.builds(
    lambda name, password: VpnUser(name=name, password=Secret(text=password)),
    st.sampled_from(["alice", "bob@example.com"]),
    st.sampled_from(["p1", "p2"]),
)
bgp_peerings = st.builds(
    lambda peer, network, own, hops: BgpPeering(
        peer_id=peer,
        network_id=network,
        as_number=64500 + peer,
        own_as_number=own,
        ipv4=f"203.0.113.20{peer}",
        ipv6=f"2001:db8::20{peer}" if peer == 2 else None,
        password=Secret(text="m$d5!") if peer == 1 else None,
        network4=f"10.1.{network - 200}.0/24",
        hops=hops,
    ),
    st.integers(1, 3),
    NETWORK_IDS,
    st.sampled_from([64496, 64496, 64496, 64497]),
    st.sampled_from([1, 1, 1, 2]),
)

balancers = st.builds(
    lambda rules, pages: Balancer(rules=tuple(rules), pages=tuple(pages)),
    st.lists(
        st.builds(
            lambda address, port, server, http, sources, sticky: BalancerRule(
                address=address,
                port=port,
                http=http,
                servers=(BalancedServer(address=server, port=8080),),
                sources=tuple(sources),
                stickiness=Stickiness() if sticky else None,
            ),
            PUBLIC,
            st.sampled_from([80, 2201, 9000]),
            GUESTS,
            st.booleans(),
            st.lists(IPV4_CIDRS, max_size=2, unique=True),
            st.booleans(),
        ),
        max_size=3,
        unique_by=lambda rule: (rule.address, rule.port),
    ),
    st.lists(
        st.builds(
            lambda address: StatisticsPage(
                address=address, port=8081, uri="/admin?stats", user="lbstats", password=Secret(text='pw"\\$')
            ),
            PUBLIC,
        ),
        max_size=1,
    ),
)

any_command: st.SearchStrategy[commands.Command] = st.one_of(
    st.builds(
        lambda redundant, true, filters: commands.ConfigureRouter(
            config=config(redundant=redundant, true_source_nat=true, filters=filters)
        ),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(
        lambda put, remove: commands.ChangePublicAddresses(put=tuple(put), remove=tuple(remove)),
        st.lists(st.builds(public_address, PUBLIC, marked=st.booleans()), max_size=2, unique_by=lambda p: p.address),
        st.lists(PUBLIC, max_size=1),
    ),
    st.builds(
        lambda number, mtu, ipv6: commands.PutTier(tier=tier(number, mtu=mtu, ipv6=ipv6)),
        TIER_NUMBERS,
        st.sampled_from([1500, 1400]),
        st.booleans(),
    ),
    TIER_NUMBERS.map(lambda n: commands.RemoveTier(device=f"eth{n}", network=f"10.1.{n}.0/24")),
    acls.map(lambda acl: commands.ReplaceAcl(acl=acl)),
    st.builds(
        lambda put, remove: commands.ChangePortForwards(put=tuple(put), remove=tuple(remove)),
        st.lists(port_forwards, max_size=3),
        st.lists(port_forwards, max_size=1),
    ),
    st.builds(
        lambda put, remove: commands.ChangeStaticNats(put=tuple(put), remove=tuple(remove)),
        st.lists(static_nats, max_size=2, unique_by=lambda nat: nat.address),
        st.lists(PUBLIC, max_size=1),
    ),
    st.builds(
        lambda put, remove: commands.ChangeStaticRoutes(put=tuple(put), remove=tuple(remove)),
        st.lists(static_routes, max_size=2, unique_by=lambda route: route.network),
        st.lists(static_routes.map(lambda route: route.network), max_size=1),
    ),
    reservations.map(lambda each: commands.PutReservation(reservation=each)),
    st.builds(lambda address, mac: commands.RemoveReservation(address=address, mac=mac), GUESTS, MACS),
    st.builds(
        lambda put, remove: commands.ChangeFirewallRules(put=tuple(put), remove=tuple(remove)),
        st.lists(firewall_rules, max_size=2, unique_by=lambda rule: rule.rule_id),
        st.lists(RULE_IDS, max_size=1),
    ),
    st.builds(
        lambda put, remove: commands.ChangeIpv6FirewallRules(put=tuple(put), remove=tuple(remove)),
        st.lists(ipv6_firewall_rules, max_size=2, unique_by=lambda rule: rule.rule_id),
        st.lists(RULE_IDS, max_size=1),
    ),
    balancers.map(lambda each: commands.ReplaceBalancer(balancer=each)),
    st.builds(
        lambda services, excluded, names: commands.ChangeMonitoring(
            monitoring=Monitoring(services=tuple(services), excluded=tuple(excluded)), names_services=names
        ),
        st.lists(st.sampled_from(["dhcp", "ssh"]), max_size=1),
        st.lists(st.just("gateways_check.py"), max_size=1),
        st.booleans(),
    ),
    guest_pages.map(lambda each: commands.PutGuestPages(pages=each)),
    GUESTS.map(lambda address: commands.RemoveGuestPages(address=address)),
    st.builds(lambda address, text: commands.PutGuestPassword(address=address, password=text), GUESTS, PASSWORDS),
    GUESTS.map(lambda address: commands.ConfirmGuestPassword(address=address)),
    GUESTS.map(lambda address: commands.RemoveGuestPassword(address=address)),
    site_vpns.map(lambda vpn: commands.PutSiteVpn(vpn=vpn)),
    SITES.map(lambda peer: commands.RemoveSiteVpn(peer=peer)),
    remote_accesses.map(lambda access: commands.PutRemoteAccess(access=access)),
    PUBLIC.map(lambda address: commands.RemoveRemoteAccess(address=address)),
    st.builds(
        lambda put, remove: commands.ChangeVpnUsers(put=tuple(put), remove=tuple(remove)),
        st.lists(vpn_users, max_size=2, unique_by=lambda user: user.name),
        st.lists(vpn_users.map(lambda user: user.name), max_size=1),
    ),
    st.lists(bgp_peerings, max_size=3, unique_by=lambda each: (each.peer_id, each.network_id)).map(
        lambda peerings: commands.ReplaceBgpPeerings(peerings=tuple(peerings))
    ),
)
"""A command that is well formed; it may well contradict the ones before it."""


def as_the_peer_gets_it(command: commands.Command) -> commands.Command:
    """A command of `any_command` as the router whose addresses end in 3 gets it."""
    match command:
        case commands.PutTier():
            wide = command.tier.ipv6 is not None
            return commands.PutTier(tier=tier(int(command.tier.device[3:]), own=3, mtu=command.tier.mtu, ipv6=wide))
        case commands.ConfigureRouter():
            true_source_nat = command.config.source_nat_address is not None
            boot = config(
                own=3,
                redundant=command.config.redundant,
                true_source_nat=true_source_nat,
                filters=command.config.filters_public_addresses,
            )
            return commands.ConfigureRouter(config=boot)
        case _:
            return command


def additive_commands(own: int) -> list[commands.Command]:
    """A burst that builds a VPC, as the router whose addresses end in `own` gets it; no two contradict."""
    burst: list[commands.Command] = [commands.ConfigureRouter(config=config(own=own))]
    for last in (10, 11, 13):
        put = (public_address(f"203.0.113.{last}", marked=True, mac=f"06:00:00:00:00:{own:02x}"),)
        burst.append(commands.ChangePublicAddresses(put=put))
    for n in range(2, 7):
        burst.append(commands.PutTier(tier=tier(n, own=own)))
        burst.append(
            commands.ReplaceAcl(acl=Acl(device=f"eth{n}", ingress=(AclRule(protocol="tcp", networks=("0.0.0.0/0",)),)))
        )
        lease = Reservation(address=f"10.1.{n}.11", mac=f"02:02:00:00:00:{n:02x}", host_name=f"vm-{n}")
        burst.append(commands.PutReservation(reservation=lease))
        pages = GuestPages(address=lease.address, metadata=(("vm-id", f"vm-{n}"),))
        burst.append(commands.PutGuestPages(pages=pages))
        burst.append(commands.PutGuestPassword(address=lease.address, password=Secret(text=f"pw-{n}")))
    grown: list[PortForward] = []
    for n in range(2, 7):
        grown.append(
            PortForward(
                address="203.0.113.11",
                protocol="tcp",
                first_port=2200 + n,
                last_port=2200 + n,
                target=f"10.1.{n}.11",
                target_port=22,
            )
        )
        burst.append(commands.ChangePortForwards(put=tuple(grown)))
    burst.append(commands.ChangeStaticNats(put=(StaticNat(address="203.0.113.13", target="10.1.4.11"),)))
    burst.append(
        commands.PutSiteVpn(
            vpn=SiteVpn(
                peer="198.18.0.9",
                address="203.0.113.11",
                local_network="10.1.0.0/16",
                remote_networks=("172.16.0.0/24", "172.16.8.0/24"),
                ike_proposals=("aes256-sha256-modp2048",),
                esp_proposals=("aes256-sha256",),
                key=Secret(text="a key"),
            )
        )
    )
    burst.append(commands.ChangeVpnUsers(put=(VpnUser(name="carol", password=Secret(text="p")),)))
    peering = BgpPeering(
        peer_id=9, network_id=202, as_number=64509, own_as_number=64496, ipv4="203.0.113.209", network4="10.1.2.0/24"
    )
    burst.append(commands.ReplaceBgpPeerings(peerings=(peering,)))
    balanced = BalancerRule(address="203.0.113.11", port=65000, servers=(BalancedServer(address="10.1.2.11", port=80),))
    burst.append(commands.ReplaceBalancer(balancer=Balancer(rules=(balanced,))))
    route = StaticRoute(network="198.51.100.128/26", gateway="10.1.2.14")
    burst.append(commands.ChangeStaticRoutes(put=(route,)))
    return burst
