"""Times in which both hold an address, or nobody does; and what the kernel tells of it."""

from __future__ import annotations

import time

import pytest

from tests.lab.hand_made import run_in
from vpcrouter.lab.holders import Holders, gaps, overlaps
from vpcrouter.lab.laboratory import Laboratory


def test_overlaps() -> None:
    assert list(overlaps([(0, 2), (3, 5)], [(1, 4), (4.5, 9)])) == [(1, 2), (3, 4), (4.5, 5)]
    assert list(overlaps([(0, 1)], [(1, 2)])) == []


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], [(0, 10)]),
        ([(0, 10)], []),
        ([(1, 3), (2, 5), (8, 12)], [(0, 1), (5, 8)]),
        ([(0, 9), (2, 3)], [(9, 10)]),
    ],
)
def test_gaps(spans: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    assert list(gaps(spans, (0, 10))) == expected


@pytest.mark.lab
def test_who_holds_an_address_is_seen_from_outside(bare: Laboratory) -> None:
    def address(router: str, verb: str) -> None:
        run_in(bare, router, "ip", "address", verb, "10.1.4.1/24", "dev", "eth4")

    address("rA", "add")
    with Holders(bare) as holders:
        assert (holders.both(), holders.neither()) == ((), ())
        address("rB", "add")
        time.sleep(0.1)
        address("rA", "del")
        time.sleep(0.1)
        address("rB", "del")
        time.sleep(0.1)
        bare.crash("rB", "namespace")
        time.sleep(0.05)
        (both,), neither = holders.both(), holders.neither()
    assert 0.08 <= both[1] - both[0] <= 1.0
    assert len(neither) == 1 and neither[0][0] > both[1]
