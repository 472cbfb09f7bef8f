"""What the router itself changed is no drift, also where a change was taken back before it was settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from tests.test_machine_faults import Nothing
from vpcrouter.errors import ApplierError
from vpcrouter.host import Host
from vpcrouter.plan import Operation
from vpcrouter.plan.kernel import KernelOperation, ObservedKernel, Unannounced
from vpcrouter.simulation.kernel_model import KernelModel
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.desired import Daemon, Desired, File, InterfaceAddress, Kernel, Link, Ruleset
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.appliers.daemons import DaemonApplier
    from vpcrouter.appliers.kernel import KernelApplier
    from vpcrouter.appliers.nftables import NftablesApplier


class _Crashing:
    """A keepalived that takes its file, and waits for its restart while it is `held_back`."""

    def __init__(self) -> None:
        self.held_back = False
        self.content = ""

    def is_running(self, name: str) -> bool:
        return not self.held_back

    def has_loaded(self, *_: object) -> bool:
        return not self.held_back

    def settle(self, desired: Sequence[Daemon], _: object) -> list[Operation]:
        (file,) = desired[0].files
        written = file.content != self.content
        self.content = file.content
        if self.held_back:
            raise ApplierError("died 2 times, is started again in 5 s", where="keepalived")
        return [Operation(target="keepalived", action="write", subject=file.path)] if written else []


class _World(Surroundings):
    def __init__(self) -> None:
        self.applier, self.keepalived = _Kernel(), _Crashing()
        for device in ("eth2", "eth3"):
            self.applier.model.plug(device)

    def kernel(self) -> KernelApplier:
        return self.applier  # type: ignore[return-value]

    def nftables(self) -> NftablesApplier:
        return Nothing()  # type: ignore[return-value]

    def daemons(self, settings: Settings) -> DaemonApplier:
        return self.keepalived  # type: ignore[return-value]


class _Kernel:
    """The model, as an applier."""

    def __init__(self) -> None:
        self.model = KernelModel()

    def observe(self, desired: Kernel, *, full: bool = False) -> ObservedKernel:
        return self.model.observe(desired)

    def unannounced(self, desired: Kernel) -> Unannounced:
        return self.model.observe(desired).unannounced

    def apply(self, operations: Sequence[KernelOperation]) -> None:
        self.model.apply(operations)


def _with_tiers(*devices: str) -> Desired:
    return Desired(
        kernel=Kernel(
            links=tuple(Link(name=each, up=each in devices) for each in ("eth2", "eth3")),
            addresses=tuple(InterfaceAddress(device=each, address=f"10.1.{each[3:]}.2/24") for each in devices),
        ),
        ruleset=Ruleset(table="t"),
        daemons=(Daemon(name="keepalived", reload_files=(File(path="/keepalived.conf", content=" ".join(devices)),)),),
    )


ONE, TWO = _with_tiers("eth2"), _with_tiers("eth2", "eth3")


def test_a_tier_that_is_removed_while_keepalived_waits_for_its_restart_is_no_drift() -> None:
    world = _World()
    host = Host(Settings(), world)
    assert host.settle(ONE).settled
    world.keepalived.held_back = True
    assert not host.settle(TWO).settled
    removed = host.settle(ONE)
    assert [str(each) for each in removed.operations], "otherwise this test shows nothing"
    world.keepalived.held_back = False
    assert (removed.drift, host.settle(ONE).drift) == ((), ())


@pytest.mark.parametrize("held_back", [False, True])
def test_what_somebody_else_changed_is_drift(held_back: bool) -> None:
    world = _World()
    host = Host(Settings(), world)
    assert host.settle(ONE).settled
    world.keepalived.held_back = held_back
    world.applier.model.remove_address(ONE.kernel.addresses[0])
    assert host.settle(ONE).drift == ("kernel: add address 10.1.2.2/24 on eth2",)
