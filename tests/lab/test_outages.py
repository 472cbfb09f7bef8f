"""Windows without traffic, against a slow and obvious count."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.lab.outages import find_outages, longest_gap
from vpcrouter.lab.probe import is_awaited

MS = 1_000_000


def windows(pattern: str) -> list[tuple[int, int, int]]:
    """One probe each millisecond, `.` answered, `x` lost; in milliseconds."""
    sent = [100 * MS + number * MS for number in range(len(pattern))]
    answered = [0 if letter == "x" else time_ns + 1 for time_ns, letter in zip(sent, pattern, strict=True)]
    return [(start // MS, length // MS, lost) for start, length, lost in find_outages(sent, answered)]


def test_a_window_lasts_until_the_next_answered_probe() -> None:
    assert windows("..xxx..x.") == [(2, 3, 3), (7, 1, 1)]


def test_a_window_that_never_closes_ends_with_the_last_probe() -> None:
    assert windows("..xxx") == [(2, 2, 3)]
    assert windows("x") == [(0, 0, 1)]


def test_nothing_lost_is_no_window() -> None:
    assert windows("....") == []
    assert windows("") == []


@given(st.text(alphabet=".x", max_size=200))
def test_every_lost_probe_is_in_exactly_one_window(pattern: str) -> None:
    found = windows(pattern)
    inside = {start + offset for start, _, lost in found for offset in range(lost)}
    assert inside == {number for number, letter in enumerate(pattern) if letter == "x"}
    assert sum(lost for _, _, lost in found) == pattern.count("x")
    assert len(found) == len([run for run in pattern.split(".") if run])


def test_the_longest_gap() -> None:
    assert longest_gap([1, 2, 7, 8]) == 5
    assert longest_gap([3]) == longest_gap([]) == 0


@pytest.mark.parametrize(
    ("pattern", "now_ms", "awaited"),
    [
        ("....", 4, False),
        ("...x", 4, True),
        ("...x", 1004, False),
        ("x...", 999, True),
        ("x...", 1002, False),
        ("", 0, False),
    ],
)
def test_an_answer_is_awaited_for_a_second(pattern: str, now_ms: int, awaited: bool) -> None:
    sent = array("q", [number * MS for number in range(len(pattern))])
    answered = array("q", [letter == "." for letter in pattern])
    assert is_awaited(sent, answered, now_ms * MS) == awaited
