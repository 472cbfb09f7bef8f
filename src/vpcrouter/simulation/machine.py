"""One simulated machine: kernel, ruleset, files, daemons, disk; switched on and off, and what runs on it.

It is what the appliers of `simulation.appliers` act on, what keepalived's model holds its addresses in, and what the
faults damage. It knows nothing of agents' insides and nothing of what is desired.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from vpcrouter.appliers._loaded import LoadedRecord
from vpcrouter.plan.daemons import WrittenFile
from vpcrouter.plan.kernel import RouteEntry, RuleEntry
from vpcrouter.simulation.conntrackd import Conntrackd
from vpcrouter.simulation.disk import SimulatedDisk
from vpcrouter.simulation.keepalived import Advertisement, Keepalived
from vpcrouter.simulation.kernel_model import KernelModel, RefusedError
from vpcrouter.simulation.loop import Descriptors, Readable
from vpcrouter.simulation.network import Networks
from vpcrouter.simulation.peer_guard import takes_vrrp
from vpcrouter.simulation.ruleset import lets_out
from vpcrouter.simulation.world import MS, Process, World, running_process
from vpcrouter.values.desired import InterfaceAddress, Link, NftSet, Ruleset, digest
from vpcrouter.values.whereabouts import Place

if TYPE_CHECKING:
    from vpcrouter.simulation.host import AgentProcess

DEVICES = tuple(f"eth{number}" for number in range(10))
"""Control, public, and eight tiers, as in the laboratory."""
STARTS_NS: Mapping[str, int] = {"conntrackd": 25 * MS, "dnsmasq": 13 * MS}
"""Until a daemon is at work; of others START_NS."""
START_NS = 20 * MS
LOADS_NS = 30 * MS
"""From the signal until haproxy's new worker has the files."""
CHILD_TOLD_NS = MS
"""From the death of keepalived's parent until the child's last advertisement, of priority 0: 0.7 to 1.2 ms."""
PARENT_ENDS_NS = (18 * MS, 52 * MS)
"""From the death of the child until the parent's."""


class MachineKernel(KernelModel):
    """The kernel of a machine, which tells of its changes."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        super().__init__()
        self._changed = changed
        self.version = 0
        """Grows with every change."""
        self.plugged: dict[str, int] = {}
        """The number of each device: another one after it was unplugged."""

    def plug(self, name: str) -> None:
        super().plug(name)
        self.version += 1
        self.plugged[name] = self.version
        self._touch(name)

    def forget(self) -> None:
        """Nothing is left."""
        super().__init__()
        self._touch("")

    def unplug(self, name: str) -> None:
        super().unplug(name)
        self._touch(name)

    def is_up(self, name: str) -> bool:
        """Whether a device is there and up."""
        link = self.links.get(name)
        return link is not None and link.up

    def sysctl(self, path: str) -> str | None:
        """A setting; None if it has no file."""
        value = self.sysctls.get(path)
        if value is not None:
            return value
        device = _device_of(path)
        return None if device is not None and device not in self.links else "0"

    def _set_link(self, link: Link) -> None:
        before = self.links.get(link.name)
        super()._set_link(link)
        if self.links.get(link.name) != before:
            self._touch(link.name)

    def set_down(self, name: str) -> None:
        """`ip link set … down`."""
        self._set_link(evolve(self.links[name], up=False))

    def put_rule(self, entry: RuleEntry) -> None:
        super().put_rule(entry)
        self._touch("")

    def remove_rule(self, entry: RuleEntry) -> None:
        super().remove_rule(entry)
        self._touch("")

    def remove_connected(self, network: str, device: str) -> None:
        super().remove_connected(network, device)
        self._touch("")

    def add_address(self, address: InterfaceAddress) -> None:
        if address not in self.addresses:
            super().add_address(address)
            self._touch(address.device)

    def remove_address(self, address: InterfaceAddress) -> None:
        if address in self.addresses:
            super().remove_address(address)
            self._touch(address.device)

    def put_route(self, entry: RouteEntry) -> None:
        super().put_route(entry)
        self._touch("")

    def try_route(self, entry: RouteEntry) -> None:
        """Add a route; nothing happens if the kernel refuses it."""
        with suppress(RefusedError):
            self.put_route(entry)

    def remove_route(self, entry: RouteEntry) -> None:
        if entry in self.routes:
            super().remove_route(entry)
            self._touch("")

    def _touch(self, device: str) -> None:
        self.version += 1
        self._changed(device)


@lru_cache(maxsize=4096)
def _device_of(path: str) -> str | None:
    """The device of a setting that is one's."""
    parts = path.split("/")
    is_of_device = len(parts) == 5 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default")
    return parts[3] if is_of_device else None


