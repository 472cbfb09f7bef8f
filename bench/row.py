"""One line of the table, and how its two figures are taken: peer and ours in turn, in one run, medians of the rounds.

The ratio is what a row stands for; single figures differ from machine to machine, and from run to run on a busy one.
A measurement yields the time it took in milliseconds, so that it can prepare and clean up outside of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from attrs import field, frozen

Measurement = Callable[[], float]


class NotMeasuredError(Exception):
    """This machine cannot take a measurement; the text says what it lacks."""


@frozen(kw_only=True)
class Reach:
    """What a figure has to reach: each bound that is not None."""

    at_most: float | None = None
    """In the row's unit."""
    at_least: float | None = None
    at_most_times: float | None = None
    """Of the peer's figure."""
    at_least_times: float | None = None

    def __str__(self) -> str:
        bounds = (
            (self.at_most, "≤ {:g}"),
            (self.at_least, "≥ {:,.0f}"),
            (self.at_most_times, "≤ {:g} ×"),
            (self.at_least_times, "≥ {:g} ×"),
        )
        return ", ".join(words.format(bound) for bound, words in bounds if bound is not None)


@frozen(kw_only=True)
class Row:
    """Our figure, and the peer's if there is one."""

    what: str
    ours: float
    unit: str = "ms"
    peer: float | None = None
    peer_name: str = ""
    reach: Reach | None = field(default=None)

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def holds(self) -> bool | None:
        """Whether our figure reaches what it has to; None if nothing is asked of it."""
        if self.reach is None:
            return None
        ratio = self.ratio
        return (
            (self.reach.at_most is None or self.ours <= self.reach.at_most)
            and (self.reach.at_least is None or self.ours >= self.reach.at_least)
            and (self.reach.at_most_times is None or (ratio is not None and ratio <= self.reach.at_most_times))
            and (self.reach.at_least_times is None or (ratio is not None and ratio >= self.reach.at_least_times))
        )


def timed(action: Callable[[], object]) -> float:
    """The milliseconds that one call takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def side_by_side(*measurements: Measurement, rounds: int) -> tuple[float, ...]:
    """The median of each, taken in turn so that a disturbance meets all of them; the first round only warms up."""
    taken: list[list[float]] = [[] for _ in measurements]
    for number in range(rounds + 1):
        for measurement, figures in zip(measurements, taken, strict=True):
            figure = measurement()
            if number:
                figures.append(figure)
    return tuple(median(figures) for figures in taken)
