"""Two routers that got different commands name those that explain it, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.differing import KEY, Clock, Speaker, open_router, talk
from tests.strategies import any_command
from vpcrouter.commands import Command
from vpcrouter.errors import RejectedCommandError
from vpcrouter.journal import read_journal
from vpcrouter.projections.things import shared_things
from vpcrouter.router import Router
from vpcrouter.state import State, evolve
from vpcrouter.values.agreement import MOST_TRACED, Difference, Thing, Touch

streams = st.lists(any_command, min_size=1, max_size=25)


@contextmanager
def pair() -> Iterator[tuple[Speaker, Speaker, Clock]]:
    with (
        TemporaryDirectory(dir="/dev/shm") as name,
        open_router(Path(name) / "a") as one,
        open_router(Path(name) / "b") as other,
    ):
        clock = Clock()
        yield Speaker(one, clock), Speaker(other, clock), clock


def submit(router: Router, command: Command) -> int | None:
    """The record that it became; None if it was refused, or nothing had to change."""
    try:
        receipt = router.submit(command)
    except RejectedCommandError:
        return None
    return receipt.seq if receipt.status == "accepted" else None


def last_changes(router: Router) -> dict[Thing, Touch]:
    """The slow way: every thing there is, before and after every event."""
    found: dict[Thing, Touch] = {}
    state = State()
    for record in read_journal(router.journal.directory):
        before = shared_things(state, KEY)
        state = evolve(state, record.event)
        after = shared_things(state, KEY)
        for thing in before.keys() | after.keys():
            if before.get(thing) != after.get(thing):
                found[thing] = Touch(seq=record.seq)
    return found


def differences(speaker: Speaker) -> list[Difference]:
    (other,) = speaker.disagreement._others.values()
    return other.explanation.differences(other.things, speaker.disagreement._things, speaker.touches)


@settings(max_examples=60)
@given(streams, streams, st.lists(any_command, max_size=10))
def test_the_commands_named_are_those_that_changed_what_differs(
    first: list[Command], second: list[Command], both: list[Command]
) -> None:
    with pair() as (one, other, clock):
        for router, stream in ((one.router, [*both, *first]), (other.router, [*both, *second])):
            for command in stream:
                submit(router, command)
        talk(one, other, clock)
        mine, theirs = shared_things(one.router.state, KEY), shared_things(other.router.state, KEY)
        apart = {each for each in mine.keys() | theirs.keys() if mine.get(each) != theirs.get(each)}
        assume(len(apart) <= MOST_TRACED)
        if not apart:
            assert one.disagreement.describe() is None
            return
        here, there = last_changes(one.router), last_changes(other.router)
        for speaker, own, others in ((one, here, there), (other, there, here)):
            found = differences(speaker)
            assert {each.thing for each in found} == apart
            for each in found:
                assert each.here.touch is not None
                assert each.there is not None
                assert each.there.touch is not None
                assert each.here.touch.seq == own.get(each.thing, Touch(seq=0)).seq
                assert each.there.touch.seq == others.get(each.thing, Touch(seq=0)).seq


@settings(max_examples=60)
@given(streams, st.sets(st.integers(0, 24), min_size=1, max_size=6))
def test_who_is_handed_the_commands_named_has_the_same_configuration(stream: list[Command], lost: set[int]) -> None:
    """One got all, the other lacks some: the commands of the first that are named, in its order, are handed in."""
    with pair() as (one, other, clock):
        stored: dict[int, Command] = {}
        for index, command in enumerate(stream):
            seq = submit(one.router, command)
            if seq is not None:
                stored[seq] = command
                if index not in lost:
                    submit(other.router, command)
        for _ in range(len(stored) + 1):  # a command may take along what a later one brings back
            talk(one, other, clock)
            if one.router.digest == other.router.digest:
                return
            named = {each.here.touch.seq for each in differences(one) if each.here.touch is not None}
            for seq in sorted(named):
                submit(other.router, stored[seq])
        left = [each.thing.kind for each in differences(one)]
        # It follows from several commands, and the one that changed it last may be one that both have.
        assert set(left) == {"source NAT address"}
