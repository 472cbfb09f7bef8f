"""What is made of what changed is what is made of everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import additive_commands, any_command
from vpcrouter.commands import ChangePortForwards, Command
from vpcrouter.decide import decide
from vpcrouter.errors import RejectedCommandError
from vpcrouter.events import registry
from vpcrouter.events.schema import Many
from vpcrouter.materialise import chunks, materialise
from vpcrouter.plan.daemons import loses_a_line
from vpcrouter.state import Draft, State
from vpcrouter.values import incremental
from vpcrouter.values.config import AclRule, PortForward
from vpcrouter.values.desired import Desired
from vpcrouter.values.incremental import Difference, Latest, Sorted, common_head, common_tail, went_and_came
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

numbers = st.lists(st.integers(0, 2000), unique=True, max_size=40).map(tuple)
long = st.builds(
    lambda length, holes: tuple(each for each in range(length) if each not in holes),
    st.integers(0, 1600),
    st.sets(st.integers(0, 1600), max_size=4),
)
sequences = numbers | long


@given(sequences, sequences)
def test_heads_and_tails_are_as_long_as_they_are(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    shorter = min(len(one), len(other))
    head = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    assert common_head(one, other) == head
    most = shorter - head
    tail = next((at for at in range(most) if one[-1 - at] != other[-1 - at]), most)
    assert common_tail(one, other, most) == tail


@given(sequences, sequences)
def test_what_went_and_came_leads_from_one_to_the_other(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    went, came = went_and_came(one, other)
    assert sorted([*(each for each in one if each not in went), *came]) == sorted(other)


@given(st.lists(st.tuples(sequences, st.integers(0, 1)), min_size=1, max_size=8))
def test_a_memory_does_not_show(calls: list[tuple[tuple[int, ...], int]]) -> None:
    def make(number: int, context: int) -> Iterator[tuple[int, int]]:
        yield from ((part, number) for part in range((number + context) % 3))

    remembering: Sorted[int, tuple[int, int]] = Sorted(make)
    for things, context in calls:
        scratch: Sorted[int, tuple[int, int]] = Sorted(make)
        assert remembering.of(things, context) == scratch.of(things, context)


repeated = st.lists(st.integers(0, 30), max_size=40).map(tuple)


@given(st.lists(st.tuples(sequences | repeated, sequences | repeated), min_size=1, max_size=8))
def test_what_differs_is_what_differs_at_first_sight(calls: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    remembering: Difference[int] = Difference()
    for wanted, actual in calls:
        assert remembering.of(wanted, actual) == (set(wanted) - set(actual), set(actual) - set(wanted))


@given(st.lists(st.tuples(st.sampled_from("+-"), st.booleans(), st.integers(0, 299)), max_size=20))
def test_what_differs_after_small_changes(changes: list[tuple[str, bool, int]]) -> None:
    remembering: Difference[int] = Difference()
    sides = [list(range(300)), list(range(300))]
    remembering.of(tuple(sides[0]), tuple(sides[1]))
    for what, of_actual, number in changes:
        side = sides[of_actual]
        if what == "+":
            side.append(number)  # may be there twice then
        elif number in side:
            side.remove(number)
        wanted, actual = map(set, sides)
        assert remembering.of(tuple(sides[0]), tuple(sides[1])) == (wanted - actual, actual - wanted)


@given(st.lists(st.integers(0, 3), max_size=20))
def test_the_latest_two_things_are_known_by_identity(asked: list[int]) -> None:
    things: list[list[int]] = [[] for _ in range(4)]  # all equal
    made: list[int] = []

    def make(thing: list[int]) -> int:
        number = next(index for index, each in enumerate(things) if each is thing)
        made.append(number)
        return number

    latest = Latest(make)
    assert [latest.of(things[number]) for number in asked] == asked
    alternating = Latest(make)
    made.clear()
    for _ in range(3):
        assert [alternating.of(things[0]), alternating.of(things[1])] == [0, 1]
    assert made == [0, 1]


@pytest.mark.slow
@given(st.lists(any_command, min_size=1, max_size=30), st.booleans())
def test_settling_after_each_command_ends_where_settling_once_does(stream: list[Command], full: bool) -> None:
    draft = Draft(State())
    for command in [*(additive_commands(2) if full else ()), *stream]:
        try:
            decision = decide(draft, command)
        except RejectedCommandError:
            continue
        if decision.event is not None:
            draft.apply(decision.event)
            state = draft.finish()
            assert _desired(state) == _from_scratch(state)


def _desired(state: State) -> Desired:
    return materialise(state, Role.MASTER, Settings())


def _from_scratch(state: State) -> Desired:
    kept = [(each, each._last) for each in incremental._ALL]
    cuts = dict(chunks._cuts)
    incremental.forget()
    chunks._cuts.clear()
    try:
        return _desired(state)
    finally:
        chunks._cuts.update(cuts)
        for each, last in kept:
            each._last = last


texts = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(lambda lines: "".join(f"{x}\n" for x in lines))


@given(texts, texts)
def test_a_line_is_lost_when_it_is_nowhere_any_more(old: str, new: str) -> None:
    assert loses_a_line(old, new) is (not set(old.splitlines()) <= set(new.splitlines()))


ports = st.integers(1, 12)
forwards = st.builds(
    lambda protocol, first, length, sources: PortForward(
        address="203.0.113.10",
        protocol=protocol,
        first_port=first,
        last_port=first + length,
        target="10.1.2.10",
        target_port=first,
        sources=sources,
    ),
    st.sampled_from(["tcp", "udp"]),
    ports,
    st.integers(0, 3),
    st.sampled_from([(), ("198.51.100.0/24",), ("192.0.2.0/24",)]),
)
changes = st.builds(
    lambda put, remove: ChangePortForwards(put=tuple(put), remove=tuple(remove)),
    st.lists(forwards, max_size=3),
    st.lists(forwards, max_size=2),
)


@given(st.lists(changes, max_size=12))
def test_no_two_forwardings_share_a_port_and_a_client(stream: list[ChangePortForwards]) -> None:
    """Deciding looks at what is near the named ports only."""
    draft = Draft(State())
    for command in stream:
        try:
            decision = decide(draft, command)
        except RejectedCommandError:
            continue
        if decision.event is not None:
            draft.apply(decision.event)
        found = draft.forwards.get("203.0.113.10", ())
        taken = [
            (f.protocol, port, s)
            for f in found
            for port in range(f.first_port, f.last_port + 1)
            for s in f.sources or ("198.51.100.0/24", "192.0.2.0/24")
        ]
        assert len(taken) == len(set(taken))


_RULES = [AclRule(protocol="tcp", first_port=port, last_port=port, networks=("10.0.0.0/8",)) for port in range(1, 900)]


_CHANGES = st.tuples(st.integers(0, 899), st.integers(0, 40), st.lists(st.sampled_from(_RULES), max_size=3))


@given(st.lists(_CHANGES, max_size=6))
def test_a_long_list_is_packed_as_if_there_had_been_none_before(changes: list[tuple[int, int, list[AclRule]]]) -> None:
    many, rules = Many(registry.ACL_RULE), tuple(_RULES)
    many.pack(rules)
    for at, gone, new in changes:
        rules = (*rules[:at], *new, *rules[at + gone :])
        assert many.pack(rules) == [registry.ACL_RULE.pack(each) for each in rules]
