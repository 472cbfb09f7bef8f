"""A router whose journal's disk is full serves on, says so, takes what must not wait, and goes on by itself."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.conftest import new_laboratory
from tests.lab.example import BURST
from tests.lab.test_agent_killed import lease, reserved
from vpcrouter.errors import HostError
from vpcrouter.lab.burst import burst_files, run_burst
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
