"""The two kernels that the contract is checked on: the model in memory, and a real one in a private namespace.

Each can be asked what the applier can be asked, and changed by hand, as an administrator would.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from attrs import evolve

from tests.appliers.private_network import PrivateNetwork, private_network
from vpcrouter.appliers.kernel import KernelApplier
from vpcrouter.plan.kernel import KernelOperation, KernelPlan, ObservedKernel, RouteEntry, RuleEntry, plan_kernel
from vpcrouter.simulation.kernel_model import KernelModel
from vpcrouter.values.desired import InterfaceAddress, Kernel
from vpcrouter.values.networks import is_link_local


class Kernels(Protocol):
    """What a test may do to a kernel."""

    def observe(self, desired: Kernel) -> ObservedKernel:
        """What there is."""

    def apply(self, operations: Sequence[KernelOperation]) -> None:
        """Do these."""

    def plug(self, name: str) -> None:
        """Add a device, down and bare."""

    def remove_connected(self, network: str, device: str) -> None:
        """Delete the route that the kernel made for an address."""

    def add_address(self, address: InterfaceAddress) -> None:
        """Add an address by hand."""

    def remove_address(self, address: InterfaceAddress) -> None:
        """Remove an address by hand."""

    def put_route(self, entry: RouteEntry) -> None:
        """Add a route by hand."""

    def put_rule(self, entry: RuleEntry) -> None:
        """Add a policy rule by hand."""


class RealKernel:
    """Linux, in a namespace; changed by hand with iproute2."""

    def __init__(self, network: PrivateNetwork) -> None:
        self.network = network
        self.applier, self._anew = KernelApplier(), KernelApplier()
        self.is_quiet = True
        """Whether nobody else changes anything meanwhile."""

    def observe(self, desired: Kernel) -> ObservedKernel:
        """What the applier sees; the other ends of the devices are left out, and what IPv6 gives itself."""
        seen = self.network.do(lambda: self.applier.observe(desired))
        if self.is_quiet:
            self._compare_with_a_full_look(desired)
        links = tuple(each for each in seen.links if "-peer" not in each.name and each.name != "lo")
        asked = {*desired.addresses, *desired.virtual_addresses}
        addresses = tuple(each for each in seen.addresses if each in asked or not is_link_local(each.address))
        return evolve(seen, links=links, addresses=addresses)

    def _compare_with_a_full_look(self, desired: Kernel) -> None:
        """What was notified of is what is there. IPv6 gives itself something in between; then once more."""
        looks = [partial(self.applier.observe, desired), partial(self._anew.observe, desired, full=True)]
        for _ in range(20):
            notified, listed = (_in_any_order(self.network.do(look)) for look in looks)
            if notified == listed:
                return
            time.sleep(0.01)
        raise AssertionError(f"what was notified of is not what is there: {notified} {listed}")

    def apply(self, operations: Sequence[KernelOperation]) -> None:
        """What the applier does."""
        self.network.do(lambda: self.applier.apply(operations))

    def plug(self, name: str) -> None:
        """A pair of which one end counts."""
        self.network.add_devices(name)
        path = Path(f"/proc/sys/net/ipv4/conf/{name}/promote_secondaries")
        self.network.do(lambda: path.write_text("0"))

    def add_address(self, address: InterfaceAddress) -> None:
        """By hand."""
        self.network.run("ip", "address", "add", address.address, "dev", address.device)

    def remove_address(self, address: InterfaceAddress) -> None:
        """By hand."""
        self.network.run("ip", "address", "del", address.address, "dev", address.device)

    def put_route(self, entry: RouteEntry) -> None:
        """By hand."""
        route = entry.route
        words = f"{route.network} via {route.gateway} dev {route.device} table {route.table}"
        words += f" proto {entry.protocol} metric {entry.metric}"
        self.network.run("ip", "route", "replace", *words.split())

    def put_rule(self, entry: RuleEntry) -> None:
        """By hand."""
        self.network.run("ip", "rule", "add", *entry.words.split(), "protocol", str(entry.protocol))

    def remove_connected(self, network: str, device: str) -> None:
        """By hand: the route that the kernel made for an address."""
        self.network.run("ip", "route", "del", network, "dev", device)

    def close(self) -> None:
        """Give the socket back."""
        self.applier.close()
        self._anew.close()


def _in_any_order(seen: ObservedKernel) -> tuple[object, ...]:
    return Counter(seen.routes), seen.connected, seen.links, seen.addresses, seen.rules, seen.sysctls


@contextmanager
def open_kernel(kind: str) -> Iterator[Kernels]:
    """An empty kernel of that kind: `model` or `linux`."""
    if kind == "model":
        yield KernelModel()
    else:
        with private_network() as network:
            real = RealKernel(network)
            yield real
            real.close()


def settle(kernel: Kernels, desired: Kernel) -> KernelPlan:
    """Plan and do all of it, keepalived's part left out; the plan that remains."""
    first = plan_kernel(desired, kernel.observe(desired))
    kernel.apply(first.first)
    kernel.apply(plan_kernel(desired, kernel.observe(desired)).early)
    kernel.apply(plan_kernel(desired, kernel.observe(desired)).late)
    return plan_kernel(desired, kernel.observe(desired))
