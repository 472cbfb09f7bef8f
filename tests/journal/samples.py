"""Events of every kind, and small journals made of them, for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.journal.disks import HastyDisk
from vpcrouter import events
from vpcrouter.errors import JournalError
from vpcrouter.events import Event
from vpcrouter.journal import Entry, Journal, JournalRecord, Keys, read_events, read_journal
from vpcrouter.values import balancing, bgp, config, confirmation, vpn
from vpcrouter.values.guests import GuestPages
from vpcrouter.values.monitoring import Monitoring
from vpcrouter.values.role import Role

EVERY_KIND: tuple[Event, ...] = (
    events.RouterConfigured(
        config=config.RouterConfig(
            name="r-7-VM",
            vpc_network="10.1.0.0/16",
            domain="cs1.example.com",
            resolvers=("203.0.113.53", "2001:db8::53"),
            control_address="169.254.0.21/16",
            redundant=True,
            prefers_master=True,
            source_nat_address="203.0.113.10",
            password=config.Secret(text="1029137816800961"),
            parameters=(("advert_int", "1"), ("router_pr", "100")),
            secret_parameters=(("secondaryStorageKey", config.Secret(text="k")),),
        )
    ),
    events.PublicAddressesChanged(
        put=(
            config.PublicAddress(
                address="203.0.113.10",
                network="203.0.113.0/24",
                gateway="203.0.113.1",
                device="eth1",
                mac="06:9c:4a:00:00:2c",
                source_nat=True,
            ),
        ),
        removed=("203.0.113.11",),
    ),
    events.TierAdded(
        tier=config.Tier(
            device="eth2",
            network="10.1.2.0/24",
            gateway="10.1.2.1",
            address="10.1.2.134",
            mac="02:01:0a:01:02:86",
            domain="cs1.example.com",
            resolvers=("10.1.2.1", "203.0.113.53"),
            network_id=204,
            ipv6=config.TierIpv6(network="2001:db8:2::/64", gateway="2001:db8:2::1", address="2001:db8:2::2"),
        )
    ),
    events.TierChanged(
        tier=config.Tier(
            device="eth2", network="10.1.2.0/24", gateway="10.1.2.1", address="10.1.2.134", mtu=1400, is_gateway=False
        )
    ),
    events.AclReplaced(
        acl=config.Acl(
            device="eth2",
            ingress=(
                config.AclRule(protocol="tcp", first_port=80, last_port=443, networks=("0.0.0.0/0",)),
                config.AclRule(protocol="icmp", icmp_type=8, icmp_code=0, networks=("192.0.2.0/24", "2001:db8::/32")),
            ),
            egress=(config.AclRule(protocol="47", networks=("0.0.0.0/0",), allowed=False),),
        )
    ),
    events.PortForwardsChanged(
        put=(
            config.PortForward(
                address="203.0.113.10",
                protocol="tcp",
                first_port=2201,
                last_port=2210,
                target="10.1.2.10",
                target_port=22,
                sources=("198.51.100.0/24",),
            ),
        ),
        removed=(
            config.PortForward(
                address="203.0.113.10",
                protocol="udp",
                first_port=53,
                last_port=53,
                target="10.1.2.10",
                target_port=53,
            ),
        ),
    ),
    events.StaticNatsChanged(
        put=(config.StaticNat(address="203.0.113.12", target="10.1.2.11"),), removed=("203.0.113.13",)
    ),
    events.StaticRoutesChanged(
        put=(config.StaticRoute(network="198.51.100.64/27", gateway="10.1.2.9"),), removed=("192.0.2.0/24",)
    ),
    events.ReservationPut(
        reservation=config.Reservation(
            address="10.1.2.10", mac="02:00:0a:01:02:0a", host_name="web-1", lease_seconds=3600
        ),
        displaced=("10.1.2.12",),
    ),
    events.ReservationRemoved(address="10.1.2.10"),
    events.RoleChanged(role=Role.MASTER, previous=Role.BACKUP, reason="keepalived: MASTER 120"),
    events.TierRemoved(device="eth2", network="10.1.2.0/24", reservations=("10.1.2.10",)),
    events.FirewallRulesChanged(
        put=(
            config.FirewallRule(
                rule_id=41,
                address="203.0.113.10",
                protocol="tcp",
                first_port=80,
                last_port=443,
                sources=("198.51.100.0/24",),
            ),
            config.FirewallRule(
                rule_id=42, address="203.0.113.10", protocol="icmp", icmp_type=8, icmp_code=0, sources=("0.0.0.0/0",)
            ),
        ),
        removed=(40,),
    ),
    events.Ipv6FirewallRulesChanged(
        put=(
            config.Ipv6FirewallRule(
                rule_id=51,
                network="2001:db8:2::/64",
                ingress=False,
                opens=False,
                protocol="udp",
                first_port=53,
                last_port=53,
                sources=("2001:db8:2::7/128",),
                destinations=("::/0",),
            ),
        ),
        removed=(50,),
    ),
    events.MonitoringReplaced(
        monitoring=Monitoring(services=("dhcp",), excluded=("gateways_check.py",), gateways=("203.0.113.1",))
    ),
    events.BalancerReplaced(
        balancer=balancing.Balancer(
            rules=(
                balancing.BalancerRule(
                    address="203.0.113.10",
                    port=443,
                    http=True,
                    servers=(balancing.BalancedServer(address="10.1.2.10", port=8443, tls=True),),
                    stickiness=balancing.Stickiness(cookie_name="SRV"),
                    certificate=balancing.Certificate(certificates=("AAAA",), key=config.Secret(text="AQID")),
                ),
            ),
            pages=(
                balancing.StatisticsPage(
                    address="203.0.113.10", port=81, uri="/", user="a", password=config.Secret(text="b")
                ),
            ),
        )
    ),
    events.GuestPagesPut(
        pages=GuestPages(
            address="10.1.2.10",
            user_data=config.Secret(text="I2Nsb3VkLWNvbmZpZwo="),
            metadata=(("instance-id", "i-1"), ("public-keys", "ssh-ed25519 a\nssh-rsa b")),
        )
    ),
    events.GuestPagesRemoved(address="10.1.2.11"),
    events.GuestPasswordPut(address="10.1.2.10", password=config.Secret(text="Example-Pw-0001")),
    events.GuestPasswordFetched(address="10.1.2.10"),
    events.GuestPasswordRemoved(address="10.1.2.11"),
)

CONFIRMATIONS: tuple[Event, ...] = (
    events.ConfirmationRequired(
        confirmation=confirmation.Confirmation(
            name="tf-1",
            before=2,
            until=5,
            within_ms=60_000,
            deadline_ms=1_700_000_060_000,
            boot_id="3d1c8a5e-0f6b-4a52-9d6e-5b1f0f6f2a11",
            boot_deadline_ms=125_000,
            conditions=("settled", "ping 10.1.2.10", "tcp 10.1.2.10 443"),
        )
    ),
    events.ChangeConfirmed(name="tf-1", by="settled, ping 10.1.2.10, tcp 10.1.2.10 443"),
    events.ChangeReverted(
        name="5", reason="it was not confirmed in time", kept=("reservation 10.1.2.10: changed again since",)
    ),
)
VPN_AND_BGP: tuple[Event, ...] = (
    events.SiteVpnPut(
        vpn=vpn.SiteVpn(
            peer="203.0.113.220",
            address="203.0.113.10",
            local_network="10.1.0.0/16",
            remote_networks=("198.51.100.64/27", "198.51.100.96/27"),
            ike_version=2,
            ike_proposals=("aes256-sha256-modp2048",),
            esp_proposals=("aes256gcm16", "aes128-sha1-modp1536"),
            ike_lifetime_s=28800,
            key=config.Secret(text="a key with blanks"),
            detects_dead_peer=True,
            splits=True,
        )
    ),
    events.SiteVpnRemoved(peer="203.0.113.221"),
    events.RemoteAccessPut(
        access=vpn.RemoteAccess(
            address="203.0.113.10",
            first_client="198.51.100.226",
            last_client="198.51.100.238",
            local_address="198.51.100.225",
            local_network="10.1.0.0/16",
            key=config.Secret(text="k"),
        )
    ),
    events.RemoteAccessRemoved(address="203.0.113.11"),
    events.VpnUsersChanged(
        put=(vpn.VpnUser(name="alice@example.com", password=config.Secret(text="p+1")),), removed=("bob",)
    ),
    events.BgpPeeringsReplaced(
        peerings=(
            bgp.BgpPeering(
                peer_id=1,
                network_id=202,
                as_number=64501,
                own_as_number=64496,
                ipv4="203.0.113.201",
                ipv6="2001:db8:0:1::201",
                password=config.Secret(text="m"),
                network4="10.1.2.0/24",
                network6="2001:db8:1:2::/64",
                hops=2,
            ),
        )
    ),
)
"""The kinds that came with tunnels and BGP."""

EVERY_KIND = (*EVERY_KIND, *CONFIRMATIONS, *VPN_AND_BGP)

SMALL = (EVERY_KIND[9], EVERY_KIND[8], EVERY_KIND[11], EVERY_KIND[10], EVERY_KIND[6])
"""Kinds with short records, for tests that try every byte."""


def entries(count: int, *, start: int = 0, kinds: Sequence[Event] = SMALL) -> list[Entry]:
    """Entries whose labels and events tell them apart by number."""
    return [
        Entry(event=kinds[number % len(kinds)], origin="test" if number % 3 else "", command_id=f"c{number}")
        for number in range(start, start + count)
    ]


def write(
    directory: Path, groups: Sequence[int], *, segment_bytes: int = 4 * 1024 * 1024, kinds: Sequence[Event] = SMALL
) -> list[JournalRecord]:
    """A new journal with groups of these sizes; returns what must be read from it."""
    with Journal.open(directory, segment_bytes=segment_bytes, disk=HastyDisk()) as journal:
        for number, size in enumerate(groups):
            journal.append(entries(size, start=journal.seq, kinds=kinds), time_ns=1_700_000_000_000_000_000 + number)
    return expected(groups, kinds=kinds)


def expected(groups: Sequence[int], *, kinds: Sequence[Event] = SMALL) -> list[JournalRecord]:
    """The records of groups of these sizes."""
    records: list[JournalRecord] = []
    for number, size in enumerate(groups):
        for entry in entries(size, start=len(records), kinds=kinds):
            records.append(
                JournalRecord(
                    seq=len(records) + 1,
                    time_ns=1_700_000_000_000_000_000 + number,
                    origin=entry.origin,
                    command_id=entry.command_id,
                    event=entry.event,
                )
            )
    return records


def prefixes(records: list[JournalRecord], groups: Sequence[int]) -> list[list[JournalRecord]]:
    """Everything that a journal of these groups may hold after a crash: its first 0, 1, 2 … groups."""
    ends = [sum(groups[:count]) for count in range(len(groups) + 1)]
    return [records[:end] for end in ends]


def read_both_ways(directory: Path) -> list[JournalRecord]:
    """The records as `read_journal` has them; the way that replays take tells the same events, or the same error."""
    with_labels, for_replay = _tried(lambda: read_journal(directory)), _tried(lambda: read_events(directory))
    assert [(each.seq, each.event) for each in with_labels[0]] == for_replay[0]
    assert str(with_labels[1]) == str(for_replay[1])
    if with_labels[1] is not None:
        raise with_labels[1]
    return with_labels[0]


def _tried(read: Callable[[], Iterable[Any]]) -> tuple[list[Any], JournalError | None]:
    found = []
    try:
        for each in read():
            found.append(each)
    except JournalError as error:
        return found, error
    return found, None


def lend_keys(owner: Path, other: Path) -> None:
    """Let a journal be read with the keys of another."""
    keys = Keys.beside(owner).path
    if keys.exists():
        shutil.copy(keys, Keys.beside(other).path)


def segments(directory: Path) -> list[Path]:
    """The segment files, oldest first."""
    return sorted(directory.glob("*.journal"))
