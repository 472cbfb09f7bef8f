"""`connections`: a router that says that it is ready to serve knows what guests have opened by way of the other one.

Guests open a connection now and then on each tier with a way out, and keep it. When another machine serves their tier,
their packets find a connection there or are dropped (`nf_conntrack_tcp_loose=0`). Whoever says that it is ready
promises those of which it can know:

    opened while nothing disturbed what the two tell each other, or long ago (docs/redundancy.md: within 5 s)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

from vpcrouter.simulation.case import Crash, CutCable, Drift, Network, Pause, PowerOff, Unplug
from vpcrouter.simulation.excuses import Disturbance, Excuses
from vpcrouter.simulation.findings import Findings
from vpcrouter.simulation.ways import Ways
from vpcrouter.simulation.world import MS, SECOND, World

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine

_EVERY_NS = 250 * MS
_MOST = 24
"""Of all tiers; a beacon names 32, so that each of them is compared."""
_TOLD_NS = 300 * MS
"""From the opening of a connection until the peer has it, if nothing disturbs that."""
_PROVEN_NS = 5 * SECOND
"""Whatever is older and missing keeps a router from saying that it is ready."""
_SPREAD = 0x9E3779B1


@frozen(kw_only=True)
class _Connection:
    number: int
    way: str
    opened_ns: int
    is_seen: bool
    """The conntrackd of the router that served then was at work."""


@define
class Guests:
    """Those of the tiers that both routers have."""

    world: World
    ways: Ways
    excuses: Excuses
    findings: Findings
    lost: int = 0
    """Connections that found nobody who knew them."""
    _open: list[_Connection] = field(factory=list)
    _opened: int = 0
    _next_ns: int = 0
    _by: dict[str, str] = field(factory=dict)
    """The machine that serves each of them."""
    _synchronisers: dict[str, object] = field(factory=dict)
    """The conntrackd of each machine."""
    _changed_ns: list[int] = field(factory=list)
    """When one of them started or ended."""

    def tick(self) -> None:
        """Time has passed."""
        self.note_synchronisers()
        for machine in self.ways.networks.machines:
            if machine.name in self.ways.ready:
                self._compare(machine, self._open)
        if self.world.now_ns >= self._next_ns and len(self._open) < _MOST:
            self._next_ns = self.world.now_ns + _EVERY_NS
            for way, gateway in self.ways.gateways().items():
                if way in self._by and self.ways.served.get(way):
                    self._connect(self.ways.owners[gateway], way)

    def _connect(self, machine: Machine, way: str) -> None:
        self._opened += 1
        conntrackd = machine.conntrackd
        connection = _Connection(
            number=self._opened * _SPREAD & 0xFFFFFFFF,
            way=way,
            opened_ns=self.world.now_ns,
            is_seen=conntrackd is not None and not conntrackd.is_stopped,
        )
        self._open.append(connection)
        machine.connect(connection.number)

    def look(self) -> None:
        """Somebody else may serve."""
        self.note_synchronisers()
        gateways = self.ways.gateways()
        for way, gateway in gateways.items():
            if not self.ways.served.get(way):
                continue
            machine = self.ways.owners[gateway]
            if self._by.get(way, machine.name) != machine.name:
                self._judge(machine, way)
            self._by[way] = machine.name
        self._open = [each for each in self._open if each.way in gateways]

    def note_synchronisers(self) -> None:
        """See whether the conntrackd of a machine is another one."""
        for machine in self.ways.networks.machines:
            before, now = self._synchronisers.get(machine.name), machine.conntrackd
            if now is not before:
                self._synchronisers[machine.name] = now
                self._changed_ns.append(self.world.now_ns)

    def _judge(self, machine: Machine, way: str) -> None:
        """This machine serves now: what its guests have opened goes on by way of it, or not at all."""
        gone = [each for each in self._open if each.way == way and each.number not in machine.connections]
        self._open = [each for each in self._open if each not in gone]
        self.lost += len(gone)
        if machine.name in self.ways.ready:
            self._compare(machine, gone)

    def _compare(self, machine: Machine, connections: list[_Connection]) -> None:
        """It says that it is ready."""
        missing = [
            each for each in connections if each.number not in machine.connections and self._is_promised(each, machine)
        ]
        if missing:
            ages = ", ".join(f"{(self.world.now_ns - each.opened_ns) / MS:.0f}" for each in missing[:4])
            words = f"{machine.name} is ready since {self.world.now_ns / MS:.0f} ms, and does not know connections of"
            self.findings.violate("connections", f"{words} {ages} ms")

    def _is_promised(self, connection: _Connection, machine: Machine) -> bool:
        opened_ns = connection.opened_ns
        if self.world.now_ns - opened_ns < _TOLD_NS:
            return False
        if all(each.booted_ns > opened_ns for each in self.ways.networks.machines):
            return False  # it may have been in no kernel any more
        if self.world.now_ns - max(opened_ns, machine.booted_ns) >= _PROVEN_NS:
            return True
        if machine.booted_ns > opened_ns or not connection.is_seen:
            return False
        until_ns = opened_ns + _TOLD_NS
        is_disturbed = any(
            each.from_ns <= until_ns and each.until_ns + _TOLD_NS >= opened_ns
            for each in self.excuses.disturbances
            if _disturbs(each)
        )
        return not is_disturbed and not any(opened_ns - _TOLD_NS <= at_ns <= until_ns for at_ns in self._changed_ns)


def _disturbs(disturbance: Disturbance) -> bool:
    """Whether a fault may keep two conntrackds from telling each other."""
    match disturbance.step:
        case (
            Network()
            | CutCable()
            | Unplug()
            | Drift(what="link-down")
            | PowerOff()
            | Crash(process="conntrackd")
            | Pause(process="conntrackd" | "all")
        ):
            return True
        case _:
            return False
