"""An abridged history leads to the state that the whole one leads to, from any state, whatever stands in it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from attrs import evolve as with_changes
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vpcrouter import events
from vpcrouter.abridging import Abridged
from vpcrouter.events import Event
from vpcrouter.events.codec import encode
from vpcrouter.folding import Fold
from vpcrouter.state import State, replay
from vpcrouter.values.config import (
    Acl,
    AclRule,
    FirewallRule,
    PortForward,
    Reservation,
    StaticNat,
    StaticRoute,
    Tier,
)
from vpcrouter.values.guests import GuestPages

# Few things, so that they meet; and nobody decides upon these events, so that they meet in every way.
_addresses = st.sampled_from(["10.1.2.5", "10.1.2.6"])
_some = partial(st.lists, max_size=2)
_acls = st.builds(
    Acl,
    device=st.sampled_from(["eth2", "eth3"]),
    ingress=st.sampled_from([(), (AclRule(protocol="tcp", first_port=1, last_port=1, networks=("0.0.0.0/0",)),)]),
)
_forwards = st.builds(
    PortForward,
    address=st.sampled_from(["203.0.113.10", "203.0.113.11"]),
    protocol=st.just("tcp"),
    first_port=st.sampled_from([80, 81]),
    last_port=st.just(90),
    target=_addresses,
    target_port=st.just(80),
    sources=st.sampled_from([(), ("198.51.100.0/24",)]),
)
_nats = st.builds(StaticNat, address=st.sampled_from(["203.0.113.12", "203.0.113.13"]), target=_addresses)
_routes = st.builds(StaticRoute, network=st.sampled_from(["192.0.2.0/24", "198.51.100.0/24"]), gateway=_addresses)
_rules = st.builds(
    FirewallRule,
    rule_id=st.integers(1, 2),
    address=st.just("203.0.113.10"),
    protocol=st.just("tcp"),
    first_port=st.integers(1, 3),
    last_port=st.just(9),
)
_puts = st.builds(
    events.ReservationPut,
    reservation=st.builds(
        Reservation,
        address=_addresses,
        mac=st.sampled_from(["02:00:00:00:00:01", "02:00:00:00:00:02"]),
        host_name=st.sampled_from(["a", "b", "c"]),
    ),
    displaced=_some(_addresses).map(tuple) | st.just(()) | st.just(()),
)
_tier = Tier(device="eth2", network="10.1.2.0/24", gateway="10.1.2.1", address="10.1.2.2")
_tiers = st.just(events.TierAdded(tier=_tier)) | st.builds(
    events.TierRemoved,
    device=st.sampled_from(["eth2", "eth3"]),
    network=st.just("10.1.2.0/24"),
    reservations=_some(_addresses).map(tuple),
)


def _changes(kind: type, things: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    """Mostly one thing, as what is sent one by one."""
    one = st.builds(kind, put=st.tuples(things))
    return one | one | st.builds(kind, put=_some(things).map(tuple), removed=_some(keys).map(tuple))


_replaced = _forwards.flatmap(
    lambda put: st.builds(
        events.PortForwardsChanged,
        put=st.tuples(st.builds(with_changes, st.just(put), target=_addresses)),
        removed=st.tuples(st.just(put) | _forwards),
    )
)
_subjects: tuple[st.SearchStrategy[Event], ...] = (
    _puts | _puts | st.builds(events.ReservationRemoved, address=_addresses) | _tiers,
    _puts | st.builds(events.GuestPagesPut, pages=st.builds(GuestPages, address=_addresses)),
    st.builds(events.AclReplaced, acl=_acls) | _tiers,
    _replaced | _replaced | _changes(events.PortForwardsChanged, _forwards, _forwards),
    _changes(events.StaticNatsChanged, _nats, st.just("203.0.113.12")),
    _changes(events.StaticRoutesChanged, _routes, st.just("192.0.2.0/24")),
    _changes(events.FirewallRulesChanged, _rules, st.just(1)),
)
histories: st.SearchStrategy[list[Event]] = st.one_of(
    *(st.lists(each, min_size=1, max_size=20) for each in _subjects), st.lists(st.one_of(*_subjects), max_size=30)
)
"""Of one subject, and of all of them."""


def put(address: str, mac: int, name: str, *displaced: str) -> Event:
    """A reservation in the tier."""
    new = Reservation(address=address, mac=f"02:00:00:00:00:{mac:02x}", host_name=name)
    return events.ReservationPut(reservation=new, displaced=displaced)


@pytest.mark.slow
@given(histories, histories, st.frozensets(st.integers(0, 29)), st.frozensets(st.integers(0, 29)))
@example(
    [],
    [put("10.1.2.5", 1, "a"), events.ReservationRemoved(address="10.1.2.5"), put("10.1.2.5", 1, "b")],
    frozenset({1}),
    frozenset(),
)
@settings(max_examples=600)
def test_an_abridged_history_leads_to_the_same_state(
    before: list[Event], history: list[Event], unknown: frozenset[int], handed: frozenset[int]
) -> None:
    """Some of the events in no form that it knows, and handed over after some of them."""
    start = replay(State(), before)
    fold, abridged = Fold(start), Abridged()

    def hand_over() -> None:
        bodies, seqs = abridged.hand_over()
        fold.take(bodies, lambda index: history[seqs[index]])

    for seq, event in enumerate(history):
        abridged.take(seq, [b"\xc1" if seq in unknown else encode(event)])
        if seq in handed:
            hand_over()
    hand_over()
    assert fold.finish() == replay(start, history)


def test_what_is_overwritten_is_left_out() -> None:
    abridged = Abridged()
    history = [put("10.1.2.5", 1, name) for name in "abc"] + [put("10.1.2.6", 2, name) for name in "de"]
    abridged.take(1, list(map(encode, history)))
    assert abridged.hand_over() == ([encode(history[2]), encode(history[4])], [1, 4])
    assert abridged.hand_over() == ([], [])
