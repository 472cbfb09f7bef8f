"""A daemon that a signal has stopped is drift also in a pass that has new files for it, as in a contest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.test_machine_faults import Nothing, wanting
from vpcrouter.host import Host
from vpcrouter.plan import Operation
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.appliers.daemons import DaemonApplier
    from vpcrouter.appliers.kernel import KernelApplier
    from vpcrouter.appliers.nftables import NftablesApplier


class _Stopped:
    """Daemons of which one is continued, and gets a new file, in each pass."""

    def is_running(self, name: str) -> bool:
        return True

    def has_loaded(self, *_: object) -> bool:
        return True

    def settle(self, *_: object) -> list[Operation]:
        return [Operation(target="dnsmasq", action=each, subject="it") for each in ("continue", "write")]


class _World(Surroundings):
    def kernel(self) -> KernelApplier:
        return Nothing()  # type: ignore[return-value]

    def nftables(self) -> NftablesApplier:
        return Nothing()  # type: ignore[return-value]

    def daemons(self, settings: Settings) -> DaemonApplier:
        return _Stopped()  # type: ignore[return-value]


def test_a_stopped_daemon_is_drift_whatever_else_is_new() -> None:
    host = Host(Settings(), _World())
    assert host.settle(wanting("dnsmasq")).drift == ("dnsmasq: continue it",)
    assert host.settle(wanting("dnsmasq")).drift == ("dnsmasq: continue it", "dnsmasq: write it")
