"""The arithmetic of the table: what a ratio and a bound mean, and that peers are measured in turn."""

from __future__ import annotations

import pytest

from bench.row import Reach, Row, side_by_side


@pytest.mark.parametrize(
    ("reach", "ours", "peer", "holds"),
    [
        (None, 1.0, None, None),
        (Reach(at_most=30), 30.0, None, True),
        (Reach(at_most=30), 30.1, None, False),
        (Reach(at_most_times=1.5), 15.0, 10.0, True),
        (Reach(at_most_times=1.5), 16.0, 10.0, False),
        (Reach(at_least_times=0.5), 5.0, 10.0, True),
        (Reach(at_least_times=0.5), 4.0, 10.0, False),
        (Reach(at_most=20, at_most_times=1.5), 18.0, 10.0, False),
        (Reach(at_most_times=1.5), 1.0, None, False),
    ],
)
def test_a_row_holds_if_it_reaches_every_bound(
    reach: Reach | None, ours: float, peer: float | None, holds: bool | None
) -> None:
    assert Row(what="it", ours=ours, peer=peer, reach=reach).holds is holds


def test_a_bound_reads_as_in_the_table() -> None:
    assert str(Reach(at_most=30, at_most_times=1.5)) == "≤ 30, ≤ 1.5 ×"
    assert str(Reach(at_least_times=20)) == "≥ 20 ×"


def test_peers_are_measured_in_turn_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def measure(name: str, figures: list[float]) -> float:
        calls.append(name)
        return figures.pop(0)

    peer, ours = [900.0, 1.0, 7.0, 3.0], [900.0, 20.0, 10.0, 60.0]
    assert side_by_side(lambda: measure("peer", peer), lambda: measure("ours", ours), rounds=3) == (3.0, 20.0)
    assert calls == ["peer", "ours"] * 4
