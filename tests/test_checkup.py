"""The checkup: what begins to fail meanwhile is looked at again; nobody who ends waits for a gateway."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest

from vpcrouter.appliers import _process, machine_facts
from vpcrouter.checkup import Checkup
from vpcrouter.health import BASIC
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.monitoring import Monitoring

GATEWAYS = ("192.0.2.1", "192.0.2.2")


def _ping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """The only program there is."""
    monkeypatch.setattr(_process, "SEARCH_PATH", str(tmp_path))
    (tmp_path / "ping").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "ping").chmod(0o755)


class Failing:
    """A router that has a fault from its first comparison on, of which that one does not know yet."""

    monitoring = Monitoring(advanced_interval_min=60)
    role = "backup"

    def __init__(self) -> None:
        self.compared = 0

    def faults(self) -> tuple[str, ...]:
        return ("dnsmasq: refuses",) if self.compared else ()

    def down(self) -> tuple[str, ...]:
        return ()

    async def settled(self, timeout: float, *, again: bool) -> None:
        pass

    async def compare(self) -> tuple[str, ...]:
        found = self.faults()
        self.compared += 1
        return found


def test_what_begins_to_fail_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    examined = Failing()
    kept = tmp_path / "results"
    checkup = Checkup(examined, tmp_path, kept, Surroundings())

    async def watch() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(checkup.watch(), 3.0)

    asyncio.run(watch())
    checkup.close()
    assert kept.read_text().startswith("FAILING CHECKS:\ndhcp_check.py,dns_check.py")
    assert examined.compared == 3, "one that knows of it, and what differs after a settle"


def test_whoever_ends_waits_for_no_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ping(tmp_path, monkeypatch, "exec /bin/sleep 10")
    examined = Failing()
    examined.monitoring = Monitoring(basic_interval_min=3, gateways=GATEWAYS)
    examined.role = "master"
    checkup = Checkup(examined, tmp_path, tmp_path / "results", Surroundings())

    async def end_in_the_middle() -> float:
        run = asyncio.create_task(checkup.run([BASIC], in_full=False))
        await asyncio.sleep(0.4)
        assert not run.done(), "otherwise this test shows nothing"
        checkup.close()
        begun = time.monotonic()
        await run
        return time.monotonic() - begun

    assert asyncio.run(end_in_the_middle()) < 1.0


@pytest.mark.parametrize(
    ("script", "silent"),
    [
        ("exit 1", GATEWAYS),
        ("exit 0", ()),
        ('[ "$7" = 192.0.2.2 ]', GATEWAYS[:1]),
        ('echo >> {log}; [ "$(/usr/bin/wc -l < {log})" -gt 2 ]', ()),
    ],
)
def test_a_gateway_is_silent_after_three_pings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, silent: tuple[str, ...]
) -> None:
    _ping(tmp_path, monkeypatch, script.format(log=tmp_path / "log"))
    assert machine_facts.silent_hosts(GATEWAYS, lambda: False) == silent


def test_without_ping_nobody_knows_of_a_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "SEARCH_PATH", str(tmp_path))
    assert machine_facts.silent_hosts(GATEWAYS, lambda: False) is None
    assert machine_facts.silent_hosts((), lambda: False) == ()
