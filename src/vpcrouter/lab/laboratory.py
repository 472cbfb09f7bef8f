"""One laboratory: comes up, goes down, and what one does to its machines and cables in between.

Called by the command line, the demo and the tests. Each invocation makes a new Laboratory object for the same
prefix and finds everything again: the namespaces by name, the processes by namespace, the rest in the record.

Known hole: nothing keeps two invocations from working on one prefix at the same time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from vpcrouter.appliers import _files, _process
from vpcrouter.client import AgentClient
from vpcrouter.errors import CallerError, HostError
from vpcrouter.lab import machines, record, topology
from vpcrouter.lab.layout import ALL_ROUTERS, MORE, NODES, ROUTERS, Cable, Names, cables_of, check_node, find_cable
from vpcrouter.lab.machines import Machine
from vpcrouter.lab.record import Record
from vpcrouter.values.settings import Settings

DEFAULT_PREFIX = "vpc"
DEFAULT_PARENT = Path("/run/vpcrouter-lab")
PROGRAMS = ("ip", "nft", "keepalived", "conntrackd", "conntrack", "dnsmasq", "radvd", "haproxy")
"""What the routers need of the distribution; missing ones are named before anything is built."""
REBOOT_S = 20.0
"""How long a rebooted router may take until it is settled."""
ELECTION_S = 2.0
"""How much longer than the master-down interval (3 advertisements and a skew) an election may take."""
_POLL_S = 0.01

Tell = Callable[[str], None]
"""Hears what is going on, for whoever watches."""


@frozen(kw_only=True)
class Removed:
    """What was taken away."""

    namespaces: int
    processes: int
    directory: bool

    def __bool__(self) -> bool:
        return bool(self.namespaces or self.processes or self.directory)


@frozen(kw_only=True)
class Rebooted:
    """One router after its reboot, `seconds` from the kill until all that were rebooted had settled.

    The digest before is None if the agent was dead already.
    """

    digest_before: str | None
    digest_after: str
    role: str
    settled: bool
    seconds: float


def tell_nobody(_: str) -> None:
    """Nobody watches."""


class Laboratory:
    """The laboratory with one prefix, whether it is up or not."""

    def __init__(
        self,
        prefix: str = DEFAULT_PREFIX,
        *,
        parent: Path = DEFAULT_PARENT,
        tell: Tell = tell_nobody,
        agent_options: Sequence[str] = (),
        routers: int | None = None,
    ) -> None:
        """`agent_options`: more of `vpcrouter run`, for the agents that this object starts.

        `routers`: two to four; as many as the laboratory that is up has, and two without one.
        """
        self.directory = parent.absolute() / Names.checked(prefix).prefix
        self._agent_options = agent_options
        if routers is None:
            routers = len(ROUTERS) + sum((self.directory / each).exists() for each in MORE)
        self._name(prefix, routers)
        self.tell = tell

    def _name(self, prefix: str, routers: int) -> None:
        self.names = Names.checked(prefix, ALL_ROUTERS[:routers])
        self.machines = {
            router: Machine(router, self.names.namespace(router), self.directory, self._agent_options)
            for router in self.names.routers
        }

    # Up and down --------------------------------------------------------------------------------

    def up(self, *, advertisement_ms: int = 100, routers: int | None = None) -> Removed:
        """Build everything and start the agents; returns what an earlier laboratory had left.

        `routers`: two to four, if not as many as before. When it fails, nothing is left of it.
        """
        if routers is not None:
            self._name(self.names.prefix, routers)
        for program in PROGRAMS:
            _process.find_program(program)
        for machine in self.machines.values():
            Settings(root=str(machine.root)).require_room_for_sockets()
        self.tell("clearing what an earlier laboratory left")
        leftovers = self.down()
        try:
            self.build(advertisement_ms=advertisement_ms)
            self.tell("starting the agents")
            pids = {router: self.machines[router].start(advertisement_ms) for router in self.names.routers}
            for router, pid in pids.items():
                self.machines[router].wait_until_it_answers(pid)
        except BaseException:
            self.down()
            raise
        return leftovers

    def build(self, *, advertisement_ms: int = 100) -> None:
        """The machines and cables alone, nothing running in them. Nothing of them may exist."""
        require_root()
        self.tell("making namespaces and cables")
        _files.make_directory(self.directory)
        topology.build(self.names)
        inodes = topology.inodes(self.names)
        self._write(Record(prefix=self.names.prefix, advertisement_ms=advertisement_ms, inodes=inodes))

    def down(self) -> Removed:
        """Remove everything, in whatever state it is. A second call finds nothing to do."""
        require_root()
        processes = self._kill(NODES)
        removed = topology.remove(self.names)
        present = self.directory.exists()
        if present:
            try:
                shutil.rmtree(self.directory)
            except OSError as error:
                raise HostError(f"cannot be removed: {error.strerror}", where=str(error.filename)) from None
        if self.directory.parent == DEFAULT_PARENT and DEFAULT_PARENT.exists():
            with suppress(OSError):  # not empty: another laboratory lives there
                DEFAULT_PARENT.rmdir()
        return Removed(namespaces=len(removed), processes=processes, directory=present)

    # Looking ------------------------------------------------------------------------------------

    @property
    def record(self) -> Record:
        """What is remembered; HostError if the laboratory is not up."""
        require_root()
        stored = record.read(self.directory)
        if stored is None:
            raise HostError(
                f"there is no laboratory {self.names.prefix!r}", where=str(self.directory), hint="vpcrouter lab up"
            )
        return stored

    def status(self) -> dict[str, dict[str, Any]]:
        """What the agents say; {"error": …} for one that does not answer."""
        crashed = self.record.crashed
        return {
            router: {"error": f"crashed ({crashed[router]}): 'lab heal' or 'lab reboot {router}' revives it"}
            if crashed.get(router) in ("kill", "namespace")
            else machine.status_or_error()
            for router, machine in self.machines.items()
        }

    def connect(self, router: str, timeout: float = 60.0) -> AgentClient:
        """A connection to a router's agent; HostError if there is none, or no laboratory."""
        self._require_up()
        return self.machines[self._checked(router)].connect(timeout)

    def wait(self, is_so: Callable[[dict[str, dict[str, Any]]], bool], timeout: float) -> bool:
        """Look at the routers' status until it is so, `timeout` seconds at most; whether it became so."""
        deadline = time.monotonic() + timeout
        while not is_so(self.status()):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def command_line(self, node: str, words: list[str]) -> tuple[list[str], dict[str, str]]:
        """What to run, and in which environment, so that `words` run in a node."""
        namespace = self.names.namespace(self._checked(node))
        self._require_up()
        if not (topology.NAMESPACES / namespace).exists():
            raise HostError(f"{node} is gone", where=namespace, hint=f"'lab reboot {node}' or 'lab up'")
        return machines.inside(namespace, words), {**os.environ, **machines.environment(self.directory)}

    # Doing --------------------------------------------------------------------------------------

    def cut(self, node: str, device: str, *, silent: bool = False) -> None:
        """Pull a cable at the switch. `silent`: the node keeps its carrier, as behind a second switch."""
        cable = find_cable(self._checked(node), device)
        self._write(self.record.with_cuts({cable.port: "silent" if silent else "carrier"}))
        topology.cut(self.names, [cable], silent=silent)

    def cut_off(self, router: str) -> None:
        """Pull all cables of a router at once and silently: from here on the pair does not hear of it."""
        stored, cables = self.record, cables_of(router)
        topology.cut(self.names, cables, silent=True)
        self._write(stored.with_cuts({cable.port: "silent" for cable in cables}).with_crash(router, "links"))

    def heal(self, node: str | None = None, device: str | None = None) -> tuple[str, ...]:
        """Plug cut cables in again: one, those of a node, or all; with all, crashed routers are rebooted too.

        Returns what was mended. The cables of a router that was killed stay cut until it is rebooted: its kernel
        still has the addresses, and would fight for them.
        """
        stored = self.record
        dead = {router for router, how in stored.crashed.items() if how != "links"}
        if node in dead:
            raise CallerError(f"{node} crashed", where="NODE", hint=f"'lab reboot {node}' makes it whole")
        cables = [cable for cable in self._chosen(node, device) if cable.port in stored.cuts and cable.node not in dead]
        topology.plug(self.names, cables)
        healed = stored.without_cuts({cable.port for cable in cables})
        for router in {cable.node for cable in cables} & set(stored.crashed):
            if not any(port.startswith(f"{router}-") for port in healed.cuts):
                healed = healed.recovered(router)
        self._write(healed)
        mended = [f"{cable.node} {cable.device}" for cable in cables]
        if node is None and dead:
            self.reboot(sorted(dead))
            mended += sorted(dead)
        return tuple(mended)

    def join(self) -> str:
        """One more router is plugged in and boots; returns its name. It has no configuration yet."""
        self._require_up()
        there = len(self.machines)
        if there == len(ALL_ROUTERS):
            raise CallerError(f"there are {there} routers already", where="lab")
        stored, joins = self.record, ALL_ROUTERS[there]
        self._name(self.names.prefix, there + 1)
        topology.build_router(self.names, joins)
        self._write(stored.rebooted(joins, topology.inodes(self.names)[joins]))
        machine = self.machines[joins]
        machine.wait_until_it_answers(machine.start(stored.advertisement_ms))
        return joins

    def crash(self, router: str, how: str) -> None:
        """Let a router crash: `links`, `kill` or `namespace`. In each case it falls silent at one moment.

        A dead machine does not forward, but the kernel of killed processes would: so `kill` cuts it off first.
        """
        if how == "namespace":
            topology.remove_router(self.names, router)
            self._kill([router])
        else:
            self.cut_off(router)
            if how == "kill":
                self._kill([router])
        self._write(self.record.with_crash(router, how))

    def reboot(self, routers: Iterable[str]) -> dict[str, Rebooted]:
        """Kill routers, rebuild their namespaces, start their agents; the journals stay. Waits until settled."""
        routers = tuple(self._checked(router) for router in routers)
        stored = self.record
        started = time.monotonic()
        before = {router: self.machines[router].status_or_error().get("digest") for router in routers}
        self.tell("killing " + " and ".join(routers))
        self._kill(routers)
        for router in routers:
            topology.remove_router(self.names, router)
            shutil.rmtree(self.machines[router].root / "run", ignore_errors=True)
        self.tell("booting " + " and ".join(routers))
        for router in routers:
            topology.build_router(self.names, router)
            stored = stored.rebooted(router, topology.inodes(self.names)[router])
            self._write(stored)
        pids = {router: self.machines[router].start(stored.advertisement_ms) for router in routers}
        with ThreadPoolExecutor(len(routers)) as pool:
            booted = dict(zip(routers, pool.map(lambda router: self._boot(router, pids[router]), routers), strict=True))
        settled_s = time.monotonic() - started
        self.wait(lambda status: _has_elected(status, routers), ELECTION_S + 5 * stored.advertisement_ms / 1000)
        return {
            router: Rebooted(
                digest_before=before[router],
                digest_after=status["digest"],
                role=self.machines[router].status()["role"],
                settled=settled,
                seconds=round(settled_s, 3),
            )
            for router, (settled, status) in booted.items()
        }

    # Parts --------------------------------------------------------------------------------------

    def _checked(self, node: str) -> str:
        """The node itself; CallerError if this laboratory has none of that name."""
        if check_node(node) not in self.names.nodes:
            number = ALL_ROUTERS.index(node) + 1
            hint = f"'vpcrouter lab up --routers {number}' makes one"
            raise CallerError(f"there is no {node} here", where="NODE", hint=hint)
        return node

    def _require_up(self) -> None:
        _ = self.record

    def _boot(self, router: str, pid: int) -> tuple[bool, dict[str, Any]]:
        """Wait until a started agent has settled; whether it did, and its status."""
        machine = self.machines[router]
        seq = machine.wait_until_it_answers(pid)["seq"]
        with machine.connect(timeout=REBOOT_S + 10) as client:
            settled = bool(client.settled(seq, REBOOT_S)["settled"])
            return settled, client.status()

    def _chosen(self, node: str | None, device: str | None) -> tuple[Cable, ...]:
        if node is None:
            return self.names.cables
        node = self._checked(node)
        return (find_cable(node, device),) if device is not None else cables_of(node)

    def _kill(self, nodes: Collection[str]) -> int:
        try:
            stored = record.read(self.directory)
        except HostError:
            stored = None  # a torn record: the names have to do
        remembered = stored.inodes if stored is not None else {}
        named = topology.inodes(self.names)
        return machines.kill(
            [inode for node, inode in named.items() if node in nodes],
            [inode for node, inode in remembered.items() if node in nodes],
            self.directory,
        )

    def _write(self, stored: Record) -> None:
        record.write(self.directory, stored)


def _has_elected(status: dict[str, dict[str, Any]], routers: Collection[str]) -> bool:
    """Somebody serves, and these routers know what they are. Also true of a pair that has no tier to elect over."""
    if not any(each.get("interface") for each in status.values()):
        return True
    return any(each.get("role") == "master" for each in status.values()) and not any(
        status[router].get("role") in (None, "init") for router in routers
    )


def require_root() -> None:
    """HostError for anyone who cannot make namespaces."""
    if os.geteuid() != 0:
        raise HostError(
            "the laboratory makes network namespaces, which needs root", where="lab", hint="run it with sudo"
        )
