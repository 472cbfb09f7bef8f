"""The service changes hands on purpose: each router's part, and what ends it when the other does not do its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.handover import LEAVE_NS, OFFER_NS, STRENGTHEN_NS, HandoverMachine, Phase
from vpcrouter.values.role import Role

MASTER, BACKUP, FAULT = Role.MASTER, Role.BACKUP, Role.FAULT
ROLES = st.sampled_from(list(Role))


def machine() -> HandoverMachine:
    return HandoverMachine(advertisement_interval_ms=100)


def offering(*, forced: bool = False) -> HandoverMachine:
    made = machine()
    made.begin(0, taker=b"t" * 8, forced=forced)
    made.bridged(0)
    return made


def standing(made: HandoverMachine) -> tuple[str, int, bool, bool | None]:
    return made.phase.value, made.offer, made.is_bridged, made.outcome


def step(
    made: HandoverMachine, now_ns: int, role: Role, *, ready: bool = False, offer: int = 0, peer: Role | None = None
) -> bool:
    return made.step(now_ns, role=role, ready=ready, offer=offer, is_served=peer is Role.MASTER)


def test_a_master_offers_only_when_its_routes_are_there() -> None:
    made = machine()
    assert (made.offer, made.is_bridged) == (0, False)
    made.begin(0, taker=b"t" * 8, forced=False)
    assert (made.phase, made.offer, made.is_bridged) == (Phase.BRIDGING, 0, True)
    made.bridged(1)
    assert (made.phase, made.offer, made.is_bridged) == (Phase.OFFERING, 1, True)
    assert offering(forced=True).offer == 2


def test_an_offer_names_who_is_to_take_it() -> None:
    made = machine()
    made.begin(0, taker=b"t" * 8, forced=False)
    assert made.taker == b""
    made.bridged(1)
    assert (made.offer, made.taker) == (1, b"t" * 8)
    step(made, 2, BACKUP)
    assert made.taker == b""


def test_it_forwards_for_a_while_after_it_has_stepped_back() -> None:
    made = offering()
    assert not step(made, 1, MASTER)
    assert made.outcome is None
    assert step(made, 2, BACKUP)
    assert standing(made) == ("leaving", 0, True, True)
    assert not step(made, 1 + LEAVE_NS, BACKUP)
    assert step(made, 2 + LEAVE_NS, BACKUP)
    assert standing(made) == ("idle", 0, False, True)


def test_who_has_lost_what_its_peer_has_bridges_until_it_is_relieved_or_has_it_again() -> None:
    made = machine()
    assert made.step(0, role=MASTER, ready=False, offer=0, is_served=False, outranked=True)
    assert standing(made) == ("yielding", 0, True, None)
    assert not made.is_under_way
    assert not made.step(LEAVE_NS, role=MASTER, ready=False, offer=0, is_served=False, outranked=True)
    assert step(made, LEAVE_NS, MASTER)
    assert standing(made) == ("idle", 0, False, None)

    made.step(0, role=MASTER, ready=False, offer=0, is_served=False, outranked=True)
    assert step(made, 1, FAULT, peer=MASTER)
    assert standing(made) == ("leaving", 0, True, None)
    assert step(made, 1 + LEAVE_NS, FAULT, peer=MASTER)
    assert standing(made) == ("idle", 0, False, None)


def test_who_yields_can_be_asked_to_hand_over() -> None:
    made = machine()
    made.step(0, role=MASTER, ready=False, offer=0, is_served=False, outranked=True)
    made.begin(1, taker=b"t" * 8, forced=True)
    made.bridged(2)
    assert made.offer == 2


def test_an_offer_that_nobody_takes_is_withdrawn() -> None:
    made = offering()
    assert not step(made, OFFER_NS, MASTER)
    assert step(made, 2 * OFFER_NS, MASTER)
    assert standing(made) == ("idle", 0, False, False)


def test_a_router_that_fails_meanwhile_has_not_handed_over() -> None:
    made = offering()
    assert step(made, 1, FAULT)
    assert made.outcome is False


@pytest.mark.parametrize(
    ("offer", "ready", "takes"),
    [(0, True, False), (1, True, True), (1, False, False), (2, True, True), (2, False, True)],
)
def test_a_backup_takes_what_is_offered_if_it_is_ready_or_told_to(offer: int, ready: bool, takes: bool) -> None:
    made = machine()
    assert step(made, 1, BACKUP, ready=ready, offer=offer, peer=MASTER) is takes
    assert made.takes_over is takes


@pytest.mark.parametrize("role", [MASTER, FAULT, Role.INIT])
def test_nobody_else_takes_it(role: Role) -> None:
    assert not step(machine(), 1, role, ready=True, offer=2, peer=MASTER)


def taking() -> HandoverMachine:
    made = machine()
    step(made, 0, BACKUP, ready=True, offer=1, peer=MASTER)
    return made


def test_it_stays_strong_until_the_other_one_has_stepped_back() -> None:
    made = taking()
    assert not step(made, 1, BACKUP, ready=True, offer=1, peer=MASTER)
    assert not step(made, 2, MASTER, offer=1, peer=MASTER)
    assert not step(made, 3, MASTER, offer=0, peer=MASTER)
    assert step(made, 4, MASTER, offer=0, peer=BACKUP)
    assert not made.takes_over


def test_an_offer_that_is_withdrawn_is_not_taken_any_more() -> None:
    made = taking()
    assert step(made, 1, BACKUP, ready=True, offer=0, peer=MASTER)
    assert not made.takes_over


def test_a_peer_that_falls_silent_does_not_make_it_strong_for_ever() -> None:
    made = taking()
    assert step(made, 1, MASTER, peer=None)
    made = taking()
    assert step(made, STRENGTHEN_NS, MASTER, offer=1, peer=MASTER)


@given(st.lists(st.tuples(st.integers(0, 10**10), ROLES, st.booleans(), st.integers(0, 2), st.none() | ROLES)))
def test_whatever_happens_it_comes_to_rest(events: list[tuple[int, Role, bool, int, Role | None]]) -> None:
    made, now = offering(), 0
    for passed, role, ready, offer, peer in events:
        now += passed
        step(made, now, role, ready=ready, offer=offer, peer=peer)
        assert not (made.takes_over and made.is_bridged)
    for _ in range(3):
        now += STRENGTHEN_NS + OFFER_NS
        step(made, now, BACKUP)
    assert made.phase is Phase.IDLE
    assert made.outcome is not None
