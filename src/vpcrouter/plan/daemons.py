"""Which files to write and which daemons to start, reload, restart or stop. Pure.

The applier observes and does. A daemon is judged by what it has *loaded*, not by what is on the disk: a file that
was edited by hand is written again, and the daemon is left alone if it has not read the edited one.

    not running                                  → start
    stopped by a signal                          → continue
    a restart file is not what it loaded         → restart
    a reload file is not what it loaded          → reload
      … and it keeps what a line once said       → restart, if a line of that file is gone (see `LoadedFile`)
    what it found around it at load has changed  → reload (a device was plugged in, or taken away and put back)

Where a reload is due and the daemon knows none, it is a restart. Files are written before the daemon is told, those
that it does not have any more are removed before too; daemons that are not desired are stopped first, in reverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from vpcrouter.plan import Operation
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.incremental import middles


@frozen(kw_only=True)
class LoadedFile:
    """A file as a running daemon has read it."""

    digest: str
    is_remembered: bool = False
    """The daemon forgets a line of it by a restart only."""
    content: str | None = field(default=None, repr=False)
    """What it has read, if it remembers that; None if nobody knows."""


@frozen(kw_only=True)
class WrittenFile:
    """A generated file as it lies on the disk."""

    digest: str
    mode: int


@frozen(kw_only=True)
class ObservedDaemon:
    """A daemon as it was found."""

    name: str
    running: bool = False
    stopped: bool = False
    """It runs, but a signal has stopped it."""
    can_reload: bool = True
    loaded: Mapping[str, LoadedFile] | None = None
    """What it has loaded, by path; None if nobody knows."""
    surroundings_changed: bool = False
    """What it found around it when it loaded its files is not so any more."""
    on_disk: Mapping[str, WrittenFile] = field(factory=dict)
    """Its generated files that are there, by path: the desired ones, and those it had before."""

    @property
    def is_there(self) -> bool:
        """Whether there is anything of it."""
        return self.running or bool(self.on_disk)


def loses_a_line(old: str, new: str) -> bool:
    """Whether some line of the old content is nowhere in the new one."""
    lines = new.splitlines()
    before, after = middles(old.splitlines(), lines)
    gone = set(before).difference(after)
    return bool(gone) and not gone <= set(lines)


def plan_daemons(desired: Sequence[Daemon], observed: Mapping[str, ObservedDaemon]) -> tuple[Operation, ...]:
    """All operations: what is not wanted goes first, in reverse order, then each daemon in the order given."""
    wanted = {daemon.name for daemon in desired}
    unwanted = [name for name in observed if name not in wanted]
    operations = [each for name in reversed(unwanted) for each in plan_stop(observed[name])]
    for daemon in desired:
        operations += plan_daemon(daemon, observed.get(daemon.name, ObservedDaemon(name=daemon.name)))
    return tuple(operations)


def plan_daemon(daemon: Daemon, observed: ObservedDaemon) -> tuple[Operation, ...]:
    """The operations for one daemon that must run."""
    operations = list(_file_operations(daemon, observed))
    if observed.stopped:
        operations.append(Operation(target=daemon.name, action="continue", subject="since a signal stopped it"))
    if due := _due(daemon, observed):
        action, since = due
        operations.append(Operation(target=daemon.name, action=action, subject=f"since {since}"))
    return tuple(operations)


def plan_stop(observed: ObservedDaemon) -> tuple[Operation, ...]:
    """The operations for one daemon that must not run; its files go after it."""
    stop = Operation(target=observed.name, action="stop", subject="since it is not needed")
    files = (Operation(target=observed.name, action="remove", subject=path) for path in sorted(observed.on_disk))
    return (*((stop,) if observed.running else ()), *files)


def _file_operations(daemon: Daemon, observed: ObservedDaemon) -> Iterator[Operation]:
    for file in daemon.files:
        found = observed.on_disk.get(file.path)
        if found is None or found.digest != file.digest or found.mode != file.mode:
            yield Operation(target=daemon.name, action="write", subject=file.path)
    for path in sorted(observed.on_disk.keys() - {file.path for file in daemon.files}):
        yield Operation(target=daemon.name, action="remove", subject=path)


def _due(daemon: Daemon, observed: ObservedDaemon) -> tuple[str, str] | None:
    """What has to be done to the process, and why."""
    if not observed.running:
        return "start", "it does not run"
    loaded = observed.loaded
    reload = "reload" if observed.can_reload else "restart"
    if loaded is None:
        return "restart" if daemon.restart_files else reload, "nobody knows what it has loaded"
    for file in daemon.restart_files:
        if not _has_loaded(loaded, file):
            return "restart", f"{file.path} changed"
    changed = [file for file in daemon.reload_files if not _has_loaded(loaded, file)]
    for file in changed:
        before = loaded.get(file.path)
        if before is None or not before.is_remembered:
            continue
        if before.content is None or loses_a_line(before.content, file.content):
            return "restart", f"a line of {file.path} is gone"
    if changed:
        return reload, f"{changed[0].path} changed"
    if observed.surroundings_changed:
        return reload, "a network device, its FIFO or its socket is another one than before"
    return None


def _has_loaded(loaded: Mapping[str, LoadedFile], file: File) -> bool:
    known = loaded.get(file.path)
    return known is not None and known.digest == file.digest
