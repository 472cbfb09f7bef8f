"""Older segments move to an archive: nothing is lost on the way, and what is needed and not there is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.journal.disks import FaultyDisk, HastyDisk, RecordingDisk
from tests.journal.samples import EVERY_KIND, entries, expected, segments, write
from vpcrouter.archiving import archive_records
from vpcrouter.beginnings import pack_history, unpack_history
from vpcrouter.errors import DamagedJournalError, JournalError, KeyFileError, LockedJournalError, MissingArchiveError
from vpcrouter.journal import (
    Archiving,
    Journal,
    Keys,
    Snapshot,
    archive,
    export_lines,
    find_snapshot,
    read_archive,
    read_journal,
    repair,
    stats,
    verify,
    write_snapshot,
)
from vpcrouter.journal.disk import Disk
from vpcrouter.journal.manifest import MANIFEST
from vpcrouter.journal.snapshots import base_files
from vpcrouter.past import replay
from vpcrouter.router import Router
from vpcrouter.state import State, evolve
from vpcrouter.state_codec import SCHEMA

GROUPS = [1, 2, 3, 1, 4, 1, 2, 2]
COUNT = sum(GROUPS)
ALL = 2**62


def opaque(seq: int, chain: bytes) -> Snapshot:
    """A base whose body only tells its number."""
    return Snapshot(seq=seq, time_ns=5, chain=chain, schema=3, digest=f"d{seq}", body=b"state %d" % seq)


def move(directory: Path, to: Path, *, before: int = ALL, disk: Disk | None = None) -> Archiving:
    """Archive with such bases."""
    return archive(directory, to, opaque, schema=3, before=before, disk=disk)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    write(tmp_path / "j", GROUPS, segment_bytes=300)
    assert len(segments(tmp_path / "j")) > 4
    return tmp_path / "j"


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def test_all_but_the_newest_segment_moves_and_everything_reads_as_before(journal: Path, to: Path) -> None:
    before = verify(journal)
    names = [path.name for path in segments(journal)]
    done = move(journal, to)
    assert [path.name for path in done.moved] == names[:-1]
    assert [path.name for path in segments(journal)] == names[-1:]
    assert [path.name for path in segments(to)] == names[:-1]
    assert done.until == int(names[-1][:20]) - 1
    assert list(read_journal(journal)) == expected(GROUPS)
    for after in range(COUNT + 1):
        assert list(read_journal(journal, after)) == expected(GROUPS)[after:]
    found = verify(journal)
    assert (found.fault, found.sound_until, found.chain) == (None, before.sound_until, before.chain)
    assert (found.archived, found.archive, found.archive_checked) == (done.until, str(to), True)
    assert (to.stat().st_mode & 0o777, segments(to)[0].stat().st_mode & 0o777) == (0o700, 0o600)
    assert verify(to).fault is None
    with Journal.open(journal, segment_bytes=300) as opened:
        assert opened.append(entries(1, start=COUNT), time_ns=0) == COUNT + 1


def test_only_what_is_before_the_point_moves_and_more_may_follow(journal: Path, to: Path) -> None:
    firsts = [int(path.stem) for path in segments(journal)]
    assert move(journal, to, before=firsts[1] - 1) == Archiving(until=0, directory=to, moved=())
    assert read_archive(journal) is None
    for number in (1, 2, 3):
        for before in (firsts[number], firsts[number + 1] - 1):
            assert move(journal, to, before=before).until == firsts[number] - 1
            assert [int(path.stem) for path in segments(journal)] == firsts[number:]
            assert [int(path.stem) for path in base_files(journal)] == [firsts[number] - 1]
            assert list(read_journal(journal)) == expected(GROUPS)
            assert verify(journal).fault is None


def test_the_journal_goes_on_without_its_archive_and_names_it_when_it_is_needed(journal: Path, to: Path) -> None:
    chain = verify(journal).chain
    until = move(journal, to).until
    to.rename(to.with_name("elsewhere"))
    assert list(read_journal(journal, until)) == expected(GROUPS)[until:]
    snapshot, _ = find_snapshot(journal, schema=3)
    assert snapshot is not None
    assert (snapshot.seq, snapshot.body) == (until, b"state %d" % until)
    assert find_snapshot(journal, schema=3, until=until - 1)[0] is None
    for read in (lambda: list(read_journal(journal, until - 1)), lambda: list(export_lines(journal))):
        with pytest.raises(MissingArchiveError, match=f"the records up to {until} are in an archive") as caught:
            read()
        assert caught.value.where == str(to)
        assert "mount it" in caught.value.hint
    found = verify(journal)
    assert (found.fault, found.sound_until, found.chain, found.archive_checked) == (None, COUNT, chain, False)
    assert (stats(journal).records, stats(journal).first_seq) == (COUNT - until, until + 1)
    with Journal.open(journal, segment_bytes=300) as opened:
        assert opened.seq == COUNT
        for _ in range(3):
            opened.append(entries(1, start=opened.seq), time_ns=0)
    with pytest.raises(MissingArchiveError, match="the archive lacks record 1"):
        move(journal, to)
    assert move(journal, to.with_name("elsewhere")).until > until
    assert len(list(read_journal(journal))) == COUNT + 3


def damage_hash(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


@pytest.mark.parametrize("spoil", [Path.unlink, damage_hash], ids=["missing", "damaged"])
def test_a_base_that_does_not_count_is_made_up_for_by_the_archive_or_named(
    journal: Path, to: Path, spoil: object
) -> None:
    until = move(journal, to).until
    (base,) = base_files(journal)
    assert callable(spoil)
    spoil(base)
    fault = verify(journal).fault
    assert fault is not None
    assert "the base" in fault.what
    assert find_snapshot(journal, schema=3)[0] is None
    assert len(list(read_journal(journal))) == COUNT
    to.rename(to.with_name("elsewhere"))
    with pytest.raises(MissingArchiveError, match=r"base.*") as caught:
        find_snapshot(journal, schema=3)
    assert caught.value.where == str(to)
    assert move(journal, to.with_name("elsewhere")).until == until
    assert verify(journal).fault is None
    assert find_snapshot(journal, schema=3)[0] is not None


def test_a_base_of_another_schema_needs_the_archive_and_is_made_anew_by_the_next_run(journal: Path, to: Path) -> None:
    move(journal, to)
    assert find_snapshot(journal, schema=4)[0] is None
    archive(journal, to, lambda seq, chain: opaque_4(seq, chain), schema=4, before=0)
    found, _ = find_snapshot(journal, schema=4)
    assert found is not None
    to.rename(to.with_name("elsewhere"))
    with pytest.raises(MissingArchiveError, match="its schema is 4, not 5"):
        find_snapshot(journal, schema=5)


def opaque_4(seq: int, chain: bytes) -> Snapshot:
    return Snapshot(seq=seq, time_ns=5, chain=chain, schema=4, digest="d", body=b"new")


def test_a_newer_snapshot_counts_before_the_base(journal: Path, to: Path) -> None:
    with Journal.open(journal) as opened:
        write_snapshot(journal, opaque(opened.seq, opened.chain))
    until = move(journal, to).until
    found = find_snapshot(journal, schema=3)[0]
    assert found is not None
    assert found.seq == COUNT
    found = find_snapshot(journal, schema=3, until=COUNT - 1)[0]
    assert found is not None
    assert found.seq == until


def test_every_byte_of_the_manifest_counts(journal: Path, to: Path) -> None:
    move(journal, to)
    path = journal / MANIFEST
    whole = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    for offset in range(len(whole)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        with pytest.raises(DamagedJournalError, match="it should tell where older segments are"):
            read_archive(journal)
    path.unlink()
    with pytest.raises(DamagedJournalError, match="records 1 to"):
        list(read_journal(journal))


def test_what_follows_the_archive_must_be_what_followed_it(journal: Path, to: Path, tmp_path: Path) -> None:
    move(journal, to)
    write(tmp_path / "other", GROUPS, segment_bytes=300, kinds=EVERY_KIND[6:])
    last = segments(journal)[0]
    other = next((each for each in segments(tmp_path / "other") if each.name == last.name), None)
    data = bytearray((other or last).read_bytes())
    if other is None:
        pytest.fail("the other journal has no segment of that name")
    last.write_bytes(data)
    until = int(last.stem) - 1
    for after in (0, until):
        with pytest.raises(DamagedJournalError, match="does not follow from the one before"):
            list(read_journal(journal, after))


def test_damage_in_the_archive_is_found_and_repair_leaves_it_alone(journal: Path, to: Path) -> None:
    until = move(journal, to).until
    path = segments(to)[1]
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    fault = verify(journal).fault
    assert isinstance(fault, DamagedJournalError)
    assert "this is the archive" in fault.hint
    assert str(path) in fault.where
    assert repair(journal).seq == COUNT
    assert path.read_bytes() == data
    assert find_snapshot(journal, schema=3)[0] is not None
    with Journal.open(journal) as opened:
        assert opened.seq == COUNT
    assert len(list(read_journal(journal, until))) == COUNT - until


def test_repair_of_what_is_left_goes_back_to_the_base_at_most(journal: Path, to: Path) -> None:
    until = move(journal, to).until
    (path,) = segments(journal)
    data = bytearray(path.read_bytes())
    data[70] ^= 1
    path.write_bytes(data)
    assert isinstance(verify(journal).fault, DamagedJournalError)
    if repair(journal).seq != until:
        pytest.fail("something of the damaged segment was kept")
    with Journal.open(journal) as opened:
        assert opened.seq == until
        assert opened.append(entries(1, start=until), time_ns=0) == until + 1
    assert verify(journal).fault is None
    assert len(list(read_journal(journal))) == until + 1


def test_an_archive_is_of_one_journal(journal: Path, to: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", GROUPS, segment_bytes=300, kinds=EVERY_KIND[6:])
    move(tmp_path / "other", to)
    before = [path.name for path in segments(journal)]
    with pytest.raises(JournalError, match="this is not the journal's segment of that name"):
        move(journal, to)
    for inside in (journal, journal / "older"):
        with pytest.raises(JournalError, match="the archive cannot be in the journal"):
            move(journal, inside)
    assert [path.name for path in segments(journal)] == before


def test_archiving_beside_an_active_writer(journal: Path, to: Path) -> None:
    with Journal.open(journal, segment_bytes=300) as opened:
        assert opened.find_command("c0")
        until = move(journal, to).until
        assert until > 0
        assert opened.append(entries(1, start=COUNT), time_ns=0) == COUNT + 1
        assert [record.seq for record in opened.find_command("c0")] == [1]
    with Journal.open(journal, segment_bytes=300) as opened:
        assert [record.seq for record in opened.find_command("c0")] == [1]
    to.rename(to.with_name("elsewhere"))
    with Journal.open(journal, segment_bytes=300) as opened:
        assert opened.find_command("c0") == ()
        assert opened.find_command(f"c{COUNT - 1}")


def test_a_reader_that_listed_a_segment_finds_it_in_the_archive(journal: Path, to: Path) -> None:
    records = read_journal(journal)
    found = [next(records)]
    move(journal, to)
    found += records
    assert found == expected(GROUPS)


def test_nobody_repairs_or_archives_meanwhile(journal: Path, to: Path) -> None:
    def base(seq: int, chain: bytes) -> Snapshot:
        with pytest.raises(LockedJournalError):
            repair(journal)
        with pytest.raises(LockedJournalError, match="somebody else archives"):
            move(journal, to)
        return opaque(seq, chain)

    assert archive(journal, to, base, schema=3, before=ALL).until


def test_an_archiving_that_is_stopped_anywhere_loses_nothing_and_can_be_repeated(journal: Path, tmp_path: Path) -> None:
    disk = FaultyDisk(at=-1)
    shutil.copytree(journal, tmp_path / "good")
    until = move(tmp_path / "good", tmp_path / "good-archive", disk=disk).until
    assert {"remove", "rename", "write", "sync_data", "sync_directory"} <= set(disk.calls)
    for at in range(len(disk.calls)):
        copy, to = tmp_path / f"{at}", tmp_path / f"{at}-archive"
        shutil.copytree(journal, copy)
        with pytest.raises(JournalError, match="cannot be archived"):
            move(copy, to, disk=FaultyDisk(at=at, stays=True))
        assert list(read_journal(copy)) == expected(GROUPS)
        assert verify(copy).fault is None
        with Journal.open(copy) as opened:
            assert opened.seq == COUNT
        assert move(copy, to).until == until
        assert list(read_journal(copy)) == expected(GROUPS)
        assert len(segments(copy)) == 1


class RemovingDisk(RecordingDisk):
    """A recording disk that knows of removals."""

    def remove(self, path: Path) -> None:
        super().remove(path)
        self.pending_names.append((path, None))
        self.observer()


def test_power_may_fail_at_any_moment_of_an_archiving(tmp_path: Path) -> None:
    random = Random(3)
    root = tmp_path / "root"
    (root / "j").mkdir(parents=True)
    disk = RemovingDisk(root)
    with Journal.open(root / "j", segment_bytes=300, disk=disk) as opened:
        for number, size in enumerate(GROUPS):
            opened.append(entries(size, start=opened.seq), time_ns=1_700_000_000_000_000_000 + number)
    checked = 0

    def fail_power() -> None:
        nonlocal checked
        for _ in range(3):
            image = tmp_path / "image"
            shutil.rmtree(image, ignore_errors=True)
            image.mkdir()
            disk.after_power_failure(image, random)
            manifest = image / "j" / MANIFEST
            if manifest.exists():
                found = json.loads(manifest.read_bytes().partition(b"\n")[0])
                assert Path(found["directory"]) == root / "a"
            after = read_archive(image / "j")
            archived = sorted((image / "a").glob("*.journal")) if after is not None else []
            live = segments(image / "j")
            held = {path.name for path in live} | {path.name for path in archived}
            assert held >= {path.name for path in originals}
            if after is not None:
                assert find_snapshot(image / "j", schema=3)[0] is not None
            assert [int(path.stem) for path in live] == [int(path.stem) for path in originals][-len(live) :]
            checked += 1

    originals = segments(root / "j")
    disk.observer = fail_power
    until = move(root / "j", root / "a", disk=disk).until
    assert until
    assert checked > 60


def test_the_state_is_the_same_at_every_point_and_is_kept_where_the_archive_is_away(tmp_path: Path) -> None:
    journal, to = tmp_path / "j", tmp_path / "a"
    write(journal, [1] * 36, segment_bytes=600, kinds=EVERY_KIND)
    before = [replay(journal, until=seq).digest for seq in range(37)]
    until = archive_records(journal, to, before=30, time_ns=1).until
    assert 0 < until <= 29
    assert [replay(journal, until=seq).digest for seq in range(37)] == before
    assert b"1029137816800961" not in b"".join(path.read_bytes() for path in [*base_files(journal), *segments(to)])
    again = archive_records(journal, to, before=ALL, time_ns=1).until
    assert again > until
    assert [replay(journal, until=seq).digest for seq in range(37)] == before
    away = to.rename(tmp_path / "away")
    assert [replay(journal, until=seq).digest for seq in range(again, 37)] == before[again:]
    with pytest.raises(MissingArchiveError):
        replay(journal, until=again - 1)
    with Router.open(journal) as router:
        assert (router.seq, router.digest) == (36, before[36])
    (base,) = base_files(journal)
    data = base.read_bytes()
    base.unlink()
    with pytest.raises(MissingArchiveError, match="the records up to"):
        Router.open(journal)
    base.write_bytes(data)
    keys = Keys.beside(journal).path
    keys.rename(tmp_path / "keys")
    with pytest.raises((MissingArchiveError, KeyFileError), match="there is no such file"):
        Router.open(journal)
    (tmp_path / "keys").rename(keys)
    assert archive_records(journal, away, before=0, time_ns=1).until == again
    assert find_snapshot(journal, schema=SCHEMA)[0] is not None
    assert replay(journal, until=3).digest == before[3]


def test_a_later_version_begins_with_a_base_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snapshots are of another schema, and the archive is not there."""
    journal, to = tmp_path / "j", tmp_path / "a"
    write(journal, [1] * 36, segment_bytes=600, kinds=EVERY_KIND)
    digest = replay(journal).digest
    write_snapshot(journal, opaque(36, bytes.fromhex(verify(journal).chain)))
    until = archive_records(journal, to, before=ALL, time_ns=1).until
    to.rename(tmp_path / "away")
    monkeypatch.setattr("vpcrouter.past.SCHEMA", 99)
    with Router.open(journal) as router:
        assert (router.seq, router.digest) == (36, digest)
        assert router.events_since_snapshot == 36 - until


def test_every_state_that_there_can_be_has_a_history_of_its_own() -> None:
    state = State()
    for event in EVERY_KIND:
        state = evolve(state, event)
        assert unpack_history(pack_history(state)) == state


def test_a_base_that_cannot_be_written_is_no_archive(journal: Path, to: Path) -> None:
    class Forgetful(HastyDisk):
        def write(self, fd: int, data: bytes, offset: int) -> int:
            return super().write(fd, data if not data.startswith(b"\x89VPCS") else bytes(len(data)), offset)

    with pytest.raises((JournalError, OSError)):
        move(journal, to, disk=Forgetful())
    assert read_archive(journal) is None
    assert len(segments(journal)) > 4
