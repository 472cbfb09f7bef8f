"""What only Linux can show of the kernel applier: IPv6, many operations, sockets, imports."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.appliers.kernels import RealKernel, settle
from tests.appliers.private_network import private_network
from vpcrouter.appliers import _netlink
from vpcrouter.appliers._sockets import NetlinkSocket, Refusal
from vpcrouter.errors import ApplierError
from vpcrouter.plan.kernel import plan_kernel
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link, Route

ETH2 = (Link(name="eth2", up=True),)


@pytest.fixture
def kernel() -> Iterator[RealKernel]:
    """Linux with one bare device."""
    with private_network() as network:
        real = RealKernel(network)
        real.plug("eth2")
        yield real
        real.close()


def _on_eth2(*addresses: str) -> Kernel:
    return Kernel(links=ETH2, addresses=tuple(InterfaceAddress(device="eth2", address=each) for each in addresses))


def _given(kernel: RealKernel) -> list[str]:
    return [each.address for each in kernel.observe(Kernel()).addresses]


@pytest.mark.lab
def test_a_link_local_address_of_its_own_is_the_device_s_and_the_routers_common_one_is_ours(kernel: RealKernel) -> None:
    desired = _on_eth2("2001:db8::2/64", "fe80::1/64")
    assert settle(kernel, desired).is_settled
    seen = kernel.observe(desired)
    own = InterfaceAddress(device="eth2", address="fe80::77/64")
    assert plan_kernel(desired, evolve(seen, addresses=(*seen.addresses, own))).is_settled
    plan = plan_kernel(_on_eth2(), seen)
    assert {each.subject for each in plan.late} == {"address 2001:db8::2/64 on eth2", "address fe80::1/64 on eth2"}


@pytest.mark.lab
def test_ipv6_addresses_and_routes(kernel: RealKernel) -> None:
    desired = Kernel(
        links=ETH2,
        addresses=(InterfaceAddress(device="eth2", address="2001:db8::2/64"),),
        routes=(Route(network="2001:db8:1::/48", gateway="2001:db8::9", device="eth2"),),
    )
    assert settle(kernel, desired).is_settled
    kernel.network.run("ip", "address", "add", "2001:db8::66/64", "dev", "eth2")
    plan = plan_kernel(desired, kernel.observe(desired))
    assert [each.subject for each in plan.late] == ["address 2001:db8::66/64 on eth2"]
    assert settle(kernel, desired).is_settled
    assert "fe80::" in kernel.network.run("ip", "-6", "address", "show", "dev", "eth2")
    assert settle(kernel, _on_eth2()).is_settled
    assert kernel.network.run("ip", "-6", "route", "show", "proto", "77") == ""


@pytest.mark.lab
def test_a_device_that_has_the_number_of_one_before_it_has_its_own_routes(kernel: RealKernel) -> None:
    """The kernel describes their routes in the same bytes."""
    run = kernel.network.run
    for name in ("first", "second"):
        run("ip", "link", "add", name, "index", "900", "type", "veth", "peer", "name", f"{name}-peer")
        run("ip", "link", "set", name, "up")
        run("ip", "address", "add", "192.0.2.1/24", "dev", name)
        run("ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.9", "proto", "77")
        for _ in range(2):
            assert [each.route.device for each in kernel.observe(Kernel()).routes] == [name]
        run("ip", "link", "delete", name)
    assert kernel.observe(Kernel()).routes == ()


@pytest.mark.lab
def test_an_ipv6_address_changes_its_prefix_length(kernel: RealKernel) -> None:
    assert settle(kernel, _on_eth2("2001:db8::2/64")).is_settled
    assert settle(kernel, _on_eth2("2001:db8::2/56")).is_settled
    assert _given(kernel) == ["2001:db8::2/56"]


@pytest.mark.lab
def test_an_ipv4_address_changes_its_prefix_length(kernel: RealKernel) -> None:
    assert settle(kernel, _on_eth2("10.1.2.2/24")).is_settled
    assert settle(kernel, _on_eth2("10.1.2.2/25")).is_settled
    assert _given(kernel) == ["10.1.2.2/25"]


@pytest.mark.lab
def test_each_of_many_operations_gets_its_own_answer(kernel: RealKernel) -> None:
    good = [f"10.{1 + number // 250}.{number % 250}.1/32" for number in range(600)]
    routes = [Route(network=f"172.{each}.0.0/16", gateway="192.0.2.1", device="eth2") for each in (16, 17)]
    desired = Kernel(links=ETH2, addresses=_on_eth2(*good).addresses, routes=tuple(routes))
    plan = plan_kernel(desired, kernel.observe(desired))
    with pytest.raises(ApplierError) as caught:
        kernel.apply(plan.early)
    assert str(caught.value).count("add ") == 2, "both gateways are unreachable, every address is fine"
    assert len(_given(kernel)) == 600


@pytest.mark.lab
def test_refusals_carry_the_kernel_s_own_words_and_stand_where_their_request_stood(kernel: RealKernel) -> None:
    def ask() -> list[Refusal | None]:
        netlink = NetlinkSocket(0)
        flags = _netlink.NLM_F_CREATE | _netlink.NLM_F_REPLACE
        sound, broken = (
            (_netlink.RTM_NEWADDR, flags, _netlink.address_change(_netlink.AddressRecord(index, "127.0.0.9/8")))
            for index in (1, 9999)
        )
        try:
            return netlink.request([sound] * 200 + [broken] + [sound] * 200)
        finally:
            netlink.close()

    answers = kernel.network.do(ask)
    assert len(answers) == 401
    assert [number for number, answer in enumerate(answers) if answer is not None] == [200]
    assert answers[200] is not None
    assert answers[200].errno == 19
    assert str(answers[200]) == "ipv4: Device not found"


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timed
def test_a_dump_is_whole_while_somebody_else_changes_the_kernel(kernel: RealKernel) -> None:
    standing = tuple(f"10.7.{number // 250}.{number % 250 + 1}/32" for number in range(1500))
    desired = _on_eth2(*standing)
    settle(kernel, desired)
    kernel.is_quiet = False
    stop = threading.Event()

    def disturb() -> None:
        batch = "".join(f"address {what} 10.8.0.1/32 dev eth2\n" for what in ("add", "del") * 20)
        while not stop.is_set():
            subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)

    other = kernel.network.start(disturb)
    try:
        for _ in range(20):
            assert set(_given(kernel)) - {"10.8.0.1/32"} == set(standing)
    finally:
        stop.set()
        other.join()


def test_what_is_imported_of_pyroute2_is_small_and_the_rest_comes_when_it_is_asked_for() -> None:
    program = """
import sys
import vpcrouter.appliers.kernel
assert "pyroute2.netlink.rtnl.rtmsg" in sys.modules
assert "pyroute2.ndb" not in sys.modules and "asyncio" not in sys.modules
import pyroute2
assert pyroute2.IPRoute and "pyroute2.ndb" in sys.modules
from pyroute2 import NetlinkError
assert pyroute2.netlink.rtnl.rtmsg.rtmsg is vpcrouter.appliers._netlink.rtmsg
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_pyroute2_may_have_been_imported_before() -> None:
    program = "import pyroute2, vpcrouter.appliers._netlink as n; assert n.rtmsg and pyroute2.IPRoute"
    subprocess.run([sys.executable, "-c", program], check=True)
