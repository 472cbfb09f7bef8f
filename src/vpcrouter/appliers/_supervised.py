"""One daemon's process: found again after a crash of ours, started, told to reload, ended. Never two of them.

Used by `daemons`. Which of it is due is decided by `plan.daemons`; what is particular is in `_daemon_kinds`.

A process is ours if the record beside its pid names it by pid and start time, or if its command line is the one that
we would give it: that names this router's files. What runs with this router's file and is not the recorded process or
its child is a leftover (an agent that died between a start and its record, a child that outlived its parent, a copy
that somebody started by hand) and is ended before another one starts.
"""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve

from vpcrouter.appliers import _files, _process
from vpcrouter.appliers._daemon_kinds import DaemonKind
from vpcrouter.appliers._loaded import LoadedRecord, read_record, remove_record, write_record
from vpcrouter.appliers._process import Process
from vpcrouter.errors import ApplierError, HostError, IncapableError
from vpcrouter.plan.daemons import LoadedFile
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.settings import Settings

_LOOK_S = 0.002
"""How often a starting daemon's output is looked at; it takes 12 to 30 ms."""
_LAST_LINES = 4
"""Of its output that an error repeats."""
_STOPPED_S = 0.25
"""Of one that says nothing for so long is asked whether it was stopped; it is continued then."""
_TELL_S = 30.0
"""A command that has it read its files takes 30 ms to 1.3 s."""
_SECRETS = re.compile(r"password|secret", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


class Supervised:
    """The process of one daemon of one router."""

    def __init__(self, kind: DaemonKind, settings: Settings) -> None:
        self.kind = kind
        self._settings = settings
        self._run_dir = Path(settings.run_dir)
        self._record_path = self._run_dir / f"{kind.name}.loaded.json"
        self._record: LoadedRecord | None = None
        self._process: Process | None = None
        self._words: tuple[Daemon, frozenset[str]] | None = None
        self._ended: list[Process] = []
        self._forgotten: list[Process] = []
        self._output = self._run_dir / f"{kind.name}.log"
        self._taken_over = False
        self._monotonic: Callable[[], float] = time.monotonic

    # What is there ------------------------------------------------------------------------------

    @property
    def process(self) -> Process | None:
        """The process that was running when somebody last looked."""
        return self._process

    @property
    def loaded(self) -> Mapping[str, LoadedFile] | None:
        """What it has loaded, by path; None if nobody knows."""
        return None if self._record is None else self._record.files

    def has_loaded(self, file: File) -> bool:
        """Whether it has read that content from that file."""
        known = (self.loaded or {}).get(file.path)
        return known is not None and known.digest == file.digest

    def take_over(self) -> None:
        """Find the process that an agent before us has left running; later calls do nothing."""
        if self._taken_over:
            return
        self._taken_over = True
        record = read_record(self._record_path)
        if record is not None:
            self._process = _process.open_process(record.pid, record.start_time)
            self._record = record if self._process is not None else None
            return
        # Perhaps a start that was not recorded any more: it runs, but nobody knows what it has loaded.
        for process in _process.find_processes(self._argv()):
            if self._process is None:
                self._process = process
            else:
                process.close()

    def has_died(self) -> bool:
        """Whether the process has ended by itself since the last look; it is forgotten then."""
        process = self._process
        if process is None or not process.wait(0.0):
            return False
        self._forget()
        return True

    def ended_by_itself(self, pidfd: int) -> bool:
        """Whether this is, or lately was, its process, and nobody here has told it to end."""
        known = (self._process, *self._ended, *self._forgotten)
        return any(each is not None and each.pidfd == pidfd and not each.was_told_to_end for each in known)

    def surroundings_changed(self, daemon: Daemon) -> bool:
        """Whether a device or FIFO is another one than it found when it loaded its files; one that is gone is not."""
        if self._record is None:
            return False
        before = self._record.surroundings
        return any(before.get(name) != number for name, number in self._surroundings(daemon).items())

    # What is done to it -------------------------------------------------------------------------

    def test(self, daemon: Daemon) -> None:
        """Have the program judge the main file, from a copy; raises ApplierError with its words."""
        if self.kind.test is None or all(self.has_loaded(file) for file in self._tested(daemon)):
            return
        directory = Path(self._settings.config_dir)
        candidates = directory / f".{self.kind.name}.candidate"
        try:
            _files.make_directory(candidates, 0o700)
            for file in self._tested(daemon):
                # What they say of each other must be true of the copies.
                content = file.content.replace(f"{directory}/{self.kind.name}.", f"{candidates}/{self.kind.name}.")
                _files.write_atomically(candidates / Path(file.path).name, content.encode(), 0o600)
            _process.run([self.kind.program, *self.kind.test(str(candidates / self.kind.config))])
        except ApplierError as error:
            said = error.what.replace(f"{candidates}/", f"{directory}/")
            raise ApplierError(
                f"refuses its configuration: {said}",
                where=self.kind.name,
                hint="what runs, and its files, are as they were",
            ) from None
        finally:
            _files.remove_directory(candidates)

    def _tested(self, daemon: Daemon) -> tuple[File, ...]:
        """The files that its program reads when it judges."""
        return tuple(
            file for file in daemon.files if self.kind.tests_all_files or Path(file.path).name == self.kind.config
        )

    def start(self, daemon: Daemon) -> None:
        """Start it; `wait_until_ready` must follow."""
        self._end_leftovers()
        _files.make_directory(self._run_dir)
        for name in self.kind.leftovers:
            _files.remove_file(self._run_dir / name)
        environment = self.kind.environment(self._settings)
        for directory in self.kind.directories(self._settings):
            _files.make_directory(directory, 0o700)
        for path in self._fifos().values():
            _files.make_fifo(path)
        surroundings = self._surroundings(daemon)
        pid = _process.spawn(self._argv(), output=self._output, environment=environment)
        self._process = _process.open_process(pid)
        # Until the command has succeeded, the next pass, or the agent after us, has to give it the others.
        read = daemon.restart_files if self.kind.takes_files_from_command else daemon.files
        self._keep_record(read, surroundings)

    def resume(self) -> None:
        """Have it go on after a signal stopped it."""
        if self._process is not None:
            self._process.resume()

    def wait_until_ready(self, daemon: Daemon) -> None:
        """Wait until it says that it is at work; raises ApplierError with its last words if it ends instead.

        One that takes its files from a command has them then; if it refuses them, it is ended.
        """
        deadline = self._monotonic() + self.kind.ready_s
        while not self._is_ready():
            if self._process is None or self._process.wait(_LOOK_S):
                self._forget()
                raise ApplierError(f"does not start: {self._last_words()}", where=self.kind.name)
            if self._monotonic() > deadline:
                raise ApplierError(
                    f"is not at work {self.kind.ready_s:g} s after its start: {self._last_words()}",
                    where=self.kind.name,
                )
        if self._record is not None and (path := self._control_socket()) is not None:
            number = _files.inode_number(path) or 0
            self._record = evolve(self._record, surroundings={**self._record.surroundings, path.name: number})
            write_record(self._record_path, self._record)
        if self.kind.takes_files_from_command:
            try:
                self.reload(daemon)
            except HostError:
                self.stop()
                raise

    def require(self) -> None:
        """Raise IncapableError if this machine lacks what it needs."""
        if (reason := self.kind.lacks()) is not None:
            raise IncapableError(reason, where=self.kind.name, hint="it is not started")

    def reload(self, daemon: Daemon, confirm: Callable[[], object] = lambda: None) -> None:
        """Have it read its reload files again; raises ApplierError if a command has it do so and it refuses.

        `confirm` returns when it says that it has: until then, and if that fails, nobody knows which of the two it has,
        and the next pass, or the agent after us, asks again. A file that a keepalived which was just dying did not load
        was taken for loaded; and what a command brought that was taken back, by a new agent, for not loaded.
        """
        if self._process is None:
            return
        surroundings = self._surroundings(daemon)
        self._doubt(daemon)
        self._tell()
        confirm()
        self._keep_record(daemon.files, surroundings)

    def stop(self) -> None:
        """End it in order, or by force; nothing of it runs afterwards."""
        process = self._process
        # Forgotten before it is ended: whoever waits for its death sees that this one is wanted.
        self._forget()
        if process is not None:
            process.end(grace=self.kind.stop_s)
        self._end_leftovers()
        for name in self.kind.leftovers:
            _files.remove_file(self._run_dir / name)

    def forget_ended(self) -> None:
        """Give back the descriptors of processes that had ended by the last call.

        Not those that ended since: an event loop that watches them has to let go of them first, or it would take the
        next thing that gets the number for a dead daemon.
        """
        while self._forgotten:
            self._forgotten.pop().close()
        self._forgotten, self._ended = self._ended, []

    def close(self) -> None:
        """Give all descriptors back; what runs goes on."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self.forget_ended()
        self.forget_ended()
        self._taken_over = False

    # Particulars --------------------------------------------------------------------------------

    def _argv(self) -> list[str]:
        return [self.kind.program, *self.kind.arguments(self._settings)]

    def _is_ready(self) -> bool:
        if self.kind.ready_socket is not None:
            return self.kind.ready_socket(self._settings).exists()
        return self.kind.ready in self._said()

    def _tell(self) -> None:
        if self.kind.reload_by is None:
            if self._process is not None:
                self._signal(self._process)
            return
        try:
            self._run(self.kind.reload_by(self._settings))
        except ApplierError as error:
            # What a program repeats of its input may be a password.
            said = " / ".join(line for line in error.what.splitlines() if not _SECRETS.search(line))
            raise ApplierError(f"does not take its files: {said}", where=self.kind.name) from None

    def _run(self, words: Sequence[str]) -> None:
        _process.run(words, timeout=_TELL_S)

    def _signal(self, process: Process) -> None:
        """Send the signal, and wait for what it says to it. One that is stopped is continued, or it never would."""
        said = process.make_room() if self.kind.says_when_told else None
        process.send(self.kind.reload_signal)
        if said is None:  # or somebody started it by hand, on a terminal
            return
        told = self._monotonic()
        while self.kind.says_when_told not in process.printed(said):
            waited = self._monotonic() - told
            if process.wait(_LOOK_S) or waited > self.kind.ready_s:
                raise ApplierError(f"does not take its files: {self._last_words()}", where=self.kind.name)
            if waited > _STOPPED_S and process.is_stopped():
                process.resume()

    def _fifos(self) -> Mapping[str, Path]:
        return self.kind.fifos(self._settings)

    def _control_socket(self) -> Path | None:
        return self._run_dir / self.kind.control_socket if self.kind.control_socket else None

    def _said(self) -> bytes:
        return _files.read_file(self._output) or b""

    def _last_words(self) -> str:
        return " / ".join(self._said().decode(errors="replace").splitlines()[-_LAST_LINES:]) or "no message"

    def _end_leftovers(self) -> None:
        for process in _process.find_users(self.kind.program, str(self._settings.config_dir / self.kind.config)):
            process.send(signal.SIGKILL)
            process.wait(self.kind.stop_s)
            process.close()

    def _forget(self) -> None:
        if self._process is not None:
            self._ended.append(self._process)
        self._process = self._record = None
        self._save_record()

    def _keep_record(self, read: Iterable[File], surroundings: Mapping[str, int]) -> None:
        if self._process is None:
            return
        self._record = LoadedRecord(
            pid=self._process.pid,
            start_time=self._process.start_time,
            files={file.path: self._loaded_file(file) for file in read},
            surroundings=surroundings,
        )
        self._save_record()

    def _doubt(self, daemon: Daemon) -> None:
        """Of files that it is about to read anew, it may have either content."""
        if self._record is None:
            return
        files = {
            file.path: LoadedFile(digest="", is_remembered=Path(file.path).name in self.kind.keeps_lines, content=None)
            for file in daemon.files
            if not self.has_loaded(file)
        }
        self._record = evolve(self._record, files={**self._record.files, **files})
        self._save_record()

    def _loaded_file(self, file: File) -> LoadedFile:
        is_remembered = Path(file.path).name in self.kind.keeps_lines
        content = file.content if is_remembered else None
        return LoadedFile(digest=file.digest, is_remembered=is_remembered, content=content)

    def _save_record(self) -> None:
        """For the agent after us: what runs, and what it has loaded."""
        if self._record is None:
            remove_record(self._record_path)
        else:
            write_record(self._record_path, self._record)

    def _surroundings(self, daemon: Daemon) -> dict[str, int]:
        found: dict[str, int] = {}
        if self.kind.watches_devices:
            words = self._words_of(daemon)
            found |= {name: index for index, name in socket.if_nameindex() if name in words}
        for name, path in self._fifos().items():
            if (number := _files.inode_number(path)) is not None:
                found[name] = number
        # One that is gone is another one too: whoever took its place has taken it along.
        if (socket_path := self._control_socket()) is not None:
            found[socket_path.name] = _files.inode_number(socket_path) or 0
        return found

    def _words_of(self, daemon: Daemon) -> frozenset[str]:
        """All words of its files; kept, since the same files are asked for at every look."""
        if self._words is None or self._words[0] != daemon:
            words = frozenset().union(*(_WORD.findall(file.content) for file in daemon.files))
            self._words = (daemon, words)
        return self._words[1]