@frozen
class _Kept:
    content: str
    written: WrittenFile


@define
class Files:
    """The generated files, by path."""

    _kept: dict[str, _Kept] = field(factory=dict)
    version: int = 0
    """Grows with every change."""

    def look(self, path: str) -> WrittenFile | None:
        """What stands there; None if nothing does."""
        kept = self._kept.get(path)
        return None if kept is None else kept.written

    def text(self, path: str) -> str:
        """The content; empty if there is no file."""
        kept = self._kept.get(path)
        return "" if kept is None else kept.content

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        """Put a file there."""
        self.version += 1
        self._kept[path] = _Kept(content, WrittenFile(digest=digest(content), mode=mode))

    def remove(self, path: str) -> None:
        """Take one away."""
        self.version += 1
        self._kept.pop(path, None)

    def below(self, directory: str) -> list[str]:
        """The paths in a directory."""
        return sorted(path for path in self._kept if path.rpartition("/")[0] == directory)

    def paths(self) -> list[str]:
        """All."""
        return sorted(self._kept)

    def clear(self) -> None:
        """None is left."""
        self.version += 1
        self._kept.clear()


class Fifo:
    """keepalived's notify FIFO: lines wait in it, also while nobody reads."""

    def __init__(self, readable: Readable) -> None:
        self._lines: list[str] = []
        self.readable = readable

    def write(self, line: str) -> None:
        """A line more."""
        self._lines.append(line)
        self.readable.set()

    def read(self) -> list[str]:
        """All that are there."""
        lines, self._lines = self._lines, []
        self.readable.clear()
        return lines


class DaemonProcess:
    """A daemon that runs: any but keepalived and conntrackd does nothing but be there."""

    def __init__(self, machine: Machine, name: str, process: Process, pidfd: Readable) -> None:
        self.machine = machine
        self.name = name
        self.process = process
        self.pidfd = pidfd
        self.pid = machine.next_pid()
        self.is_dead = False
        """Of keepalived: whether the parent is."""
        self.printed = bytearray()
        """What it has said since its start, as far as anybody reads it."""
        self.ready_ns = machine.world.now_ns + STARTS_NS.get(name, START_NS)

    def is_ready(self) -> bool:
        """Whether it has said that it is at work."""
        if isinstance(self.process, Keepalived):
            return self.process.is_ready
        return self.machine.world.now_ns >= self.ready_ns

    def signal(self, number: int) -> None:
        """Send it a signal."""
        process = self.process
        match number:
            case signal.SIGKILL:
                self.ended()
            case signal.SIGSTOP:
                process.stop()
            case signal.SIGCONT:
                process.go_on()
            case signal.SIGTERM if isinstance(process, Keepalived):
                process.enter(process.end)
            case signal.SIGHUP if isinstance(process, Keepalived):
                process.enter(process.reload)
            case signal.SIGUSR2 if self.name in ("guestweb", "haproxy"):
                read = lambda: self.printed.extend(b"Loading success.\n")  # noqa: E731
                self.machine.world.after(LOADS_NS, lambda: process.enter(read))
            case signal.SIGTERM:
                self.machine.world.after(2 * MS, self.ended)
            case signal.SIGHUP if self.name == "conntrackd":
                self.machine.world.after(2 * MS, self.ended)

    def lose_parent(self) -> None:
        """Of keepalived's two processes the first is gone; the kernel tells the child, which ends in order.

        A child that was stopped ends by the hand of who starts the next one, and so it says nothing more.
        """
        process = self.process
        self._is_gone()
        if isinstance(process, Keepalived) and not process.is_stopped:
            process.on_exit = process.kill
            self.machine.world.after(CHILD_TOLD_NS, lambda: process.enter(process.end))
        else:
            process.kill()

    def lose_child(self) -> None:
        """Of keepalived's two processes the second is gone: so is VRRP, and the first one ends (--dont-respawn)."""
        self.process.kill()
        self.machine.world.after(self.machine.world.jitter(*PARENT_ENDS_NS), self.ended)

    def ended(self) -> None:
        """It is gone."""
        self.process.kill()
        self._is_gone()

    def _is_gone(self) -> None:
        if self.is_dead:
            return
        self.is_dead = True
        self.machine.note_hand()
        if self.machine.daemons.get(self.name) is self:
            del self.machine.daemons[self.name]
        self.machine.world.note(self.process.name, "ends")
        self.pidfd.set()


