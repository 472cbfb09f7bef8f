"""Does to a pair what may happen to it, for as long as one likes, under probes that never end; then accounts for it.

Called by the command line and a test. The laboratory is its own. Three watchers send a probe each millisecond: two
guests to the outside, and the outside to a guest through a port forwarding. Who holds a tier's gateway is seen from
the kernels. The steps come from a seed (`steps.deal`) or are given; each ends when the pair is whole again: one
master, a backup that is ready, equal digests, everything mended. `verdict` says what each may cost.

Known hole: what a step breaks for a tier without a watcher is not seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from attrs import evolve, field, frozen

from vpcrouter.errors import HostError
from vpcrouter.lab import topology
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.doing import WHOLE_S, Doer
from vpcrouter.lab.drill import is_ready
from vpcrouter.lab.holders import Holders
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import OUTSIDE, ROUTERS
from vpcrouter.lab.probing import Probe, ProbeReport, Target
from vpcrouter.lab.recorder import Recorder
from vpcrouter.lab.steps import Step, deal
from vpcrouter.lab.verdict import Done, Finding, judge_both_serve, judge_silences
from vpcrouter.timeline import Recording

WATCHERS = {
    f"vm4 → {OUTSIDE}": ("vm4", Target.parse(OUTSIDE)),
    f"vm6 → {OUTSIDE}": ("vm6", Target.parse(OUTSIDE)),
    f"{OUTSIDE} → vm6": (OUTSIDE, Target.parse("203.0.113.12", port=7001, answerer="vm6", answerer_port=7002)),
}
"""Who probes whom. The port forwarding is one of the example burst."""
_BETWEEN_S = 0.3
"""Of quiet between two steps: an outage that nothing explains is to be seen as that."""
_AFTER_S = 0.1
"""What comes right after a step still belongs to it."""
_TURN_S = 300.0
"""How long one set of probes goes on. The senders' memory grows with its length."""


@frozen(kw_only=True)
class SoakReport:
    """What a soak came to."""

    seed: int
    steps: tuple[str, ...]
    """Those that were done, for --steps."""
    seconds: float
    sent: dict[str, int]
    """Probes, by watcher."""
    lost: dict[str, int]
    outages: tuple[Finding, ...]
    both_serve: tuple[Finding, ...]
    problems: tuple[str, ...]
    """What else is not as it has to be."""
    recording: Recording = field(repr=False)
    """For a timeline."""

    @property
    def double_master_ms(self) -> float:
        """How long both held the same address, partitions included."""
        return round(sum(each.length_ms for each in self.both_serve), 1)

    @property
    def unexplained(self) -> tuple[Finding, ...]:
        """What may not be."""
        return tuple(each for each in (*self.outages, *self.both_serve) if not each.may_be)

    @property
    def is_good(self) -> bool:
        """Nothing lost that may not be, one master, the pair whole at the end and nothing left behind."""
        return not self.unexplained and not self.problems


