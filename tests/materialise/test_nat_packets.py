"""Real packets: what is left of NAT and of ACLs when ports are not all there is: ICMP, other protocols, source NAT."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.materialise import vpc
from tests.materialise.namespaces import Host, Network, inside
from tests.materialise.vpc import ANY, APP, OTHER, PARTNER, REMOTE, WEB
from vpcrouter.materialise import materialise
from vpcrouter.values.config import Acl, AclRule, PortForward, StaticNat, StaticRoute
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FORWARDED, TRANSLATED = "203.0.113.11", "203.0.113.12"
GRE, ESP = 47, 50
ECHO, TIMESTAMP = 8, 13
STATE = vpc.state(
    tiers=[vpc.tier(2), evolve(vpc.tier(3), mtu=1300)],
    addresses=[
        *(vpc.public(last) for last in (10, 11, 12)),
        evolve(vpc.private_gateway(source_nat=True), mtu=1400),
    ],
    acls=[
        Acl(
            device="eth2",
            ingress=(
                AclRule(protocol="icmp", icmp_type=8, icmp_code=0, networks=ANY),
                AclRule(protocol="icmp", icmp_code=7, networks=ANY),
                AclRule(protocol=str(GRE), networks=("10.1.3.0/24",)),
                vpc.tcp(8000, 8010),
                vpc.udp(5000, 5010),
            ),
            egress=(AclRule(protocol="icmp", icmp_type=8, icmp_code=0, networks=("10.1.3.0/24",), allowed=False),),
        ),
        Acl(device="eth3", ingress=(AclRule(protocol="all", networks=ANY),), egress=()),
        Acl(device="eth9", ingress=(AclRule(protocol="all", networks=ANY),), egress=()),
    ],
    forwards=[
        PortForward(
            address=FORWARDED, protocol="tcp", first_port=80, last_port=90, target=WEB, target_port=8000, sources=()
        ),
        PortForward(
            address=FORWARDED,
            protocol="tcp",
            first_port=8001,
            last_port=8005,
            target=WEB,
            target_port=8001,
            sources=("198.51.100.0/24", "10.1.2.0/24"),
        ),
    ],
    static_nats=[StaticNat(address=TRANSLATED, target=OTHER)],
    routes=[StaticRoute(network="198.18.77.0/24", gateway=PARTNER)],
)
HOSTS = (
    Host(WEB, "eth2", "10.1.2.1"),
    Host(OTHER, "eth2", "10.1.2.1"),
    Host(APP, "eth3", "10.1.3.1"),
    Host(PARTNER, "eth9", "192.0.2.2"),
)


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    """The router of STATE as a master."""
    network = Network(("eth2", "eth3", "eth9"), HOSTS)
    try:
        network.add_address(PARTNER, REMOTE)
        network.configure(materialise(STATE, Role.MASTER, Settings()))
        yield network
    finally:
        network.close()


def arrives(net: Network, sender: str, receiver: str, protocol: int) -> bool:
    """Whether a packet of that IP protocol arrives."""
    with inside(net.name(receiver)):
        there = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    with inside(net.name(sender)):
        here = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    with there, here:
        there.settimeout(0.25)
        here.sendto(bytes(16), (receiver, 0))
        try:
            there.recv(64)
        except TimeoutError:
            return False
    return True


def test_an_acl_tells_protocols_apart_by_number(net: Network) -> None:
    assert arrives(net, APP, WEB, GRE)
    assert not arrives(net, APP, WEB, ESP)
    assert arrives(net, WEB, APP, ESP)


def icmp_arrives(net: Network, sender: str, receiver: str, kind: int, code: int) -> bool:
    """Whether an ICMP message of that type and code arrives."""
    message = struct.pack("!BBHHH", kind, code, 0, 7, 1) + bytes(12)
    total = sum(struct.unpack("!10H", message))
    message = struct.pack("!BBHHH", kind, code, ~(total + (total >> 16)) & 0xFFFF, 7, 1) + bytes(12)
    with inside(net.name(receiver)):
        there = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with inside(net.name(sender)):
        here = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with there, here:
        there.settimeout(0.25)
        here.sendto(message, (receiver, 0))
        try:
            return there.recv(64)[20:22] == bytes((kind, code))
        except TimeoutError:
            return False


def test_an_acl_tells_icmp_types_and_codes_apart(net: Network) -> None:
    assert icmp_arrives(net, APP, WEB, ECHO, 0)
    assert not icmp_arrives(net, APP, WEB, ECHO, 1), "another code"
    assert not icmp_arrives(net, APP, WEB, TIMESTAMP, 0), "another type"
    assert icmp_arrives(net, APP, WEB, TIMESTAMP, 7), "the code alone"
    assert icmp_arrives(net, WEB, APP, TIMESTAMP, 0), "its egress denies echo alone"
    assert net.pings(APP, WEB)
    assert not net.pings(WEB, APP), "its egress denies it there"
    assert net.pings(WEB, PARTNER)


@pytest.mark.parametrize(("sender", "receiver", "mtu"), [(APP, WEB, 1300), (WEB, PARTNER, 1400)])
def test_a_network_has_its_own_mtu(net: Network, sender: str, receiver: str, mtu: int) -> None:
    """Pings that must not be taken apart: IP and ICMP add 28 bytes. What comes may be longer by a VLAN's 4."""
    ping = ["ip", "netns", "exec", net.name(sender), "ping", "-c1", "-W1", "-q", "-M", "do"]
    assert net.succeeds([*ping, "-s", str(mtu - 28), receiver])
    assert not net.succeeds([*ping, "-s", str(mtu - 23), receiver])


