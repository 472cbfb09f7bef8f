"""The simulated disk: what a power failure, a failed sync and a full disk leave."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.test_pair import case, sound
from vpcrouter.journal import writer
from vpcrouter.simulation.case import DiskFault, PowerOff
from vpcrouter.simulation.disk import SimulatedDisk
from vpcrouter.simulation.pair import run
from vpcrouter.simulation.strategies import add_lease, add_tier
from vpcrouter.simulation.world import Process, World


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


def does(world: World, work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again outside of the simulated thread
            failures.append(error)

    thread = Process(world, "p").thread()
    world.after(0, lambda: thread.do(attempt))
    world.run_until(world.now_ns + 10**10)
    for each in failures:
        raise each


def lives(directory: Path, work: Callable[[SimulatedDisk], None]) -> Iterator[bytes]:
    """What stands in the file after the work and a power failure, for many seeds."""
    for seed in range(40):
        world = World(seed)
        disk = SimulatedDisk(world, directory.parent)
        (directory / "file").unlink(missing_ok=True)
        does(world, lambda disk=disk: work(disk))  # type: ignore[misc]
        disk.power_failure(directory)
        yield (directory / "file").read_bytes() if (directory / "file").exists() else b"-"


def test_what_was_synced_is_there_and_what_was_not_may_be(directory: Path) -> None:
    def work(disk: SimulatedDisk) -> None:
        fd = disk.create(directory / "file")
        disk.write(fd, b"kept", 0)
        disk.sync_data(fd)
        disk.sync_directory(directory)
        disk.write(fd, b"perhaps", 4)
        os.close(fd)

    found = set(lives(directory, work))
    assert all(each.startswith(b"kept") for each in found)
    assert {b"kept", b"keptperhaps"} < found


def test_a_sync_after_one_that_failed_does_not_bring_back_what_that_one_lost(directory: Path) -> None:
    """The system took it for written (PostgreSQL's fsync of 2018); only writing it again helps."""

    def work(disk: SimulatedDisk, *, again: bool = False) -> None:
        fd = disk.create(directory / "file")
        disk.sync_data(fd)
        disk.sync_directory(directory)
        disk.write(fd, b"lost?", 0)
        disk.fails_syncs = True
        with pytest.raises(OSError, match="Input/output"):
            disk.sync_data(fd)
        disk.fails_syncs = False
        if again:
            disk.write(fd, b"lost?", 0)
        disk.sync_data(fd)
        assert os.pread(fd, 9, 0) == b"lost?"  # as everybody sees it until the power fails
        os.close(fd)

    assert b"" in set(lives(directory, work))
    assert set(lives(directory, lambda disk: work(disk, again=True))) == {b"lost?"}


def test_a_full_disk_takes_a_part_and_what_is_given_back(directory: Path) -> None:
    def work(disk: SimulatedDisk) -> None:
        reserve = disk.create(directory / "reserve")
        disk.allocate(reserve, 5_000)
        fd = disk.create(directory / "file")
        disk.is_full = True
        room = disk.free_bytes(directory)
        assert disk.write(fd, bytes(1_000), 0) == room
        with pytest.raises(OSError, match="No space") as caught:
            disk.write(fd, b"x", room)
        assert caught.value.errno == errno.ENOSPC
        disk.remove(directory / "reserve")
        assert disk.write(fd, bytes(6_000), room) == 5_000
        disk.is_full = False
        assert disk.write(fd, bytes(6_000), 0) == 6_000
        os.close(fd)
        os.close(reserve)

    world = World(5)
    does(world, lambda: work(SimulatedDisk(world, directory.parent)))


@pytest.mark.parametrize("how", ["full", "refuses-writes", "refuses-syncs"])
@pytest.mark.parametrize("seed", range(4))
def test_a_bad_disk_and_then_no_power_lose_nothing_that_was_acknowledged(how: str, seed: int) -> None:
    burst = [add_tier(4), *(add_lease(4, kind) for kind in range(4))]
    steps = [each.to("rA", 2_000 + 60 * number) for number, each in enumerate(burst)]
    bad = DiskFault(at_ms=2_080, router="rA", how=how, for_ms=900)
    sound(run(case(*steps, bad, PowerOff(at_ms=4_600, router="rA", for_ms=300), seed=seed)))


def test_a_change_of_role_is_recorded_on_a_full_disk() -> None:
    """By the journal's reserve."""
    full = DiskFault(at_ms=1_900, router="backup", how="full", for_ms=6_000)
    report = sound(run(case(full, PowerOff(at_ms=2_500, router="master", for_ms=800))))
    assert [step.role for step in report.roles if 2_500 <= step.at_ms <= 4_000] == ["master"]


def test_a_power_failure_in_the_middle_of_a_write_leaves_a_torn_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the dying process would still do, as cutting its half-written record off, it does not do."""
    recover: Callable[..., tuple[Any, Any]] = writer.recover  # type: ignore[attr-defined]
    torn: list[bool] = []

    def noted(*args: Any) -> Any:
        found = recover(*args)
        torn.append(found[1] is not None)
        return found

    monkeypatch.setattr(writer, "recover", noted)
    slow = DiskFault(at_ms=2_500, router="rA", how="slow", for_ms=900)
    off = PowerOff(at_ms=2_560, router="rA", for_ms=300)
    for seed in range(40):
        sound(run(case(slow, add_tier(4).to("rA", 2_500), off, seed=seed)))
        if any(torn):
            return
    pytest.fail("none of 40 was torn")
