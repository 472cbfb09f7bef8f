"""What this router has lost, and what that makes of it: looks, tells keepalived and the role, looks again in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from vpcrouter.agent.planning import Planning
from vpcrouter.agent.settlements import Settlements
from vpcrouter.errors import HostError
from vpcrouter.fitness import Fitness
from vpcrouter.machines.kinship import must_not_serve
from vpcrouter.machines.role import RoleChange
from vpcrouter.materialise.vrrp_authentication import authentication
from vpcrouter.peering import Peering
from vpcrouter.router import Router
from vpcrouter.values.beacon import MULTICAST, UNICAST, Peer, Saying
from vpcrouter.values.settings import NO_AUTHENTICATION

LOG = logging.getLogger("vpcrouter.agent")

MIN_PACE_NS = 10_000_000
"""It is never looked more often than so without a reason of our own."""


class Weighing:
    """The looks of one router. `follow` takes a change of role, `consider` is called after a look that was due."""

    def __init__(
        self,
        router: Router,
        peering: Peering,
        planning: Planning,
        settlements: Settlements,
        fitness: Fitness,
        *,
        follow: Callable[[RoleChange | None], None],
        consider: Callable[[], None],
    ) -> None:
        self._router = router
        self._peering = peering
        self._planning = planning
        self._settlements = settlements
        self._fitness = fitness
        self._follow = follow
        self._consider = consider
        self._look: asyncio.TimerHandle | None = None
        self.stranger = ""
        """Why this router must not serve beside a peer that does not hear it; empty if it may."""

    @property
    def kind(self) -> str:
        """By what this router's advertisements prove themselves."""
        config, settings = self._router.state.router, self._router.settings
        found = None if config is None else authentication(config, settings)
        return NO_AUTHENTICATION if found is None else found.kind

    @property
    def way(self) -> str:
        """By what they go."""
        return UNICAST if self._router.settings.unicast_peers else MULTICAST

    @property
    def reasons(self) -> list[str]:
        """What keeps this router from serving, or makes it a worse one."""
        return [*(each.reason for each in self._fitness.losses), *([self.stranger] if self.stranger else [])]

    def weigh(self) -> None:
        """See what this router has lost, and what that makes of it."""
        if self._planning.planned is None:
            return
        desired = self._planning.planned[1]
        before, peers = self.stranger, self._peering.heard
        self.stranger = self._find_stranger(peers) if peers and desired.vrrp_interface is not None else ""
        if self.stranger and not before:
            LOG.error("%s", self.stranger)
        try:
            self._fitness.look(
                desired.kernel,
                self._router.role,
                peers,
                () if self._settlements.outcome is None else self._settlements.outcome.faults,
                self._router.journal.refusal or None,
                is_paired=desired.vrrp_interface is not None,
            )
        except HostError as error:
            LOG.error("%s", error)
        self.obey()
        self._follow(self._router.judge("; ".join(self.reasons)))
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if (next_ns := self._fitness.next_ns) is not None:
            wait_ns = max(MIN_PACE_NS, next_ns - self._router.surroundings.monotonic_ns())
            self._look = asyncio.get_running_loop().call_later(wait_ns / 1e9, self._look_again)

    def _find_stranger(self, peers: Sequence[Peer]) -> str:
        return must_not_serve(
            Saying(role=self._router.role, vrrp=self.kind, way=self.way),
            instance=self._peering.instance,
            since_ns=self._peering.since_ns,
            peers=peers,
        )

    def obey(self) -> None:
        """Have keepalived know at once if this router must not serve."""
        try:
            self._fitness.obey(self._router.electors.must_obey or bool(self.stranger))
        except HostError as error:
            LOG.error("%s", error)

    def close(self) -> None:
        """Look no more."""
        if self._look is not None:
            self._look.cancel()
        self._fitness.close()

    def _look_again(self) -> None:
        self.weigh()
        self._consider()
