"""What fails is told apart by its kind, not by its words: what no machine of the kind can do gives nothing away."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import attrs

from vpcrouter.appliers._daemon_kinds import DaemonKind
from vpcrouter.appliers._supervised import Supervised
from vpcrouter.appliers.daemons import DaemonApplier
from vpcrouter.appliers.nftables import NftOutcome
from vpcrouter.host import Host
from vpcrouter.machines.losses import own_losses
from vpcrouter.plan.kernel import ObservedKernel, Unannounced
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.desired import Daemon, Desired, Kernel, Ruleset
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.appliers.kernel import KernelApplier
    from vpcrouter.appliers.nftables import NftablesApplier

LACKING = {"xl2tpd": "words that nobody has thought of", "charon-systemd": "others"}


class Nothing:
    """A kernel and a ruleset with nothing in them."""

    def unannounced(self, *_: object) -> Unannounced:
        return (), ()

    def observe(self, *_: object, full: bool = False) -> ObservedKernel:
        return ObservedKernel()

    def apply(self, *_: object) -> None:
        pass

    def settle(self, *_: object) -> NftOutcome:
        return NftOutcome(changed=False)


class _Lacking(Surroundings):
    def kernel(self) -> KernelApplier:
        return Nothing()  # type: ignore[return-value]

    def nftables(self) -> NftablesApplier:
        return Nothing()  # type: ignore[return-value]

    def daemons(self, settings: Settings) -> DaemonApplier:
        def supervise(kind: DaemonKind, settings: Settings) -> Supervised:
            return Supervised(attrs.evolve(kind, lacks=lambda: LACKING.get(kind.name)), settings)

        return DaemonApplier(settings, supervise=supervise)


def wanting(*names: str) -> Desired:
    daemons = tuple(Daemon(name=name) for name in names)
    return Desired(kernel=Kernel(), ruleset=Ruleset(table="t"), daemons=daemons)


def test_each_daemon_that_fails_is_a_fault_and_what_a_machine_lacks_is_one_of_its_kind(tmp_path: Path) -> None:
    host = Host(Settings(root=str(tmp_path)), _Lacking())
    assert [each.is_of_kind for each in host.settle(wanting("xl2tpd")).faults] == [True]

    # A directory stands in the way of a third one's output: that is this machine's own.
    (tmp_path / PurePath("run/vpcrouter/dnsmasq.log")).mkdir(parents=True)
    faults = host.settle(wanting(*LACKING, "dnsmasq")).faults
    assert {each.what.partition(":")[0]: each.is_of_kind for each in faults} == {
        "xl2tpd": True,
        "charon-systemd": True,
        "dnsmasq": False,
    }
    (loss,) = own_losses(faults, None)
    assert loss.reason.startswith("dnsmasq")
