"""Two routers tell each other which passwords were fetched, whatever beacons are lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.fetched import SAID_AT_ONCE, FetchedMachine
from vpcrouter.values.config import Secret
from vpcrouter.values.guests import GuestPassword

KEY = b"k" * 32


def passwords(count: int, *fetched: int) -> dict[str, GuestPassword]:
    return {
        f"10.1.2.{n}": GuestPassword(address=f"10.1.2.{n}", password=Secret(text=f"pw-{n}"), fetched=n in fetched)
        for n in range(1, count + 1)
    }


def machine(found: dict[str, GuestPassword], key: bytes = KEY) -> FetchedMachine:
    made = FetchedMachine()
    made.look(found, key)
    return made


@given(st.integers(1, 60), st.sets(st.integers(1, 60), max_size=60), st.integers(0, 5))
def test_what_was_fetched_at_one_is_learned_by_the_other_within_some_turns(
    count: int, fetched: set[int], lost: int
) -> None:
    fetched = {n for n in fetched if n <= count}
    serving, backup = machine(passwords(count, *fetched)), machine(passwords(count))
    learned: set[str] = set()
    for turn in range(lost, lost + 2 * (count // SAID_AT_ONCE + 1)):
        backup.next_turn()
        if turn % (lost + 1) == 0 or lost == 0:
            learned |= set(backup.learn(serving.fetched(backup.waiting())))
    if lost == 0:
        assert learned == {f"10.1.2.{n}" for n in fetched}
    assert learned <= {f"10.1.2.{n}" for n in fetched}


def test_the_latest_are_told_unasked() -> None:
    serving, backup = machine(passwords(3)), machine(passwords(3))
    assert serving.fetched(()) == ()
    serving.look(passwords(3, 2), KEY)
    assert backup.learn(serving.fetched(())) == ("10.1.2.2",)


def test_a_new_password_of_the_same_guest_is_another_one() -> None:
    serving, backup = machine(passwords(1, 1)), FetchedMachine()
    newer = GuestPassword(address="10.1.2.1", password=Secret(text="another"))
    backup.look({"10.1.2.1": newer}, KEY)
    assert backup.learn(serving.fetched(backup.waiting())) == ()


def test_another_key_or_none_at_all_says_nothing() -> None:
    serving = machine(passwords(2, 1))
    assert machine(passwords(2), b"x" * 32).learn(serving.fetched(())) == ()
    silent = machine(passwords(2, 1), b"")
    assert (silent.waiting(), silent.fetched(())) == ((), ())
    assert silent.learn(serving.fetched(())) == ()


def test_a_beacon_holds_a_few_and_no_password() -> None:
    found = machine(passwords(200, *range(100)))
    assert len(found.waiting()) == len(found.fetched(())) == SAID_AT_ONCE
    assert all(len(tag) == 8 for tag in found.waiting())
