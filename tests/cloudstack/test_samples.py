"""Every sample file of the wire format decodes to exactly what it means, or is refused as not built yet, by name."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cloudstack.documents import DATA
from vpcrouter.cloudstack import decode
from vpcrouter.commands import (
    ChangeFirewallRules,
    ChangeIpv6FirewallRules,
    ChangeMonitoring,
    ChangePortForwards,
    ChangePublicAddresses,
    ChangeStaticNats,
    ChangeStaticRoutes,
    ChangeVpnUsers,
    Command,
    ConfigureRouter,
    PutGuestPages,
    PutGuestPassword,
    PutRemoteAccess,
    PutReservation,
    PutSiteVpn,
    PutTier,
    RemoveRemoteAccess,
    RemoveReservation,
    RemoveSiteVpn,
    RemoveTier,
    ReplaceAcl,
    ReplaceBalancer,
    ReplaceBgpPeerings,
)
from vpcrouter.errors import UnsupportedTypeError
from vpcrouter.submission import read_submission
from vpcrouter.values.balancing import BalancedServer, Balancer, BalancerRule, StatisticsPage
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

PASSWORD = (
    "102913781680096112076558668955958879337261843637585336683904848298017195459921407840742324423339514497011358"
    "613438374377287899979488587893599275002183573"
)


def public(address: str, *, marked: bool) -> PublicAddress:
    return PublicAddress(
        address=address,
        network="203.0.113.0/24",
        gateway="203.0.113.1",
        device="eth1",
        mac="06:00:00:00:00:01",
        mtu=1500,
        source_nat=marked,
    )


def tcp(first: int, last: int, *networks: str, allowed: bool = True) -> AclRule:
    return AclRule(protocol="tcp", first_port=first, last_port=last, networks=networks, allowed=allowed)


def forward(protocol: str, first: int, last: int, target: str, target_port: int, *sources: str) -> PortForward:
    return PortForward(
        address="203.0.113.11",
        protocol=protocol,
        first_port=first,
        last_port=last,
        target=target,
        target_port=target_port,
        sources=sources,
    )


SSH = forward("tcp", 2201, 2201, "10.1.2.11", 22)
RANGE = forward("tcp", 8000, 8009, "10.1.2.12", 9000)
WEB = Reservation(address="10.1.2.11", mac="02:02:00:02:00:0b", host_name="web-1")


def balanced(address: str, *servers: tuple[str, int], port: int, algorithm: str, http: bool = False) -> BalancerRule:
    return BalancerRule(
        address=address,
        port=port,
        algorithm=algorithm,
        http=http,
        servers=tuple(BalancedServer(address=server, port=at) for server, at in servers),
        connect_timeout_ms=5000,
        client_timeout_ms=50000,
        server_timeout_ms=50000,
    )


STATISTICS = StatisticsPage(
    address="203.0.113.10", port=8081, uri="/admin?stats", user="lbstats", password=Secret(text="example-only")
)

EXPECTED: dict[str, Command] = {
    "monitor_service.json": ChangeMonitoring(
        monitoring=Monitoring(
            services=("dhcp", "loadbalancing", "ssh", "webserver"),
            excluded=("gateways_check.py",),
            gateways=("203.0.113.1",),
            least_disk_mb=100,
            advanced_interval_min=10,
        )
    ),
    "monitor_service.health_refresh.json": ChangeMonitoring(
        monitoring=Monitoring(
            excluded=("gateways_check.py",), gateways=("203.0.113.1",), least_disk_mb=100, advanced_interval_min=10
        ),
        names_services=False,
    ),
    "load_balancer.empty.json": ReplaceBalancer(balancer=Balancer(pages=(STATISTICS,))),
    "load_balancer.replace.json": ReplaceBalancer(
        balancer=Balancer(
            rules=(
                balanced(
                    "203.0.113.15",
                    ("10.1.6.11", 8080),
                    ("10.1.6.12", 8080),
                    port=80,
                    algorithm="roundrobin",
                    http=True,
                ),
                balanced("203.0.113.15", ("10.1.6.11", 8443), port=8443, algorithm="leastconn"),
            ),
            pages=(STATISTICS,),
        )
    ),
    "vm_metadata.json": PutGuestPages(
        pages=GuestPages(
            address="10.1.2.11",
            user_data=Secret(text="I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogd2ViLTEK"),
            metadata=(
                ("availability-zone", "zone1"),
                ("cloud-identifier", "CloudStack-{9b0c0000-0000-4000-8000-000000000001}"),
                ("hypervisor-host-name", "host1.example.com"),
                ("instance-id", "c5986c7a-f1a6-5099-b957-ae293c925f39"),
                ("local-hostname", "web-1"),
                ("local-ipv4", "10.1.2.11"),
                ("public-hostname", "203.0.113.10"),
                ("public-ipv4", "203.0.113.10"),
                ("public-keys", "ssh-ed25519 not-a-real-key admin@example.com"),
                ("service-offering", "Small Instance"),
                ("vm-id", "c5986c7a-f1a6-5099-b957-ae293c925f39"),
            ),
        )
    ),
    "vm_password.json": PutGuestPassword(address="10.1.2.11", password=Secret(text="Example-Pw-0001")),
    "firewall_rules.add.json": ChangeFirewallRules(
        put=(
            FirewallRule(
                rule_id=41,
                address="203.0.113.13",
                protocol="tcp",
                first_port=80,
                last_port=443,
                sources=("0.0.0.0/0",),
            ),
            FirewallRule(rule_id=42, address="203.0.113.13", protocol="icmp", sources=("198.51.100.0/24",)),
        )
    ),
    "firewall_rules.remove.json": ChangeFirewallRules(remove=(42,)),
    "ipv6_firewall_rules.add.json": ChangeIpv6FirewallRules(
        put=(
            Ipv6FirewallRule(
                rule_id=51,
                network="2001:db8:1:2::/64",
                protocol="tcp",
                first_port=443,
                last_port=443,
                sources=("::/0",),
                destinations=("2001:db8:1:2::11/128",),
            ),
            Ipv6FirewallRule(
                rule_id=52,
                network="2001:db8:1:2::/64",
                ingress=False,
                protocol="icmp",
                sources=("2001:db8:1:2::/64",),
                destinations=("::/0",),
            ),
        )
    ),
    "ipv6_firewall_rules.remove.json": ChangeIpv6FirewallRules(remove=(51,)),
    "cmd_line.json": ConfigureRouter(
        config=RouterConfig(
            name="r-21-VM",
            vpc_network="10.1.0.0/16",
            domain="vpc1.example.com",
            resolvers=("203.0.113.53", "198.51.100.53"),
            control_address="169.254.0.21/16",
            redundant=True,
            prefers_master=True,
            source_nat_address="203.0.113.10",
            public_mtu=1500,
            password=Secret(text=PASSWORD),
            parameters=(
                ("advert_int", "1"),
                ("authorized_key", "c3NoLWVkMjU1MTkgbm90LWEtcmVhbC1rZXkgY2xvdWRAZXhhbXBsZS5jb20K"),
                ("has_public_network", "true"),
                ("logrotatefrequency", "*:00:00"),
                ("router_id", "7"),
                ("template", "domP"),
                ("vpc_firewall_enabled", "false"),
            ),
        )
    ),
    "ip_associations.add.json": ChangePublicAddresses(
        put=(public("203.0.113.10", marked=True), public("203.0.113.13", marked=False))
    ),
    "ip_associations.remove.json": ChangePublicAddresses(remove=("203.0.113.13",)),
    "ip_associations.private_gateway.add.json": ChangePublicAddresses(
        put=(
            PublicAddress(
                address="198.51.100.2",
                network="198.51.100.0/27",
                gateway="198.51.100.1",
                device="eth7",
                mac="02:01:00:07:00:0a",
                mtu=1500,
                private_gateway=True,
            ),
        )
    ),
    "ip_associations.private_gateway.remove.json": ChangePublicAddresses(remove=("198.51.100.2",)),
    "guest_network.add.json": PutTier(
        tier=Tier(
            device="eth2",
            network="10.1.2.0/24",
            gateway="10.1.2.1",
            address="10.1.2.2",
            mac="02:01:00:02:00:0a",
            domain="vpc1.example.com",
            resolvers=("203.0.113.53", "198.51.100.53"),
            mtu=1500,
            network_id=202,
            is_gateway=True,
            ipv6=TierIpv6(
                network="2001:db8:1:2::/64",
                gateway="2001:db8:1:2::1",
                address="2001:db8:1:2::2",
                resolvers=("2001:db8::53", "2001:db8::5353"),
                public_network="2001:db8:0:1::/64",
                public_gateway="2001:db8:0:1::1",
                public_address="2001:db8:0:1::10",
            ),
        )
    ),
    "guest_network.remove.json": RemoveTier(device="eth2", network="10.1.2.0/24"),
    "network_acl.replace.json": ReplaceAcl(
        acl=Acl(
            device="eth2",
            ingress=(
                tcp(22, 22, "198.51.100.0/24"),
                tcp(8000, 8099, "0.0.0.0/0", "::/0"),
                AclRule(protocol="udp", first_port=53, last_port=53, networks=("10.1.0.0/16",)),
                AclRule(protocol="icmp", icmp_type=8, icmp_code=0, networks=("0.0.0.0/0",)),
                AclRule(protocol="icmp", networks=("2001:db8::/32",)),
                AclRule(protocol="47", networks=("203.0.113.64/26",)),
                tcp(3306, 3306, "10.1.3.0/24", "10.1.4.0/24"),
                AclRule(protocol="all", networks=("203.0.113.128/25",), allowed=False),
            ),
            egress=(
                tcp(25, 25, "0.0.0.0/0", allowed=False),
                AclRule(protocol="all", networks=("0.0.0.0/0", "::/0")),
            ),
        )
    ),
    "network_acl.empty.json": ReplaceAcl(acl=Acl(device="eth2")),
    "network_acl.private_gateway.json": ReplaceAcl(
        acl=Acl(
            device="eth7",
            ingress=(tcp(443, 443, "198.51.100.128/26"),),
            egress=(AclRule(protocol="all", networks=("0.0.0.0/0", "::/0")),),
            private_gateway=True,
        )
    ),
    "forwarding_rules.add.json": ChangePortForwards(
        put=(SSH, RANGE, forward("udp", 5060, 5060, "10.1.2.13", 5060, "198.51.100.0/24", "203.0.113.64/26"))
    ),
    "forwarding_rules.remove.json": ChangePortForwards(put=(SSH,), remove=(RANGE,)),
    "staticnat_rules.add.json": ChangeStaticNats(put=(StaticNat(address="203.0.113.13", target="10.1.4.11"),)),
    "staticnat_rules.remove.json": ChangeStaticNats(remove=("203.0.113.13",)),
    "static_routes.add.json": ChangeStaticRoutes(
        put=(
            StaticRoute(network="198.51.100.128/26", gateway="198.51.100.1"),
            StaticRoute(network="198.51.100.192/27", gateway="10.1.2.11"),
        )
    ),
    "static_routes.remove.json": ChangeStaticRoutes(
        put=(StaticRoute(network="198.51.100.128/26", gateway="198.51.100.1"),), remove=("198.51.100.192/27",)
    ),
    "vm_dhcp_entry.add.json": PutReservation(reservation=WEB),
    "vm_dhcp_entry.non_default.json": PutReservation(
        reservation=Reservation(
            address="10.1.3.11", mac="02:02:00:03:00:0b", host_name="app-1", is_default=False, lease_seconds=3600
        )
    ),
    "vm_dhcp_entry.remove.json": RemoveReservation(address="10.1.2.11", mac="02:02:00:02:00:0b"),
    "site_2_site_vpn.add.json": PutSiteVpn(
        vpn=SiteVpn(
            peer="203.0.113.220",
            address="203.0.113.10",
            local_network="10.1.0.0/16",
            remote_networks=("198.51.100.64/27", "198.51.100.96/27"),
            ike_version=2,
            ike_proposals=("aes256-sha256-modp2048",),
            esp_proposals=("aes256-sha256-modp2048",),
            ike_lifetime_s=86400,
            esp_lifetime_s=3600,
            key=Secret(text="example-psk-not-secret"),
            detects_dead_peer=True,
            splits=True,
        )
    ),
    "site_2_site_vpn.remove.json": RemoveSiteVpn(peer="203.0.113.220"),
    "remote_access_vpn.add.json": PutRemoteAccess(
        access=RemoteAccess(
            address="203.0.113.10",
            first_client="198.51.100.226",
            last_client="198.51.100.238",
            local_address="198.51.100.225",
            local_network="10.1.0.0/16",
            key=Secret(text="example-psk-not-secret"),
        )
    ),
    "remote_access_vpn.remove.json": RemoveRemoteAccess(address="203.0.113.10"),
    "vpn_user_list.add.json": ChangeVpnUsers(
        put=(
            VpnUser(name="alice", password=Secret(text="Example-Pw-A1")),
            VpnUser(name="bob", password=Secret(text="Example-Pw-B1")),
        )
    ),
    "vpn_user_list.remove.json": ChangeVpnUsers(
        put=(VpnUser(name="alice", password=Secret(text="Example-Pw-A1")),), remove=("bob",)
    ),
    "bgp_peers.empty.json": ReplaceBgpPeerings(),
    "bgp_peers.replace.json": ReplaceBgpPeerings(
        peerings=tuple(
            BgpPeering(
                peer_id=peer,
                network_id=network,
                as_number=64500 + peer,
                own_as_number=64496,
                ipv4=f"203.0.113.20{peer}",
                ipv6=f"2001:db8:0:1::20{peer}",
                password=Secret(text="example-md5-key"),
                network4=f"10.1.{network - 200}.0/24",
                network6=f"2001:db8:1:{network - 200}::/64",
                hops=hops,
            )
            for peer, network, hops in ((1, 202, 2), (1, 203, 2), (2, 202, 1))
        )
    ),
}

NOT_FOR_A_VPC = {
    "dhcp.json": "dhcpconfig is for shared networks",
    "ip_aliases.add.json": "ipaliases are for shared networks",
    "ip_aliases.remove.json": "ipaliases are for shared networks",
}


@pytest.mark.parametrize("name", NOT_FOR_A_VPC)
def test_sample_of_a_type_that_has_no_meaning_here_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UnsupportedTypeError, match=f"^type: {NOT_FOR_A_VPC[name]}"):
        decode((DATA / name).read_bytes(), name=name)


def test_every_sample_has_an_expectation() -> None:
    assert {path.name for path in DATA.glob("*.json")} == EXPECTED.keys() | NOT_FOR_A_VPC.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_means_exactly_this(name: str) -> None:
    data = (DATA / name).read_bytes()
    assert decode(data, name=name) == EXPECTED[name]
    assert decode(data.decode()) == EXPECTED[name]


def test_burst_of_58_files() -> None:
    files = sorted((DATA / "five-tiers").iterdir())
    kinds: Counter[str] = Counter()
    for path in files:
        (each,) = read_submission(path.read_bytes(), name=str(path))
        assert each.where == str(path)
        if each.error is not None:
            assert isinstance(each.error, UnsupportedTypeError)
        kinds[f"{each.type} {type(each.command).__name__}"] += 1
    assert kinds == {
        "cmdline ConfigureRouter": 1,
        "ips ChangePublicAddresses": 6,
        "guestnetwork PutTier": 5,
        "networkacl ReplaceAcl": 5,
        "dhcpentry PutReservation": 20,
        "vmdata PutGuestPages": 5,
        "forwardrules ChangePortForwards": 10,
        "staticnatrules ChangeStaticNats": 2,
        "loadbalancer ReplaceBalancer": 1,
        "staticroutes ChangeStaticRoutes": 3,
    }


def test_burst_as_one_file_of_json_lines_is_the_same() -> None:
    files = sorted(path for path in (DATA / "five-tiers").iterdir() if path.name != "000-cmd_line.json")
    one_by_one = [read_submission(path.read_bytes(), name=path.name)[0] for path in files]
    together = read_submission(b"\n".join(path.read_bytes() for path in files), name="burst.jsonl")
    assert [each.command for each in together] == [each.command for each in one_by_one]
    assert [each.where for each in together] == [f"burst.jsonl:{line}" for line in range(1, len(files) + 1)]
