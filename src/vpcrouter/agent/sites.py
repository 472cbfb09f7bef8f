"""The tunnels to other sites: looked after now and then, and how they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from vpcrouter.appliers.tunnels import SiteReport
from vpcrouter.errors import HostError
from vpcrouter.host import Host
from vpcrouter.values.desired import Desired, Tunnels

LOG = logging.getLogger("vpcrouter.agent")

TEND_S = 5.0
"""How often tunnels are looked at. Charon begins them by itself; only one that the peer has refused waits for this."""


class Sites:
    """The other sites of one router, which `worker` talks to."""

    def __init__(self, host: Host, worker: Executor, desired: Callable[[], Desired]) -> None:
        self._host = host
        self._worker = worker
        self._desired = desired
        self._reports: tuple[SiteReport, ...] = ()

    async def tend(self) -> None:
        """Look after them, for ever."""
        while True:
            await asyncio.sleep(TEND_S)
            desired = self._desired()
            if desired.tunnels == Tunnels():
                self._reports = ()
                continue
            try:
                self._reports = await asyncio.get_running_loop().run_in_executor(
                    self._worker, self._host.tend_tunnels, desired
                )
            except HostError as error:
                LOG.warning("%s", error)

    def describe(self) -> list[dict[str, Any]]:
        """How they were at the last look."""
        return [_described(each) for each in self._reports]

    async def look(self) -> list[dict[str, Any]]:
        """How they are now."""
        desired = self._desired()
        found = await asyncio.get_running_loop().run_in_executor(self._worker, self._host.tunnels, desired)
        return [_described(each) for each in found]


def _described(report: SiteReport) -> dict[str, Any]:
    return {
        "peer": report.peer,
        "connected": report.is_connected,
        "standing": list(report.standing),
        "missing": list(report.missing),
    }
