"""The daemons of one router: their files are as generated, they run, and have loaded what is desired. Look, act, look.

Called by `host` with the desired daemons, by one thread at a time; it knows no state and no role. What is due is
decided by `plan.daemons`, each daemon's process is in the hands of a `Supervised`, its files in those of
`GeneratedFiles`.

    look  →  stop what is not wanted  →  for each: judge the configuration → write → start, reload or restart
          →  wait until all that were started are at work

A configuration that the program itself refuses is never written: what runs, runs on. A daemon that died is started
again at once, one that keeps dying ever later (`plan.restarts`). One that fails does not stop the others. A running
daemon survives us, and the next applier takes it over without touching it.

Known holes: `dnsmasq --test` reads the main file only, conntrackd has no test. dnsmasq's reload is believed, not
proven.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from attrs import field, frozen

from vpcrouter.appliers import _process
from vpcrouter.appliers._daemon_kinds import DaemonKind, keepalived_directory, kinds
from vpcrouter.appliers._generated import GeneratedFiles
from vpcrouter.appliers._supervised import Supervised
from vpcrouter.appliers.keepalived import InstanceReport, ask_instances
from vpcrouter.errors import ApplierError, HostError, SeveralError
from vpcrouter.plan import Operation
from vpcrouter.plan.daemons import ObservedDaemon, plan_daemon, plan_daemons, plan_stop
from vpcrouter.plan.restarts import wait_s
from vpcrouter.values.desired import Daemon
from vpcrouter.values.settings import Settings

_path = lru_cache(maxsize=1024)(Path)
_DEATHS_KEPT = 32
"""Of each daemon's; more make no difference to how long it is held back."""


