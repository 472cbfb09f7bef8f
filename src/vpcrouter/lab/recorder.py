"""Watches both routers while something is done to them, for a timeline.

Called by `drill`, `soak` and the command line. A thread for each router asks its agent ten times a second; what
happens between two looks is seen by its counters only. Times are seconds since the recorder began.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from attrs import evolve

from vpcrouter.lab.holders import GATEWAY, Holders
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import OUTSIDE, ROUTERS
from vpcrouter.lab.probing import Probe, ProbeReport, Target
from vpcrouter.timeline import Deed, Mark, Recording, RoleSpan, Silence

LOOK_S = 0.1
_ANSWER_S = 1.0
"""A stopped agent takes connections and says nothing."""
_MARKED = ("reloads", "restarts", "starts", "deaths")


class Recorder:
    """Watches inside the `with` block."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._spans: dict[str, list[RoleSpan]] = {router: [] for router in ROUTERS}
        self._marks: dict[str, list[Mark]] = {router: [] for router in ROUTERS}
        self._commands: dict[str, list[Mark]] = {router: [] for router in ROUTERS}
        self._taken: dict[str, int] = {}
        self._counters: dict[str, dict[str, int]] = {}
        self._deeds: list[Deed] = []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(router,), daemon=True) for router in ROUTERS]
        self.began_ns = time.monotonic_ns()

    def __enter__(self) -> Recorder:
        self.began_ns = time.monotonic_ns()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    @property
    def now_s(self) -> float:
        """Seconds since it began."""
        return (time.monotonic_ns() - self.began_ns) / 1e9

    @contextmanager
    def deed(self, what: str) -> Iterator[None]:
        """Something is being done, until the end of the block."""
        start = self.now_s
        try:
            yield
        finally:
            self._deeds.append(Deed(start_s=start, end_s=self.now_s, what=what))

    @property
    def deeds(self) -> tuple[Deed, ...]:
        """What was done so far."""
        return tuple(self._deeds)

    def recording(
        self,
        title: str,
        probes: Mapping[str, Sequence[ProbeReport]],
        *,
        both_serve: Sequence[tuple[float, float]] | None = None,
    ) -> Recording:
        """All of it, with what probes saw; each watcher may have sent several sets, one after the other."""
        return Recording(
            title=title,
            length_s=self.now_s,
            deeds=tuple(self._deeds),
            roles={router: tuple(spans) for router, spans in self._spans.items()},
            marks={router: tuple(marks) for router, marks in self._marks.items()},
            commands={router: tuple(marks) for router, marks in self._commands.items()},
            both_serve=None if both_serve is None else tuple(both_serve),
            silences={
                watcher: tuple(silence for report in reports for silence in self._silences(report))
                for watcher, reports in probes.items()
            },
        )

    def _silences(self, report: ProbeReport) -> Iterator[Silence]:
        offset_s = (report.started_ns - self.began_ns) / 1e9
        for outage in report.outages:
            start_s = offset_s + outage.start_ms / 1000
            yield Silence(
                start_s=start_s,
                length_ms=outage.length_ms,
                lost=outage.lost,
                cause=cause_of(self._deeds, start_s, start_s + outage.length_ms / 1000),
            )

    def _watch(self, router: str) -> None:
        machine = self._laboratory.machines[router]
        while not self._ends.wait(LOOK_S):
            self._note(router, self.now_s, machine.status_or_error(_ANSWER_S))

    def _note(self, router: str, now_s: float, status: dict[str, Any]) -> None:
        role = str(status.get("role", "gone"))
        spans = self._spans[router]
        if spans and spans[-1].role == role:
            spans[-1] = evolve(spans[-1], end_s=now_s)
        else:
            if spans:
                spans[-1] = evolve(spans[-1], end_s=now_s)
            spans.append(RoleSpan(start_s=spans[-1].end_s if spans else 0.0, end_s=now_s, role=role))
        counters = status.get("counters")
        if counters is None:
            self._counters.pop(router, None)
            self._taken.pop(router, None)
            return
        # Changes of the role are in the journal too.
        commands = status["seq"] - counters.get("role_changes", 0)
        taken = commands - self._taken.get(router, commands)
        self._taken[router] = commands
        if taken > 0:
            self._commands[router].append(Mark(at_s=now_s, what=f"{taken} command{'s' * (taken > 1)}"))
        before = self._counters.get(router)
        self._counters[router] = counters
        if before is not None and before.get("settles", 0) <= counters.get("settles", 0):
            for name, count in counters.items():
                daemon, _, what = name.rpartition("_")
                if daemon and what in _MARKED and count > before.get(name, 0):
                    self._marks[router].append(Mark(at_s=now_s, what=f"{daemon}: {what}"))


def cause_of(deeds: list[Deed] | tuple[Deed, ...], start_s: float, end_s: float) -> str:
    """The deed within which an outage began or ended; empty if there is none."""
    return next((deed.what for deed in deeds if deed.start_s <= end_s and start_s <= deed.end_s), "")


def watch(laboratory: Laboratory, seconds: float, guests: Sequence[str]) -> Recording:
    """What happens within so many seconds, whoever does it, with a probe from each guest to the outside and back."""
    with ExitStack() as stack:
        recorder = stack.enter_context(Recorder(laboratory))
        holders = stack.enter_context(Holders(laboratory, GATEWAY))
        probes = {
            f"{guest} → {OUTSIDE}": stack.enter_context(Probe(laboratory, guest, Target.parse(OUTSIDE)))
            for guest in guests
        }
        time.sleep(seconds)
        reports = {name: [probe.stop()] for name, probe in probes.items()}
        began_s = recorder.began_ns / 1e9
        both = [(start - began_s, end - began_s) for start, end in holders.both()]
        return recorder.recording(f"{laboratory.names.prefix}: {seconds:g} s", reports, both_serve=both)
