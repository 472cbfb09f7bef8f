"""What runs in the namespaces: finds it, ends it, starts the agents and talks to them.

Called by `laboratory`. A process belongs to the laboratory if its network namespace is one of the laboratory's.
Namespaces are compared by inode, which the kernel uses again once a namespace is gone: where only the remembered
number is left and no name, the process must also mention the laboratory's directory (in its words or in
VPCROUTER_LAB), so that nobody else's process is ever ended.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import vpcrouter
from vpcrouter.appliers import _files, _process
from vpcrouter.client import AgentClient
from vpcrouter.errors import ApplierError, HostError, VpcRouterError

MARK = "VPCROUTER_LAB"
_KILL_S = 5.0
_START_S = 60.0
_POLL_S = 0.01


def inside(namespace: str, words: list[str]) -> list[str]:
    """The command line that runs another one in a namespace; same process number, own /sys."""
    return ["ip", "netns", "exec", namespace, *words]


def environment(directory: Path) -> dict[str, str]:
    """What every process of the laboratory finds: its mark, and this very package."""
    return {MARK: str(directory), "PYTHONPATH": str(Path(vpcrouter.__file__).parents[1])}


def processes_in(named: Collection[int], remembered: Collection[int], directory: Path) -> Iterator[int]:
    """The numbers of the processes in these namespaces; see the rule above for the remembered ones."""
    # Whatever a name or the record says: never the namespace that we or the machine itself live in.
    own = {_namespace_of(os.getpid()), _namespace_of(1)}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or (pid := int(entry.name)) == os.getpid():
            continue
        inode = _namespace_of(pid)
        if inode is None or inode in own:
            continue
        if inode in named or (inode in remembered and _mentions(pid, directory)):
            yield pid


def kill(named: Collection[int], remembered: Collection[int], directory: Path) -> int:
    """SIGKILL to every process in these namespaces, until there is none; returns how many there were."""
    deadline = time.monotonic() + _KILL_S
    killed: set[int] = set()
    while True:
        found = list(processes_in(named, remembered, directory))
        if not found:
            return len(killed)
        if time.monotonic() > deadline:
            raise HostError(f"processes {found} do not end", where="lab", hint="they wait for a disk or the kernel")
        for pid in found:
            process = _process.open_process(pid)
            if process is None:
                continue
            # Once more now that the pidfd is open: the number may have been given away since the listing.
            if _namespace_of(pid) in {*named, *remembered}:
                process.send(signal.SIGKILL)
                killed.add(pid)
            process.wait(0.5)
            process.close()


class Machine:
    """The agent of one router and its files, below `directory` of the laboratory."""

    def __init__(self, router: str, namespace: str, directory: Path, options: Sequence[str] = ()) -> None:
        self.router = router
        self.namespace = namespace
        self._laboratory = directory
        self._options = options
        self.directory = directory / router
        self.journal = self.directory / "journal"
        self.root = self.directory / "root"
        self.output = self.directory / "agent.log"
        self.socket = self.root / "run/vpcrouter/agent.sock"

    def start(self, advertisement_ms: int) -> int:
        """Start the agent; returns its process number. It does not answer yet."""
        for directory in (self.journal, self.root):
            _files.make_directory(directory, 0o700 if directory == self.journal else 0o755)
        words = [sys.executable, "-m", "vpcrouter", "--journal", str(self.journal), "run"]
        words += ["--root", str(self.root), "--advertisement-ms", str(advertisement_ms), *self._options]
        return _process.spawn(
            inside(self.namespace, words), output=self.output, environment=environment(self._laboratory)
        )

    def wait_until_it_answers(self, pid: int) -> dict[str, Any]:
        """The first status; HostError with the end of its output if the agent ends or does not answer."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self.socket.exists():
                try:
                    return self.status()
                except HostError:
                    pass  # it listens in a moment, or the socket is that of an earlier life
            process = _process.open_process(pid)
            if process is None:
                raise HostError("the agent ended", where=self.router, hint=self._last_words())
            process.close()
            time.sleep(_POLL_S)
        raise HostError(f"the agent does not answer after {_START_S:g} s", where=self.router, hint=self._last_words())

    def pids(self, daemon: str) -> list[int]:
        """The processes of a daemon in the router, oldest first; `agent` is our own."""
        try:
            listed = _process.run(["ip", "netns", "pids", self.namespace]).split()
        except ApplierError:
            return []  # there is no such namespace at this moment
        ages = {int(pid): _age(int(pid)) for pid in listed}
        pids = sorted(ages, key=lambda pid: (ages[pid][1], ages[pid][0] in ages, pid))
        if daemon == "agent":
            return [pid for pid in pids if _is_agent(pid)]
        return [pid for pid in pids if _read(pid, "comm").strip() == daemon.encode()]

    def connect(self, timeout: float = 60.0) -> AgentClient:
        """A connection to the agent; HostError if there is none."""
        return AgentClient(self.socket, timeout=timeout)

    def status(self, timeout: float = 5.0) -> dict[str, Any]:
        """What the agent says of itself; HostError if there is none."""
        with self.connect(timeout) as client:
            return client.status()

    def status_or_error(self, timeout: float = 5.0) -> dict[str, Any]:
        """The same, or {"error": …}: one dead router must not hide the other."""
        try:
            return self.status(timeout)
        except VpcRouterError as error:
            return {"error": str(error)}

    def _last_words(self) -> str:
        try:
            text = self.output.read_text(errors="replace")
        except FileNotFoundError:
            return f"no output in {self.output}"
        return f"the end of {self.output}: {text[-800:].strip() or 'empty'}"


def _namespace_of(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return None  # ended, a zombie, or somebody else's


def _mentions(pid: int, directory: Path) -> bool:
    wanted = os.fsencode(directory)
    return any(wanted in _read(pid, name) for name in ("cmdline", "environ"))


def _is_agent(pid: int) -> bool:
    words = _read(pid, "cmdline").split(b"\0")
    return b"vpcrouter" in words and b"run" in words


def _age(pid: int) -> tuple[int, int]:
    """Its parent, and when it started, in ticks since boot (proc(5)): numbers begin anew at 32768."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[19])) if fields else (0, 0)


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; nothing of a process that has ended."""
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""
