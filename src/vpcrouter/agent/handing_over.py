"""Hands the service to a peer when somebody asks for it. keepalived decides; see `machines.handover` for how."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from vpcrouter.machines.handover import HandoverMachine
from vpcrouter.router import Router
from vpcrouter.values.beacon import Peer
from vpcrouter.values.role import Role

LOG = logging.getLogger("vpcrouter.agent")

LOOK_S = 0.01
"""How often a client that waits for a handover looks for its end; it takes half a second."""


class HandingOver:
    """The handovers of one router.

    `begun` is called when one has begun, `step` every few milliseconds until it has ended, `give_up` ends keepalived
    where no agent of the peer is there to take an offer.
    """

    def __init__(
        self,
        router: Router,
        machine: HandoverMachine,
        *,
        heard: Callable[[], Sequence[Peer]],
        begun: Callable[[], None],
        step: Callable[[], None],
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._router = router
        self._machine = machine
        self._heard = heard
        self._begun = begun
        self._step = step
        self._give_up = give_up

    async def hand_over(self, *, forced: bool, to: str | None = None) -> dict[str, Any]:
        """Give the service to a peer; refused without force unless that one is ready.

        `to`: an own address of the one that is to take it, on any tier; None: one that is ready, the same at each call.

        Returns whether it is `done` or was `refused`, the `reasons` against it, and how many `seconds` it took.
        """
        if self._router.role is not Role.MASTER or not self._router.electors.carrier:
            reasons = [f"this router does not serve in a pair, it is {self._router.role.value}"]
            return {"done": False, "refused": True, "reasons": reasons, "seconds": 0.0}
        taker = self._choose(to)
        reasons = self._reasons_against(taker, to)
        if reasons and not forced:
            return {"done": False, "refused": True, "reasons": reasons, "seconds": 0.0}
        started = self._router.surroundings.monotonic()
        if taker is None:
            if self._heard():
                return {"done": False, "refused": True, "reasons": reasons, "seconds": 0.0}
            # Nobody would take an offer; what is left is what VRRP has for a router that ends.
            await self._give_up()
            return {"done": True, "refused": False, "reasons": reasons, "seconds": self._since(started)}
        LOG.info("handing the service over%s", "" if not reasons else f", though {'; '.join(reasons)}")
        self._machine.begin(self._router.surroundings.monotonic_ns(), taker=taker.instance, forced=forced)
        self._begun()
        while self._machine.outcome is None:
            await asyncio.sleep(LOOK_S)
            self._step()
        done = self._machine.outcome
        if not done:
            reasons.append("the peer has not taken over in time; this router goes on")
            LOG.warning("the handover failed: %s", reasons[-1])
        return {"done": done, "refused": False, "reasons": reasons, "seconds": self._since(started)}

    def _since(self, started: float) -> float:
        return round(self._router.surroundings.monotonic() - started, 3)

    def _choose(self, to: str | None) -> Peer | None:
        """Who is to take the service; without a wish the best, and of equals the lowest by its addresses."""
        heard = [each for each in self._heard() if to is None or to in (place.address for place in each.places)]
        carrier = self._router.electors.carrier
        return min(
            heard,
            key=lambda each: (
                each.saying.role is not Role.BACKUP,
                not each.saying.ready,
                each.saying.carrier != carrier,
                each.places,
                each.instance,
            ),
            default=None,
        )

    def _reasons_against(self, taker: Peer | None, to: str | None) -> list[str]:
        if taker is None:
            return ["the peer is silent" if to is None or not self._heard() else f"no peer that is heard is at {to}"]
        peer, found = taker.saying, []
        if peer.role is not Role.BACKUP:
            found.append(f"the peer is {peer.role.value}")
        elif not peer.ready:
            found.append("the peer is not ready (its `vpcrouter status` says what it lacks)")
        if peer.carrier != self._router.electors.carrier:
            found.append("the carrier is moving")
        if self._machine.is_under_way:
            found.append("a handover is under way")
        return found
