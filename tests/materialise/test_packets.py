"""Real packets through a real kernel that was set up by hand from what materialise says: is every rule true?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.materialise import vpc
from tests.materialise.namespaces import Host, Network
from tests.materialise.vpc import ANY, APP, OTHER, PARTNER, REMOTE, WEB
from vpcrouter.materialise import materialise
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.config import Acl, AclRule, StaticNat, StaticRoute
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

STATE = vpc.state(
    tiers=[vpc.tier(2), vpc.tier(3)],
    addresses=[*(vpc.public(last) for last in (9, 10, 11, 12, 13)), vpc.private_gateway()],
    acls=[
        Acl(
            device="eth2",
            ingress=(
                vpc.udp(5000, 5010),
                vpc.udp(6000, cidrs=("198.51.100.0/24", "10.1.3.0/24")),
                vpc.udp(6001, cidrs=("203.0.113.0/24",), allowed=False),
                vpc.udp(6000, 6009),
                AclRule(protocol="tcp", networks=ANY),
                AclRule(protocol="icmp", icmp_type=8, networks=ANY),
            ),
            egress=(vpc.udp(7001, allowed=False), vpc.udp(7002, cidrs=("10.1.3.0/24",), allowed=False)),
        ),
        Acl(device="eth3", ingress=(vpc.udp(7000, 7009),), egress=()),
        Acl(device="eth9", ingress=(vpc.udp(5001),), egress=(vpc.udp(4001, allowed=False),)),
    ],
    forwards=[
        vpc.forward(5000, WEB, 5000, last=5005),
        vpc.forward(9000, WEB, 5000, last=9009),
        vpc.forward(6000, WEB, 6000, sources=("198.51.100.0/24",)),
        vpc.forward(9100, WEB, 5000, last=9105, sources=("198.51.100.0/24",)),
        vpc.forward(4000, WEB, 4000),
    ],
    static_nats=[
        StaticNat(address="203.0.113.12", target=OTHER),
        StaticNat(address="203.0.113.13", target=APP),
    ],
    routes=[
        StaticRoute(network="198.18.77.0/24", gateway=PARTNER),
        StaticRoute(network="172.16.0.0/16", gateway=OTHER),
    ],
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
        network.add_address(OTHER, "172.16.0.1")
        network.configure(materialise(STATE, Role.MASTER, Settings()))
        yield network
    finally:
        network.close()


def test_an_ingress_rule_lets_in_what_it_allows(net: Network) -> None:
    assert net.reach(APP, WEB, 5000, WEB, 5000) == APP
    assert net.reach(APP, WEB, 5010, WEB, 5010) == APP
    assert net.reach(APP, WEB, 5011, WEB, 5011) is None


def test_the_first_rule_that_matches_wins_also_with_lists_of_networks(net: Network) -> None:
    assert net.reach(APP, WEB, 6000, WEB, 6000) == APP
    assert net.reach(PARTNER, WEB, 6001, WEB, 6001) is None, "the private gateway's own ingress ACL"
    assert net.reach(APP, WEB, 6001, WEB, 6001) == APP


def test_a_tier_is_closed_inwards_without_a_rule_and_open_outwards(net: Network) -> None:
    assert net.reach(WEB, APP, 7000, APP, 7000) == WEB
    assert net.reach(WEB, APP, 7010, APP, 7010) is None
    assert net.connect(WEB, APP, 7000, APP, 7000) is None


def test_an_egress_rule_denies(net: Network) -> None:
    assert net.reach(WEB, APP, 7001, APP, 7001) is None
    assert net.reach(WEB, APP, 7002, APP, 7002) is None
    assert net.reach(WEB, APP, 7003, APP, 7003) == WEB
    assert net.reach(WEB, "198.51.100.1", 7001, "ext", 7001) is None
    assert net.reach(WEB, "198.51.100.1", 7002, "ext", 7002) == "203.0.113.10", "denied towards 10.1.3.0/24 only"


def test_tcp_and_icmp_pass_where_they_are_allowed(net: Network) -> None:
    assert net.connect(APP, WEB, 8080, WEB, 8080) == APP
    assert net.pings(APP, WEB)
    assert not net.pings(WEB, APP)


def test_source_nat_hides_the_tiers_behind_the_true_address(net: Network) -> None:
    assert net.reach(WEB, "198.51.100.1", 53, "ext", 53) == "203.0.113.10"
    assert net.connect(WEB, "203.0.113.1", 80, "ext", 80) == "203.0.113.10"


def test_a_routed_vpc_lets_out_what_a_rule_allows_and_translates_nothing(net: Network) -> None:
    open_port = Acl(device="eth2", ingress=(vpc.udp(5000, 5010),), egress=(vpc.udp(7003),))
    routed = evolve(STATE, router=vpc.config(routed=True), acls={**STATE.acls, "eth2": open_port})
    net.add_route("ext", "10.1.0.0/16", "203.0.113.10")
    net.load(materialise(routed, Role.MASTER, Settings()))
    try:
        assert net.reach(WEB, APP, 7003, APP, 7003) == WEB
        assert net.reach(WEB, APP, 7004, APP, 7004) is None
        assert net.reach(WEB, "198.51.100.1", 7003, "ext", 7003) == WEB
        assert net.reach(WEB, "198.51.100.1", 7004, "ext", 7004) is None
    finally:
        net.load(materialise(STATE, Role.MASTER, Settings()))


def test_nobody_comes_in_from_outside_without_a_translation(net: Network) -> None:
    net.add_route("ext", "10.1.0.0/16", "203.0.113.10")
    assert net.reach("ext", WEB, 5011, WEB, 5011) is None
    assert net.reach("ext", APP, 7010, APP, 7010) is None
    assert net.reach("ext", WEB, 5000, WEB, 5000) == "203.0.113.1", "routed to a tier, the ingress ACL decides alone"


def test_a_forwarding_with_the_same_ports(net: Network) -> None:
    assert net.reach("ext", "203.0.113.11", 5000, WEB, 5000) == "203.0.113.1"
    assert net.reach("ext", "203.0.113.11", 5005, WEB, 5005) == "203.0.113.1"
    assert net.reach("ext", "203.0.113.11", 5006, WEB, 5006) is None


def test_a_forwarding_with_shifted_ports(net: Network) -> None:
    assert net.reach("ext", "203.0.113.11", 9000, WEB, 5000) == "203.0.113.1"
    assert net.reach("ext", "203.0.113.11", 9009, WEB, 5009) == "203.0.113.1"
    assert net.reach("ext", "203.0.113.11", 9010, WEB, 5010) is None


def test_a_forwarding_serves_only_its_clients(net: Network) -> None:
    assert net.reach("ext", "203.0.113.11", 6000, WEB, 6000, source="198.51.100.1") == "198.51.100.1"
    assert net.reach("ext", "203.0.113.11", 6000, WEB, 6000, source="203.0.113.1") is None
    assert net.reach("ext", "203.0.113.11", 9105, WEB, 5005, source="198.51.100.1") == "198.51.100.1", "shifted"
    assert net.reach("ext", "203.0.113.11", 9105, WEB, 5005, source="203.0.113.1") is None


def test_behind_a_forwarding_the_tiers_acl_still_decides(net: Network) -> None:
    assert net.reach("ext", "203.0.113.11", 4000, WEB, 4000) is None


def test_a_forwarding_serves_the_tiers_and_the_router_itself(net: Network) -> None:
    assert net.reach(APP, "203.0.113.11", 5000, WEB, 5000) == APP
    assert net.reach("router", "203.0.113.11", 5000, WEB, 5000, source="203.0.113.9") == "203.0.113.9"


def test_a_hairpin_is_hidden_behind_the_gateway_address(net: Network) -> None:
    assert net.reach(OTHER, "203.0.113.11", 9001, WEB, 5001) == "10.1.2.1"
    assert net.reach(WEB, "203.0.113.11", 9001, WEB, 5001) == "10.1.2.1", "a guest that reaches itself"
    assert net.reach(WEB, "203.0.113.12", 5002, OTHER, 5002) == "10.1.2.1", "by a static NAT"
    assert net.reach(OTHER, "203.0.113.11", 4000, WEB, 4000) is None, "its own tier's ACL decides there as well"


def test_static_nat_in_both_directions(net: Network) -> None:
    assert net.reach("ext", "203.0.113.12", 5000, OTHER, 5000) == "203.0.113.1"
    assert net.reach("ext", "203.0.113.12", 5011, OTHER, 5011) is None
    assert net.reach(OTHER, "198.51.100.1", 53, "ext", 53) == "203.0.113.12"
    assert net.reach(APP, "198.51.100.1", 53, "ext", 53) == "203.0.113.13"
    assert net.reach(APP, WEB, 5003, WEB, 5003) == APP, "between tiers nothing is translated"


def test_a_private_gateway_has_an_acl_of_its_own(net: Network) -> None:
    assert net.reach(PARTNER, WEB, 5001, WEB, 5001) == PARTNER
    assert net.reach(PARTNER, WEB, 5000, WEB, 5000) is None, "the tier would let it in"
    assert net.reach(PARTNER, APP, 5001, APP, 5001) is None, "the gateway would let it through"
    assert net.reach(WEB, PARTNER, 4000, PARTNER, 4000) == WEB, "no source NAT unless it is asked for"
    assert net.reach(WEB, PARTNER, 4001, PARTNER, 4001) is None


def test_static_routes_lead_behind_a_private_gateway_and_behind_a_guest(net: Network) -> None:
    assert net.reach(WEB, REMOTE, 4000, PARTNER, 4000, source=WEB) == WEB
    assert net.reach(PARTNER, WEB, 5001, WEB, 5001, source=REMOTE) == REMOTE
    assert net.reach(APP, "172.16.0.1", 5000, OTHER, 5000) == APP


def test_there_is_no_way_between_public_devices(net: Network) -> None:
    assert net.reach(PARTNER, "203.0.113.1", 5001, "ext", 5001) is None
    net.add_route("ext", "192.0.2.0/24", "203.0.113.10")
    assert net.reach("ext", PARTNER, 4000, PARTNER, 4000) is None


def test_a_forged_source_is_dropped(net: Network) -> None:
    net.add_address(OTHER, "203.0.113.200")
    assert net.reach(OTHER, APP, 7000, APP, 7000, source="203.0.113.200") is None


def test_nobody_outside_can_pretend_to_be_a_guest(net: Network) -> None:
    net.add_address("ext", "10.1.3.200")
    net.add_address(PARTNER, "10.1.3.201")
    net.add_route("ext", "10.1.0.0/16", "203.0.113.10")
    assert net.reach("ext", WEB, 5000, WEB, 5000, source="10.1.3.200") is None
    assert net.reach("ext", "203.0.113.11", 5000, WEB, 5000, source="10.1.3.200") is None
    assert net.reach(PARTNER, WEB, 5001, WEB, 5001, source="10.1.3.201") is None


def test_the_router_answers_guests_and_pings_only(net: Network) -> None:
    assert net.pings(WEB, "10.1.2.1")
    assert net.pings("ext", "203.0.113.10")
    assert net.reach(WEB, "10.1.2.1", 53, "router", 53) == WEB
    assert net.reach(WEB, "10.1.2.2", 53, "router", 53) == WEB
    assert net.reach(WEB, "10.1.2.1", 123, "router", 123) is None
    assert net.reach("ext", "203.0.113.10", 53, "router", 53) is None
    assert net.reach(PARTNER, "192.0.2.2", 53, "router", 53) is None
    assert net.connect(WEB, "10.1.2.1", 22, "router", 22) is None


def test_by_its_own_address_only_who_serves_is_asked_for_names_and_pages(net: Network) -> None:
    """Beside packet tests of the same by DHCP (`test_guest_services`), and in a pair (`lab/test_services_follow`)."""
    for port in (80, 8080):
        assert net.connect(WEB, "10.1.2.2", port, "router", port) == WEB
    assert net.connect(WEB, "10.1.2.2", 53, "router", 53) == WEB
    with net.without("eth2", "10.1.2.1/24"):
        assert net.reach(WEB, "10.1.2.2", 53, "router", 53) is None
        for port in (53, 80, 8080):
            assert net.connect(WEB, "10.1.2.2", port, "router", port) is None
        assert net.reach(APP, "10.1.3.2", 53, "router", 53) == APP, "the gateway of that tier is here"
    assert net.reach(WEB, "10.1.2.2", 53, "router", 53) == WEB
    assert net.reach(WEB, "10.1.3.2", 53, "router", 53) is None, "the own address on another tier"


def test_a_bgp_neighbour_may_begin_the_session_and_nobody_else(net: Network) -> None:
    peering = BgpPeering(
        peer_id=1,
        as_number=64501,
        network_id=202,
        own_as_number=64496,
        network4="10.1.2.0/24",
        ipv4="203.0.113.1",
    )
    for peerings, seen in (((peering,), "203.0.113.1"), ((), None)):
        net.load(materialise(evolve(STATE, bgp_peerings=peerings), Role.MASTER, Settings()))
        try:
            assert net.connect("ext", "203.0.113.10", 179, "router", 179) == seen
            assert net.connect(WEB, "203.0.113.10", 179, "router", 179) is None
        finally:
            net.load(materialise(STATE, Role.MASTER, Settings()))
