"""`verify` and `repair`: how far a journal is sound, and keeping that part without deleting the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.journal.disks import FaultyDisk
from tests.journal.recorded import DAMAGED, MANIFEST
from tests.journal.samples import entries, expected, segments, write
from vpcrouter.errors import DamagedJournalError, JournalError, LockedJournalError
from vpcrouter.journal import Journal, read_journal, repair, verify

GROUPS = [1, 2, 3, 1, 4, 1]


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below the directory but the lock."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def damaged_copies(directory: Path) -> list[Path]:
    """The recorded journals, copied; those are returned that a reader refuses as damaged."""
    shutil.copytree(DAMAGED, directory)
    damaged = []
    for manifest in sorted(directory.rglob(MANIFEST)):
        error = json.loads(manifest.read_text()).get("error", {})
        manifest.unlink()
        if error.get("type") == "DamagedJournalError":
            damaged.append(manifest.parent)
    return damaged


def test_a_sound_journal_is_sound_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, GROUPS, segment_bytes=300)
    found = verify(tmp_path)
    assert (found.fault, found.sound_until, found.torn) == (None, 12, 0)
    assert found.segments == len(segments(tmp_path)) > 2
    assert found.size == sum(path.stat().st_size for path in segments(tmp_path))
    with Journal.open(tmp_path) as journal:
        assert verify(tmp_path) == found
        journal.append(entries(1, start=12), time_ns=0)
    assert verify(tmp_path).chain != found.chain


def test_an_empty_journal_is_sound(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    found = verify(tmp_path)
    assert (found.fault, found.sound_until, found.segments, found.size) == (None, 0, 0, 0)
    with pytest.raises(JournalError, match="no journal can be read here"):
        verify(tmp_path / "missing")


def test_a_torn_tail_is_no_fault_but_is_told(tmp_path: Path) -> None:
    write(tmp_path, GROUPS)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes() + b"\xa6" * 11)
    found = verify(tmp_path)
    assert (found.fault, found.sound_until, found.torn) == (None, 12, 11)


def test_every_damage_is_found_where_reading_finds_it(tmp_path: Path) -> None:
    for directory in damaged_copies(tmp_path / "copies"):
        with pytest.raises(DamagedJournalError) as caught:
            list(read_journal(directory))
        found = verify(directory)
        assert isinstance(found.fault, DamagedJournalError)
        assert str(found.fault) == str(caught.value)
        assert found.sound_until == caught.value.sound_until


def test_old_segments_taken_elsewhere_are_missed_unless_told(tmp_path: Path) -> None:
    write(tmp_path, GROUPS, segment_bytes=300)
    chain = verify(tmp_path).chain
    first, second, *_ = segments(tmp_path)
    first.unlink()
    assert isinstance(verify(tmp_path).fault, DamagedJournalError)
    found = verify(tmp_path, after=int(second.stem) - 1)
    assert (found.fault, found.sound_until, found.chain) == (None, 12, chain)


def test_repair_keeps_what_is_sound_and_every_byte(tmp_path: Path) -> None:
    copies = damaged_copies(tmp_path / "copies")
    assert len(copies) > 8
    for directory in copies:
        if directory.name == "missing-first-segment":
            continue
        before = contents(directory)
        kept = verify(directory).sound_until
        done = repair(directory)
        assert done.seq == kept == verify(directory).sound_until
        assert verify(directory).fault is None
        assert len(list(read_journal(directory))) == kept
        after = contents(directory)
        assert sorted(b"".join(before.values())) == sorted(b"".join(after.values()))
        for name, data in before.items():
            pieces = [data for other, data in after.items() if other.rpartition("/")[2].startswith(name[:20])]
            assert b"".join(sorted(pieces, key=data.find)) == data
        assert {str(path.relative_to(directory)) for path in done.moved} == set(after) - set(before)
        with Journal.open(directory) as journal:
            assert journal.torn_tail is None
            journal.append(entries(1), time_ns=0)


def test_repairing_a_sound_journal_does_nothing(tmp_path: Path) -> None:
    write(tmp_path, GROUPS, segment_bytes=300)
    before = contents(tmp_path)
    done = repair(tmp_path)
    assert (done.seq, done.moved, done.torn_tail) == (12, (), None)
    assert contents(tmp_path) == before


def test_repair_cuts_a_torn_tail_as_opening_does(tmp_path: Path) -> None:
    write(tmp_path, GROUPS)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    done = repair(tmp_path)
    assert (done.seq, done.moved) == (11, ())
    assert done.torn_tail is not None
    assert list(read_journal(tmp_path)) == expected(GROUPS)[:11]


def test_repair_refuses_what_no_cut_can_mend(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    damaged_copies(copies)
    for name in ("newer-format", "newer-event", "stranger", "missing-first-segment"):
        before = contents(copies / name)
        with pytest.raises(JournalError):
            repair(copies / name)
        assert contents(copies / name) == before
    with Journal.open(tmp_path / "j"), pytest.raises(LockedJournalError):
        repair(tmp_path / "j")
    with pytest.raises(JournalError, match="no journal can be read here"):
        repair(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_a_repair_that_is_stopped_anywhere_can_be_repeated(tmp_path: Path) -> None:
    write(tmp_path / "j", GROUPS, segment_bytes=300)
    path = segments(tmp_path / "j")[1]
    sound_until = int(path.stem) - 1
    path.write_bytes(path.read_bytes().replace(b"\xa6", b"\xa7", 1))
    bytes_before = sorted(b"".join(contents(tmp_path / "j").values()))
    disk = FaultyDisk(at=-1)
    shutil.copytree(tmp_path / "j", tmp_path / "good")
    repair(tmp_path / "good", disk=disk)
    for at in range(len(disk.calls)):
        shutil.copytree(tmp_path / "j", tmp_path / f"{at}")
        with pytest.raises(JournalError, match="cannot be repaired"):
            repair(tmp_path / f"{at}", disk=FaultyDisk(at=at))
        assert repair(tmp_path / f"{at}").seq == sound_until
        kept = {name: data for name, data in contents(tmp_path / f"{at}").items() if not name.endswith(".new")}
        assert sorted(b"".join(kept.values())) == bytes_before
