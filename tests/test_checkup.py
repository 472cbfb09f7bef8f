"""The checkup: what begins to fail while the checks are being made has them made again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from vpcrouter.checkup import Checkup
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.monitoring import Monitoring


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
