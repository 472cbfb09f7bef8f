"""What a sample names, and when a backup may say that it has everything."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.readiness import EPOCH_SAMPLES, ConnectionComparison, ConnectionSampler
from vpcrouter.values.connections import SAMPLE_SIZE

HASHES = st.frozensets(st.integers(0, 2**32 - 1), max_size=100)


def in_step(*looks: tuple[frozenset[int], frozenset[int]]) -> ConnectionComparison:
    """A comparison after these looks at the serving router's table and at the backup's."""
    sampler, comparison = ConnectionSampler(7), ConnectionComparison()
    for serving, own in looks:
        comparison.compare(sampler.take(serving), own)
    return comparison


@given(HASHES, st.integers(0, 2**32 - 1))
def test_a_sample_names_what_lasts_and_all_of_it_where_it_is_little(table: frozenset[int], start: int) -> None:
    sampler = ConnectionSampler(start)
    assert sampler.take(table).hashes == ()
    sample = sampler.take(table)
    assert (sample.number, sample.total) == (2, len(table))
    assert set(sample.hashes) <= table
    assert len(sample.hashes) == len(set(sample.hashes)) == min(len(table), SAMPLE_SIZE)


@given(HASHES, HASHES)
def test_what_has_just_come_or_gone_is_not_named(before: frozenset[int], after: frozenset[int]) -> None:
    sampler = ConnectionSampler(0)
    sampler.take(before)
    assert set(sampler.take(after).hashes) <= before & after


def test_an_epoch_keeps_to_the_same_and_the_next_one_takes_others() -> None:
    table = frozenset(random.Random(1).sample(range(2**32), 10_000))
    sampler = ConnectionSampler(3)
    samples = [sampler.take(table) for _ in range(5 * EPOCH_SAMPLES)][1:]
    by_epoch: dict[int, set[tuple[int, ...]]] = {}
    for sample in samples:
        by_epoch.setdefault(sample.epoch, set()).add(sample.hashes)
    assert all(len(different) == 1 for different in by_epoch.values())
    named = [set(next(iter(each))) for each in by_epoch.values()]
    assert all(not one & other for one, other in itertools.pairwise(named))


def test_a_tenth_that_is_missing_is_found_in_a_few_samples() -> None:
    table = random.Random(2).sample(range(2**32), 10_000)
    own = frozenset(table[1_000:])
    comparison = in_step(*[(frozenset(table), own)] * (2 * EPOCH_SAMPLES))
    assert comparison.missing > 0


def test_two_looks_are_needed() -> None:
    table = frozenset({1, 2, 3})
    assert not in_step((table, table)).is_in_step
    assert in_step((table, table), (table, table)).is_in_step


def test_an_empty_table_is_in_step_with_an_empty_one() -> None:
    assert in_step((frozenset(), frozenset()), (frozenset(), frozenset())).is_in_step


def test_what_is_missing_twice_is_missing() -> None:
    table, own = frozenset({1, 2, 3}), frozenset({1, 2, 9})
    comparison = in_step(*[(table, table)] * 3, (table, own))
    assert (comparison.is_in_step, comparison.missing) == (True, 0)
    comparison = in_step(*[(table, table)] * 3, *[(table, own)] * 2)
    assert (comparison.is_in_step, comparison.missing) == (False, 1)
    comparison = in_step(*[(table, own)] * 4, (table, table))
    assert (comparison.is_in_step, comparison.missing) == (True, 0)


def test_a_connection_that_ends_is_not_missing() -> None:
    table, later = frozenset({1, 2, 3}), frozenset({1, 2})
    comparison = in_step(*[(table, table)] * 3, (table, later), (later, later))
    assert comparison.is_in_step


def test_after_a_doubt_it_has_to_be_proven_again() -> None:
    table = frozenset({1, 2, 3})
    sampler, comparison = ConnectionSampler(7), ConnectionComparison()
    for _ in range(3):
        comparison.compare(sampler.take(table), table)
    comparison.doubt()
    assert not comparison.is_in_step
    comparison.compare(sampler.take(table), table)
    assert not comparison.is_in_step
    comparison.compare(sampler.take(table), table)
    assert comparison.is_in_step


def test_a_new_epoch_does_not_hide_what_is_missing() -> None:
    table, own = frozenset(range(10)), frozenset(range(5))
    looks = in_step(*[(table, own)] * (EPOCH_SAMPLES * 3))
    assert not looks.is_in_step


def test_a_sample_is_compared_once() -> None:
    sampler, comparison = ConnectionSampler(7), ConnectionComparison()
    sample = sampler.take(frozenset({1}))
    assert not comparison.has_seen(sample)
    comparison.compare(sample, frozenset())
    assert comparison.has_seen(sample)
    assert not comparison.has_seen(sampler.take(frozenset({1})))
