"""The agent's watch over the router's health: makes the checks at their intervals, keeps the results, raises alerts.

    monitoring's intervals ──┐                      ┌──▶ results: the file that the management server reads, metrics
    other faults than before ├──▶ facts ──▶ judge ──┤
    asked for (`true`)     ──┘                      └──▶ alerts: what has begun to fail, and what is well again

Used by `agent`, which knows the machine (`Examined`). What is found to differ counts only if it is still there after a
settle: what is being mended is no failure. So that nobody waits minutes for bad news, the checks are made at once when
the router's faults or the monitoring have changed; an interval of 0 switches a kind off, also then. Without a
`monitorservice` command nothing is made unasked.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from vpcrouter.cloudstack.health_results import CheckRun, monitor_results
from vpcrouter.errors import HostError
from vpcrouter.health import ADVANCED, BASIC, FAILED, SUCCESS, CheckResult, Facts, judge
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.monitoring import Monitoring

LOG = logging.getLogger("vpcrouter.checkup")

KINDS = (BASIC, ADVANCED)
PATIENCE_S = 5.0
"""What is being done is no failure for so long."""
MEND_S = 10.0
"""Nor what a comparison of everything has found, and a settle mends meanwhile."""
ALERTS_KEPT = 100
_MINUTE_NS = 60_000_000_000


class Examined(Protocol):
    """The router whose health it is."""

    @property
    def monitoring(self) -> Monitoring | None:
        """What is wanted; None if nobody has said."""

    @property
    def role(self) -> str:
        """Who it is."""

    def faults(self) -> tuple[str, ...]:
        """What keeps it from being settled."""

    def down(self) -> tuple[str, ...]:
        """Daemons that are wanted and do not run."""

    async def settled(self, timeout: float, *, again: bool) -> None:
        """Wait until it is settled, `timeout` seconds at most; `again`: by a pass that looks at everything."""

    async def compare(self) -> tuple[str, ...]:
        """All of the machine against the state."""


class Checkup:
    """The health of one router. `directory` is that of its journal."""

    def __init__(self, examined: Examined, directory: Path, file: Path, surroundings: Surroundings) -> None:
        self._examined = examined
        self._directory = directory
        self._file = file
        self._surroundings = surroundings
        self._worker = surroundings.worker()
        self._closed = False
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._runs: dict[str, CheckRun] = {}
        self._begun_ns: dict[str, int] = {}
        """When each kind was begun last, by the clock that never jumps."""
        self._seen: tuple[Monitoring | None, tuple[str, ...]] = (None, ())
        """What the last checks were made for."""
        self.alerts: deque[dict[str, Any]] = deque(maxlen=ALERTS_KEPT)

    # When ---------------------------------------------------------------------------------------

    def look(self) -> None:
        """Something may have changed."""
        if self._seen != (self._examined.monitoring, self._examined.faults()):
            self._news.set()

    async def watch(self) -> None:
        """Make the checks that are due, for ever."""
        while True:
            due_ns = self._due()
            now_ns = self._surroundings.monotonic_ns()
            if due := [kind for kind, when in due_ns.items() if when <= now_ns]:
                await self.run(due)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), (min(due_ns.values()) - now_ns) / 1e9 if due_ns else None)

    def _due(self) -> dict[str, int]:
        """When each kind that is wanted is to be made."""
        self._news.clear()
        monitoring = self._examined.monitoring
        if monitoring is None or not monitoring.enabled:
            return {}
        wanted = {BASIC: monitoring.basic_interval_min, ADVANCED: monitoring.advanced_interval_min}
        is_news = self._seen != (monitoring, self._examined.faults())
        return {
            kind: 0 if is_news or kind not in self._begun_ns else self._begun_ns[kind] + minutes * _MINUTE_NS
            for kind, minutes in wanted.items()
            if minutes
        }

    # What ---------------------------------------------------------------------------------------

    async def text(self, *, now: bool) -> str:
        """The results; made now, all of them, if that is wanted or there are none yet."""
        if now or not self._runs:
            await self.run(KINDS, in_full=now)
        return monitor_results(self._runs[kind] for kind in KINDS if kind in self._runs)

    async def run(self, kinds: Collection[str], *, in_full: bool | None = None) -> None:
        """Make the checks of these kinds; `in_full`: compare everything (advanced ones do, unless told otherwise)."""
        async with self._lock:
            monitoring = self._examined.monitoring
            self._seen = (monitoring, self._examined.faults())  # what comes up from here on may be missed by this run
            start_ns, begun_ns = self._surroundings.time_ns(), self._surroundings.monotonic_ns()
            differences = await self._differences(in_full=ADVANCED in kinds if in_full is None else in_full)
            facts = await self._facts(monitoring or Monitoring(), differences)
            results = judge(facts, monitoring or Monitoring())
            end_ns = self._surroundings.time_ns()
            for kind in kinds:
                found = tuple(each for each in results if each.kind == kind)
                self._alert(self._runs.get(kind), found)
                self._begun_ns[kind] = begun_ns
                self._runs[kind] = check_run(kind, found, start_ns, end_ns)
            self._publish()

    async def _differences(self, *, in_full: bool) -> tuple[str, ...]:
        """What differs though it was settled."""
        if not in_full:
            if self._examined.faults():
                await self._examined.settled(PATIENCE_S, again=False)
            return self._examined.faults()
        try:
            if await self._examined.compare():
                await self._examined.settled(MEND_S, again=True)
                return await self._examined.compare()
        except HostError as error:
            return (str(error),)
        return ()

    async def _facts(self, monitoring: Monitoring, differences: tuple[str, ...]) -> Facts:
        role = self._examined.role
        asked = monitoring.gateways if role == "master" and "gateways_check.py" not in monitoring.excluded else ()
        found = await asyncio.get_running_loop().run_in_executor(
            self._worker, self._surroundings.examine, self._directory, asked, lambda: self._closed
        )
        return Facts(
            role=role,
            differences=differences,
            down=self._examined.down(),
            silent_gateways=found.silent if asked else None,
            free_disk_mb=found.free_disk_mb,
            cpu_percent=found.cpu_percent,
            memory_percent=found.memory_percent,
        )

    def _alert(self, before: CheckRun | None, found: tuple[CheckResult, ...]) -> None:
        failed = {name for name, success, _ in before.results if success == FAILED} if before is not None else set()
        for each in found:
            if each.success == FAILED and each.name not in failed:
                LOG.error("%s fails: %s", each.name, each.message)
                self._note(f"{each.name} fails: {each.message}")
            elif each.success == SUCCESS and each.name in failed:
                LOG.info("%s is well again", each.name)
                self._note(f"{each.name} is well again")

    def _note(self, what: str) -> None:
        self.alerts.append({"time": self._surroundings.time_ns() / 1e9, "what": what})

    def _publish(self) -> None:
        text = monitor_results(self._runs[kind] for kind in KINDS if kind in self._runs)
        try:
            self._surroundings.publish(self._file, text + "\n")
        except HostError as error:
            LOG.error("%s", error)

    # Telling ------------------------------------------------------------------------------------

    def describe(self) -> list[dict[str, Any]]:
        """Each check that was made: what a status says of it."""
        return [
            {"name": name, "kind": run.kind, "success": success, "message": message, "time": run.end_ms / 1000}
            for run in (self._runs[kind] for kind in KINDS if kind in self._runs)
            for name, success, message in run.results
        ]

    def close(self) -> None:
        """Make no more; nobody waits for a gateway any longer."""
        self._closed = True
        self._worker.shutdown(wait=False, cancel_futures=True)


def check_run(kind: str, results: Iterable[CheckResult], start_ns: int, end_ns: int) -> CheckRun:
    """Those of one kind, as they are told. Times in ns since 1970."""
    return CheckRun(
        kind=kind,
        start_ms=start_ns // 10**6,
        end_ms=end_ns // 10**6,
        start=_when(start_ns),
        end=_when(end_ns),
        results=tuple((each.name, each.success, each.message) for each in results if each.kind == kind),
    )


def _when(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
