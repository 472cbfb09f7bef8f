"""From numbered probes to windows without traffic. Pure; the standard library only, since `probe` imports it.

A window begins when the first lost probe was sent and ends when the next answered one was sent, so its length
does not depend on how evenly the probes were paced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

NANOSECONDS_PER_MS = 1_000_000


def find_outages(sent_ns: Sequence[int], answered_ns: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Every window as (start in ns after the first probe, length in ns, probes lost).

    `answered_ns` holds 0 for a probe without an answer. A window that lasts until the last probe ends there.
    """
    first_lost: int | None = None
    for number, answered in enumerate(answered_ns):
        if not answered and first_lost is None:
            first_lost = number
        elif answered and first_lost is not None:
            yield _window(sent_ns, first_lost, number, number)
            first_lost = None
    if first_lost is not None:
        yield _window(sent_ns, first_lost, len(sent_ns) - 1, len(sent_ns))


def _window(sent_ns: Sequence[int], first_lost: int, closed_by: int, end: int) -> tuple[int, int, int]:
    return (
        sent_ns[first_lost] - sent_ns[0],
        sent_ns[closed_by] - sent_ns[first_lost],
        end - first_lost,
    )


def longest_gap(times_ns: Sequence[int]) -> int:
    """The longest time between two neighbours, in ns."""
    return max((later - earlier for earlier, later in pairwise(times_ns)), default=0)
