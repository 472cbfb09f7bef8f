"""The names and addresses that scripts outside rely on."""

from __future__ import annotations

import pytest

from vpcrouter.errors import CallerError
from vpcrouter.lab import layout, topology
from vpcrouter.lab.layout import Names


def test_namespaces_carry_the_prefix() -> None:
    assert Names("vpc").all == (
        "vpc-sw", "vpc-rA", "vpc-rB", "vpc-rC", "vpc-rD", "vpc-ext",
        "vpc-vm2", "vpc-vm3", "vpc-vm4", "vpc-vm5", "vpc-vm6", "vpc-vm7", "vpc-vm8", "vpc-vm9",
    )  # fmt: skip


@pytest.mark.parametrize("count", [3, 4])
def test_more_routers_are_there_on_request(count: int) -> None:
    two, more = Names("vpc"), Names("vpc", layout.ALL_ROUTERS[:count])
    added = set(layout.ALL_ROUTERS[2:count])
    assert set(more.nodes) - set(two.nodes) == added
    assert {cable.node for cable in more.cables} - {cable.node for cable in two.cables} == added
    assert two.routers == layout.ROUTERS


@pytest.mark.parametrize("prefix", ["", "-x", "a/b", "a b", "..", "a\n", "x" * 33])
def test_a_prefix_that_could_be_something_else_is_refused(prefix: str) -> None:
    with pytest.raises(CallerError, match="cannot be a prefix"):
        Names.checked(prefix)


def test_routers_share_nothing_but_the_public_mac() -> None:
    first, second = ({cable.device: cable.mac for cable in layout.cables_of(router)} for router in layout.ROUTERS)
    assert list(first) == list(second) == [f"eth{number}" for number in range(10)]
    assert {device for device in first if first[device] == second[device]} == {"eth1"}
    assert first["eth1"] == "06:00:00:00:00:01"
    private = [mac for macs in (first, second) for device, mac in macs.items() if device != "eth1"]
    assert len(set(private)) == len(private)


def test_a_guest_is_where_the_promise_says() -> None:
    (cable,) = layout.cables_of("vm9")
    assert (cable.mac, cable.bridge) == ("02:00:0a:01:09:64", "br9")
    assert layout.address_of("vm9") == "10.1.9.100"
    assert layout.GATEWAYS["vm9"] == "10.1.9.1"
    assert layout.host_of("198.51.100.1") == layout.host_of("203.0.113.1") == "ext"
    assert layout.host_of("203.0.113.10") is None


def test_device_names_fit_into_the_kernels_limit() -> None:
    names = [name for cable in layout.CABLES for name in (cable.port, cable.device)]
    assert max(map(len, names)) <= 15
    ports = [cable.port for cable in layout.CABLES]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize(
    ("node", "device", "words"),
    [("rE", "eth0", "no node 'rE'"), ("rA", "eth10", "no device 'eth10'"), ("sw", "br0", "cut the other end")],
)
def test_what_is_not_there_is_named(node: str, device: str, words: str) -> None:
    with pytest.raises(CallerError, match=words):
        layout.find_cable(node, device)


def test_a_router_has_no_address_of_its_own() -> None:
    with pytest.raises(CallerError, match="rA has no address of its own"):
        layout.address_of("rA")


def test_both_kinds_of_cut_are_undone_by_plugging_in() -> None:
    cable = layout.find_cable("rB", "eth3")
    assert topology.cut_lines([cable], silent=False) == ["link set rB-eth3 down"]
    assert topology.cut_lines([cable], silent=True) == ["link set rB-eth3 nomaster"]
    assert topology.plug_lines([cable]) == ["link set rB-eth3 group 12 master br3 up"]
