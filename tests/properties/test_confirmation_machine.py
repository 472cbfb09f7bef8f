"""Confirmed changes against a plain model: a value is the newest one written that was not taken back.

Every value that is written is a new one, so that no two writes can be confused; the model knows nothing of journals,
states or merging. Time passes, the process dies and comes back, the machine reboots, its clock is set.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tests.strategies import config, tier
from tests.surroundings import Turned
from vpcrouter import Receipt, Router
from vpcrouter.commands import ChangeStaticRoutes, Command, ConfigureRouter, PutReservation, PutTier, RemoveReservation
from vpcrouter.journal import write_snapshot
from vpcrouter.past import replay
from vpcrouter.values.config import Reservation, StaticRoute
from vpcrouter.values.confirmation import Terms

KEYS = st.lists(st.sampled_from(["lease-1", "lease-2", "route-1", "route-2"]), min_size=1, max_size=3, unique=True)
WITHIN_MS = st.sampled_from([1_000, 5_000, 60_000])


class ConfirmationMachine(RuleBasedStateMachine):
    """`writes` is the model: for each key, the values written and the change that each belongs to, oldest first."""

    waiting = Bundle("waiting")

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="confirmation-machine-"))
        self.world = Turned()
        self.router = Router.open(self.directory / "journal", surroundings=self.world)
        self.router.submit_many([ConfigureRouter(config=config()), PutTier(tier=tier(2))])
        self.writes: dict[str, list[tuple[int, str]]] = {}
        self.due: dict[str, int] = {}
        """When the time of each change that waits is up, by the clock of this boot."""
        self.wall_due: dict[str, tuple[int, int]] = {}
        self.of_earlier_boots: set[str] = set()
        """Of these only the wall clock is known, and each process that starts asks it anew."""
        self.number = 0

    def teardown(self) -> None:
        if hasattr(self, "router"):
            self.router.close()
            shutil.rmtree(self.directory)

    def command(self, key: str, *, gone: bool = False) -> Command:
        """Write a value that was never there before; or take the thing away, which is a value as well."""
        kind, _, place = key.partition("-")
        self.number += 1
        if kind == "lease":
            address, mac = f"10.1.2.1{place}", f"02:00:00:00:00:0{place}"
            if gone:
                return RemoveReservation(address=address, mac=mac)
            lease = Reservation(address=address, mac=mac, host_name="vm", lease_seconds=self.number)
            return PutReservation(reservation=lease)
        network = f"198.51.10{place}.0/24"
        if gone:
            return ChangeStaticRoutes(remove=(network,))
        high, low = divmod(self.number + 256, 250)
        gateway = f"10.1.{high + 10}.{low + 1}"
        return ChangeStaticRoutes(put=(StaticRoute(network=network, gateway=gateway),))

    def write(self, key: str, change: str, *, gone: bool) -> None:
        self.writes.setdefault(key, []).append((0 if gone else self.number, change))

    def take_back(self, name: str) -> None:
        self.writes = {key: [each for each in found if each[1] != name] for key, found in self.writes.items()}
        del self.due[name], self.wall_due[name]

    def let_expire(self) -> None:
        for name in [name for name, due in self.due.items() if due <= self.world.boot_ms]:
            self.take_back(name)

    def value(self, key: str) -> int:
        found = self.writes.get(key, [])
        return found[-1][0] if found else 0

    @rule(key=KEYS, gone=st.booleans())
    def somebody_else_writes(self, key: list[str], gone: bool) -> None:
        self.let_expire()
        commands = []
        for each in key:
            if gone and self.value(each) == 0:
                continue  # would be unchanged
            commands.append(self.command(each, gone=gone))
            self.write(each, "", gone=gone)
        results = self.router.submit_each(commands, origin="other")
        assert all(isinstance(each, Receipt) and each.status == "accepted" for each in results)

    @rule(target=waiting, keys=KEYS, within_ms=WITHIN_MS)
    def change(self, keys: list[str], within_ms: int) -> str:
        self.let_expire()
        commands = [self.command(each) for each in keys]
        numbers = range(self.number - len(keys) + 1, self.number + 1)
        receipt = self.router.submit_change(commands, Terms(within_ms=within_ms))[0]
        assert isinstance(receipt, Receipt)
        for key, number in zip(keys, numbers, strict=True):
            self.writes.setdefault(key, []).append((number, receipt.confirmation))
        self.due[receipt.confirmation] = self.world.boot_ms + within_ms
        self.wall_due[receipt.confirmation] = (self.world.wall_ms + within_ms, within_ms)
        return receipt.confirmation

    @rule(target=waiting, name=consumes(waiting), confirmed=st.booleans())
    def decide(self, name: str, confirmed: bool) -> object:
        self.let_expire()
        if name not in self.due:
            return multiple()
        if confirmed:
            self.router.confirm(name)
            del self.due[name], self.wall_due[name]
        else:
            self.router.take_back(name)
            self.take_back(name)
        return multiple()

    @rule(milliseconds=st.integers(1, 10_000))
    def time_passes(self, milliseconds: int) -> None:
        self.world.pass_ms(milliseconds)
        self.router.expire()
        self.let_expire()

    @rule(step_ms=st.integers(-(10**7), 10**7))
    def somebody_sets_the_clock(self, step_ms: int) -> None:
        self.world.wall_ms += step_ms

    @rule(dead_ms=st.integers(0, 5_000), snapshot=st.booleans())
    def the_process_dies(self, dead_ms: int, snapshot: bool) -> None:
        if snapshot:
            write_snapshot(self.directory / "journal", self.router.snapshot())
        self.router.close()
        self.world.pass_ms(dead_ms)
        self.ask_the_wall_clock()
        self.router = Router.open(self.directory / "journal", surroundings=self.world)
        self.router.expire()
        self.let_expire()

    @rule(off_ms=st.integers(0, 20_000))
    def the_machine_reboots(self, off_ms: int) -> None:
        self.router.close()
        self.world.reboot(after_ms=off_ms)
        self.of_earlier_boots = set(self.due)
        self.ask_the_wall_clock()
        self.router = Router.open(self.directory / "journal", surroundings=self.world)
        self.router.expire()
        self.let_expire()

    def ask_the_wall_clock(self) -> None:
        for name in self.of_earlier_boots & self.due.keys():
            wall_due, within_ms = self.wall_due[name]
            self.due[name] = self.world.boot_ms + min(within_ms, max(0, wall_due - self.world.wall_ms))

    @invariant()
    def a_value_is_the_newest_that_was_not_taken_back(self) -> None:
        if not hasattr(self, "router"):
            return
        state = self.router.state
        for key in ("lease-1", "lease-2"):
            lease = state.reservations.get(f"10.1.2.1{key[-1]}")
            assert (0 if lease is None else lease.lease_seconds) == self.value(key)
        for key in ("route-1", "route-2"):
            route = state.routes.get(f"198.51.10{key[-1]}.0/24")
            high, low = map(int, route.gateway.split(".")[2:]) if route else (0, 0)
            assert ((high - 10) * 250 + low - 1 - 256 if route else 0) == self.value(key)
        assert set(state.confirmations) == set(self.due)
        assert replay(self.directory / "journal").state == state


TestConfirmations = ConfirmationMachine.TestCase
TestConfirmations.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
