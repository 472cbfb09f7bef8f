"""Nothing but this module starts a program or signals a process.

Called by the appliers (and borrowed by the lab). It knows nothing of what the programs are for. A command
line is a list of words, never a string for a shell; the environment is the same few variables for every
program, so that nothing of the caller's leaks into a daemon.

A process is known by its number *and* the time it started (clock ticks since boot, field 22 of
/proc/PID/stat), and is held by a pidfd from then on: a number that the kernel gave away again is never
signalled.

Known hole: the size limit of a daemon's output is a limit on every file it writes (RLIMIT_FSIZE is the only
one that still holds when we are gone). What does not fit is lost, the daemon goes on.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vpcrouter.errors import ApplierError, MissingProgramError

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Mapping[str, str] = {"PATH": SEARCH_PATH, "LC_ALL": "C"}
OUTPUT_LIMIT = 16 * 1024 * 1024
"""Bytes that a daemon may write into one file; see the known hole above."""
MESSAGE_LENGTH = 2000
"""Characters of a program's own words that an error repeats."""

PACKAGES: Mapping[str, str] = {
    "conntrack": "conntrack",
    "bgpd": "frr",
    "charon-systemd": "charon-systemd",
    "conntrackd": "conntrackd",
    "dnsmasq": "dnsmasq-base",
    "haproxy": "haproxy",
    "frr-reload.py": "frr-pythontools",
    "ip": "iproute2",
    "keepalived": "keepalived",
    "nft": "nftables",
    "prlimit": "util-linux",
    "ping": "iputils-ping",
    "swanctl": "strongswan-swanctl",
    "tcpdump": "tcpdump",
    "unshare": "util-linux",
    "xl2tpd": "xl2tpd",
}
"""The Debian package of each program that is started anywhere."""


