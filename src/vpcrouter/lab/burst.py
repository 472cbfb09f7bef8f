"""Hands a burst of command files to both routers at once and tells when it was durable, applied and verified.

Called by the command line and the demo. Each router gets its files in the order of their names over one
connection, the next one when the one before is acknowledged (as the management server does it), both routers
in parallel. All times count from one moment, just before the first command to either.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from attrs import frozen

from vpcrouter.client import AgentClient, read_command_file
from vpcrouter.errors import CallerError, HostError
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ALL_ROUTERS, MORE

VERIFY_S = 30.0
"""How long a router may take to apply and verify."""
SERVE_S = 15.0
"""How long the pair may take to elect a master after that."""
PAIR_S = 3.0
"""How long the other one may take after that until it is backup."""
_POLL_S = 0.005
_COUNTED = ("keepalived_reloads", "keepalived_starts", "role_changes")
"""The agent's counters whose growth is reported."""

Files = Mapping[str, Sequence[Path]]
"""The command files of each router, in order."""


@frozen(kw_only=True)
class Times:
    """Milliseconds until the last command was acknowledged as durable, was applied, was verified.

    Each applier looks again as soon as it has acted and the agent reports when all have, so `applied_ms` is the
    moment that is proven, that of `verified_ms`.
    """

    durable_ms: float
    applied_ms: float
    verified_ms: float


@frozen(kw_only=True)
class RouterBurst:
    """What one router did with its part."""

    commands: int
    accepted: int
    unchanged: int
    rejected: int
    rejections: tuple[dict[str, str], ...]
    error: str
    """Why the agent stopped answering midway; the counts are of what it had answered until then."""
    seq: int
    digest: str
    settled: bool
    differences: tuple[str, ...]
    from_first: Times
    """Counted from the first command to either router."""
    from_last: Times
    """Counted from the last command to this router."""
    keepalived_reloads: int
    keepalived_starts: int
    role_changes: int


@frozen(kw_only=True)
class BurstReport:
    """What both did. `serving_ms` is when one was seen as master and both as settled (None: not seen)."""

    routers: dict[str, RouterBurst]
    equal_digests: bool
    master: str | None
    serving_ms: float | None

    @property
    def is_good(self) -> bool:
        """Nothing rejected, everything verified, both routers configured alike."""
        return self.equal_digests and all(part.settled and not part.rejected for part in self.routers.values())


def burst_files(directory: Path) -> dict[str, list[Path]]:
    """The files of a burst: DIRECTORY/rA, DIRECTORY/rB, rC and rD if they are there, each in the order of its names."""
    files = {}
    for router in ALL_ROUTERS:
        part = directory / router
        if router in MORE and not part.exists():
            continue
        if not part.is_dir():
            raise CallerError("not a burst", where=str(directory), hint="it needs the folders rA and rB")
        files[router] = sorted(path for path in part.iterdir() if path.is_file() and path.name[0] != ".")
        if not files[router]:
            raise CallerError("there is no command file", where=str(part))
    return files


def run_burst(laboratory: Laboratory, files: Files) -> BurstReport:
    """Hand the files in and wait until all routers are settled and one serves."""
    texts = {router: [(path.name, read_command_file(path)) for path in files[router]] for router in files}
    laboratory.tell(f"{sum(len(part) for part in texts.values())} command files to the routers")
    with ExitStack() as connections:
        clients = {router: connections.enter_context(laboratory.connect(router, VERIFY_S + 10)) for router in files}
        before = {router: client.status()["counters"] for router, client in clients.items()}
        with ThreadPoolExecutor(len(files)) as pool:
            began_ns = time.monotonic_ns()
            parts = pool.map(lambda router: _hand_in(clients[router], texts[router], began_ns, before[router]), files)
            routers = dict(zip(files, parts, strict=True))
    lost_agent = any(part.error for part in routers.values())
    master, serving_ms = (None, None) if lost_agent else _wait_for_pair(laboratory, began_ns)
    return BurstReport(
        routers=routers,
        equal_digests=len({part.digest for part in routers.values()}) == 1,
        master=master,
        serving_ms=serving_ms,
    )


def _hand_in(
    client: AgentClient, texts: Sequence[tuple[str, str]], began_ns: int, before: Mapping[str, int]
) -> RouterBurst:
    lines: list[tuple[str, dict[str, Any]]] = []
    answer: dict[str, Any] = {"settled": False}
    status: dict[str, Any] = {"seq": 0, "digest": "", "counters": {}}
    error, last_ns = "", began_ns
    durable_ns = verified_ns = began_ns
    try:
        for name, text in texts:
            last_ns = time.monotonic_ns()
            lines += [(name, line) for line in client.submit(name, text)]
        durable_ns = verified_ns = time.monotonic_ns()
        answer = client.settled(max((line["seq"] or 0 for _, line in lines), default=0), VERIFY_S)
        verified_ns = answer.get("verified_ns", time.monotonic_ns())
        status = client.status()
    except HostError as failed:
        error = str(failed)  # what was acknowledged until then is the news
    statuses = Counter(line["status"] for _, line in lines)
    grown = {name: status["counters"].get(name, 0) - before.get(name, 0) for name in _COUNTED}
    return RouterBurst(
        commands=len(lines),
        accepted=statuses["accepted"],
        unchanged=statuses["unchanged"],
        rejected=statuses["rejected"],
        rejections=tuple(
            {"file": name, "error": str(line["error"])} for name, line in lines if line["status"] == "rejected"
        ),
        error=error,
        seq=status["seq"],
        digest=status["digest"],
        settled=bool(answer["settled"]),
        differences=tuple(answer.get("differences", ())),
        from_first=_times(began_ns, durable_ns, verified_ns),
        from_last=_times(last_ns, durable_ns, verified_ns),
        **grown,
    )


def _wait_for_pair(laboratory: Laboratory, began_ns: int) -> tuple[str | None, float | None]:
    """The router that became master with both settled, and when; then waits for the other to become backup.

    None without a VRRP interface or when nobody becomes master.
    """
    deadline = time.monotonic() + SERVE_S
    master, serving_ms = None, None
    while time.monotonic() < deadline:
        status = laboratory.status()
        if not any(each.get("interface") for each in status.values()) or is_pair(status):
            deadline = 0.0
        masters = [router for router, each in status.items() if each.get("role") == "master"]
        if master is None and len(masters) == 1 and all(each.get("settled") for each in status.values()):
            master, serving_ms = masters[0], _ms(time.monotonic_ns() - began_ns)
            deadline = min(deadline, time.monotonic() + PAIR_S)
        time.sleep(_POLL_S)
    return master, serving_ms


def _times(start_ns: int, durable_ns: int, verified_ns: int) -> Times:
    return Times(
        durable_ms=_ms(durable_ns - start_ns),
        applied_ms=_ms(verified_ns - start_ns),
        verified_ms=_ms(verified_ns - start_ns),
    )


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 1)
