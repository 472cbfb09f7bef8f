"""What a real keepalived sets is what the plan takes for keepalived's."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve

from tests.appliers.kernels import RealKernel, settle
from tests.appliers.private_network import private_network
from vpcrouter.plan.kernel import KEEPALIVED_PROTOCOL, plan_kernel, repair_virtual
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link, Route

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CONFIG = """
vrrp_instance vpc {
    interface eth2
    state BACKUP
    version 3
    virtual_router_id 51
    priority 100
    advert_int 0.1
    virtual_ipaddress {
        169.254.255.51/32 dev eth2
    }
    virtual_ipaddress_excluded {
        10.1.2.1/24 dev eth2 no_track
        203.0.113.10/24 dev eth1 no_track
    }
    virtual_routes {
        default via 203.0.113.1 dev eth1 no_track
        172.16.0.0/16 via 203.0.113.2 dev eth1 no_track
    }
}
"""
DESIRED = Kernel(
    links=(Link(name="eth1", up=True), Link(name="eth2", up=True)),
    addresses=(InterfaceAddress(device="eth2", address="10.1.2.2/24"),),
    virtual_addresses=(
        InterfaceAddress(device="eth1", address="203.0.113.10/24"),
        InterfaceAddress(device="eth2", address="10.1.2.1/24"),
        InterfaceAddress(device="eth2", address="169.254.255.51/32"),
    ),
    virtual_routes=(
        Route(network="0.0.0.0/0", gateway="203.0.113.1", device="eth1"),
        Route(network="172.16.0.0/16", gateway="203.0.113.2", device="eth1"),
    ),
)
SERVING = evolve(DESIRED, serving=True)


class _Keepalived:
    def __init__(self, kernel: RealKernel, directory: Path) -> None:
        self._kernel, self._directory = kernel, directory
        self.process = kernel.network.do(self._start)

    def _start(self) -> subprocess.Popen[bytes]:
        config = self._directory / "keepalived.conf"
        config.write_text(CONFIG)
        pids = [f"--{kind}={self._directory / name}" for kind, name in (("pid", "main"), ("vrrp_pid", "vrrp"))]
        argv = ["keepalived", "--dont-fork", "--log-console", "--vrrp", f"--use-file={config}", *pids]
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)

    def stop(self, number: int) -> None:
        """SIGTERM for an orderly end; SIGKILL for parent and child at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        self.process.wait(10)


@pytest.fixture
def kernel() -> Iterator[RealKernel]:
    """Linux with a public device and a tier."""
    with private_network() as network:
        real = RealKernel(network)
        real.plug("eth1")
        real.plug("eth2")
        settle(real, DESIRED)
        yield real
        real.close()


@pytest.fixture
def keepalived(kernel: RealKernel, tmp_path: Path) -> Iterator[_Keepalived]:
    """Running, and in time the master."""
    running = _Keepalived(kernel, tmp_path)
    yield running
    running.stop(signal.SIGKILL)


def _soon(question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _settled(kernel: RealKernel, desired: Kernel) -> bool:
    return plan_kernel(desired, kernel.observe(desired)).is_settled


def test_its_addresses_and_routes_are_recognised_as_master_and_as_backup(
    kernel: RealKernel, keepalived: _Keepalived
) -> None:
    assert _soon(lambda: _settled(kernel, SERVING))
    assert {each.protocol for each in kernel.observe(SERVING).routes} == {KEEPALIVED_PROTOCOL}
    assert len(plan_kernel(DESIRED, kernel.observe(DESIRED)).awaited) == 5
    keepalived.stop(signal.SIGTERM)
    assert _settled(kernel, DESIRED)


def test_what_it_leaves_when_it_is_killed_can_be_taken_away(kernel: RealKernel, keepalived: _Keepalived) -> None:
    assert _soon(lambda: _settled(kernel, SERVING))
    keepalived.stop(signal.SIGKILL)
    assert _settled(kernel, SERVING), "it leaves everything"
    kernel.apply(repair_virtual(DESIRED, kernel.observe(DESIRED)))
    assert _settled(kernel, DESIRED)


def test_what_was_repaired_by_hand_is_its_own_again(kernel: RealKernel, keepalived: _Keepalived) -> None:
    assert _soon(lambda: _settled(kernel, SERVING))
    kernel.network.run("ip", "route", "del", "172.16.0.0/16")
    kernel.network.run("ip", "address", "del", "10.1.2.1/24", "dev", "eth2")
    kernel.apply(repair_virtual(SERVING, kernel.observe(SERVING)))
    assert _soon(lambda: _settled(kernel, SERVING))
    keepalived.stop(signal.SIGTERM)
    assert _settled(kernel, DESIRED), "it takes away what we put back, as its own"
