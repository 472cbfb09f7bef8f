"""A full disk: nothing is promised that was not stored, what must not wait has a reserve, and all goes on by itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from attrs import define, field

from tests.journal.samples import EVERY_KIND, entries, expected, segments
from tests.strategies import additive_commands, config, tier
from vpcrouter.commands import ConfigureRouter, PutTier, RemoveTier
from vpcrouter.errors import FullDiskError, JournalError, JournalWriteError
from vpcrouter.journal import Journal, read_journal, reserve_bytes
from vpcrouter.journal.disk import Disk
from vpcrouter.journal.reserve import RESERVE
from vpcrouter.machines.role import Report
from vpcrouter.projections.essential import is_essential
from vpcrouter.router import Router
from vpcrouter.surroundings import Surroundings

PLENTY = 10 * 1024 * 1024
SIZE = 64 * 1024


@define
class SmallDisk(Disk):
    """A disk of this room: every byte written takes some, whatever is removed or cut gives it back."""

    room: int = PLENTY
    sizes: dict[int, int] = field(factory=dict)
    partly: bool = False
    """A write that does not fit takes what fits, as a real disk does."""

    def _grow(self, fd: int, size: int) -> None:
        inode = os.fstat(fd).st_ino
        self.room -= size - self.sizes.get(inode, 0)
        self.sizes[inode] = size

    def write(self, fd: int, data: bytes, offset: int) -> int:
        before = self.sizes.get(os.fstat(fd).st_ino, 0)
        needed = max(offset + len(data) - before, 0)
        if needed > self.room:
            if not self.partly or self.room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: len(data) - (needed - self.room)]
        self._grow(fd, max(before, offset + len(data)))
        return super().write(fd, data, offset)

    def allocate(self, fd: int, size: int) -> None:
        if size > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._grow(fd, size)
        super().allocate(fd, size)

    def truncate(self, fd: int, size: int) -> None:
        self._grow(fd, size)
        super().truncate(fd, size)

    def remove(self, path: Path) -> None:
        self.room += self.sizes.pop(path.stat().st_ino, 0)
        super().remove(path)

    def free_bytes(self, path: Path) -> int:
        return max(self.room, 0)

    def sync_data(self, fd: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


def one(journal: Journal, *, essential: bool = False) -> int:
    """Append the next of the sample entries."""
    return journal.append(entries(1, start=journal.seq), time_ns=1_700_000_000_000_000_000, essential=essential)


@pytest.mark.parametrize("partly", [False, True])
def test_what_does_not_fit_is_refused_and_the_journal_goes_on_when_there_is_room(tmp_path: Path, partly: bool) -> None:
    disk = SmallDisk(partly=partly)
    with Journal.open(tmp_path, disk=disk) as journal:
        one(journal)
        (path,) = segments(tmp_path)
        whole = path.read_bytes()
        disk.room = 20
        for _ in range(3):
            with pytest.raises(FullDiskError) as caught:
                one(journal)
            assert (caught.value.where, caught.value.free_bytes) == (str(tmp_path), 20)
            assert 20 < caught.value.needed_bytes == journal.shortage_bytes
            assert "the disk is full: record 2 needs" in caught.value.what
            assert "make room" in caught.value.hint
            assert path.read_bytes() == whole
            assert len(list(read_journal(tmp_path))) == 1
        disk.room = PLENTY
        assert one(journal) == 2
        assert journal.shortage_bytes == 0
    assert [record.seq for record in read_journal(tmp_path)] == [1, 2]


def test_essential_records_use_the_reserve_which_comes_back_by_itself(tmp_path: Path) -> None:
    disk = SmallDisk()
    with Journal.open(tmp_path, disk=disk) as journal:
        journal.keep_reserve(SIZE)
        assert journal.has_reserve
        assert (tmp_path / RESERVE).stat().st_blocks * 512 >= SIZE
        assert (tmp_path / RESERVE).stat().st_mode & 0o777 == 0o600
        one(journal)
        disk.room = 0
        with pytest.raises(FullDiskError):
            one(journal)
        assert journal.has_reserve
        assert one(journal, essential=True) == 2
        assert not journal.has_reserve
        assert one(journal) == 3
        disk.room = 10
        for essential in (False, True):
            with pytest.raises(FullDiskError):
                one(journal, essential=essential)
        journal.tend()
        assert (journal.shortage_bytes > 0, journal.has_reserve) == (True, False)
        disk.room = journal.shortage_bytes
        journal.tend()
        assert (journal.shortage_bytes, journal.has_reserve) == (0, False)
        disk.room = 2 * SIZE
        journal.tend()
        assert journal.has_reserve
        assert disk.room == SIZE
        assert one(journal) == 4
    assert list(read_journal(tmp_path))[-1].seq == 4


def test_a_new_segment_that_does_not_fit_is_tried_again(tmp_path: Path) -> None:
    disk = SmallDisk()
    with Journal.open(tmp_path, segment_bytes=100, disk=disk) as journal:
        one(journal)
        disk.room = 30
        with pytest.raises(FullDiskError):
            one(journal)
        disk.room = 100
        with pytest.raises(FullDiskError):
            one(journal)
        assert len(segments(tmp_path)) == 2
        disk.room = PLENTY
        assert one(journal) == 2
    with Journal.open(tmp_path, segment_bytes=100) as journal:
        assert journal.torn_tail is None
        assert one(journal) == 3
    assert [record.event for record in read_journal(tmp_path)] == [each.event for each in expected([1, 1, 1])]
    assert not list(tmp_path.glob("*.new"))


def test_a_sync_that_finds_no_room_is_final(tmp_path: Path) -> None:
    class Late(SmallDisk):
        def sync_data(self, fd: int) -> None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def write(self, fd: int, data: bytes, offset: int) -> int:
            return os.pwrite(fd, data, offset)

    disk = Late()
    with Journal.open(tmp_path, disk=disk) as journal:
        journal.keep_reserve(SIZE)
        one(journal)
        disk.room = 0
        with pytest.raises(JournalWriteError) as caught:
            one(journal, essential=True)
        assert not isinstance(caught.value, FullDiskError)
        disk.room = PLENTY
        with pytest.raises(JournalWriteError, match="closed for writing after an error"):
            one(journal)


def test_a_cut_that_fails_is_final(tmp_path: Path) -> None:
    class Stuck(SmallDisk):
        def truncate(self, fd: int, size: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk = Stuck()
    with Journal.open(tmp_path, disk=disk) as journal:
        one(journal)
        disk.room = 0
        with pytest.raises(JournalWriteError) as caught:
            one(journal)
        assert not isinstance(caught.value, FullDiskError)
        disk.room = PLENTY
        with pytest.raises(JournalWriteError, match="closed for writing after an error"):
            one(journal)


def test_a_journal_opens_on_a_full_disk_with_its_reserve(tmp_path: Path) -> None:
    disk = SmallDisk()
    with Journal.open(tmp_path, disk=disk) as journal:
        journal.keep_reserve(SIZE)
        one(journal)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes() + b"\xa6" * 50)
    disk.room = 0
    with Journal.open(tmp_path, disk=disk) as journal:
        assert journal.torn_tail is not None
        assert not journal.has_reserve
        assert one(journal) == 2
    disk.room = 0
    path.write_bytes(path.read_bytes() + b"\xa6" * 50)
    with pytest.raises(JournalError, match="No space left on device"):
        Journal.open(tmp_path, disk=disk)
    disk.room = PLENTY
    Journal.open(tmp_path, disk=disk).close()


def test_a_reserve_of_another_size_or_none(tmp_path: Path) -> None:
    disk = SmallDisk()
    with Journal.open(tmp_path, disk=disk) as journal:
        for size in (SIZE, 2 * SIZE, 0, SIZE):
            journal.keep_reserve(size)
            assert reserve_bytes(tmp_path) == size
        disk.room = SIZE - 1
        journal.keep_reserve(4 * SIZE)
        assert reserve_bytes(tmp_path) == 0


def test_essential_is_what_takes_away_and_what_a_role_became() -> None:
    names = {type(event).__name__ for event in EVERY_KIND if is_essential(event)}
    assert {"RoleChanged", "TierRemoved", "ReservationRemoved"} <= names
    assert not names & {"RouterConfigured", "TierAdded", "TierChanged", "AclReplaced", "ReservationPut"}
    assert not names & {"PublicAddressesChanged", "PortForwardsChanged"}


class Small(Surroundings):
    """A world with a small disk."""

    def __init__(self) -> None:
        self.small = SmallDisk()

    def disk(self) -> Disk:
        return self.small


def test_a_router_on_a_full_disk_refuses_reverts_removes_and_records_its_role(tmp_path: Path) -> None:
    world = Small()
    with Router.open(tmp_path / "j", surroundings=world) as router:
        router.journal.keep_reserve(SIZE)
        router.submit_many([ConfigureRouter(config=config()), *additive_commands(2)[1:]])
        before, state, digest = router.seq, router.state, router.digest
        world.small.room = 0
        with pytest.raises(FullDiskError):
            router.submit(PutTier(tier=tier(7)))
        assert (router.seq, router.state, router.digest) == (before, state, digest)
        assert router.journal.has_reserve
        router.submit(RemoveTier(device="eth2", network=router.state.tiers["eth2"].network))
        assert not router.journal.has_reserve
        assert router.seq == before + 1
        world.small.room = 0
        with pytest.raises(FullDiskError):
            router.revert(before)
        world.small.room = 4 * SIZE
        router.journal.tend()
        assert router.journal.has_reserve
        world.small.room = 0
        assert router.revert(before)
        assert router.digest == digest
        world.small.room = 4 * SIZE
        router.journal.tend()
        world.small.room = 0
        router.record(router.observe(Report.MASTER, "test"))
    with Router.open(tmp_path / "j") as router:
        assert router.digest == digest
