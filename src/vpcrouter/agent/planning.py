"""What the machine is to be now: of state, role, carriage and what the two routers are handing over. Asks nobody."""

from __future__ import annotations

from attrs import evolve

from vpcrouter.machines.handover import HandoverMachine
from vpcrouter.materialise import materialise
from vpcrouter.peering import Peering
from vpcrouter.router import Router
from vpcrouter.state import State
from vpcrouter.values.carriage import Carriage
from vpcrouter.values.desired import Desired
from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import Whereabouts


class Planning:
    """Materialises one router's state, again only when something of it is another one."""

    def __init__(self, router: Router, peering: Peering, handover: HandoverMachine) -> None:
        self._router = router
        self._peering = peering
        self._handover = handover
        self._newest: tuple[State, Role, Carriage, Desired] | None = None
        self._carriage: tuple[Carriage, bool, bool, Whereabouts, Carriage] | None = None
        """What the carriage was made of last, and that one."""

    @property
    def planned(self) -> tuple[Carriage, Desired] | None:
        """What was asked for last; None before anything was."""
        return None if self._newest is None else self._newest[2:]

    def carriage(self) -> Carriage:
        """What keepalived is to run with now."""
        carriage = self._router.carriage(self._peering.carriages, knows_all=self._peering.knows_all)
        handover = self._handover
        parts = carriage, handover.is_bridged, handover.takes_over, self._peering.whereabouts
        if self._carriage is None or self._carriage[:4] != parts:
            whole = evolve(
                carriage,
                is_bridged=carriage.is_bridged or handover.is_bridged,
                takes_over=handover.takes_over,
                whereabouts=parts[3],
            )
            self._carriage = (*parts, whole)
        return self._carriage[4]

    def plan(self) -> tuple[Carriage, Desired]:
        """What everything is to be now."""
        state, role, carriage = self._router.state, self._router.role, self.carriage()
        before = self._newest
        if before is None or before[0] is not state or before[1:3] != (role, carriage):
            before = self._newest = state, role, carriage, materialise(state, role, self._router.settings, carriage)
        return before[2:]

    def materialise(self, role: Role | None = None) -> Desired:
        """What everything is to be now, or would be in another role."""
        if role is None:
            return self.plan()[1]
        return materialise(self._router.state, role, self._router.settings, self.carriage())