class DaemonApplier:
    """Starts, reloads and stops the daemons of the router with these settings."""

    def __init__(
        self,
        settings: Settings,
        *,
        supervise: Callable[[DaemonKind, Settings], Supervised] = Supervised,
        files: GeneratedFiles | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._supervised = {name: supervise(kind, settings) for name, kind in kinds().items()}
        self._files = files or GeneratedFiles()
        self._shelves = {
            kind.name: self._files.open_shelf(kind.shelf(settings), kind.name)
            for kind in kinds().values()
            if kind.shelf is not None
        }
        self._directory = Path(settings.config_dir)
        self._elsewhere = {kind.name: kind.files_elsewhere(settings) for kind in kinds().values()}
        self._monotonic = monotonic
        self._deaths: dict[str, list[float]] = {name: [] for name in self._supervised}
        self.counters: Counter[str] = Counter()
        """How often each was started, reloaded, restarted, stopped, and died: `keepalived_reloads`."""

    # Looking ------------------------------------------------------------------------------------

    def observe(
        self, desired: Sequence[Daemon], undecided: Collection[str] = (), *, full: bool = False
    ) -> dict[str, ObservedDaemon]:
        """How the daemons were found; `full` reads every file, otherwise those that somebody touched.

        An undecided one is left alone: it is not in the answer.
        """
        wanted = {daemon.name: daemon for daemon in desired}
        there: dict[str, dict[str, Path]] = {}
        for file, path in self._files.present(self._directory).items():
            name, dot, _ = file.removeprefix(".").partition(".")
            if dot:
                there.setdefault(name, {})[str(path)] = path
        return {
            name: self._observe(name, wanted.get(name), there.get(name, {}), full=full)
            for name in self._supervised
            if name in wanted or name not in undecided
        }

    def plan(self, desired: Sequence[Daemon], undecided: Collection[str] = ()) -> tuple[Operation, ...]:
        """The operations that would make them as desired. Touches nothing."""
        _check(desired, self._supervised)
        return (
            *plan_daemons(desired, self.observe(desired, undecided, full=True)),
            *self._plan_shelves(desired, full=True),
        )

    def verify(self, desired: Sequence[Daemon], undecided: Collection[str] = (), *, full: bool) -> tuple[str, ...]:
        """What differs, in words; empty if nothing does."""
        _check(desired, self._supervised)
        plan = plan_daemons(desired, self.observe(desired, undecided, full=full))
        return tuple(str(each) for each in (*plan, *self._plan_shelves(desired, full=full)))

    def _plan_shelves(self, desired: Sequence[Daemon], *, full: bool) -> tuple[Operation, ...]:
        wanted = {daemon.name: daemon.shelf for daemon in desired}
        shelves = self._shelves.items()
        return tuple(each for name, shelf in shelves for each in shelf.plan(wanted.get(name), full=full))

    def _observe(self, name: str, daemon: Daemon | None, there: Mapping[str, Path], *, full: bool) -> ObservedDaemon:
        """`there`: the files that have its name, by path."""
        supervised = self._supervised[name]
        supervised.take_over()
        if supervised.has_died():
            self._died(name)
        paths = dict(there)
        if self._elsewhere[name]:
            paths.update((str(path), path) for path in self._files.ours(self._elsewhere[name]))
        if daemon is None and not paths and supervised.process is None:
            return ObservedDaemon(name=name, can_reload=supervised.kind.can_reload)
        if daemon is not None:
            paths.update((file.path, _path(file.path)) for file in daemon.files)
        found = {path: self._files.look(paths[path], full=full) for path in sorted(paths)}
        return ObservedDaemon(
            name=name,
            running=supervised.process is not None,
            stopped=supervised.process is not None and supervised.process.is_stopped(),
            can_reload=supervised.kind.can_reload,
            loaded=supervised.loaded,
            surroundings_changed=daemon is not None and supervised.surroundings_changed(daemon),
            on_disk={path: written for path, written in found.items() if written is not None},
        )

    # Acting -------------------------------------------------------------------------------------

    def settle(self, desired: Sequence[Daemon], undecided: Collection[str] = ()) -> tuple[Operation, ...]:
        """Make them as desired; returns what was done.

        Raises HostError for what failed (a SeveralError for several daemons), after doing what could be done for the
        others.
        """
        _check(desired, self._supervised)
        notes = _Pass()
        try:
            observed = self.observe(desired, undecided)
            wanted = {daemon.name for daemon in desired}
            for name in reversed([name for name in observed if name not in wanted]):
                if observed[name].is_there or name in self._shelves:
                    notes.attempt(partial(self._end, observed[name], notes))
                self._deaths[name].clear()
            for daemon in desired:
                if self._supervised[daemon.name].kind.starts_last:
                    self._await_started(notes)
                notes.attempt(partial(self._settle_one, daemon, observed[daemon.name], notes))
            self._await_started(notes)
        finally:
            for supervised in self._supervised.values():
                supervised.forget_ended()
        notes.raise_failures()
        return tuple(notes.operations)

    def _end(self, observed: ObservedDaemon, notes: _Pass) -> None:
        for operation in plan_stop(observed):
            if operation.action == "stop":
                self._supervised[observed.name].stop()
            else:
                self._files.remove(Path(operation.subject))
            self._did(operation, notes)
        if observed.name in self._shelves:
            notes.operations.extend(self._shelves[observed.name].settle(None))

    def _settle_one(self, daemon: Daemon, observed: ObservedDaemon, notes: _Pass) -> None:
        supervised = self._supervised[daemon.name]
        if daemon.name in self._shelves:
            notes.operations.extend(self._shelves[daemon.name].settle(daemon.shelf))
        operations = plan_daemon(daemon, observed)
        supervised.require()
        if operations:
            supervised.test(daemon)
        for operation in operations:
            match operation.action:
                case "write":
                    self._files.write(next(file for file in daemon.files if file.path == operation.subject))
                case "remove":
                    self._files.remove(Path(operation.subject))
                case "continue":
                    supervised.resume()
                case "reload":
                    if daemon.name == "keepalived":  # its answer says that the reload is done
                        supervised.reload(daemon, lambda: self.keepalived_reports(continues=True))
                    else:
                        supervised.reload(daemon)
                case "restart":
                    supervised.stop()
                    self._start(daemon, notes)
                case "start":
                    self._hold_back(daemon.name)
                    self._start(daemon, notes)
            self._did(operation, notes)

    def _start(self, daemon: Daemon, notes: _Pass) -> None:
        self._supervised[daemon.name].start(daemon)
        notes.starting.append(daemon)

    def _await_started(self, notes: _Pass) -> None:
        """Wait for all that were started; one that ended instead counts as a death."""
        while notes.starting:
            daemon = notes.starting.pop(0)
            supervised = self._supervised[daemon.name]
            notes.attempt(partial(supervised.wait_until_ready, daemon))
            if supervised.process is None:
                self._died(daemon.name)

    def _hold_back(self, name: str) -> None:
        wait = wait_s(self._deaths[name], self._monotonic())
        if wait > 0:
            raise ApplierError(
                f"died {len(self._deaths[name])} times, is started again in {wait:.2f} s",
                where=name,
                hint=f"its last words are in {self._settings.run_dir / name}.log",
            )

    def _died(self, name: str) -> None:
        self.counters[f"{name}_deaths"] += 1
        self._deaths[name] = [*self._deaths[name], self._monotonic()][-_DEATHS_KEPT:]

    def _did(self, operation: Operation, notes: _Pass) -> None:
        notes.operations.append(operation)
        if operation.action in ("start", "reload", "restart", "stop"):
            self.counters[f"{operation.target}_{operation.action}s"] += 1

    # Asking -------------------------------------------------------------------------------------

    def pidfds(self) -> Mapping[str, int]:
        """A descriptor for each running daemon, readable when it has died.

        A new process never has the number of the one before it.
        """
        processes = {name: supervised.process for name, supervised in self._supervised.items()}
        return {name: process.pidfd for name, process in processes.items() if process is not None}

    def ended_by_itself(self, name: str, pidfd: int) -> bool:
        """Whether the daemon with that descriptor, which has ended, was not told to, whoever has noticed it first."""
        return self._supervised[name].ended_by_itself(pidfd)

    def keepalived_reports(self, *, continues: bool = False) -> tuple[InstanceReport, ...]:
        """What a running keepalived says it is, one report for each instance; none if it does not run."""
        supervised = self._supervised["keepalived"]
        supervised.take_over()
        if supervised.process is None or not supervised.process.is_alive():
            return ()
        return ask_instances(supervised.process, keepalived_directory(self._settings), continues=continues)

    def is_running(self, name: str) -> bool:
        """Whether there is a living process of it, started by whomever."""
        supervised = self._supervised[name]
        supervised.take_over()
        return supervised.process is not None and supervised.process.is_alive()

    def has_loaded(self, daemon: Daemon) -> bool:
        """Whether it runs with exactly these files, as far as we told it."""
        supervised = self._supervised[daemon.name]
        return supervised.process is not None and all(supervised.has_loaded(file) for file in daemon.files)

    def resync_connections(self) -> None:
        """Ask the peer's conntrackd, on the router that serves, for all connections; nothing if ours does not run.

        What ours believes to be its own is forgotten first (`-f internal`): it would be told to the peer, whose
        conntrackd makes a connection that it has by taking the one that packets flow through away, and one that times
        out here, where no packet of it is seen, would be ended there.
        """
        self._tell_conntrackd("-f", "internal")
        self._tell_conntrackd("-n")

    def share_connections(self) -> None:
        """Send the peer's conntrackd all connections that our kernel has; does nothing if ours does not run.

        A new master's conntrackd does not know the connections that it took over: with the external cache off they
        went straight into the kernel. So it reads the kernel again first (-R), then sends everything (-B).
        """
        self._tell_conntrackd("-R")
        self._tell_conntrackd("-B")

    def repeat_connections(self) -> None:
        """Send the peer's conntrackd once more all connections that ours knows, so that its kernel does not drop them.

        Does nothing if ours does not run.
        """
        self._tell_conntrackd("-B")

    def end_keepalived(self) -> None:
        """End it in order: its peer hears priority 0 and takes over within a part of an advertisement's time.

        What is desired is not changed: the next settle starts it, as a backup.
        """
        self._supervised["keepalived"].stop()
        self.counters["keepalived_stops"] += 1

    def _tell_conntrackd(self, *request: str) -> None:
        supervised = self._supervised["conntrackd"]
        if supervised.process is not None and supervised.process.is_alive():
            _process.run(["conntrackd", *supervised.kind.arguments(self._settings), *request])

    def close(self) -> None:
        """Give the descriptors back; the daemons go on."""
        for supervised in self._supervised.values():
            supervised.close()


@frozen
class _Pass:
    """The notes of one settle."""

    operations: list[Operation] = field(factory=list)
    starting: list[Daemon] = field(factory=list)
    failures: list[HostError] = field(factory=list)

    def attempt(self, work: Callable[[], None]) -> None:
        """Do one daemon's part; its failure is noted and does not stop the others."""
        try:
            work()
        except HostError as error:
            self.failures.append(error)

    def raise_failures(self) -> None:
        """Raise the only failure as it is, several together."""
        if len(self.failures) == 1:
            raise self.failures[0]
        if self.failures:
            raise SeveralError(self.failures)


def _check(desired: Sequence[Daemon], known: Mapping[str, Supervised]) -> None:
    for daemon in desired:
        if daemon.name not in known:
            raise ApplierError("is not a daemon that this version knows", where=daemon.name)
