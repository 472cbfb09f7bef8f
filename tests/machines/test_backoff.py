"""The back-off: soon, then ever more slowly, never beyond its cap, and it forgets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.backoff import Backoff

MS = 1_000_000


def test_the_delay_doubles_up_to_the_cap() -> None:
    backoff = Backoff(first_ms=50, cap_ms=300)
    now = 0
    delays = []
    for _ in range(5):
        retry = backoff.failed(now)
        delays.append((retry - now) // MS)
        now = retry
    assert delays == [50, 100, 200, 300, 300]
    assert backoff.failures == 5


def test_a_success_makes_it_forget() -> None:
    backoff = Backoff(first_ms=50, cap_ms=300)
    backoff.failed(0)
    backoff.failed(50 * MS)
    backoff.succeeded()
    assert backoff.failures == 0
    assert backoff.failed(100 * MS) == 150 * MS


def test_what_held_for_the_cap_after_its_retry_has_not_failed_in_a_row() -> None:
    backoff = Backoff(first_ms=50, cap_ms=300)
    backoff.failed(0)
    assert backoff.failed(349 * MS) == 449 * MS
    assert backoff.failed(749 * MS) == 799 * MS
    assert backoff.failures == 1


def test_a_cap_below_the_first_delay_is_that_delay() -> None:
    backoff = Backoff(first_ms=50, cap_ms=10)
    assert [backoff.failed(0), backoff.failed(0)] == [50 * MS, 50 * MS]


@given(st.lists(st.integers(0, 10_000), max_size=300), st.integers(1, 1000), st.integers(1, 10_000))
def test_every_delay_is_between_the_first_and_the_cap(gaps_ms: list[int], first_ms: int, cap_ms: int) -> None:
    backoff = Backoff(first_ms=first_ms, cap_ms=cap_ms)
    now = 0
    for gap in gaps_ms:
        now += gap * MS
        retry = backoff.failed(now)
        assert first_ms * MS <= retry - now <= max(first_ms, cap_ms) * MS
