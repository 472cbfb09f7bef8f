"""What a soak came to: every outage and every time of two masters, each with its cause and whether it may be. Pure.

Called by `soak` with what was done and seen. Times are seconds since the soak began. An outage belongs to the step in
whose window it begins or ends; a step's outages together must fit into what it may cost, for each watcher by itself.
One that no step explains may not be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from vpcrouter.lab.steps import Cost, Step, cost_of
from vpcrouter.timeline import Silence


@frozen(kw_only=True)
class Done:
    """A step, from its beginning until the pair was whole again."""

    number: int
    step: Step
    start_s: float
    end_s: float
    heard_s: float
    """From when on the two routers could hear each other again; `start_s` if nothing parted them."""

    @property
    def words(self) -> str:
        """For people, and for --steps."""
        return f"{self.number}. {self.step}"


@frozen(kw_only=True)
class Finding:
    """An outage of a watcher, or a time in which both routers held the same address."""

    watcher: str
    """`both serve` for the latter."""
    at_s: float
    length_ms: float
    lost: int
    cause: str
    """The step; empty: none."""
    may_cost_ms: float
    """What all outages of this watcher in this step may come to together."""
    may_be: bool


BOTH_SERVE = "both serve"


def judge_silences(
    done: Sequence[Done], silences: Mapping[str, Sequence[Silence]], advertisement_ms: int
) -> Iterator[Finding]:
    """Every outage of every watcher. The sum counts probes or time, whichever is less: a probe that the sender was late
    with is one lost probe, and a long outage may hide in a sender's gap."""
    for watcher, found in silences.items():
        by_step: dict[int, list[Silence]] = defaultdict(list)
        for each in found:
            cause = _step_at(done, each.start_s, each.start_s + each.length_ms / 1000)
            by_step[cause.number if cause else 0].append(each)
        for number, together in by_step.items():
            cause = next((each for each in done if each.number == number), None)
            allowed_ms = cost_of(cause.step, advertisement_ms).silence_ms if cause else 0.0
            cost_ms = min(sum(each.length_ms for each in together), float(sum(each.lost for each in together)))
            for each in together:
                yield Finding(
                    watcher=watcher,
                    at_s=round(each.start_s, 3),
                    length_ms=round(each.length_ms, 1),
                    lost=each.lost,
                    cause=cause.words if cause else "",
                    may_cost_ms=round(allowed_ms, 1),
                    may_be=cost_ms <= allowed_ms,
                )


def judge_both_serve(
    done: Sequence[Done], spans: Sequence[tuple[float, float]], advertisement_ms: int
) -> Iterator[Finding]:
    """Every time in which both held the address. While a step keeps them from hearing each other it may last."""
    together: dict[int, float] = defaultdict(float)
    counted: list[tuple[float, float, Done | None, float]] = []
    for start, end in spans:
        cause = _step_at(done, start, end)
        cost = cost_of(cause.step, advertisement_ms) if cause else Cost()
        since = max(start, cause.heard_s) if cause and cost.parted else start
        length_ms = max(0.0, end - since) * 1000
        together[cause.number if cause else 0] += length_ms
        counted.append((start, end, cause, cost.both_serve_ms))
    for start, end, cause, allowed_ms in counted:
        yield Finding(
            watcher=BOTH_SERVE,
            at_s=round(start, 3),
            length_ms=round((end - start) * 1000, 1),
            lost=0,
            cause=cause.words if cause else "",
            may_cost_ms=round(allowed_ms, 1),
            may_be=together[cause.number if cause else 0] <= allowed_ms,
        )


def _step_at(done: Sequence[Done], start_s: float, end_s: float) -> Done | None:
    return next((each for each in done if each.start_s <= end_s and start_s <= each.end_s), None)
