"""Which addresses are listened for, and that a machine where nobody can listen goes on."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from vpcrouter.agent.conflicts import Conflicts
from vpcrouter.appliers.claims import ClaimListener
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.claim import Claim
from vpcrouter.values.desired import InterfaceAddress, Kernel

KERNEL = Kernel(
    addresses=(InterfaceAddress(device="eth2", address="10.1.1.2/24"),),
    virtual_addresses=(
        InterfaceAddress(device="eth2", address="10.1.1.1/24"),
        InterfaceAddress(device="eth2", address="fd00::1/64"),
    ),
)
CLAIM = Claim(device="eth2", address="10.1.1.1", mac="02:00:00:00:00:77")


class _World(Surroundings):
    def __init__(self) -> None:
        self.now_ns = 0
        self.listener = _Listener()

    def monotonic_ns(self) -> int:
        self.now_ns += 1_000_000_000
        return self.now_ns

    def claims(self) -> ClaimListener:
        return self.listener


class _Listener(ClaimListener):
    def __init__(self) -> None:
        super().__init__()
        self.watched: set[str] = set()
        self.is_allowed = True

    def watch(self, addresses: Iterable[str]) -> None:
        if not self.is_allowed:
            raise PermissionError(1, "Operation not permitted")
        self.watched = {*addresses}

    def claims(self) -> tuple[Claim, ...]:
        return (CLAIM,) if CLAIM.address in self.watched else ()


def test_a_router_listens_for_what_it_has_now() -> None:
    world = _World()
    conflicts = Conflicts(world)
    conflicts.look(KERNEL, serves=False)
    assert world.listener.watched == {"10.1.1.2"}
    for _ in range(3):
        conflicts.look(KERNEL, serves=True)
    assert world.listener.watched == {"10.1.1.2", "10.1.1.1"}
    assert conflicts.describe() == [{"device": "eth2", "address": "10.1.1.1", "mac": "02:00:00:00:00:77"}]
    conflicts.look(KERNEL, serves=False)
    assert conflicts.describe() == []


def test_where_nobody_can_listen_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("vpcrouter.agent.conflicts.LOG.error", lambda text, *_: said.append(text))
    world = _World()
    world.listener.is_allowed = False
    conflicts = Conflicts(world)
    for _ in range(3):
        conflicts.look(KERNEL, serves=True)
    assert len(said) == 1
