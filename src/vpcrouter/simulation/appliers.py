"""The appliers in the simulated world: the real ones, with their hands on a simulated machine.

Only what touches the outside is replaced: the netlink messages of the kernel applier, nft and its generation; processes
and files of the daemons are in `daemons`, and the sockets of the peers' talk in `beacons`. What decides (plans,
restarts, when to compare, what counts as loaded) is the code that runs on real machines. Everything costs the virtual
time that was measured of the real thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vpcrouter.appliers.arp import ArpSpeaker
from vpcrouter.appliers.claims import ClaimListener
from vpcrouter.appliers.connections import ConnectionTable
from vpcrouter.appliers.kernel import KernelApplier
from vpcrouter.appliers.links import LinkObserver
from vpcrouter.appliers.monitor import LinkMonitor
from vpcrouter.appliers.nftables import NftablesApplier, _Known
from vpcrouter.appliers.notify import NotifyFifo, RoleReport, parse_notification
from vpcrouter.appliers.tunnels import SiteReport, TunnelApplier
from vpcrouter.plan.kernel import KernelOperation, ObservedKernel, Unannounced
from vpcrouter.plan.nftables import NO_TABLE, Damage
from vpcrouter.plan.sysctls import Sysctl
from vpcrouter.simulation import nft
from vpcrouter.simulation.machine import Machine
from vpcrouter.simulation.world import MS, die_if_dead
from vpcrouter.values.claim import Claim
from vpcrouter.values.desired import InterfaceAddress, Kernel, Ruleset, Tunnels
from vpcrouter.values.traffic import Traffic

_LOOK_NS = MS
_CHANGE_NS = 300_000
_LOAD_NS = 8 * MS
_COMPARE_NS = 25 * MS


class SimulatedKernel(KernelApplier):
    """Links, addresses, routes and sysctls of a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def observe(self, desired: Kernel, *, full: bool = False) -> ObservedKernel:
        self._machine.world.sleep(_LOOK_NS)
        die_if_dead()
        return self._machine.kernel.observe(desired)

    def unannounced(self, desired: Kernel) -> Unannounced:
        return self._machine.kernel.unannounced(desired)

    def apply(self, operations: Sequence[KernelOperation]) -> None:
        if not operations:
            return
        self._machine.world.sleep(_CHANGE_NS)
        die_if_dead()
        for operation in operations:
            if isinstance(operation.item, Sysctl) and self._machine.kernel.sysctl(operation.item.path) is not None:
                self._machine.kernel.sysctls.setdefault(operation.item.path, "")
        self._machine.kernel.apply(operations)

    def close(self) -> None:
        pass


class SimulatedNftables(NftablesApplier):
    """The table of a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def remove(self, table: str) -> None:
        self._known = None
        if self._machine.ruleset is not None:
            self._machine.load_ruleset(None)

    def close(self) -> None:
        pass

    def traffic(self, table: str) -> Mapping[str, Traffic]:
        ruleset = self._machine.ruleset
        return {} if ruleset is None else {each: Traffic(packets=0, bytes=0) for each in ruleset.counters}

    def elements(self, table: str, name: str) -> tuple[tuple[str, ...], ...]:
        sets = () if self._machine.ruleset is None else self._machine.ruleset.sets
        found = (key for each in sets if each.name == name for key, _ in each.elements)
        return tuple(tuple(part.strip('"') for part in key.split(" . ")) for key in found)

    def _generation(self) -> int:
        die_if_dead()
        return self._machine.generation

    def _load(self, known: _Known, damage: Damage, desired: Ruleset) -> int:
        size = super()._load(known, damage, desired)
        found = self._machine.ruleset
        if size and found is not None and nft.same(found, desired):
            self._machine.settle_ruleset(desired)  # in the order in which it is compared from here on
        return size

    def _change(self, script: str) -> None:
        self._run_script(script)

    def _run_script(self, script: str) -> None:
        if not script:
            return
        self._machine.world.sleep(_LOAD_NS)
        die_if_dead()
        self._machine.load_ruleset(nft.load(script, self._machine.ruleset))

    def _damage(self, believed: Ruleset) -> Damage:
        self._machine.world.sleep(_COMPARE_NS)
        die_if_dead()
        found = self._machine.ruleset
        if found is None:
            return NO_TABLE
        return Damage.between(_blocks(believed), _blocks(found))


def _blocks(ruleset: Ruleset) -> dict[tuple[str, str], object]:
    """What stands in the table, by kind and name."""
    return {
        **{("counter", each): None for each in ruleset.counters},
        **{(each.kind, each.name): each for each in ruleset.sets},
        **{("chain", each.name): each for each in ruleset.chains},
    }


class SimulatedConnections(ConnectionTable):
    """The connection table of a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def read(self) -> frozenset[int]:
        self._machine.world.sleep(_LOOK_NS)
        die_if_dead()
        return frozenset(self._machine.connections)

    def udp_timeout_s(self) -> int:
        return 120

    def close(self) -> None:
        pass


