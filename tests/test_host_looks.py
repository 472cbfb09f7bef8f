"""When a host takes the kernel's notifications for what is there, and when it lists everything anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.test_machine_faults import Nothing, wanting
from vpcrouter.host import Host
from vpcrouter.plan.kernel import ObservedKernel
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.appliers.daemons import DaemonApplier
    from vpcrouter.appliers.kernel import KernelApplier
    from vpcrouter.appliers.nftables import NftablesApplier


class _Kernel(Nothing):
    def __init__(self) -> None:
        self.looks: list[bool] = []

    def observe(self, *_: object, full: bool = False) -> ObservedKernel:
        self.looks.append(full)
        return ObservedKernel()


class _Quiet:
    """A ruleset and daemons that are as they should be."""

    def is_running(self, name: str) -> bool:
        return True

    def settle(self, *_: object) -> list[object]:
        return []

    def plan(self, *_: object) -> list[object]:
        return []

    def verify(self, *_: object, full: bool) -> list[object]:
        return []


class _World(Surroundings):
    def __init__(self) -> None:
        self.seen = _Kernel()

    def kernel(self) -> KernelApplier:
        return self.seen  # type: ignore[return-value]

    def nftables(self) -> NftablesApplier:
        class Ruleset(_Quiet, Nothing):
            settle = Nothing.settle  # type: ignore[assignment]

        return Ruleset()  # type: ignore[return-value]

    def daemons(self, settings: Settings) -> DaemonApplier:
        return _Quiet()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("doubt", "looks"), [({"all"}, [True]), ({"kernel"}, [False]), ({"nftables"}, []), ({"kernel", "all"}, [True])]
)
def test_a_pass_lists_everything_anew_when_everything_is_in_doubt(doubt: set[str], looks: list[bool]) -> None:
    world = _World()
    host = Host(Settings(), world)
    host.settle(wanting())
    world.seen.looks.clear()
    host.settle(wanting(), frozenset(doubt))
    assert world.seen.looks == looks


def test_who_compares_lists_everything_anew() -> None:
    world = _World()
    host = Host(Settings(), world)
    host.settle(wanting())
    assert world.seen.looks == [False], "the applier's first look is a full one whatever it is asked"
    host.verify(wanting())
    host.plan(wanting())
    assert world.seen.looks == [False, True, True]
