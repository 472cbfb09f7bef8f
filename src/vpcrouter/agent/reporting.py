"""What `vpcrouter status` prints, and the metrics that are made of it."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from vpcrouter.agent.conflicts import Conflicts
from vpcrouter.agent.intake import Intake
from vpcrouter.agent.planning import Planning
from vpcrouter.agent.settlements import Settlements
from vpcrouter.agent.sites import Sites
from vpcrouter.agent.talk import Talk
from vpcrouter.agent.weighing import Weighing
from vpcrouter.checkup import Checkup
from vpcrouter.confirming import Confirming
from vpcrouter.materialise.vrrp_authentication import settings_without_effect
from vpcrouter.peering import Peering
from vpcrouter.projections.effective import pending
from vpcrouter.projections.electors import electors
from vpcrouter.router import Router
from vpcrouter.state import State
from vpcrouter.values.incremental import Latest


class Reporting:
    """The status of one router."""

    def __init__(
        self,
        router: Router,
        *,
        counters: Counter[str],
        planning: Planning,
        settlements: Settlements,
        peering: Peering,
        talk: Talk,
        weighing: Weighing,
        intake: Intake,
        sites: Sites,
        checkup: Checkup,
        confirming: Confirming,
        conflicts: Conflicts,
    ) -> None:
        self._router = router
        self._counters = counters
        self._planning = planning
        self._settlements = settlements
        self._peering = peering
        self._talk = talk
        self._weighing = weighing
        self._intake = intake
        self._sites = sites
        self._checkup = checkup
        self._confirming = confirming
        self._conflicts = conflicts
        self._role_since_ns = router.surroundings.time_ns()

    def role_changed(self) -> None:
        """This router has another role from now on."""
        self._role_since_ns = self._router.surroundings.time_ns()

    def status(self) -> dict[str, Any]:
        """What `vpcrouter status` prints."""
        router, settlements, journal_fault = self._router, self._settlements, self._intake.fault
        settled, lacks = settlements.is_settled(router.seq), self._talk.lacks()
        peers = self._peering.describe()
        runs = router.electors.stay(electors(router.state))  # what is only planned is not so yet
        return {
            "role": router.role.value,
            "role_reason": router.role_reason,
            "role_since": round(self._role_since_ns / 1e9, 3),
            "interface": runs.carrier or self._planning.materialise().vrrp_interface,
            "seq": router.seq,
            "digest": router.digest,
            "settled": settled,
            "settled_seq": settlements.newest_seq,
            "ready": None if lacks is None else not lacks,
            "not_ready": list(lacks or ()),
            "connections": self._talk.standby.total,
            "connections_missing": self._talk.standby.missing,
            "electors": {device: role.value for device, role in router.electors.roles.items()},
            "lost": self._weighing.reasons,
            "held": [each.device for each in runs.held],
            "peer": peers[0] if peers else None,
            "peers": peers,
            "conflicts": self._conflicts.describe(),
            "differs": self._talk.disagreement.describe(),
            "tunnels": self._sites.describe(),
            "pending": list(_PENDING.of(router.state)),
            "unconfirmed": self._confirming.describe(),
            "faults": [
                *([] if journal_fault is None else [f"journal: {journal_fault}"]),
                *([] if settled or settlements.outcome is None else settlements.differences),
                *(
                    f"{each}: the peer has no known address to be spoken to by unicast; this elector stays in fault"
                    for each in self._peering.unknown
                ),
            ],
            "without_effect": settings_without_effect(router.settings, router.state.router),
            "journal_reserve": router.journal.has_reserve,
            "drift": list(settlements.drift),
            "health": self._checkup.describe(),
            "alerts": list(self._checkup.alerts),
            "counters": {**self._counters, **router.host.counters()},
            "settle_seconds": settlements.durations.as_dict(),
            "pid": os.getpid(),
        }


def _pending(state: State) -> tuple[str, ...]:
    return tuple(map(str, pending(state)))


_PENDING: Latest[State, tuple[str, ...]] = Latest(_pending)
"""Whoever watches a router asks for its status again and again."""