class SimulatedTunnels(TunnelApplier):
    """Tunnels of a simulated machine: no other site is simulated, so none ever stands."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def reports(self, desired: Tunnels) -> tuple[SiteReport, ...]:
        self._machine.world.sleep(_LOOK_NS)
        die_if_dead()
        return tuple(
            SiteReport(peer=each.peer, is_connected=False, standing=(), missing=each.children) for each in desired.sites
        )

    def tend(self, desired: Tunnels) -> tuple[SiteReport, ...]:
        return self.reports(desired)


class SimulatedFifo(NotifyFifo):
    """The reading end of keepalived's notify FIFO."""

    def __init__(self, machine: Machine) -> None:
        self._fifo = machine.fifo

    def fileno(self) -> int:
        return self._fifo.readable.number

    def read(self) -> list[RoleReport]:
        die_if_dead()
        reports = (parse_notification(line.encode()) for line in self._fifo.read())
        return [report for report in reports if report is not None]

    def close(self) -> None:
        pass


class SimulatedMonitor(LinkMonitor):
    """Notifications of the kernel."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._changed: set[str] = set()
        self._readable = machine.descriptors.open()
        machine.watch(self._note)

    def _note(self, what: str) -> None:
        self._changed.add(what)
        self._readable.set()

    def fileno(self) -> int:
        return self._readable.number

    def drain(self) -> frozenset[str]:
        changed, self._changed = frozenset(self._changed), set()
        self._readable.clear()
        return changed

    def close(self) -> None:
        self._machine.unwatch(self._note)


class SimulatedLinks(LinkObserver):
    """Which devices have a carrier."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def carriers(self) -> dict[str, bool]:
        machine = self._machine
        return {
            name: machine.networks.has_carrier(machine, name) or not link.up
            for name, link in machine.kernel.links.items()
        }

    def close(self) -> None:
        pass


class SimulatedClaims(ClaimListener):
    """Nobody claims an address: guests that take what is not theirs are not simulated."""

    def __init__(self) -> None:
        pass

    def watch(self, addresses: Iterable[str]) -> None:
        pass

    def claims(self) -> tuple[Claim, ...]:
        return ()

    def close(self) -> None:
        pass


class SimulatedArp(ArpSpeaker):
    """The gateway of the way out answers as long as there is a cable: nothing else of that side is simulated."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._device = ""

    def ask(self, device: str, gateway: str, source: str | None) -> None:
        self._device = device

    def answered(self, gateway: str) -> bool:
        return self._machine.networks.is_linked(self._machine, self._device)

    def announce(self, addresses: Iterable[InterfaceAddress]) -> None:
        self._machine.announced(self._machine, addresses)

    def close(self) -> None:
        pass


def write_penalty(machine: Machine, path: Path, penalty: int) -> None:
    """As the real one, on the simulated disk."""
    machine.files.write(str(path), f"{-penalty}\n")
    if (keepalived := machine.keepalived) is not None:
        keepalived.track_files_changed()
