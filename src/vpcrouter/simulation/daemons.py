"""The daemons of a simulated machine: their processes, their files, and what of them the real appliers touch.

What decides (plans, restarts, what counts as loaded) is `vpcrouter.appliers`; here is what a daemon's process and a
file are in the simulation, and what virtual time they take.
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
from vpcrouter.appliers.daemons import DaemonApplier
from vpcrouter.appliers.keepalived import InstanceReport
from vpcrouter.errors import ApplierError
from vpcrouter.plan import Operation
from vpcrouter.plan.daemons import WrittenFile
from vpcrouter.simulation.keepalived_file import parse
from vpcrouter.simulation.machine import DaemonProcess, Machine
from vpcrouter.simulation.world import MS, SimulationError, die_if_dead
from vpcrouter.values.desired import Daemon, File, Shelf
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.appliers._loaded import LoadedRecord

_CHANGE_NS = 300_000
_ANSWER_NS = 1_000 * MS
_AGAIN_NS = 250 * MS
"""As `appliers.keepalived` waits: after so long one that is stopped is continued."""
_COMMAND_NS = 30 * MS
"""swanctl and frr-reload.py take 30 ms to 1.3 s."""
_TEST_NS: Mapping[str, int] = {"keepalived": 14 * MS, "dnsmasq": 6 * MS}


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

    def make_room(self) -> int | None:
        return len(self._daemon.printed)

    def printed(self, since: int) -> bytes:
        return bytes(self._daemon.printed[since:])

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
        self._monotonic = lambda: machine.world.now_ns / 1e9

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
        read = daemon.restart_files if self.kind.takes_files_from_command else daemon.files
        self._keep_record(read, surroundings)

    def wait_until_ready(self, daemon: Daemon) -> None:
        world, running = self._machine.world, self._machine.daemons.get(self.kind.name)
        deadline = world.now_ns + round(self.kind.ready_s * 1e9)
        while running is None or not running.is_ready():
            if running is None or running.is_dead:
                self._forget()
                raise ApplierError("does not start", where=self.kind.name)
            if world.now_ns > deadline:
                raise ApplierError(f"is not at work {self.kind.ready_s:g} s after its start", where=self.kind.name)
            world.sleep(2 * MS)
        if self.kind.takes_files_from_command:
            self.reload(daemon)

    def require(self) -> None:
        pass  # a simulated machine has a kernel that can do everything, whatever the one below it can

    def _run(self, words: Sequence[str]) -> None:
        self._machine.world.sleep(_COMMAND_NS)
        die_if_dead()

    def _last_words(self) -> str:
        return "no message"

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
        asked_ns = self._machine.world.now_ns
        while not answers and not keepalived.is_dead and self._machine.world.now_ns < asked_ns + _ANSWER_NS:
            self._machine.world.sleep(2 * MS)
            if continues and keepalived.is_stopped and self._machine.world.now_ns > asked_ns + _AGAIN_NS:
                supervised.resume()
        die_if_dead()
        if not answers:
            raise ApplierError("does not answer", where="keepalived", hint="what it printed is in keepalived.log")
        return answers[0]

    def _tell_conntrackd(self, *request: str) -> None:
        if (conntrackd := self._machine.conntrackd) is not None:
            self._machine.world.sleep(5 * MS)
            die_if_dead()
            conntrackd.tell(request)