class _Watchers:
    """The probes, one set after the other."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._stack = ExitStack()
        self._probes: dict[str, Probe] = {}
        self._began = 0.0
        self.reports: dict[str, list[ProbeReport]] = {name: [] for name in WATCHERS}

    def __enter__(self) -> _Watchers:
        self.turn()
        return self

    def turn(self) -> None:
        """End one set and start the next, while nothing is being done."""
        self.stop()
        with ExitStack() as starting:
            self._probes = {
                name: starting.enter_context(Probe(self._laboratory, source, target))
                for name, (source, target) in WATCHERS.items()
            }
            self._stack = starting.pop_all()
        self._began = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is time for another set."""
        return time.monotonic() - self._began > _TURN_S

    def stop(self) -> None:
        """End this set."""
        for name, probe in self._probes.items():
            self.reports[name].append(probe.stop())
        self._probes = {}
        self._stack.close()

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Soak:
    """A pair under watch inside the `with` block; the laboratory is somebody else's."""

    def __init__(self, laboratory: Laboratory, burst: Path) -> None:
        self._laboratory = laboratory
        self._doer = Doer(laboratory, burst)
        self._holders = Holders(laboratory)
        self._recorder = Recorder(laboratory)
        self._watchers = _Watchers(laboratory)
        self._stack = ExitStack()
        self.done: list[Done] = []
        self.problems: list[str] = []

    def __enter__(self) -> Soak:
        with ExitStack() as stack:
            for each in (self._holders, self._recorder, self._watchers):
                stack.enter_context(each)
            self._stack = stack.pop_all()
        return self

    @property
    def now_s(self) -> float:
        """Seconds since it began."""
        return self._recorder.now_s

    def do(self, step: Step, *, ready: bool = True) -> bool:
        """The step, until the pair is whole again (`ready`: with a backup that is ready); whether it is."""
        time.sleep(_BETWEEN_S)
        number = len(self.done) + 1
        self._laboratory.tell(f"{self.now_s:.0f} s: {number}. {step}")
        with self._recorder.deed(f"{number}. {step}"):
            start_s, lacks = self.now_s, ""
            try:
                self._doer.do(step)
            except HostError as error:
                lacks = str(error)
            heard_s = self.now_s
            lacks = self._doer.make_whole(ready=ready) or lacks
            time.sleep(_AFTER_S)
            self.done.append(Done(number=number, step=step, start_s=start_s, end_s=self.now_s, heard_s=heard_s))
        if lacks:
            self.problems.append(f"{self.done[-1].words}: {lacks}")
        if self._watchers.is_due:
            self._watchers.turn()
        return not lacks

    def restore(self, digest: str) -> None:
        """Everything as at the beginning, which had this digest; what is not becomes a problem."""
        self.problems += (f"at the end: {each}" for each in self._lacks(digest))

    def account(self, seed: int = 0) -> SoakReport:
        """Account for everything until now. The next set of probes begins."""
        time.sleep(_BETWEEN_S)
        self._watchers.turn()
        began_s, advertisement_ms = self._recorder.began_ns / 1e9, self._laboratory.record.advertisement_ms
        both = [(start - began_s, end - began_s) for start, end in self._holders.both()]
        title = f"soak, seed {seed}, {len(self.done)} steps"
        recording = self._recorder.recording(title, self._watchers.reports, both_serve=both)
        reports = self._watchers.reports
        return SoakReport(
            seed=seed,
            steps=tuple(str(each.step) for each in self.done),
            seconds=round(self.now_s, 1),
            sent={name: sum(each.sent for each in part) for name, part in reports.items()},
            lost={name: sum(each.lost for each in part) for name, part in reports.items()},
            outages=tuple(judge_silences(self.done, recording.silences, advertisement_ms)),
            both_serve=tuple(judge_both_serve(self.done, both, advertisement_ms)),
            problems=(*self.problems, *self._doer.provisioner.rejected),
            recording=recording,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _lacks(self, digest: str) -> Iterator[str]:
        if lacks := self._doer.restore():
            yield lacks
            return
        for router, status in self._laboratory.status().items():
            if status["digest"] != digest:
                yield f"{router} has another configuration than at the beginning"
            with self._laboratory.connect(router) as agent:
                yield from (f"{router}: {each}" for each in agent.call({"op": "verify"})["differences"])


def run_soak(
    laboratory: Laboratory,
    burst: Path,
    *,
    minutes: float,
    seed: int,
    steps: Sequence[Step] = (),
    advertisement_ms: int = 100,
) -> SoakReport:
    """Bring the laboratory up, soak it, take it down. `steps`: these and no others, whatever the time."""
    with _own(laboratory, burst, advertisement_ms) as digest, Soak(laboratory, burst) as soak:
        for step in steps or deal(seed):
            if not steps and soak.now_s >= minutes * 60:
                break
            if not soak.do(step):
                break
        if not soak.problems:
            soak.restore(digest)
        report = soak.account(seed)
    return evolve(report, problems=(*report.problems, *_left_behind(laboratory)))


@contextmanager
def _own(laboratory: Laboratory, burst: Path, advertisement_ms: int) -> Iterator[str]:
    """The laboratory with a pair on it, at rest; yields its digest."""
    try:
        laboratory.up(advertisement_ms=advertisement_ms)
        report = run_burst(laboratory, burst_files(burst))
        if not report.is_good or not laboratory.wait(is_ready, WHOLE_S):
            raise HostError("the pair does not come to rest even before the soak", where="lab soak", hint=str(report))
        yield report.routers[ROUTERS[0]].digest
    finally:
        laboratory.tell("removing the laboratory")
        laboratory.down()


def _left_behind(laboratory: Laboratory) -> Iterator[str]:
    yield from (f"left behind: namespace of {node}" for node in topology.inodes(laboratory.names))
    if laboratory.directory.exists():
        yield f"left behind: {laboratory.directory}"
