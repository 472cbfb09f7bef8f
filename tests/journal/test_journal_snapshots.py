"""Snapshots: used only if they are right, this journal's, and of the schema asked for; otherwise passed over."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve

from tests.journal.disks import FaultyDisk
from tests.journal.samples import entries, segments, write
from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal import Journal, Snapshot, find_snapshot, repair, verify, write_snapshot
from vpcrouter.journal.snapshots import chain_at, snapshot_files


def take(directory: Path, groups: list[int], *, segment_bytes: int = 300) -> list[Snapshot]:
    """A journal of these groups with a snapshot after each; all of them, oldest first."""
    taken = []
    with Journal.open(directory, segment_bytes=segment_bytes) as journal:
        for size in groups:
            journal.append(entries(size, start=journal.seq), time_ns=journal.seq)
            snapshot = Snapshot(
                seq=journal.seq,
                time_ns=5,
                chain=journal.chain,
                schema=3,
                digest=f"d{journal.seq}",
                body=b"state" * journal.seq,
            )
            write_snapshot(directory, snapshot, keep=10)
            taken.append(snapshot)
    return taken


def test_the_newest_one_until_a_record_is_found(tmp_path: Path) -> None:
    taken = take(tmp_path, [1, 3, 2])
    assert find_snapshot(tmp_path, schema=3) == (taken[-1], ())
    for until in range(8):
        fitting = [each for each in taken if each.seq <= until]
        assert find_snapshot(tmp_path, schema=3, until=until) == (fitting[-1] if fitting else None, ())


def test_chain_values_are_those_that_were_written(tmp_path: Path) -> None:
    taken = take(tmp_path, [1, 3, 2])
    for snapshot in taken:
        assert chain_at(tmp_path, snapshot.seq) == snapshot.chain
    assert chain_at(tmp_path, 0) is None
    assert chain_at(tmp_path, 7) is None
    assert verify(tmp_path).chain == taken[-1].chain.hex()
    with Journal.open(tmp_path) as journal:
        assert journal.chain == taken[-1].chain


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    taken = take(tmp_path, [1, 1, 1, 1])
    write_snapshot(tmp_path, taken[-1], keep=2, spread=0)
    assert [int(path.stem) for path in snapshot_files(tmp_path)] == [4, 3]


def test_of_the_older_ones_some_are_kept_at_even_distances(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        for number in range(1, 101):
            journal.append(entries(1, start=journal.seq), time_ns=number)
            snapshot = Snapshot(seq=number, time_ns=number, chain=journal.chain, schema=3, digest="d", body=b"")
            write_snapshot(tmp_path, snapshot, spread=10)
    kept = [int(path.stem) for path in snapshot_files(tmp_path)]
    assert kept[:2] == [100, 99]
    assert len(kept) == 12
    gaps = [newer - older for newer, older in pairwise([*kept[1:], 0])]
    assert max(gaps) <= 20, "twice the even distance at most"


def test_large_states_are_kept_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpcrouter.journal.snapshots.SPREAD_BYTES", 1000)
    taken = take(tmp_path, [1] * 20)
    write_snapshot(tmp_path, taken[-1])
    older = snapshot_files(tmp_path)[2:]
    assert 0 < sum(path.stat().st_size for path in older) <= 1000


def test_a_snapshot_that_was_written_later_does_not_tell_of_a_time(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        for number in range(1, 4):
            journal.append(entries(1, start=journal.seq), time_ns=10 * number)
            snapshot = Snapshot(
                seq=number, time_ns=10 * number + 5, chain=journal.chain, schema=3, digest="d", body=b""
            )
            write_snapshot(tmp_path, snapshot)
    for until_ns, seq in ((14, 0), (15, 1), (24, 1), (25, 2), (99, 3)):
        found, _ = find_snapshot(tmp_path, schema=3, until_ns=until_ns)
        assert (0 if found is None else found.seq) == seq


def test_no_snapshots_is_no_error(tmp_path: Path) -> None:
    write(tmp_path, [1])
    assert find_snapshot(tmp_path, schema=3) == (None, ())


@pytest.mark.parametrize("more", [b"", b"\0" * 40])
def test_every_byte_counts(tmp_path: Path, more: bytes) -> None:
    older, _ = take(tmp_path, [1, 1])
    path = snapshot_files(tmp_path)[0]
    whole = path.read_bytes()
    for offset in range(len(whole)):
        for changed in (
            whole[:offset] + more,
            bytes([*whole[:offset], whole[offset] ^ 1, *whole[offset + 1 :]]) + more,
        ):
            path.write_bytes(changed)
            found, (passed_over,) = find_snapshot(tmp_path, schema=3)
            assert found == older
            assert passed_over.path == path
            assert passed_over.reason


def test_another_schema_is_passed_over(tmp_path: Path) -> None:
    take(tmp_path, [1])
    found, (passed_over,) = find_snapshot(tmp_path, schema=4)
    assert found is None
    assert passed_over.reason == "its schema is 3, not 4"


def test_a_renamed_one_is_passed_over(tmp_path: Path) -> None:
    take(tmp_path, [1, 1])
    newest = snapshot_files(tmp_path)[0]
    newest.rename(newest.with_name("00000000000000000001.snapshot"))
    found, (passed_over,) = find_snapshot(tmp_path, schema=3)
    assert found is None
    assert passed_over.reason == "it is of record 2"


def test_one_of_another_history_or_of_the_future_is_passed_over(tmp_path: Path) -> None:
    snapshot = take(tmp_path, [2])[0]
    write_snapshot(tmp_path, evolve(snapshot, chain=b"x" * 16))
    write_snapshot(tmp_path, evolve(snapshot, seq=9))
    found, passed_over = find_snapshot(tmp_path, schema=3)
    assert found is None
    assert [each.reason for each in passed_over] == [
        "the journal ends before record 9",
        "it belongs to another history",
    ]


def test_a_snapshot_of_a_damaged_segment_is_passed_over(tmp_path: Path) -> None:
    take(tmp_path, [2])
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\xa6", b"\xa7", 1))
    found, (passed_over,) = find_snapshot(tmp_path, schema=3)
    assert found is None
    assert "record 1 is damaged" in passed_over.reason


@pytest.mark.parametrize("left", [20, 90])
def test_a_tail_that_a_snapshot_proves_acknowledged_is_refused_and_left_as_it_is(tmp_path: Path, left: int) -> None:
    """Torn in the last group, and in the header of the last segment: it was on the disk, so this is damage."""
    take(tmp_path, [1, 3], segment_bytes=64)
    last = segments(tmp_path)[-1]
    torn = last.read_bytes()[:left]
    last.write_bytes(torn)
    for _ in range(2):
        with pytest.raises(DamagedJournalError, match="a snapshot proves that record 4 was acknowledged"):
            Journal.open(tmp_path)
        assert last.read_bytes() == torn
        assert not (tmp_path / "aside").exists()
    assert repair(tmp_path).seq == 1
    with Journal.open(tmp_path) as journal:
        assert journal.seq == 1


def test_a_disk_that_refuses_leaves_the_older_one(tmp_path: Path) -> None:
    older, newer = take(tmp_path, [1, 1])
    snapshot_files(tmp_path)[0].unlink()
    for at in range(4):
        disk = FaultyDisk(at=at)
        with pytest.raises(JournalError, match="the snapshot cannot be written"):
            write_snapshot(tmp_path, newer, disk=disk)
        assert find_snapshot(tmp_path, schema=3) == (older, ())
    assert disk.calls == ["create", "write", "sync_data", "rename"]
    write_snapshot(tmp_path, newer)
    assert find_snapshot(tmp_path, schema=3) == (newer, ())
