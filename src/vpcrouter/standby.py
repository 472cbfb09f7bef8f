"""How far a backup is from taking over: reads the connection table, compares it with what the peer tells, repairs.

Used by the agent, which calls `look` about once a second and after that tells the peer what is new (`sample`, `ready`).
What to conclude is `machines.readiness`; the table is `appliers.connections`. The serving router looks too: it chooses
the samples, and it repeats its connections before a backup's kernel forgets them.

Why it repeats them: conntrackd sends a connection when its state changes. One that is in use for long changes nothing
any more, and the backup, which sees none of its packets, drops it after the kernel's time for UDP (120 s).

The table is read in a thread of its own: a settle takes its time, and so does a table of 100,000.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from vpcrouter.errors import HostError
from vpcrouter.machines.backoff import Backoff
from vpcrouter.machines.readiness import ConnectionComparison, ConnectionSampler
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.beacon import Peer
from vpcrouter.values.connections import ConnectionSample
from vpcrouter.values.role import Role

if TYPE_CHECKING:
    from vpcrouter.appliers.connections import ConnectionTable

LOG = logging.getLogger("vpcrouter.standby")

LOOK_S = 1.0
"""A broken synchronisation is to be noticed, repaired and proven within 5 s; two looks notice, two prove."""
_SHARE_OF_TIME = 50
"""…but no more than a fiftieth of the time is spent on looking: a table of 100,000 takes half a second."""
_REPEATS = 3
"""Within the kernel's time for UDP, so that one may be lost."""


@frozen(kw_only=True)
class Wanted:
    """What conntrackd is to be told after a look."""

    resync: bool = False
    """Ask the peer for all its connections."""
    share: bool = False
    """Read the kernel's again, and send them all."""
    repeat: bool = False
    """Send all that it knows."""


NOTHING = Wanted()


class Standby:
    """The connections of this router and of its peers."""

    def __init__(self, surroundings: Surroundings = HERE) -> None:
        self._surroundings = surroundings
        self._thread = surroundings.worker()
        self._table: ConnectionTable | None = None
        self._sampler = ConnectionSampler(int.from_bytes(surroundings.random_bytes(4)))
        self._comparison = ConnectionComparison()
        self._patience = Backoff(first_ms=1_000, cap_ms=10_000)
        self._asks_ns = 0
        self._total = 0
        self._udp_timeout_s = 0.0
        self._repeated_s = surroundings.monotonic()
        self._was_in_step = False
        self._compared_with = 0
        """The number of the peer whose connections were looked for last."""
        self.sample: ConnectionSample | None = None
        """What the peer is to be told; None on a router that does not serve."""

    @property
    def pause_s(self) -> float:
        """How long to wait until the next look."""
        return max(LOOK_S, 0.0 if self._table is None else self._table.cpu_s * _SHARE_OF_TIME)

    @property
    def total(self) -> int:
        """Connections in this router's table that are shared, when it was last read."""
        return self._total

    @property
    def missing(self) -> int:
        """Of the peer's sample, how many are certainly not here."""
        return self._comparison.missing

    def doubt(self) -> None:
        """The synchronisation was interrupted: it has to be proven again."""
        self._comparison.doubt()
        self._asks_ns = 0
        self._repeated_s = float("-inf")

    async def look(self, role: Role, peers: Sequence[Peer], link: str | None) -> Wanted:
        """Read the table if there is something to tell or to compare; what conntrackd is to do about it.

        `peers`: those that are heard, the one that serves first: a backup compares with that one. `link`: the device
        that conntrackd speaks by.
        """
        if role is Role.MASTER:
            self._comparison.doubt()
            self.sample = self._sampler.take(await self._read())
            return self._serve(any(each.saying.missing for each in peers))
        self.sample = None
        self._sampler.forget()
        sample = peers[0].saying.sample if peers else None
        if role is not Role.BACKUP or sample is None or not _share_a_network(link, peers[0].saying.link):
            self._comparison.doubt()
            return NOTHING
        if peers[0].number != self._compared_with:
            self._comparison.doubt()  # what one router has named says nothing of the connections of another one
            self._compared_with = peers[0].number
        if self._comparison.has_seen(sample):
            return NOTHING
        self._comparison.compare(sample, await self._read())
        return self._follow()

    def _serve(self, are_missing: bool) -> Wanted:
        now = self._surroundings.monotonic()
        if are_missing and self._may_ask():
            return Wanted(share=True)
        if now - self._repeated_s >= self._udp_timeout_s / _REPEATS:
            self._repeated_s = now
            return Wanted(repeat=True)
        return NOTHING

    def _follow(self) -> Wanted:
        comparison = self._comparison
        if comparison.is_in_step != self._was_in_step:
            self._was_in_step = comparison.is_in_step
            if comparison.is_in_step:
                LOG.info("the connections are in step with the peer's")
            elif comparison.missing:
                LOG.warning("connections of the peer are missing here: %d of its last sample", comparison.missing)
            else:
                LOG.info("the connections have to be compared with the peer's anew")
        if not comparison.missing:
            self._patience.succeeded()
            return NOTHING
        return Wanted(resync=self._may_ask())

    def _may_ask(self) -> bool:
        """Not again before an answer can have worked."""
        now_ns = self._surroundings.monotonic_ns()
        if now_ns < self._asks_ns:
            return False
        self._asks_ns = self._patience.failed(now_ns)
        return True

    def lacks(
        self, heard: Peer | None, digest: str, *, settled: bool, synchronises: bool, link: str | None
    ) -> tuple[str, ...]:
        """Why this backup is not ready to take over; empty if it is. `heard`: the one that serves, if any is heard."""
        if heard is None:
            return ("the peer is silent",)
        peer, found = heard.saying, []
        if not settled:
            found.append("this router is not settled")
        if peer.role is not Role.MASTER:
            found.append(f"the peer does not serve, it is {peer.role.value}")
        if peer.digest != digest:
            found.append("the configurations differ")
        if not synchronises:
            found.append("conntrackd does not run")
        elif not _share_a_network(link, peer.link):
            found.append(f"conntrackd speaks by {link}, and the peer's by {peer.link}")
        elif self._comparison.missing:
            found.append(f"{self._comparison.missing} connections of the peer's sample are missing here")
        elif not self._comparison.is_in_step or heard.number != self._compared_with:
            found.append("the connections have not been compared yet")
        return tuple(found)

    async def _read(self) -> frozenset[int]:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._read_now)
        except HostError as error:
            LOG.warning("%s", error)
            return frozenset()
        self._total = len(found)
        return found

    def _read_now(self) -> frozenset[int]:
        if self._table is None:
            self._table = self._surroundings.connections()
        self._udp_timeout_s = self._table.udp_timeout_s()
        return self._table.read()

    def close(self) -> None:
        """Look no more."""
        self._thread.shutdown(wait=True)
        if self._table is not None:
            self._table.close()


def _share_a_network(link: str | None, other: str | None) -> bool:
    """Whether what one conntrackd says gets to the other; taken for true of a router that does not tell."""
    return link is None or other is None or link == other
