"""The agent as its clients and its machine see it: a command handed in by a whole process, memory and time at rest.

The agent runs in a network namespace of its own and below a directory of its own, with a router that has no tier yet,
so that it starts no daemon.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from bench.namespace import in_own_namespace
from bench.row import Reach, Row, side_by_side, timed
from bench.start import EMPTY_TYPER
from vpcrouter.command_json import dumps
from vpcrouter.commands import PutReservation
from vpcrouter.values.config import Reservation

_START_S = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


@frozen
class _Figures:
    typer_ms: float
    submit_ms: float
    resident_mb: float
    busy_ms_per_s: float


def rows(smoke: bool) -> Iterable[Row]:
    """One command through the agent, and the agent at rest."""
    with TemporaryDirectory() as directory:
        figures = in_own_namespace(
            lambda: _measure(Path(directory), rounds=1 if smoke else 15, rest_s=1 if smoke else 10)
        )
    yield Row(
        what="submit of one command through the agent, whole process",
        peer_name="empty Typer program",
        peer=figures.typer_ms,
        ours=figures.submit_ms,
        reach=Reach(at_most=100),
    )
    yield Row(what="agent at rest, memory", ours=figures.resident_mb, unit="MB", reach=Reach(at_most=60))
    yield Row(what="agent at rest, CPU", ours=figures.busy_ms_per_s, unit="ms/s", reach=Reach(at_most=5))


def _measure(directory: Path, rounds: int, rest_s: float) -> _Figures:
    journal = directory / "journal"
    vpcrouter = [sys.executable, "-m", "vpcrouter", "--journal", str(journal)]
    numbers = count()

    def submit() -> float:
        command = _command(next(numbers))
        return timed(
            lambda: subprocess.run([*vpcrouter, "submit", "-"], input=command, check=True, stdout=subprocess.DEVNULL)
        )

    with _agent([*vpcrouter, "run", "--root", str(directory / "root")], directory) as pid:
        typer_ms, submit_ms = side_by_side(
            lambda: timed(lambda: subprocess.run([sys.executable, "-c", EMPTY_TYPER], check=True)),
            submit,
            rounds=rounds,
        )
        before = _busy_ms(pid)
        time.sleep(rest_s)
        return _Figures(typer_ms, submit_ms, _resident_mb(pid), (_busy_ms(pid) - before) / rest_s)


@contextmanager
def _agent(argv: list[str], directory: Path) -> Iterator[int]:
    with (directory / "agent.log").open("wb") as log, subprocess.Popen(argv, stderr=log) as process:
        try:
            deadline = time.monotonic() + _START_S
            while not list((directory / "root").rglob("agent.sock")):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the agent did not start: {(directory / 'agent.log').read_text()}")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()


def _command(number: int) -> bytes:
    high, low = divmod(number + 256, 256)
    reservation = Reservation(
        address=f"10.1.{high}.{low}", mac=f"02:00:00:00:{high:02x}:{low:02x}", host_name=f"vm-{number}"
    )
    return dumps(PutReservation(reservation=reservation)).encode()


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    match = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert match, "the agent has died"
    return int(match[1]) * 1024 / 1e6


def _busy_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS
