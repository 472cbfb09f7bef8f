"""How long something took, as a cumulative histogram. Pure; a few integers, so that counting costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""From a glance's neighbour to what somebody should look at."""


class Durations:
    """A histogram over `bounds_s`."""

    def __init__(self, bounds_s: Sequence[float] = BOUNDS_S) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self._sum_s = 0.0

    def note(self, seconds: float) -> None:
        """It took so long once."""
        place = next((index for index, bound in enumerate(self._bounds_s) if seconds <= bound), len(self._bounds_s))
        self._counts[place] += 1
        self._sum_s += seconds

    def as_dict(self) -> dict[str, Any]:
        """`buckets`: each bound as text with how many took no longer, the last one "+Inf"; `sum` in seconds."""
        names, total, buckets = [*(format(each, "g") for each in self._bounds_s), "+Inf"], 0, []
        for name, count in zip(names, self._counts, strict=True):
            total += count
            buckets.append([name, total])
        return {"buckets": buckets, "sum": round(self._sum_s, 6)}
