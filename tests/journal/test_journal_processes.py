"""Real processes: one writer at a time, readers beside it, and a writer that is killed while it writes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.journal.samples import entries, segments, write
from vpcrouter.errors import JournalError, LockedJournalError
from vpcrouter.journal import Journal, lock_owner, read_journal
from vpcrouter.journal.segments import Segment

REPOSITORY = Path(__file__).parents[2]


@contextlib.contextmanager
def writer(
    directory: Path, *, group: int = 1, segment_bytes: int = 100_000, count: int = 100_000
) -> Iterator[subprocess.Popen[str]]:
    """A process that appends to the journal; killed at the end."""
    numbers = [str(group), str(segment_bytes), str(count)]
    command = [sys.executable, "-m", "tests.journal.writers", str(directory), *numbers]
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": path}
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    """What the process prints next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def check_numbered(directory: Path, group: int) -> int:
    """The journal holds whole groups of the writer's entries in their order; the number of the last record."""
    records = list(read_journal(directory))
    wanted = entries(len(records))
    assert [(r.origin, r.command_id, r.event) for r in records] == [(e.origin, e.command_id, e.event) for e in wanted]
    assert len(records) % group == 0
    return len(records)


def test_only_one_process_writes(tmp_path: Path) -> None:
    assert lock_owner(tmp_path / "missing") is None
    with writer(tmp_path) as first:
        line(first)
        owner = {"pid": str(first.pid), "socket": "here"}
        assert lock_owner(tmp_path) == owner
        with pytest.raises(LockedJournalError, match=f"process {first.pid} writes this journal") as caught:
            Journal.open(tmp_path)
        assert str(tmp_path) in caught.value.where
        with writer(tmp_path) as second:
            assert line(second).startswith("locked:")
        assert lock_owner(tmp_path) == owner
    assert lock_owner(tmp_path) is None
    with Journal.open(tmp_path):
        assert lock_owner(tmp_path) == {"pid": str(os.getpid())}
        with pytest.raises(LockedJournalError):
            Journal.open(tmp_path)
    assert lock_owner(tmp_path) is None
    assert (tmp_path / "lock").read_bytes() == b"\n"


def test_an_opening_that_fails_lets_go_of_the_lock(tmp_path: Path) -> None:
    write(tmp_path, [1])
    (path,) = segments(tmp_path)
    path.write_bytes(b"x" * 100)
    with pytest.raises(JournalError):
        Journal.open(tmp_path)
    assert lock_owner(tmp_path) is None


def test_a_reader_beside_the_writer_sees_whole_groups_only(tmp_path: Path) -> None:
    with writer(tmp_path, group=7, segment_bytes=2_000, count=200) as process:
        line(process)
        seen = [0]
        for _ in range(12):
            records = sum(1 for _ in read_journal(tmp_path, seen[-1]))
            assert records % 7 == 0
            seen.append(seen[-1] + records)
            acknowledged = int(line(process))
            assert acknowledged == 0 or next(read_journal(tmp_path, acknowledged - 1)).seq == acknowledged
    assert check_numbered(tmp_path, 7) >= acknowledged >= 70
    assert len(segments(tmp_path)) > 3


def test_a_reader_that_meets_a_recovering_writer_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tail that it has read is cut and written anew before it has judged it: not damage, but the past."""
    written = write(tmp_path, [1, 2])
    (path,) = segments(tmp_path)
    now = path.read_bytes()
    past = now[:-30] + bytes([now[-30] ^ 1]) + now[-29:]
    reads = iter([past, now])
    monkeypatch.setattr(Segment, "read", lambda _: next(reads))
    assert list(read_journal(tmp_path)) == written


def test_reading_needs_no_write_permission_and_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "j", [1, 3], segment_bytes=100)
    last = segments(tmp_path / "j")[-1]
    last.write_bytes(last.read_bytes()[:-1])
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "j").iterdir()}
    assert len(list(read_journal(tmp_path / "j"))) == 1
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "j").iterdir()} == before


@pytest.mark.parametrize("kills", [6, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path, kills: int) -> None:
    random = Random(kills)
    last = 0
    torn = 0
    for _ in range(kills):
        group = 50
        with writer(tmp_path, group=group, segment_bytes=60_000) as process:
            assert int(line(process)) >= last
            deadline = time.monotonic() + random.uniform(0.0005, 0.03)
            acknowledged = last
            while time.monotonic() < deadline:
                acknowledged = int(line(process))
            process.kill()
            rest, _ = process.communicate()
            acknowledged = max([acknowledged, *(int(each) for each in rest.splitlines()[:-1])])
        with Journal.open(tmp_path, segment_bytes=60_000) as journal:
            torn += journal.torn_tail is not None
            assert journal.seq >= acknowledged
            last = journal.seq
    assert check_numbered(tmp_path, 50) == last > 0


@pytest.mark.lab
def test_a_full_disk_refuses_clearly_and_reading_goes_on(tmp_path: Path) -> None:
    """A file system of 128 KiB in a mount namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a tmpfs")
    script = f"""
        set -e
        mount -t tmpfs -o size=128k,mode=700 tmpfs {tmp_path}
        {sys.executable} -m tests.journal.writers {tmp_path}/j 20 30000 1000
        {sys.executable} -c '
from pathlib import Path
from vpcrouter.journal import Journal, read_journal
records = sum(1 for _ in read_journal(Path("{tmp_path}/j")))
Path("{tmp_path}/j").joinpath("00000000000000000001.journal").stat()
print("readable:", records)
with Journal.open(Path("{tmp_path}/j")) as journal:
    print("opened:", journal.seq)
'
    """
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
    )
    lines = result.stdout.splitlines()
    assert result.returncode == 0, result.stderr
    refused = next(number for number, each in enumerate(lines) if each.startswith("refused:"))
    acknowledged = int(lines[refused - 1])
    assert acknowledged > 100
    assert "No space left on device" in lines[refused] or "bytes were written" in lines[refused]
    assert lines[refused + 1 :] == [f"readable: {acknowledged}", f"opened: {acknowledged}"]
