"""Of what a peer tells, that counts which can be so."""

from __future__ import annotations

from vpcrouter.machines.explanation import ExplanationMachine
from vpcrouter.values.agreement import MOST_TRACED, Difference, Side, Thing, Touch, Trace

ACL, LEASE, USER = Thing("ACL", "eth2"), Thing("reservation", "10.1.2.20"), Thing("vpn-users", "carol")
HERE, THERE = Touch(seq=42, event="acl-replaced", time_ms=5), Touch(seq=40, event="acl-replaced", time_ms=4)


def test_both_sides_of_a_thing_are_told() -> None:
    machine = ExplanationMachine()
    machine.hear([Trace(thing=ACL, hash=7, touch=THERE)])
    things = machine.things({ACL: 1}, [ACL], {7})
    assert machine.differences(things, {ACL: 1}, {ACL: HERE}) == [
        Difference(thing=ACL, here=Side(is_there=True, touch=HERE), there=Side(is_there=True, touch=THERE))
    ]


def test_what_is_not_known_yet_is_not_made_up() -> None:
    machine = ExplanationMachine()
    assert machine.differences(machine.things({ACL: 1}, [ACL], ()), {ACL: 1}, {}) == [
        Difference(thing=ACL, here=Side(is_there=True), there=None)
    ]


def test_what_only_the_peer_has_is_looked_up_and_answered() -> None:
    machine = ExplanationMachine()
    machine.hear([Trace(thing=USER, hash=9, touch=THERE)])
    things = machine.things({}, [], {9})
    assert things == (USER,)
    assert machine.differences(things, {}, {USER: HERE})[0].here == Side(is_there=False, touch=HERE)


def test_what_can_not_be_so_any_more_is_forgotten() -> None:
    machine = ExplanationMachine()
    told = [
        Trace(thing=ACL, hash=7, touch=THERE),  # the peer has it no more: a window lacked it
        Trace(thing=LEASE, hash=None, touch=THERE),  # the peer has it by now: it is none of what only this router has
        Trace(thing=USER, hash=9, touch=THERE),  # this router has it by now
    ]
    machine.hear(told)
    assert machine.things({LEASE: 2, USER: 9}, [], {9}) == ()
    machine.hear(told)
    assert machine.things({LEASE: 2, ACL: 1}, [LEASE], {7, 9}) == (ACL, LEASE, USER)


def test_the_newest_word_counts() -> None:
    machine = ExplanationMachine()
    machine.hear([Trace(thing=LEASE, hash=None, touch=Touch(seq=0))])
    machine.hear([Trace(thing=LEASE, hash=8, touch=THERE)])
    assert machine.differences(machine.things({LEASE: 2}, [LEASE], {8}), {LEASE: 2}, {})[0].there == Side(
        is_there=True, touch=THERE
    )


def test_of_thousands_a_few_are_told_and_few_are_kept() -> None:
    machine = ExplanationMachine()
    for start in range(0, 3000, 6):
        machine.hear(
            [Trace(thing=Thing("reservation", f"{n:05}"), hash=n, touch=THERE) for n in range(start, start + 6)]
        )
    own = {Thing("ACL", f"{n:05}"): n for n in range(5000, 8000)}
    things = machine.things(own, sorted(own), range(3000))
    assert len(things) == 3 * MOST_TRACED
    assert things[:MOST_TRACED] == tuple(sorted(own))[:MOST_TRACED]
