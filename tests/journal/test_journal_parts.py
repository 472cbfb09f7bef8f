"""A journal that several processes read is the journal that one reads: the same state, or the same error."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.disks import HastyDisk
from tests.journal.samples import EVERY_KIND, segments
from tests.properties.test_abridging import histories
from vpcrouter import events, sharing
from vpcrouter.errors import JournalError
from vpcrouter.events import Event
from vpcrouter.folding import Fold
from vpcrouter.journal import Entry, Journal, Keys, joints, read_batches
from vpcrouter.journal.layout import HEADER_BYTES
from vpcrouter.replaying import Replayed, replay_journal
from vpcrouter.state import State, replay
from vpcrouter.values.config import Reservation


def write(directory: Path, history: list[Event], *, segment_bytes: int = 300) -> None:
    with Journal.open(directory, segment_bytes=segment_bytes, disk=HastyDisk()) as journal:
        for first in range(0, len(history), 3):
            journal.append([Entry(event=each) for each in history[first : first + 3]], time_ns=1)


def leases(count: int) -> list[Event]:
    """The same few, again and again."""
    return [
        events.ReservationPut(
            reservation=Reservation(
                address=f"10.1.2.{number % 7 + 2}", mac=f"02:00:00:00:00:{number % 7:02x}", host_name=f"vm-{number}"
            )
        )
        for number in range(count)
    ]


def outcome(directory: Path, hands: int, start: State, after: int) -> Replayed | tuple[type, str]:
    try:
        return replay_journal(directory, start, after, hands=hands, least_part_bytes=1)
    except JournalError as error:
        return type(error), str(error)


@pytest.mark.slow
@given(histories, st.integers(0, 9), st.integers(2, 4), st.none() | st.tuples(st.integers(0, 9999), st.integers(0, 7)))
@settings(max_examples=40, deadline=None)
def test_by_parts_as_by_one(history: list[Event], after: int, hands: int, flipped: tuple[int, int] | None) -> None:
    """From any record on, also with a flipped bit somewhere."""
    history = [*history, *EVERY_KIND]
    start = replay(State(), history[:after])
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "journal"
        write(directory, history)
        assert len(joints(directory, after, hands, 1)) == hands - 1
        if flipped is None:
            expected = Replayed(state=replay(State(), history), seq=len(history), is_end=True)
            assert outcome(directory, hands, start, after) == expected
        else:
            place, bit = flipped
            path = segments(directory)[place % len(segments(directory))]
            changed = bytearray(path.read_bytes())
            changed[place % len(changed)] ^= 1 << bit
            path.write_bytes(changed)
        assert outcome(directory, hands, start, after) == outcome(directory, 1, start, after)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    write(tmp_path / "journal", leases(100))
    return tmp_path / "journal"


def by_parts(journal: Path) -> tuple[State, int]:
    with Journal.open(journal) as opened:
        return sharing.fold_parts(journal, State(), 0, joints(journal, 0, 3, 1), opened.keys)


def test_each_part_is_read_by_a_process_that_holds_nothing_of_its_parent(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the lock, which would outlive a parent that is killed, nor anything else."""
    parent = os.getpid()

    def noted(directory: Path, after: int, *others: object, **named: object) -> object:
        if os.getpid() != parent:
            held = [str(each.resolve()) for each in Path("/proc/self/fd").iterdir()]
            (journal.parent / f"after-{after}").write_text("\n".join(held))
        return read_batches(directory, after, *others, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("vpcrouter.sharing.read_batches", noted)
    assert by_parts(journal) == (replay(State(), leases(100)), 100)
    notes = list(journal.parent.glob("after-*"))
    assert len(notes) == 2
    for each in notes:
        assert str(journal) not in each.read_text()


def test_a_part_that_does_not_go_on_from_the_one_before_is_no_part(journal: Path, tmp_path: Path) -> None:
    """A segment of another journal: sound in itself, of the right number, and its header is another one's."""
    write(tmp_path / "other", [*leases(3), *leases(97)[::-1]])
    hands = len(segments(journal))
    parts = joints(journal, 0, hands, 1)
    name = f"{parts[-1]:020}.journal"
    assert segments(journal)[-1].name == name, "nothing comes after it that could tell"
    (journal / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(sharing.PartsError, match="does not follow from the one before"):
        sharing.fold_parts(journal, State(), 0, parts, Keys.beside(journal))
    with pytest.raises(sharing.PartsError, match="does not follow from the one before"):
        sharing.fold_parts(journal, State(), 0, parts[-1:], Keys.beside(journal))
    with pytest.raises(JournalError, match="does not follow from the one before"):
        replay_journal(journal, State(), 0, hands=hands, least_part_bytes=1)


@pytest.mark.parametrize(("much_bytes", "is_one"), [(10_000, True), (1, False)])
def test_what_is_left_of_a_part_comes_in_one_piece_unless_it_is_much(
    journal: Path, monkeypatch: pytest.MonkeyPatch, much_bytes: int, is_one: bool
) -> None:
    """A piece waits for the parent, which has a part of its own to read first: the other processor did nothing then."""
    came: list[int] = []
    take = Fold.take

    def counted(fold: Fold, bodies: Sequence[bytes], restore: Callable[[int], Event]) -> None:
        came.append(len(bodies))
        take(fold, bodies, restore)

    monkeypatch.setattr(sharing, "_AT_ONCE_BYTES", 1)
    monkeypatch.setattr(sharing, "_MUCH_BYTES", much_bytes)
    parts = joints(journal, 0, 2, 1)
    own = sum(1 for _ in read_batches(journal, before=parts[0]))
    monkeypatch.setattr(Fold, "take", counted)
    found = sharing.fold_parts(journal, State(), 0, parts, Keys.beside(journal))
    assert found == (replay(State(), leases(100)), 100)
    assert (len(came) - own == 1) is is_one, came


def test_a_process_that_dies_costs_time_and_nothing_else(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_abridge", lambda *_: os._exit(9))
    with pytest.raises(sharing.PartsError, match="a process has died"):
        by_parts(journal)
    found = replay_journal(journal, State(), 0, hands=3, least_part_bytes=1)
    assert (found.state, found.seq) == (replay(State(), leases(100)), 100)


def test_a_short_journal_is_not_divided(journal: Path) -> None:
    size = sum(path.stat().st_size for path in segments(journal))
    assert joints(journal, 0, 4, size // 2 + 1) == []
    assert joints(journal, 0, 1, 1) == []
    assert len(joints(journal, 0, 4, size // 4)) == 3
    (middle,) = joints(journal, 0, 2, 1)
    before = sum(path.stat().st_size for path in segments(journal) if int(path.stem) < middle)
    assert abs(2 * before - size) <= 2 * (300 + 3 * 150 + HEADER_BYTES)
