"""When a claim of another is a conflict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.conflicts import ConflictMachine
from vpcrouter.values.claim import Claim

S = 1_000_000_000
GATEWAY, OTHER = "10.1.1.1", "10.1.2.1"


def claim(number: int = 1, address: str = GATEWAY) -> Claim:
    return Claim(device="eth2", address=address, mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")


def test_a_service_that_changes_hands_is_no_conflict() -> None:
    machine = ConflictMachine()
    assert machine.hear([claim()], {GATEWAY}, 0) == ()
    assert machine.hear([claim()], {GATEWAY}, S // 2) == ()
    assert machine.conflicts == ()


def test_a_claim_that_is_repeated_is_one_and_is_new_once() -> None:
    machine = ConflictMachine()
    machine.hear([claim()], {GATEWAY}, 0)
    assert machine.hear([claim()], {GATEWAY}, 2 * S) == (claim(),)
    assert machine.hear([claim()], {GATEWAY}, 3 * S) == ()
    assert machine.conflicts == (claim(),)


def test_it_ends_when_nobody_repeats_it_or_the_address_is_ours_no_more() -> None:
    for own, end_ns in (({GATEWAY}, 62 * S), ({OTHER}, 3 * S)):
        machine = ConflictMachine()
        machine.hear([claim()], {GATEWAY}, 0)
        machine.hear([claim()], {GATEWAY}, 2 * S)
        machine.hear([], own, end_ns)
        assert machine.conflicts == ()


@given(st.lists(st.tuples(st.lists(st.integers(0, 500)), st.integers(0, 5 * S)), max_size=60))
def test_whoever_makes_up_macs_fills_no_memory(looks: list[tuple[list[int], int]]) -> None:
    machine, now_ns = ConflictMachine(), 0
    for numbers, pause_ns in looks:
        now_ns += pause_ns
        machine.hear(map(claim, numbers), {GATEWAY}, now_ns)
        assert len(machine.conflicts) <= 64
