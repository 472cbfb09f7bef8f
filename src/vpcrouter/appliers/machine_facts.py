"""What is so on this machine: disk, memory, processor, and who answers a ping. Looks, and touches nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import frozen

from vpcrouter.appliers import _process
from vpcrouter.errors import HostError

_SAMPLE_S = 0.2
"""Between the two looks at the processor's counters."""


@frozen(kw_only=True)
class MachineFacts:
    """What was found. None: nobody knows."""

    free_disk_mb: int | None = None
    cpu_percent: int | None = None
    memory_percent: int | None = None
    silent: tuple[str, ...] | None = ()
    """Those of the hosts asked that do not answer."""


def examine(directory: Path, hosts: Iterable[str], given_up: Callable[[], bool] = lambda: False) -> MachineFacts:
    """All of it. Takes 0.2 s, and up to six for each host that does not answer, unless `given_up` ends that."""
    return MachineFacts(
        free_disk_mb=free_disk_mb(directory),
        cpu_percent=cpu_percent(),
        memory_percent=memory_percent(),
        silent=silent_hosts(hosts, given_up),
    )


def free_disk_mb(path: Path) -> int | None:
    """What may still be written on the file system of a directory, in MB of 10**6 bytes."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize // 10**6


def memory_percent() -> int | None:
    """What programs could not get any more, of all memory (MemAvailable, proc(5))."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        total, available = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return None
    return round(100 * (total - available) / total)


def cpu_percent() -> int | None:
    """How busy the processors are, over a fifth of a second."""
    first = _cpu_ticks()
    time.sleep(_SAMPLE_S)
    second = _cpu_ticks()
    if first is None or second is None or second[0] <= first[0]:
        return None
    return round(100 * (1 - (second[1] - first[1]) / (second[0] - first[0])))


def silent_hosts(addresses: Iterable[str], given_up: Callable[[], bool]) -> tuple[str, ...] | None:
    """Those that answer none of three pings within two seconds each. None if nobody can ask, or it was `given_up`."""
    try:
        silent = tuple(address for address in addresses if not _answers(address, given_up))
    except HostError:
        return None
    return None if given_up() else silent


def _answers(address: str, given_up: Callable[[], bool]) -> bool:
    ask = ["ping", "-n", "-c", "1", "-W", "2", "--", address]
    return any(not given_up() and _process.succeeds(ask, timeout=5.0, given_up=given_up) for _ in range(3))


def _cpu_ticks() -> tuple[int, int] | None:
    """All ticks, and those of idling and waiting (the first line of /proc/stat)."""
    try:
        words = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    return sum(words), words[3] + words[4]
