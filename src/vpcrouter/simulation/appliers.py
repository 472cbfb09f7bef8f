"""The appliers in the simulated world: the real ones, with their hands on a simulated machine.

Only what touches the outside is replaced: the netlink messages of the kernel applier, nft and its generation,
processes and files of the daemons. What decides (plans, restarts, when to compare, what counts as loaded) is the code
that runs on real machines. Everything costs the virtual time that was measured of the real thing.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from vpcrouter.appliers._daemon_kinds import DaemonKind
from vpcrouter.appliers._generated import MARK, GeneratedFiles
from vpcrouter.appliers._process import Process
from vpcrouter.appliers._shelf import ShelfApplier
from vpcrouter.appliers._supervised import Supervised
from vpcrouter.appliers.arp import ArpSpeaker
from vpcrouter.appliers.beacons import Arrival, BeaconSockets
from vpcrouter.appliers.claims import ClaimListener
from vpcrouter.appliers.connections import ConnectionTable
from vpcrouter.appliers.daemons import DaemonApplier
from vpcrouter.appliers.keepalived import InstanceReport
from vpcrouter.appliers.kernel import KernelApplier
from vpcrouter.appliers.links import LinkObserver
from vpcrouter.appliers.monitor import LinkMonitor
from vpcrouter.appliers.nftables import NftablesApplier, _Known
from vpcrouter.appliers.notify import NotifyFifo, RoleReport, parse_notification
from vpcrouter.errors import ApplierError
from vpcrouter.plan import Operation
from vpcrouter.plan.daemons import WrittenFile
from vpcrouter.plan.kernel import KernelOperation, ObservedKernel, Sysctl
from vpcrouter.plan.nftables import NO_TABLE, Damage
from vpcrouter.simulation.keepalived_file import parse
from vpcrouter.simulation.machine import DaemonProcess, Machine
from vpcrouter.simulation.peer_guard import is_peer, place, takes_beacon
from vpcrouter.simulation.world import MS, SimulationError, die_if_dead
from vpcrouter.values.claim import Claim
from vpcrouter.values.desired import Daemon, File, InterfaceAddress, Kernel, Ruleset, Shelf
from vpcrouter.values.settings import Settings
from vpcrouter.values.whereabouts import Place

if TYPE_CHECKING:
    from vpcrouter.appliers._loaded import LoadedRecord

_LOOK_NS = MS
_CHANGE_NS = 300_000
_LOAD_NS = 8 * MS
_COMPARE_NS = 25 * MS
_ANSWER_NS = 1_000 * MS
_TEST_NS: Mapping[str, int] = {"keepalived": 14 * MS, "dnsmasq": 6 * MS}


class SimulatedKernel(KernelApplier):
    """Links, addresses, routes and sysctls of a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def observe(self, desired: Kernel, *, full: bool = False) -> ObservedKernel:
        self._machine.world.sleep(_LOOK_NS)
        die_if_dead()
        return self._machine.kernel.observe(desired)

    def sysctls(self, desired: Kernel) -> tuple[Sysctl, ...]:
        return self._machine.kernel.settings(desired)

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

    def elements(self, table: str, name: str) -> tuple[tuple[str, ...], ...]:
        sets = () if self._machine.ruleset is None else self._machine.ruleset.sets
        found = (key for each in sets if each.name == name for key, _ in each.elements)
        return tuple(tuple(part.strip('"') for part in key.split(" . ")) for key in found)

    def _generation(self) -> int:
        die_if_dead()
        return self._machine.generation

    def _load(self, known: _Known, damage: Damage, desired: Ruleset) -> int:
        if damage:
            self._known = None
        if self._machine.ruleset == desired:
            return 0
        self._machine.world.sleep(_LOAD_NS)
        die_if_dead()
        self._machine.load_ruleset(desired)
        return 1

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


class _Handle(Process):
    """A daemon's process, held by a simulated pidfd."""

    def __init__(self, daemon: DaemonProcess) -> None:
        super().__init__(daemon.pid, daemon.pid, daemon.pidfd.number)
        self._daemon = daemon
        self._world = daemon.machine.world

    def is_alive(self) -> bool:
        return not self._daemon.is_dead

    def send(self, number: int) -> None:
        die_if_dead()
        if self.is_alive():
            self._daemon.signal(number)

    def is_stopped(self) -> bool:
        return self._daemon.process.is_stopped

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def wait(self, timeout: float) -> bool:
        deadline = self._world.now_ns + round(timeout * 1e9)
        while self.is_alive() and self._world.now_ns < deadline:
            self._world.sleep(min(2 * MS, deadline - self._world.now_ns))
        return not self.is_alive()

    def close(self) -> None:
        pass


class SimulatedSupervised(Supervised):
    """A daemon's process on a simulated machine."""

    def __init__(self, machine: Machine, kind: DaemonKind, settings: Settings) -> None:
        super().__init__(kind, settings)
        self._machine = machine

    def take_over(self) -> None:
        if self._taken_over:
            return
        self._taken_over = True
        daemon = self._machine.daemons.get(self.kind.name)
        record = self._machine.records.get(self.kind.name)
        if daemon is not None:
            self._process = _Handle(daemon)
            self._record = record if record is not None and record.pid == daemon.pid else None

    def test(self, daemon: Daemon) -> None:
        if self.kind.test is None:
            return
        for file in daemon.files:
            if PurePath(file.path).name != self.kind.config or self.has_loaded(file):
                continue
            self._machine.world.sleep(_TEST_NS.get(self.kind.name, 10 * MS))
            if self.kind.name == "keepalived":
                try:
                    parse(file.content)
                except SimulationError as error:
                    raise ApplierError(f"refuses its configuration: {error}", where=self.kind.name) from None

    def start(self, daemon: Daemon) -> None:
        die_if_dead()
        self._end_leftovers()
        surroundings = self._surroundings(daemon)
        self._machine.world.sleep(2 * MS)
        die_if_dead()
        config = next((file.path for file in daemon.files if PurePath(file.path).name == self.kind.config), "")
        self._process = _Handle(self._machine.spawn(self.kind.name, lambda: self._machine.files.text(config)))
        self._keep_record(daemon, surroundings)

    def wait_until_ready(self) -> None:
        world, daemon = self._machine.world, self._machine.daemons.get(self.kind.name)
        deadline = world.now_ns + round(self.kind.ready_s * 1e9)
        while daemon is None or not daemon.is_ready():
            if daemon is None or daemon.is_dead:
                self._forget()
                raise ApplierError("does not start", where=self.kind.name)
            if world.now_ns > deadline:
                raise ApplierError(f"is not at work {self.kind.ready_s:g} s after its start", where=self.kind.name)
            world.sleep(2 * MS)

    def stop(self) -> None:
        process = self._process
        self._forget()
        if process is not None:
            process.end(grace=self.kind.stop_s)
        self._end_leftovers()

    def _end_leftovers(self) -> None:
        daemon = self._machine.daemons.get(self.kind.name)
        if daemon is not None:
            daemon.signal(signal.SIGKILL)

    def _save_record(self) -> None:
        die_if_dead()
        record: LoadedRecord | None = self._record
        if record is None:
            self._machine.records.pop(self.kind.name, None)
        else:
            self._machine.records[self.kind.name] = record

    def _surroundings(self, daemon: Daemon) -> dict[str, int]:
        if not self.kind.watches_devices:
            return {}
        words = self._words_of(daemon)
        return {name: self._machine.kernel.plugged[name] for name in self._machine.kernel.links if name in words}