class Machine:
    """One machine of a pair."""

    def __init__(self, world: World, networks: Networks, descriptors: Descriptors, name: str, directory: Path) -> None:
        self.world = world
        self.networks = networks
        self.descriptors = descriptors
        self.name = name
        self.directory = directory
        """Of the journal."""
        self.disk = SimulatedDisk(world, directory.parent)
        self.is_on = True
        self.boots, self.booted_ns = 1, world.now_ns
        self.kernel = MachineKernel(self._kernel_changed)
        self.ruleset: Ruleset | None = None
        self._sets: dict[str, NftSet] = {}
        self._keys: dict[str, frozenset[str]] = {}
        """Of the sets that somebody asked about."""
        self._verdicts: dict[tuple[str, str], bool] = {}
        """What the ruleset says of packets, as far as somebody asked."""
        self.connections: set[int] = set()
        """The kernel's connection table: those that have seen traffic both ways."""
        self.generation = 1
        self.files = Files()
        self.fifo = Fifo(descriptors.open())
        self.daemons: dict[str, DaemonProcess] = {}
        self.records: dict[str, LoadedRecord] = {}
        """What each daemon has loaded, as its agent noted it."""
        self.counters: dict[str, int] = {}
        self.clock_offset_ns = 0
        """Somebody set the time of day."""
        self.agent: AgentProcess | None = None
        self.touched = 0
        """Grows when anybody but the agent changes something here."""
        self.unknown: set[str] = set()
        """Words of keepalived.conf that the model passes over."""
        self.on_change: Callable[[], None] = lambda: None
        self.announced: Callable[[Machine, Iterable[InterfaceAddress]], None] = lambda _, __: None
        self._monitors: list[Callable[[str], None]] = []
        self._pid = 100
        for device in DEVICES:
            self.kernel.plug(device)

    # Switching it on and off --------------------------------------------------------------------

    def lose_power(self) -> None:
        """Everything stops, and what was not on the disk is lost."""
        self.is_on = False
        for daemon in list(self.daemons.values()):
            daemon.process.kill()
        self.daemons.clear()
        if self.agent is not None:
            self.agent.kill()
        self.kernel.forget()
        self.ruleset, self._sets, self.generation = None, {}, 1
        self._keys.clear()
        self._verdicts.clear()
        self.connections.clear()
        self.records.clear()
        self.files.clear()
        self.fifo = Fifo(self.descriptors.open())
        self.disk.power_failure(self.directory)
        self.on_change()

    def start(self) -> None:
        """It boots: bare devices, and the journal's directory as it was left."""
        self.is_on = True
        self.boots, self.booted_ns = self.boots + 1, self.world.now_ns
        for device in DEVICES:
            self.kernel.plug(device)
        self.on_change()

    # Daemons ------------------------------------------------------------------------------------

    def spawn(self, name: str, read_config: Callable[[], str]) -> DaemonProcess:
        """Start a daemon."""
        pidfd = self.descriptors.open()
        if name == "keepalived":
            keepalived = Keepalived(self, read_config)
            daemon = DaemonProcess(self, name, keepalived, pidfd)
            keepalived.on_exit = daemon.ended
            keepalived.on_print = daemon.printed.extend
        elif name == "conntrackd":
            daemon = DaemonProcess(self, name, Conntrackd(self, read_config), pidfd)
        else:
            daemon = DaemonProcess(self, name, Process(self.world, f"{self.name}/{name}"), pidfd)
        self.daemons[name] = daemon
        self.world.note(daemon.process.name, "starts")
        return daemon

    @property
    def keepalived(self) -> Keepalived | None:
        """The one that runs."""
        daemon = self.daemons.get("keepalived")
        return daemon.process if daemon is not None and isinstance(daemon.process, Keepalived) else None

    @property
    def conntrackd(self) -> Conntrackd | None:
        """The one that runs."""
        daemon = self.daemons.get("conntrackd")
        return daemon.process if daemon is not None and isinstance(daemon.process, Conntrackd) else None

    def connect(self, connection: int) -> None:
        """Traffic has gone both ways through this machine."""
        self.connections.add(connection)
        if (conntrackd := self.conntrackd) is not None:
            conntrackd.see(connection)

    def next_pid(self) -> int:
        """A number that no process had before."""
        self._pid += 1
        return self._pid

    def tell_unknown(self, words: Iterable[str]) -> None:
        """Words that a model passes over."""
        self.unknown |= set(words)

    # Network ------------------------------------------------------------------------------------

    def hear_vrrp(self, sender: Place, advertisement: Advertisement) -> None:
        """An advertisement came in."""
        if (keepalived := self.keepalived) is not None and takes_vrrp(self, sender):
            keepalived.hear(sender.device, advertisement)

    def cable_changed(self, device: str) -> None:
        """A cable was cut or mended."""
        self._kernel_changed(device)
        self.on_change()

    def announce(self, addresses: tuple[InterfaceAddress, ...]) -> None:
        """Gratuitous ARP."""
        reached = [each for each in addresses if self.networks.is_linked(self, each.device)]
        self.announced(self, reached)

    # Changes ------------------------------------------------------------------------------------

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Be told of changes of the kernel ("kernel") and of the ruleset ("nftables")."""
        self._monitors.append(watcher)

    def unwatch(self, watcher: Callable[[str], None]) -> None:
        """Be told no more."""
        if watcher in self._monitors:
            self._monitors.remove(watcher)

    def elements(self, name: str) -> frozenset[str]:
        """The keys that a set or map of the loaded ruleset has; none without it."""
        keys = self._keys.get(name)
        if keys is None:
            found = self._sets.get(name)
            keys = self._keys[name] = frozenset(() if found is None else (key for key, _ in found.elements))
        return keys

    def lets_out(self, device: str, way: str) -> bool:
        """Whether the loaded ruleset lets what enters by one device leave by the other."""
        if (device, way) not in self._verdicts:
            self._verdicts[device, way] = self.ruleset is not None and lets_out(self.ruleset, device, way)
        return self._verdicts[device, way]

    def load_ruleset(self, ruleset: Ruleset | None) -> None:
        """One transaction of nftables."""
        self.ruleset = ruleset
        self._sets = {} if ruleset is None else {each.name: each for each in ruleset.sets}
        self._keys.clear()
        self._verdicts.clear()
        self.generation += 1
        for watcher in list(self._monitors):
            watcher("nftables")
        self.on_change()

    def settle_ruleset(self, ruleset: Ruleset) -> None:
        """The loaded one by another name: no transaction."""
        self.ruleset = ruleset

    def fingerprint(self) -> tuple[object, ...]:
        """Objects that are others as soon as something of this machine is that an agent has to keep equal."""
        kernel, keepalived = self.kernel, self.daemons.get("keepalived")
        return kernel.version, self.ruleset, self.files.version, len(self.daemons), keepalived

    def note_hand(self) -> None:
        """Something changes here; who is at work just now does it."""
        if running_process() is not self.agent:
            self.touched += 1

    def _kernel_changed(self, device: str) -> None:
        self.note_hand()
        for watcher in list(self._monitors):
            watcher("kernel")
        if device and (keepalived := self.keepalived) is not None:
            keepalived.link_changed()
        self.on_change()
