"""Real packets through a router with two public devices and a private gateway: do answers leave where requests came?

    ext (203.0.113.1, 198.51.100.1) ── eth1 ┐                 ┌ eth2: WEB, OTHER
    SECOND (198.18.5.1, FAR behind it) ─ eth5 ┼ router ────────┤
    PARTNER (192.0.2.50) ───────────── eth9 ┘                 └ eth3: APP

The default route leads to ext. Nobody there knows the way to FAR, so an answer that leaves by eth1 is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.materialise import vpc
from tests.materialise.namespaces import Host, Network
from tests.materialise.vpc import APP, OTHER, PARTNER, REMOTE, WEB
from vpcrouter.materialise import materialise
from vpcrouter.values.config import Acl, PortForward, PublicAddress, StaticNat, StaticRoute
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SECOND, FAR = "198.18.5.1", "198.18.200.1"
FORWARDED, TRANSLATED = "198.18.5.10", "198.18.5.11"


def second(address: str) -> PublicAddress:
    """An address on the second public device."""
    return PublicAddress(address=address, network="198.18.5.0/24", gateway=SECOND, device="eth5")


STATE = vpc.state(
    tiers=[vpc.tier(2), vpc.tier(3)],
    addresses=[
        *(vpc.public(last) for last in (10, 11)),
        second(FORWARDED),
        second(TRANSLATED),
        vpc.private_gateway(),
    ],
    acls=[
        Acl(device="eth2", ingress=(vpc.udp(5000, 5010), vpc.tcp(8080)), egress=()),
        Acl(device="eth3", ingress=(vpc.udp(7000),), egress=()),
        Acl(device="eth9", ingress=(vpc.udp(5001),), egress=()),
    ],
    forwards=[
        vpc.forward(5000, WEB, 5000),
        PortForward(
            address=FORWARDED, protocol="udp", first_port=5000, last_port=5000, target=WEB, target_port=5000, sources=()
        ),
        PortForward(
            address=FORWARDED, protocol="tcp", first_port=80, last_port=80, target=WEB, target_port=8080, sources=()
        ),
    ],
    static_nats=[StaticNat(address=TRANSLATED, target=OTHER)],
    routes=[StaticRoute(network="198.18.77.0/24", gateway=PARTNER)],
)
HOSTS = (
    Host(WEB, "eth2", "10.1.2.1"),
    Host(OTHER, "eth2", "10.1.2.1"),
    Host(APP, "eth3", "10.1.3.1"),
    Host(SECOND, "eth5", FORWARDED),
    Host(PARTNER, "eth9", "192.0.2.2"),
)


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    """The router of STATE as a master."""
    network = Network(("eth2", "eth3", "eth5", "eth9"), HOSTS)
    try:
        network.add_address(PARTNER, REMOTE)
        network.add_address(SECOND, FAR)
        network.configure(materialise(STATE, Role.MASTER, Settings()))
        yield network
    finally:
        network.close()


def test_a_forwarding_s_answers_leave_where_the_request_came_in(net: Network) -> None:
    assert net.reach(SECOND, FORWARDED, 5000, WEB, 5000, source=FAR) == FAR
    assert net.reach(SECOND, FORWARDED, 5000, WEB, 5000) == SECOND, "from the device's own network"
    assert net.connect(SECOND, FORWARDED, 80, WEB, 8080) == SECOND
    assert net.reach("ext", "203.0.113.11", 5000, WEB, 5000) == "203.0.113.1", "and by the first device as ever"


def test_a_static_nat_works_both_ways_by_its_own_device(net: Network) -> None:
    assert net.reach(SECOND, TRANSLATED, 5000, OTHER, 5000, source=FAR) == FAR
    assert net.reach(OTHER, FAR, 6000, SECOND, 6000) == TRANSLATED
    assert net.reach(WEB, "198.51.100.1", 6000, "ext", 6000) == "203.0.113.10", "the others by the default route"


def test_a_static_nat_does_not_lead_astray_what_is_for_tiers_private_gateways_and_routes(net: Network) -> None:
    assert net.reach(OTHER, APP, 7000, APP, 7000) == OTHER
    assert net.reach(OTHER, PARTNER, 6000, PARTNER, 6000) == OTHER
    assert net.reach(OTHER, REMOTE, 6000, PARTNER, 6000) == OTHER
    assert net.reach(OTHER, "203.0.113.11", 5000, WEB, 5000) == "10.1.2.1", "a hairpin"
    assert net.reach(APP, TRANSLATED, 5000, OTHER, 5000) == APP


def test_the_router_s_own_answers_and_questions_leave_by_the_device_of_their_address(net: Network) -> None:
    argv = ["ip", "netns", "exec", net.name(SECOND), "ping", "-c1", "-W1", "-q", "-I", FAR, FORWARDED]
    assert net.succeeds(argv)
    assert net.reach("router", FAR, 6000, SECOND, 6000, source=FORWARDED) == FORWARDED
    assert net.reach("router", "198.51.100.1", 6000, "ext", 6000, source="203.0.113.10") == "203.0.113.10"
    assert net.reach("router", FORWARDED, 5000, WEB, 5000, source="203.0.113.10") == "203.0.113.10"


def test_a_private_gateway_s_answers_take_its_static_routes(net: Network) -> None:
    assert net.reach(PARTNER, WEB, 5001, WEB, 5001, source=REMOTE) == REMOTE
    assert net.reach(PARTNER, WEB, 5001, WEB, 5001) == PARTNER