class SimulatedFiles(GeneratedFiles):
    """The generated files of a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def present(self, directory: Path) -> dict[str, Path]:
        return {path.rpartition("/")[2]: _path(path) for path in self._machine.files.below(str(directory))}

    def ours(self, paths: Iterable[Path]) -> set[Path]:
        return {path for path in paths if self._machine.files.text(str(path)).startswith(MARK)}

    def look(self, path: Path, *, full: bool) -> WrittenFile | None:
        return self._machine.files.look(str(path))

    def write(self, file: File) -> None:
        self._machine.world.sleep(_CHANGE_NS)
        die_if_dead()
        self._machine.files.write(file.path, file.content, file.mode)

    def remove(self, path: Path) -> None:
        die_if_dead()
        self._machine.files.remove(str(path))

    def open_shelf(self, path: Path, target: str) -> ShelfApplier:
        return SimulatedShelf(self._machine, path, target)


class SimulatedShelf(ShelfApplier):
    """A directory of many files on a simulated machine."""

    def __init__(self, machine: Machine, path: Path, target: str) -> None:
        super().__init__(path, target)
        self._machine = machine

    def settle(self, desired: Shelf | None) -> tuple[Operation, ...]:
        operations = self.plan(desired)
        contents = {} if desired is None else {each.name: each.content() for each in desired.files}
        for operation in operations:
            die_if_dead()
            if operation.action == "remove":
                self._machine.files.remove(operation.subject)
            else:
                content = contents[operation.subject.rpartition("/")[2]]
                self._machine.files.write(operation.subject, content.decode("latin-1"), 0o640)
        return operations

    def plan(self, desired: Shelf | None, *, full: bool = True) -> tuple[Operation, ...]:
        files = self._machine.files
        wanted = {} if desired is None else {f"{self._path}/{each.name}": each.content() for each in desired.files}
        there = files.below(str(self._path))
        return (
            *(
                Operation(target=self._target, action="write", subject=path)
                for path, content in wanted.items()
                if path not in there or files.text(path) != content.decode("latin-1")
            ),
            *(Operation(target=self._target, action="remove", subject=path) for path in there if path not in wanted),
        )


_path = lru_cache(maxsize=1024)(Path)


class SimulatedDaemons(DaemonApplier):
    """The daemons of a simulated machine."""

    def __init__(self, machine: Machine, settings: Settings) -> None:
        super().__init__(
            settings,
            supervise=lambda kind, its: SimulatedSupervised(machine, kind, its),
            files=SimulatedFiles(machine),
            monotonic=lambda: machine.world.now_ns / 1e9,
        )
        self._machine = machine

    def keepalived_reports(self, *, continues: bool = False) -> tuple[InstanceReport, ...]:
        supervised = self._supervised["keepalived"]
        supervised.take_over()
        keepalived = self._machine.keepalived
        if supervised.process is None or not supervised.process.is_alive() or keepalived is None:
            return ()
        answers: list[tuple[InstanceReport, ...]] = []
        keepalived.enter(lambda: keepalived.ask(lambda: answers.append(keepalived.reports())))
        deadline = self._machine.world.now_ns + _ANSWER_NS
        while not answers and not keepalived.is_dead and self._machine.world.now_ns < deadline:
            self._machine.world.sleep(2 * MS)
        die_if_dead()
        if not answers:
            raise ApplierError("does not answer", where="keepalived", hint="what it printed is in keepalived.log")
        return answers[0]

    def _tell_conntrackd(self, *request: str) -> None:
        if (conntrackd := self._machine.conntrackd) is not None:
            self._machine.world.sleep(5 * MS)
            die_if_dead()
            conntrackd.tell(request)


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


class SimulatedBeacons(BeaconSockets):
    """The sockets of the beacons."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._devices: dict[str, str] = {}
        self._peers: Mapping[str, Sequence[str]] | None = None
        self._heard: list[Arrival] = []
        self._readable = machine.descriptors.open()

    def fileno(self) -> int:
        return self._readable.number

    def follow(self, sources: Mapping[str, str], peers: Mapping[str, Sequence[str]] | None = None) -> None:
        self._devices, self._peers = dict(sources), peers

    def pin(self, places: Iterable[Place]) -> None:
        pass

    def send(self, datagram: bytes) -> None:
        die_if_dead()
        for each in self.places:
            to = None if self._peers is None else self._peers.get(each.device, ())
            self._machine.networks.send(
                self._machine,
                each.device,
                lambda other, each=each, to=to: _deliver(other, each, datagram, to),  # type: ignore[misc]
            )

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(place(self._machine, *each) for each in sorted(self._devices.items()))

    def take_in(self, sender: Place, datagram: bytes, to: Sequence[str] | None) -> None:
        """A datagram has arrived, for these addresses or the group."""
        if (to is None) is not (self._peers is None) or (to is not None and self._devices.get(sender.device) not in to):
            return
        if sender.device in self._devices and takes_beacon(self._machine, sender):
            self._heard.append(Arrival(sender.device, datagram, is_peer(self._machine, sender)))
            self._readable.set()

    def read(self) -> list[Arrival]:
        heard, self._heard = self._heard, []
        self._readable.clear()
        return heard

    def close(self) -> None:
        self._devices = {}


def _deliver(machine: Machine, sender: Place, datagram: bytes, to: Sequence[str] | None) -> None:
    if machine.agent is not None and machine.agent.beacons is not None:
        machine.agent.beacons.take_in(sender, datagram, to)
