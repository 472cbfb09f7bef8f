"""A router whose journal's disk is full serves on, says so, takes what must not wait, and goes on by itself.

One whose disk refuses to be written at all leaves the service to the peer, until it can be written again.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import new_laboratory
from tests.lab.example import BURST
from tests.lab.test_agent_killed import lease, reserved
from vpcrouter.errors import HostError
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.drill import hand_over, is_ready
from vpcrouter.lab.laboratory import Laboratory

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROUTER = "rA"


def eventually(told: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not told():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def submit(pair: Laboratory, text: str) -> dict[str, Any]:
    with pair.connect(ROUTER) as agent:
        (line,) = agent.submit("vm_dhcp_entry.json", text)
    return line


def test_a_full_disk() -> None:
    pair = new_laboratory()
    disk = pair.directory / ROUTER / "journal"
    mounted = False
    try:
        pair.build()
        disk.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", disk], check=True)
        mounted = True
        for router, pid in {router: machine.start(100) for router, machine in pair.machines.items()}.items():
            pair.machines[router].wait_until_it_answers(pid)
        assert run_burst(pair, burst_files(BURST)).is_good
        status = pair.status()[ROUTER]
        assert (status["journal_reserve"], status["settled"], status["faults"]) == (True, True, [])
        pid, role = status["pid"], status["role"]

        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        refusal = ""
        number = 10  # 10.1.6.1 is the gateway
        while not refusal and number < 110:
            number += 1
            try:
                submit(pair, lease(number))
            except HostError as error:
                refusal = str(error)
        assert "the disk is full" in refusal
        assert str(disk) in refusal

        assert number > 11
        assert eventually(lambda: pair.status()[ROUTER]["settled"] is True)
        status = pair.status()[ROUTER]
        assert (status["pid"], status["role"]) == (pid, role)
        assert any(fault.startswith("journal: ") and "the disk is full" in fault for fault in status["faults"])
        assert status["journal_reserve"] is True
        assert f"10.1.6.{number}" not in reserved(pair, ROUTER)

        assert submit(pair, lease(11, remove=True))["status"] == "accepted"
        assert "10.1.6.11" not in reserved(pair, ROUTER)
        assert pair.status()[ROUTER]["journal_reserve"] is False

        filler.unlink()
        assert eventually(lambda: pair.status()[ROUTER]["faults"] == [])
        assert eventually(lambda: pair.status()[ROUTER]["journal_reserve"] is True)
        assert submit(pair, lease(number))["status"] == "accepted"
        assert f"10.1.6.{number}" in reserved(pair, ROUTER)
        assert pair.status()[ROUTER]["pid"] == pid
    finally:
        if mounted:
            subprocess.run(["umount", "-l", disk], check=False)
        pair.down()


def test_a_disk_that_turns_read_only(tmp_path: Path) -> None:
    """As a disk does that fails: the file system stops in the middle (`abort`), and is there again after a repair."""
    pair = new_laboratory()
    disk, image = pair.directory / ROUTER / "journal", tmp_path / "disk"
    mounted = False
    try:
        pair.build()
        disk.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(16 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, disk], check=True)
        mounted = True
        disk.chmod(0o700)
        for router, pid in {router: machine.start(100) for router, machine in pair.machines.items()}.items():
            pair.machines[router].wait_until_it_answers(pid)
        assert run_burst(pair, burst_files(BURST)).is_good
        assert pair.wait(is_ready, 20.0), pair.status()
        if pair.status()[ROUTER]["role"] != "master":
            assert hand_over(pair).taker == ROUTER
        seq = pair.status()[ROUTER]["seq"]

        subprocess.run(["mount", "-o", "remount,abort", disk], check=True)
        with pytest.raises(HostError, match="Read-only file system"):
            submit(pair, lease(20))
        assert pair.wait(lambda status: status["rB"]["role"] == "master", 10.0), pair.status()
        assert pair.wait(lambda status: status[ROUTER]["role"] == "fault", 10.0), pair.status()
        status = pair.status()[ROUTER]
        assert any("Read-only file system" in each for each in status["lost"])
        assert any("Read-only file system" in each for each in status["faults"])
        assert "10.1.6.20" not in reserved(pair, ROUTER)
        with pytest.raises(HostError, match="closed for writing"):
            submit(pair, lease(20))

        repaired = shutil.copy(image, tmp_path / "repaired")
        subprocess.run(["fsck.ext4", "-fy", repaired], check=False, capture_output=True)
        # Where the agent is: `ip netns exec` gave it mounts of its own.
        there = ["nsenter", "--target", str(status["pid"]), "--mount"]
        subprocess.run([*there, "umount", "-l", disk], check=True)
        subprocess.run([*there, "mount", "-o", "loop", repaired, disk], check=True)
        assert pair.wait(lambda status: status[ROUTER].get("role") == "backup", 15.0), pair.status()
        assert pair.status()[ROUTER]["seq"] >= seq
        assert pair.status()[ROUTER]["lost"] == []
        assert submit(pair, lease(20))["status"] == "accepted"
    finally:
        if mounted:
            subprocess.run(["umount", "-l", disk], check=False)
        pair.down()
