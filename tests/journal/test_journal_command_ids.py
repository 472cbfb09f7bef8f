"""A command id that was seen before is found, across groups, segments, restarts, and whatever happens to the cache."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.journal.disks import FaultyDisk
from tests.journal.samples import EVERY_KIND
from vpcrouter.journal import Entry, Journal, command_ids, read_journal
from vpcrouter.journal.command_ids import CommandIds


def append(journal: Journal, command_id: str, count: int = 1) -> None:
    """One command that made this many events."""
    journal.append([Entry(event=EVERY_KIND[9], command_id=command_id)] * count, time_ns=journal.seq)


def found(journal: Journal, command_id: str) -> list[int]:
    """The sequence numbers of a command's records."""
    return [record.seq for record in journal.find_command(command_id)]


def fill(directory: Path) -> None:
    """Commands over several segments: `a` with one event, `b` with three, then many; `a` once more at the end."""
    with Journal.open(directory, segment_bytes=300) as journal:
        append(journal, "a")
        append(journal, "b", 3)
        append(journal, "")
        for number in range(40):
            append(journal, f"c{number}")
        append(journal, "a")


def check(journal: Journal) -> None:
    """What `fill` wrote is found."""
    assert found(journal, "a") == [1]
    assert found(journal, "b") == [2, 3, 4]
    assert [found(journal, f"c{number}") for number in range(40)] == [[6 + number] for number in range(40)]
    assert found(journal, "d") == []


def test_ids_are_found_after_a_restart_and_while_writing(tmp_path: Path) -> None:
    fill(tmp_path)
    for _ in range(2):
        with Journal.open(tmp_path, segment_bytes=300) as journal:
            check(journal)
            assert list((tmp_path / "ids").iterdir())
    with Journal.open(tmp_path, segment_bytes=300) as journal:
        check(journal)
        for number in range(20):
            assert found(journal, f"new{number}") == []
            append(journal, f"new{number}")
            assert found(journal, f"new{number}") == [journal.seq]
        check(journal)
    with Journal.open(tmp_path) as journal:
        check(journal)
        assert found(journal, "new0") == [47]


def test_a_record_without_an_id_is_nobodys(tmp_path: Path) -> None:
    fill(tmp_path)
    with Journal.open(tmp_path) as journal:
        assert found(journal, "") == []


def test_an_empty_journal_has_seen_nothing(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        assert found(journal, "a") == []
        append(journal, "a")
        assert found(journal, "a") == [1]


@pytest.mark.slow
def test_the_cache_may_be_lost_or_wrong(tmp_path: Path) -> None:
    fill(tmp_path)
    with Journal.open(tmp_path) as journal:
        check(journal)
    files = sorted((tmp_path / "ids").iterdir())
    assert len(files) > 3
    whole = [path.read_bytes() for path in files]
    for path, data in zip(files, whole, strict=True):
        for changed in (b"", data[:20], data[:-1], data[:-1] + bytes([data[-1] ^ 1]), b"x" + data[1:], whole[-1], None):
            if changed == data:
                continue
            if changed is None:
                path.unlink()
            else:
                path.write_bytes(changed)
            with Journal.open(tmp_path) as journal:
                check(journal)
            assert path.read_bytes() == data


def test_a_disk_that_refuses_the_cache_does_no_harm(tmp_path: Path) -> None:
    fill(tmp_path)
    ids = CommandIds(FaultyDisk(at=0, error=errno.ENOSPC, stays=True), tmp_path)
    assert [record.seq for record in ids.find("c0")] == [6]
    assert not (tmp_path / "ids").exists()


def test_ids_with_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_ids, "_hash", lambda command_id: len(command_id))
    fill(tmp_path)
    with Journal.open(tmp_path) as journal:
        check(journal)


def test_the_index_agrees_with_a_plain_search(tmp_path: Path) -> None:
    fill(tmp_path)
    records = list(read_journal(tmp_path))
    with Journal.open(tmp_path) as journal:
        for command_id in {record.command_id for record in records} - {""}:
            first = next(record.seq for record in records if record.command_id == command_id)
            assert found(journal, command_id)[0] == first
