"""What the kernel notifies of is put to what was seen: it is what another look finds, and costs none.

`RealKernel.observe` compares the two each time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.appliers.kernels import RealKernel, settle
from tests.appliers.private_network import private_network
from vpcrouter.appliers import _kernel_view
from vpcrouter.appliers._sockets import NetlinkSocket
from vpcrouter.errors import ApplierError
from vpcrouter.plan.kernel import OUR_PROTOCOL, KernelOperation, RouteEntry, plan_kernel
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link, Route

pytestmark = pytest.mark.lab


def _route(number: int, gateway: str = "10.1.2.9") -> Route:
    return Route(network=f"172.16.{number // 250}.{number % 250}/32", gateway=gateway, device="eth2")


def _desired(count: int) -> Kernel:
    return Kernel(
        links=(Link(name="eth2", up=True),),
        addresses=(
            InterfaceAddress(device="eth2", address="10.1.2.2/24"),
            InterfaceAddress(device="eth2", address="2001:db8::2/64"),
        ),
        routes=tuple(map(_route, range(count))),
    )


class _Dumps:
    """How many times the kernel was listed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        dump = NetlinkSocket.dump

        def counting(sock: NetlinkSocket, kind: int, payload: bytes) -> list[tuple[int, bytes]]:
            self.count += 1
            return dump(sock, kind, payload)

        monkeypatch.setattr(NetlinkSocket, "dump", counting)


@pytest.fixture
def kernel() -> Iterator[RealKernel]:
    """Linux, settled with fifty routes."""
    with private_network() as network:
        real = RealKernel(network)
        real.plug("eth2")
        network.run("ip", "link", "set", "lo", "up")
        network.run("sysctl", "-qw", "net.ipv6.conf.eth2.accept_dad=0")
        assert settle(real, _desired(50)).is_settled
        yield real
        real.close()


@pytest.mark.parametrize(
    "by_hand",
    [
        "ip route add 172.20.0.0/16 via 10.1.2.9 proto 77",
        "ip route del 172.16.0.7/32",
        "ip route replace 172.16.0.7/32 via 10.1.2.8 proto 77",
        "ip route replace 10.1.2.0/24 dev eth2 proto 77",
        "ip route append 172.16.0.7/32 via 10.1.2.8 proto 77",
        "ip route prepend 172.16.0.7/32 via 10.1.2.8 proto 77",
        "ip route add 172.16.0.7/32 via 10.1.2.8 metric 5; ip route del 172.16.0.7/32 metric 5",
        "ip route add 172.20.0.0/16 via 10.1.2.9 table 1000; ip route flush table 1000",
        "ip route add 172.20.0.0/16 nexthop via 10.1.2.8 nexthop via 10.1.2.9",
        "ip route add blackhole 172.20.0.0/16; ip route del blackhole 172.20.0.0/16",
        "ip -6 route add 2001:db8:1::/48 via 2001:db8::9 proto 77; ip -6 route add 2001:db8:2::/48 dev eth2",
        "ip -6 route add 2001:db8:1::/48 via 2001:db8::9; ip -6 route append 2001:db8:1::/48 via 2001:db8::8",
        # The kernel is silent about the routes that go with these.
        "ip link set eth2 down",
        "ip link set eth2 down; ip link set eth2 up",
        "ip address del 10.1.2.2/24 dev eth2",
        "ip link set eth2-peer down",
        "ip link del eth2",
        "ip rule add fwmark 7 table 1000",
    ],
)
def test_what_is_notified_of_is_what_is_there(kernel: RealKernel, by_hand: str) -> None:
    for each in by_hand.split("; "):
        kernel.network.run(*each.split())
        kernel.observe(_desired(50))
    kernel.network.run("ip", "route", "add", "192.0.2.0/24", "dev", "lo")
    assert "192.0.2.0/24" in {each.route.network for each in kernel.observe(_desired(50)).routes}


def test_one_more_route_lists_nothing(kernel: RealKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.is_quiet = False
    dumps = _Dumps(monkeypatch)
    for count in (51, 52, 50, 51):
        assert settle(kernel, _desired(count)).is_settled
    assert dumps.count == 0


def test_a_route_beside_another_one_is_taken_in_the_kernel_s_order(kernel: RealKernel) -> None:
    """Which of two the kernel replaces depends on it."""
    kernel.network.run("ip", "route", "prepend", "172.16.0.7/32", "via", "10.1.2.8", "proto", "77")
    found = [
        each.route.gateway for each in kernel.observe(_desired(50)).routes if each.route.network == "172.16.0.7/32"
    ]
    assert found == ["10.1.2.8", "10.1.2.9"]
    assert settle(kernel, _desired(50)).is_settled


def test_what_was_lost_is_looked_at(kernel: RealKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernel_view, "_BUFFER", 2048)
    kernel.close()
    assert settle(kernel, _desired(60)).is_settled
    kernel.is_quiet = False
    dumps = _Dumps(monkeypatch)
    assert settle(kernel, _desired(300)).is_settled
    assert dumps.count


def test_a_full_look_lists_everything(kernel: RealKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    dumps = _Dumps(monkeypatch)
    kernel.network.do(lambda: kernel.applier.observe(_desired(50), full=True))
    assert dumps.count == 6


def test_a_refused_route_is_still_to_be_done(kernel: RealKernel) -> None:
    entry = RouteEntry(route=_route(60, gateway="10.9.9.9"), protocol=OUR_PROTOCOL)
    with pytest.raises(ApplierError):
        kernel.apply([KernelOperation(target="kernel", action="add", subject="route", item=entry)])
    desired = Kernel(links=(), routes=())
    assert entry not in kernel.observe(desired).routes
    assert [each.item for each in plan_kernel(_desired(61), kernel.observe(desired)).early if each.action == "add"]
