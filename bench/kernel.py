"""A thousand addresses into the kernel: ours beside `ip -batch`, in a network namespace of its own.

Ours looks, plans, sends, and looks again; `ip -batch` only sends, and stops at the first refusal.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from bench.namespace import in_own_namespace
from bench.row import Reach, Row, side_by_side, timed
from vpcrouter.appliers.kernel import KernelApplier
from vpcrouter.plan.kernel import plan_kernel
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link

_ADDRESSES = tuple(
    InterfaceAddress(device="eth2", address=f"10.{number // 256}.{number % 256}.1/32") for number in range(1_000)
)


def rows(smoke: bool) -> Iterable[Row]:
    """The addresses of a large router, from none."""
    peer, ours = in_own_namespace(lambda: _measure(rounds=1 if smoke else 7))
    yield Row(
        what="1,000 addresses into the kernel",
        peer_name="ip -batch",
        peer=peer,
        ours=ours,
        reach=Reach(at_most_times=5),
    )


def _measure(rounds: int) -> tuple[float, ...]:
    _ip("link", "add", "eth2", "type", "veth", "peer", "name", "other")
    _ip("link", "set", "eth2", "up")
    batch = "".join(f"addr add {each.address} dev {each.device}\n" for each in _ADDRESSES).encode()
    desired = Kernel(links=(Link(name="eth2", up=True),), addresses=_ADDRESSES)
    applier = KernelApplier()

    def settle() -> None:
        applier.apply(plan_kernel(desired, applier.observe(desired)).early)
        assert plan_kernel(desired, applier.observe(desired)).is_settled

    def of_peer() -> float:
        _ip("addr", "flush", "dev", "eth2")
        return timed(lambda: subprocess.run(["ip", "-batch", "-"], input=batch, check=True))

    def of_ours() -> float:
        _ip("addr", "flush", "dev", "eth2")
        return timed(settle)

    try:
        return side_by_side(of_peer, of_ours, rounds=rounds)
    finally:
        applier.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
