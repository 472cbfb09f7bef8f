"""A disk that refuses: nothing acknowledged is lost, nothing unacknowledged is promised, and the writer stops."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.journal.disks import FaultyDisk, HastyDisk, RecordingDisk
from tests.journal.samples import EVERY_KIND, entries, expected, lend_keys, prefixes, segments
from vpcrouter.errors import FullDiskError, JournalError, JournalWriteError
from vpcrouter.journal import Journal, read_journal
from vpcrouter.journal.disk import Disk

GROUPS = [1, 3, 1, 2, 4, 1]
SEGMENT_BYTES = 400


def append_until_refused(directory: Path, disk: Disk) -> int:
    """Append GROUPS, each once more if the disk was full; how many were acknowledged.

    The journal is closed as a dying process would close it.
    """
    acknowledged = 0
    journal = Journal.open(directory, segment_bytes=SEGMENT_BYTES, disk=disk)
    try:
        for number, size in enumerate(GROUPS):
            group, time_ns = entries(size, start=journal.seq), 1_700_000_000_000_000_000 + number
            try:
                journal.append(group, time_ns=time_ns)
            except FullDiskError as error:
                assert journal.seq == sum(GROUPS[:acknowledged])
                assert error.needed_bytes == journal.shortage_bytes > 0
                assert str(directory) in error.where
                journal.append(group, time_ns=time_ns)
            assert journal.shortage_bytes == 0
            acknowledged += 1
    except FullDiskError:
        assert journal.seq == sum(GROUPS[:acknowledged])
    except JournalWriteError as error:
        seq = journal.seq
        for _ in range(2):
            with pytest.raises(JournalWriteError, match="closed for writing after an error"):
                journal.append(entries(1, start=seq), time_ns=0)
        assert journal.seq == seq == sum(GROUPS[:acknowledged])
        assert str(directory) in error.where
        assert error.hint
    finally:
        journal.close()
    return acknowledged


def calls_of_a_good_run(directory: Path) -> list[str]:
    """The names of the calls that appending GROUPS to a new journal makes."""
    disk = FaultyDisk(at=-1)
    assert append_until_refused(directory, disk) == len(GROUPS)
    return disk.calls


def check_after(directory: Path, acknowledged: int) -> None:
    """Everything acknowledged is there, whole groups only, and the journal goes on from there."""
    possible = prefixes(expected(GROUPS), GROUPS)[acknowledged:]
    with Journal.open(directory, segment_bytes=SEGMENT_BYTES) as journal:
        found = list(journal.records())
        assert found in possible
        rest = GROUPS[[len(each) for each in prefixes(expected(GROUPS), GROUPS)].index(len(found)) :]
        for number, size in enumerate(rest, start=len(GROUPS) - len(rest)):
            journal.append(entries(size, start=journal.seq), time_ns=1_700_000_000_000_000_000 + number)
    assert list(read_journal(directory)) == expected(GROUPS)


@pytest.mark.parametrize("stays", [False, True], ids=["once", "for-good"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_any_call_may_fail(tmp_path: Path, error: int, stays: bool) -> None:
    calls = calls_of_a_good_run(tmp_path / "good")
    assert {"write", "sync_data", "create", "rename", "sync_directory", "make_directory"} <= set(calls)
    for at in range(len(calls)):
        directory = tmp_path / f"fault-{at}"
        disk = FaultyDisk(at=at, error=error, stays=stays)
        try:
            acknowledged = append_until_refused(directory, disk)
        except JournalError as refused:
            assert "cannot be opened for writing" in refused.what
            assert disk.calls[-1] == "make_directory" or "write" not in disk.calls
            acknowledged = 0
        may_go_on = error == errno.ENOSPC and not stays and disk.calls[at] in ("write", "create", "rename")
        assert (acknowledged == len(GROUPS)) == (may_go_on and at > 0)
        check_after(directory, acknowledged)


@pytest.mark.parametrize("error", [0, errno.ENOSPC], ids=["short", "error"])
@pytest.mark.parametrize("taken", [0, 1, 30, 100, 150])
def test_any_write_may_fall_short(tmp_path: Path, taken: int, error: int) -> None:
    calls = calls_of_a_good_run(tmp_path / "good")
    for at in [number for number, name in enumerate(calls) if name == "write"]:
        directory = tmp_path / f"fault-{at}"
        acknowledged = append_until_refused(directory, FaultyDisk(at=at, error=error, taken=taken))
        assert acknowledged == len(GROUPS)
        check_after(directory, acknowledged)


def test_a_group_whose_sync_failed_is_taken_back(tmp_path: Path) -> None:
    calls = calls_of_a_good_run(tmp_path / "good")
    first = calls.index("write", calls.index("rename"))
    assert calls[first + 1] == "sync_data"
    assert append_until_refused(tmp_path / "j", FaultyDisk(at=first + 1)) == 0
    assert list(read_journal(tmp_path / "j")) == []


def test_the_last_group_is_written_again_on_opening(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.append(entries(1), time_ns=0)
        journal.append(entries(2, start=1), time_ns=0)
    (path,) = segments(tmp_path)
    before = path.read_bytes()
    for at in range(2):
        with pytest.raises(JournalError, match="cannot be opened for writing"):
            Journal.open(tmp_path, disk=FaultyDisk(at=at))
    with pytest.raises(JournalError, match="could not be made durable"):
        Journal.open(tmp_path, disk=FaultyDisk(at=0, error=0, taken=5))
    disk = FaultyDisk(at=-1)
    Journal.open(tmp_path, disk=disk).close()
    assert disk.calls == ["write", "sync_data", "sync_directory"]
    assert path.read_bytes() == before


def test_power_may_fail_after_any_call_and_writes_may_be_reordered(tmp_path: Path) -> None:
    random = Random(7)
    root = tmp_path / "live"
    acknowledged = 0
    checked = 0

    def fail_power() -> None:
        nonlocal checked
        for _ in range(3):
            image = tmp_path / "image"
            shutil.rmtree(image, ignore_errors=True)
            image.mkdir()
            disk.after_power_failure(image, random)
            lend_keys(root, image)
            possible = prefixes(records, groups)
            with Journal.open(image, segment_bytes=1000, disk=HastyDisk()) as journal:
                found = list(journal.records())
                assert found in possible
                assert len(found) >= sum(groups[:acknowledged])
                journal.append(entries(1, start=len(found)), time_ns=9)
            assert list(read_journal(image))[:-1] == found
            checked += 1

    groups = [1, 5, 1, 12, 1, 1, 8, 2]
    records = expected(groups, kinds=EVERY_KIND)
    root.mkdir()
    disk = RecordingDisk(root)
    for number, size in enumerate(groups):
        if number % 3 == 0:
            disk.observer = fail_power
            journal = Journal.open(root, segment_bytes=1000, disk=disk)
        journal.append(entries(size, start=journal.seq, kinds=EVERY_KIND), time_ns=1_700_000_000_000_000_000 + number)
        acknowledged += 1
        if number % 3 == 2:
            journal.close()
    journal.close()
    assert len(segments(root)) >= 3
    assert checked > 100


def test_power_may_fail_while_a_torn_tail_is_cut(tmp_path: Path) -> None:
    random = Random(11)
    groups = [2, 9]
    records = expected(groups, kinds=EVERY_KIND)
    for size in (70, 64, 900):
        root = tmp_path / f"live-{size}"
        root.mkdir()
        disk = RecordingDisk(root)
        with Journal.open(root, disk=disk) as journal:
            for number, count in enumerate(groups):
                journal.append(
                    entries(count, start=journal.seq, kinds=EVERY_KIND), time_ns=1_700_000_000_000_000_000 + number
                )
        (path,) = segments(root)
        with path.open("r+b") as file:
            disk.truncate(file.fileno(), path.stat().st_size - size)
            disk.sync_data(file.fileno())
        torn = path.read_bytes()

        def fail_power(root: Path = root, disk: RecordingDisk = disk, torn: bytes = torn) -> None:
            for _ in range(4):
                image = tmp_path / "image"
                shutil.rmtree(image, ignore_errors=True)
                image.mkdir()
                disk.after_power_failure(image, random)
                lend_keys(root, image)
                with Journal.open(image, disk=HastyDisk()) as journal:
                    assert list(journal.records()) == records[:2]
                    cut = segments(image)[0].read_bytes()
                kept = [each.read_bytes() for each in (image / "aside").glob("*.torn*")]
                assert torn[len(cut) :] in kept

        disk.observer = fail_power
        Journal.open(root, disk=disk).close()


class InterruptedDisk(Disk):
    """A person presses Ctrl-C while the third group waits for its sync."""

    syncs = 0

    def sync_data(self, fd: int) -> None:
        self.syncs += 1
        if self.syncs == 4:
            raise KeyboardInterrupt
        super().sync_data(fd)


def test_an_interrupted_append_stops_the_writer(tmp_path: Path) -> None:
    with Journal.open(tmp_path, disk=InterruptedDisk()) as journal:
        journal.append(entries(1), time_ns=0)
        journal.append(entries(1, start=1), time_ns=0)
        with pytest.raises(KeyboardInterrupt):
            journal.append(entries(9, start=2), time_ns=0)
        with pytest.raises(JournalWriteError, match="after an error: KeyboardInterrupt"):
            journal.append(entries(1, start=2), time_ns=0)
    with Journal.open(tmp_path) as journal:
        assert journal.torn_tail is None
        assert journal.append(entries(1, start=2), time_ns=0) == 3
