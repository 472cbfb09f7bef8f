"""Notices at once when a daemon ends: each one's pidfd becomes readable then (pidfd_open(2))."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from vpcrouter.host import Host

LOG = logging.getLogger("vpcrouter.agent")


class Deaths:
    """Watches the daemons of one host. `died` is called with the name of one that ended without being asked to."""

    def __init__(self, host: Host, *, died: Callable[[str], None]) -> None:
        self._host = host
        self._died = died
        self._watched: dict[str, int] = {}
        self._told: Counter[str] = Counter()

    def is_watched(self, name: str) -> bool:
        """Whether this daemon runs, as far as is known."""
        return name in self._watched

    def look(self) -> None:
        """Watch the daemons that run now, and say which had to be started again."""
        loop, now = asyncio.get_running_loop(), dict(self._host.pidfds())
        for name, pidfd in self._watched.items():
            if now.get(name) != pidfd:
                loop.remove_reader(pidfd)
        for name, pidfd in now.items():
            if self._watched.get(name) != pidfd:
                loop.add_reader(pidfd, self._on_end, name, pidfd)
        self._watched = now
        self._tell(self._host.counters())

    def _tell(self, counters: Mapping[str, int]) -> None:
        for name, count in counters.items():
            if name.endswith("_deaths") and count > self._told[name]:
                LOG.error("%s died and was started again", name.removesuffix("_deaths"))
                self._told[name] = count

    def _on_end(self, name: str, pidfd: int) -> None:
        """A pass may have noticed it as well, and started another one; it has ended all the same."""
        asyncio.get_running_loop().remove_reader(pidfd)
        self._watched.pop(name, None)
        if self._host.ended_by_itself(name, pidfd):
            self._died(name)
