"""Two routers whose configurations differ find out in what, each by what the other one tells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.agreement import AgreementMachine
from vpcrouter.values.agreement import WINDOW_SIZE, Thing

THINGS = st.frozensets(st.integers(0, 2**32 - 1), max_size=3 * WINDOW_SIZE)


Things = dict[int, Thing]


def named(hashes: frozenset[int]) -> Things:
    return {each: Thing("thing", str(each)) for each in hashes}


def exchange(
    one: dict[int, Thing], other: dict[int, Thing], rounds: int = 4
) -> tuple[AgreementMachine, AgreementMachine]:
    machines = AgreementMachine(patience_ns=0), AgreementMachine(patience_ns=0)
    for _ in range(rounds):
        for speaker, listener, said, own in ((0, 1, one, other), (1, 0, other, one)):
            window = machines[speaker].window(said)
            assert len(window.hashes) <= WINDOW_SIZE
            machines[listener].hear(window, own)
    return machines


@given(THINGS, THINGS, THINGS)
def test_each_names_what_it_alone_has(both: frozenset[int], here: frozenset[int], there: frozenset[int]) -> None:
    one, other = named(both | here), named(both | there)
    first, second = exchange(one, other, rounds=8)
    assert first.only_here(one) == sorted(one[each] for each in one.keys() - other.keys())
    assert second.only_here(other) == sorted(other[each] for each in other.keys() - one.keys())
    assert first.only_there == other.keys() - one.keys()


def test_what_was_handed_in_later_is_not_named_any_more() -> None:
    one, other = named(frozenset({1, 2, 3})), named(frozenset({1}))
    first, second = exchange(one, other)
    assert first.only_here(one) == [Thing("thing", "2"), Thing("thing", "3")]
    other = named(frozenset({1, 2}))
    first.hear(second.window(other), one)
    assert first.only_here(one) == [Thing("thing", "3")]


def test_a_burst_is_no_disagreement() -> None:
    machine = AgreementMachine(patience_ns=10)
    machine.observe("a", "b", 100)
    assert not machine.is_worth_telling(109)
    assert machine.is_worth_telling(110)
    machine.observe("a", None, 111)
    assert machine.differs_ns(112) == 12
    machine.observe("b", "b", 113)
    assert machine.differs_ns(114) is None
    assert not machine.is_worth_telling(200)


def test_agreement_forgets() -> None:
    one, other = named(frozenset({1})), named(frozenset({2}))
    first, _ = exchange(one, other)
    first.observe("a", "a", 0)
    assert (first.only_here(one), first.only_there) == ([], set())