def find_program(name: str) -> str:
    """The path of a program; MissingProgramError names the Debian package."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise MissingProgramError(
            "program not found", where=name, hint=f"apt-get install {PACKAGES.get(Path(name).name, name)}"
        )
    return path


def run(argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> bytes:
    """Run a program to its end and return its standard output.

    Raises ApplierError with the exit status and the end of what it said, or when it took longer than
    `timeout` seconds; it has been killed then.
    """
    program = find_program(argv[0])
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env=ENVIRONMENT,
        )
    except subprocess.TimeoutExpired:
        raise ApplierError(
            f"not done after {timeout:g} s, killed", where=argv[0], hint="look at the load of the machine"
        ) from None
    except OSError as error:
        raise ApplierError(f"cannot be started: {error.strerror}", where=argv[0]) from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        how = f"exit status {done.returncode}" if done.returncode > 0 else f"killed by signal {-done.returncode}"
        raise ApplierError(f"{how}: {said[-MESSAGE_LENGTH:] or 'no message'}", where=argv[0])
    return done.stdout


def succeeds(argv: Sequence[str], *, timeout: float, given_up: Callable[[], bool]) -> bool:
    """Whether a program ends well within `timeout` seconds. It is killed when `given_up`, asked ten times a second."""
    quiet = subprocess.DEVNULL
    try:
        with subprocess.Popen(
            [find_program(argv[0]), *argv[1:]], stdin=quiet, stdout=quiet, stderr=quiet, env=ENVIRONMENT
        ) as process:
            deadline = time.monotonic() + timeout
            while process.poll() is None and time.monotonic() < deadline and not given_up():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
            process.kill()  # nothing, if it has ended
    except OSError as error:
        raise ApplierError(f"cannot be started: {error.strerror}", where=argv[0]) from None
    return process.returncode == 0


def spawn(argv: Sequence[str], *, output: Path, environment: Mapping[str, str] | None = None) -> int:
    """Start a daemon in a session of its own, which lives on when we are killed; returns its number.

    What it prints goes to `output` (mode 0600), which never grows beyond OUTPUT_LIMIT. What an earlier one printed
    there is kept as `output` with `.old` at its end.
    """
    program, limiter = find_program(argv[0]), find_program("prlimit")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    try:
        _put_aside(output)
        with os.fdopen(os.open(output, flags, 0o600), "ab") as log:
            # The limit is set by the process itself, before it is the daemon: one that has already changed its user
            # can be limited from outside with CAP_SYS_RESOURCE only.
            pid = os.posix_spawn(
                limiter,
                ["prlimit", f"--fsize={OUTPUT_LIMIT}", "--", program, *argv[1:]],
                {**ENVIRONMENT, **(environment or {})},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                    *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
                ],
                setsid=True,
                setsigmask=[],
                # SIGXFSZ stays ignored, as Python has it: a daemon whose log is full must not die of it.
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD],
            )
    except OSError as error:
        what = f"cannot be started: {error.strerror}: {error.filename}"
        raise ApplierError(what, where=argv[0], hint="see what stands there") from None
    return pid


def _put_aside(output: Path) -> None:
    """Keep what an earlier one printed. A directory that somebody put there stays: no daemon is started over it."""
    if output.is_dir():
        return
    with suppress(FileNotFoundError):
        try:
            output.replace(output.with_name(f"{output.name}.old"))
        except IsADirectoryError:
            output.unlink()  # another one stands where it would be kept


class Process:
    """One running process, held by a pidfd. Close it when it is of no interest any more; it goes on."""

    def __init__(self, pid: int, start_time: int, pidfd: int) -> None:
        self.pid = pid
        self.start_time = start_time
        self.pidfd = pidfd
        self.was_told_to_end = False

    def is_alive(self) -> bool:
        """False from the moment it ended, also while nobody has waited for it yet."""
        return not self._ended_within(0.0)

    def send(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def make_room(self) -> int | None:
        """Empty the file that its standard error goes to if it is more than half full: what does not fit is lost.

        How many bytes are in it then, also if somebody removed it; None if the output goes to no file.
        """
        try:
            output = self._output.stat()
            if not stat.S_ISREG(output.st_mode):
                return None
            if output.st_size > OUTPUT_LIMIT // 2:
                os.truncate(self._output, 0)
                return 0
        except OSError:
            return None
        return output.st_size

    def printed(self, since: int) -> bytes:
        """What is there from that byte on. Only for one whose output goes to a file."""
        try:
            with self._output.open("rb") as output:
                output.seek(since)
                return output.read()
        except OSError:
            return b""

    @property
    def _output(self) -> Path:
        return Path(f"/proc/{self.pid}/fd/2")

    def is_stopped(self) -> bool:
        """Whether it, or a child of its own, was stopped by a signal and does nothing until it is continued."""
        return any(_state(pid) in (b"T", b"t") for pid in (self.pid, *_children(self.pid)))

    def resume(self) -> None:
        """Continue it and its children."""
        self.send(signal.SIGCONT)
        for pid in _children(self.pid):
            child = open_process(pid)
            if child is not None:
                child.send(signal.SIGCONT)
                child.close()

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended, `timeout` seconds at most; True if it has. A child of ours is reaped."""
        if not self._ended_within(timeout):
            return False
        with suppress(ChildProcessError):  # not our child: started by an agent before us
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        return True

    def end(self, *, grace: float) -> None:
        """SIGTERM, and SIGKILL if it has not ended after `grace` seconds."""
        self.was_told_to_end = True
        self.send(signal.SIGTERM)
        if not self.wait(grace):
            self.send(signal.SIGKILL)
            if not self.wait(2.0):
                raise ApplierError(
                    f"process {self.pid} does not end",
                    where="process",
                    hint="it waits for a disk or the kernel",
                )

    def close(self) -> None:
        """Give the pidfd back."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def _ended_within(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout) * 1000))


def open_process(pid: int, start_time: int | None = None) -> Process | None:
    """The process of that number, if it is alive and started at `start_time` (None: whenever)."""
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, ValueError):
        return None
    # Read after the pidfd was opened: if the number was given away in between, the two do not match, and the
    # pidfd is that of a process that has ended.
    started = _start_time(pid)
    process = Process(pid, started or 0, pidfd)
    if started is None or start_time not in (None, started) or not process.is_alive():
        process.wait(0.0)
        process.close()
        return None
    return process


def find_processes(argv: Sequence[str]) -> tuple[Process, ...]:
    """All living processes with this command line, oldest first: a daemon and its forked children.

    The program may be named by its path in one of the two; all other words must be the same.
    """
    return _find(Path(argv[0]).name, lambda words: words == list(argv[1:]))


def find_users(program: str, path: str) -> tuple[Process, ...]:
    """All living processes of a program that a word of their command line points to this file, however started."""
    return _find(program, lambda words: any(word.rpartition("=")[2] == path for word in words))


def _find(program: str, is_it: Callable[[list[str]], bool]) -> tuple[Process, ...]:
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue  # ended since the listing
        if not words or Path(words[0]).name != program or not is_it(words[1:]):
            continue
        if (process := open_process(int(directory.name))) is not None:
            found.append(process)
    # A child may have started in the same tick as its parent, and have the lower number where numbers begin anew.
    pids = {process.pid for process in found}
    return tuple(sorted(found, key=lambda each: (each.start_time, _parent(each.pid) in pids, each.pid)))


def _inheritable() -> list[int]:
    """What we got from whoever started us and would pass on; what we opened ourselves is closed by exec."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 the names only: the links may lead nowhere
        with suppress(OSError):  # the descriptor of this listing is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


def _start_time(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _state(pid: int) -> bytes:
    fields = _stat(pid)
    return fields[0] if fields else b""


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on, the state (proc(5)); none if there is no such process."""
    try:
        stat = Path("/proc", str(pid), "stat").read_bytes()
    except OSError:
        return []
    # The second field is the name in parentheses, which may hold anything: count from its end.
    return stat.rpartition(b")")[2].split()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path("/proc", str(pid), "task", str(pid), "children").read_text().split()]
    except OSError:
        return []
