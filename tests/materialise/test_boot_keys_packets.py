"""What rare keys of the boot line are for, with real packets; and that nothing of it works without them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.materialise import vpc
from tests.materialise.namespaces import Host, Network, inside, run
from tests.materialise.vpc import APP, OTHER, WEB
from vpcrouter.materialise import materialise
from vpcrouter.state import State
from vpcrouter.values.config import Acl, StaticRoute
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

BEHIND, ELSEWHERE = "172.16.0.1", "172.17.0.1"
STATE = vpc.state(
    tiers=[vpc.tier(2), vpc.tier(3)],
    routes=[
        StaticRoute(network="172.16.0.0/16", gateway=OTHER),
        StaticRoute(network="172.17.0.0/16", gateway=APP),
    ],
)
KEYS = (
    ("disable_rp_filter", "true"),
    ("eth0ip6", "2001:db8:0:ffff::21"),
    ("eth0ip6prelen", "64"),
    ("exposedns", "true"),
    ("localgw", "169.254.0.1"),
    ("mgmtcidr", "192.0.2.0/24"),
)


def with_keys(state: State, keys: tuple[tuple[str, str], ...]) -> State:
    assert state.router is not None
    return evolve(state, router=evolve(state.router, parameters=keys))


@pytest.fixture(scope="module", params=[KEYS, ()], ids=["with", "without"])
def net(request: pytest.FixtureRequest) -> Iterator[tuple[Network, bool]]:
    network = Network(
        ("eth2", "eth3"), [Host(each, "eth2", "10.1.2.1") for each in (WEB, OTHER)] + [Host(APP, "eth3", "10.1.3.1")]
    )
    router, server = network.name("router"), network.name("ext")
    try:
        run(["ip", "-n", router, "link", "add", "m0", "type", "veth", "peer", "name", "mgmt", "netns", server])
        run(["ip", "-n", router, "link", "set", "m0", "master", "eth0", "up"])
        run(["ip", "-n", server, "link", "set", "mgmt", "up"])
        run(["ip", "-n", server, "address", "add", "169.254.0.1/16", "dev", "mgmt"])
        run(["ip", "-n", server, "address", "add", "2001:db8:0:ffff::1/64", "dev", "mgmt", "nodad"])
        network.add_address("ext", "192.0.2.10")
        for address in (BEHIND, ELSEWHERE):
            network.add_address(OTHER, address)
        network.configure(materialise(with_keys(STATE, request.param), Role.MASTER, Settings()))
        yield network, bool(request.param)
    finally:
        network.close()


def test_the_server_s_network_reaches_the_router(net: tuple[Network, bool]) -> None:
    network, is_there = net
    ping = ["ip", "netns", "exec", network.name("ext"), "ping", "-c3", "-W1", "-q"]
    assert network.succeeds([*ping, "169.254.0.21"])
    assert network.succeeds([*ping, "-I", "192.0.2.10", "169.254.0.21"]) is is_there
    assert network.succeeds([*ping, "2001:db8:0:ffff::21"]) is is_there


def test_the_server_manages_the_router_by_ipv6(net: tuple[Network, bool]) -> None:
    network, is_there = net
    for port, is_open in ((3922, is_there), (3923, False)):
        with inside(network.name("router")):
            there = socket.create_server(("::", port), family=socket.AF_INET6)
        with there, inside(network.name("ext")):
            try:
                socket.create_connection(("2001:db8:0:ffff::21", port), timeout=0.4).close()
                found = True
            except OSError:
                found = False
        assert found is is_open, port


def test_dns_is_open_to_what_is_behind_a_guest(net: tuple[Network, bool]) -> None:
    network, is_open = net
    assert network.reach(WEB, "10.1.2.1", 53, "router", 53) == WEB
    for address in ("10.1.2.1", "10.1.2.2"):
        assert network.reach(OTHER, address, 53, "router", 53, source=BEHIND) == (BEHIND if is_open else None)


def test_what_is_routed_by_another_tier_may_come_from_this_one(net: tuple[Network, bool]) -> None:
    network, is_open = net
    if not is_open:
        assert network.reach(OTHER, "10.1.2.1", 53, "router", 53, source=ELSEWHERE) is None
        return
    with pytest.raises(TimeoutError):  # it came, and the answer went the way that the route says
        network.reach(OTHER, "10.1.2.1", 53, "router", 53, source=ELSEWHERE)


@pytest.mark.parametrize("is_public", ["true", "false"])
def test_without_a_public_network_the_way_out_leads_by_the_lowest_tier(is_public: str) -> None:
    """The gateway of eth2 is another machine, OTHER, which knows the way to `away`."""
    away, state = (
        "198.18.0.1",
        vpc.state(
            tiers=[evolve(vpc.tier(2, is_gateway=False), gateway=OTHER), vpc.tier(3)],
            acls=[Acl(device="eth2", ingress=(vpc.udp(5000),), egress=())],
        ),
    )
    network = Network(("eth2", "eth3"), [Host(OTHER, "eth2", "10.1.2.2"), Host(APP, "eth3", "10.1.3.1")])
    try:
        network.add_address(OTHER, away)
        desired = materialise(with_keys(state, (("has_public_network", is_public),)), Role.MASTER, Settings())
        network.configure(desired)
        assert network.reach(APP, OTHER, 5000, OTHER, 5000) == APP
        seen = network.reach(APP, away, 5000, OTHER, 5000)
        assert seen == (APP if is_public == "false" else None), "with its own address: there is no source NAT"
        assert network.reach(APP, away, 5001, OTHER, 5001) is None, "what goes there is the tier's ACL to decide"
    finally:
        network.close()