def test_static_nat_is_for_every_protocol(net: Network) -> None:
    assert net.pings("ext", TRANSLATED)
    assert net.connect("ext", TRANSLATED, 8000, OTHER, 8000) == "203.0.113.1"
    assert net.connect(OTHER, "198.51.100.1", 80, "ext", 80) == TRANSLATED


def test_a_guest_reaches_itself_and_its_neighbours_by_static_nat(net: Network) -> None:
    assert net.connect(OTHER, TRANSLATED, 8000, OTHER, 8000) == "10.1.2.1"
    assert net.connect(WEB, TRANSLATED, 8000, OTHER, 8000) == "10.1.2.1"
    assert net.connect(APP, TRANSLATED, 8000, OTHER, 8000) == APP, "from another tier nothing needs to be hidden"


def test_a_range_is_forwarded_port_by_port_over_tcp_from_everywhere(net: Network) -> None:
    assert net.connect("ext", FORWARDED, 80, WEB, 8000) == "203.0.113.1"
    assert net.connect("ext", FORWARDED, 90, WEB, 8010) == "203.0.113.1"
    assert net.connect(OTHER, FORWARDED, 85, WEB, 8005) == "10.1.2.1"
    assert net.connect(WEB, FORWARDED, 85, WEB, 8005) == "10.1.2.1"
    assert net.connect(APP, FORWARDED, 85, WEB, 8005) == APP


def test_a_list_of_clients_limits_a_hairpin_as_well(net: Network) -> None:
    assert net.connect(OTHER, FORWARDED, 8001, WEB, 8001) == "10.1.2.1"
    assert net.connect(APP, FORWARDED, 8001, WEB, 8001) is None


def test_a_private_gateway_hides_the_vpc_if_it_is_asked_to(net: Network) -> None:
    assert net.reach(WEB, PARTNER, 5000, PARTNER, 5000) == "192.0.2.2"
    assert net.reach(OTHER, PARTNER, 5000, PARTNER, 5000) == "192.0.2.2", "a static NAT is for its own device"
    assert net.reach(WEB, REMOTE, 5000, PARTNER, 5000) == "192.0.2.2", "behind a static route too"
    assert net.reach(PARTNER, WEB, 5000, WEB, 5000) == PARTNER, "who comes in is seen"
