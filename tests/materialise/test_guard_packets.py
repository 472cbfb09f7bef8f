"""Real packets to public addresses behind the firewall: only what a rule names comes through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.materialise import vpc
from tests.materialise.namespaces import Host, Network
from tests.materialise.vpc import APP, OTHER, WEB
from vpcrouter.materialise import materialise
from vpcrouter.values.config import Acl, FirewallRule, StaticNat
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FORWARDED, TRANSLATED = "203.0.113.11", "203.0.113.12"
STATE = vpc.state(
    router=vpc.config(filters=True),
    tiers=[vpc.tier(2), vpc.tier(3)],
    addresses=[vpc.public(last) for last in (10, 11, 12, 13)],
    acls=[Acl(device="eth2", ingress=(vpc.udp(5000, 5010), vpc.tcp(8080)), egress=())],
    forwards=[vpc.forward(5000, WEB, 5000, last=5005)],
    static_nats=[StaticNat(address=TRANSLATED, target=OTHER)],
    firewall_rules=[
        FirewallRule(
            rule_id=41,
            address=FORWARDED,
            protocol="udp",
            first_port=5001,
            last_port=5002,
            sources=("198.51.100.0/24", "10.1.3.0/24"),
        ),
        FirewallRule(rule_id=42, address=TRANSLATED, protocol="tcp", sources=("0.0.0.0/0",)),
        FirewallRule(rule_id=43, address=TRANSLATED, protocol="icmp", icmp_type=8, sources=("198.51.100.0/24",)),
        FirewallRule(rule_id=44, address="203.0.113.13", protocol="all", sources=("2001:db8::/32",)),
    ],
)
HOSTS = (Host(WEB, "eth2", "10.1.2.1"), Host(OTHER, "eth2", "10.1.2.1"), Host(APP, "eth3", "10.1.3.1"))
FAR = "198.51.100.1"


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    """The router of STATE as a master."""
    network = Network(("eth2", "eth3"), HOSTS)
    try:
        network.configure(materialise(STATE, Role.MASTER, Settings()))
        yield network
    finally:
        network.close()


def test_only_what_a_rule_names_reaches_a_forwarding(net: Network) -> None:
    assert net.reach("ext", FORWARDED, 5001, WEB, 5001, source=FAR) == FAR
    assert net.reach("ext", FORWARDED, 5002, WEB, 5002, source=FAR) == FAR
    assert net.reach("ext", FORWARDED, 5003, WEB, 5003, source=FAR) is None, "no rule for the port"
    assert net.reach("ext", FORWARDED, 5001, WEB, 5001) is None, "no rule for the client"


def test_guests_are_clients_like_others(net: Network) -> None:
    assert net.reach(APP, FORWARDED, 5001, WEB, 5001) == APP
    assert net.reach(APP, FORWARDED, 5003, WEB, 5003) is None
    assert net.reach(OTHER, FORWARDED, 5001, WEB, 5001) is None


def test_static_nat_is_guarded_inwards_only_and_the_tiers_acl_still_decides(net: Network) -> None:
    assert net.connect("ext", TRANSLATED, 8080, OTHER, 8080) == "203.0.113.1"
    assert net.connect("ext", TRANSLATED, 8081, OTHER, 8081) is None, "the tier's ACL"
    assert net.reach("ext", TRANSLATED, 5001, OTHER, 5001) is None, "no rule for UDP"
    assert net.reach(OTHER, FAR, 6000, "ext", 6000) == TRANSLATED, "answers come back"


def test_an_address_with_a_rule_alone_is_guarded_and_one_without_anything_is_not(net: Network) -> None:
    assert not net.pings("ext", "203.0.113.13")
    assert net.pings("ext", "203.0.113.10")


def test_a_vpc_without_this_firewall_has_no_guard(net: Network) -> None:
    net.load(materialise(evolve(STATE, router=vpc.config()), Role.MASTER, Settings()))
    try:
        assert net.reach("ext", FORWARDED, 5003, WEB, 5003) == "203.0.113.1"
    finally:
        net.load(materialise(STATE, Role.MASTER, Settings()))
