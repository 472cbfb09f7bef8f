"""What a checkup asks of the agent: who it is, what is wanted, and what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from vpcrouter.agent.planning import Planning
from vpcrouter.agent.settlements import Settlements
from vpcrouter.host import Host
from vpcrouter.router import Router
from vpcrouter.values.monitoring import Monitoring


class Examination:
    """One router, as `checkup.Examined`. `settle_all` begins a settle that looks at everything."""

    def __init__(
        self,
        router: Router,
        worker: Executor,
        planning: Planning,
        settlements: Settlements,
        *,
        settle_all: Callable[[], None],
    ) -> None:
        self._router = router
        self._host: Host = router.host
        self._worker = worker
        self._planning = planning
        self._settlements = settlements
        self._settle_all = settle_all

    @property
    def monitoring(self) -> Monitoring | None:
        """What the management server wants to know."""
        return self._router.state.monitoring

    @property
    def role(self) -> str:
        """The router's."""
        return self._router.role.value

    def faults(self) -> tuple[str, ...]:
        """What failed in the newest settle; what is only awaited is no fault."""
        outcome = self._settlements.outcome
        return () if outcome is None else tuple(map(str, outcome.faults))

    def down(self) -> tuple[str, ...]:
        """Daemons that are wanted and do not run."""
        running = self._host.pidfds()
        return tuple(each.name for each in self._planning.materialise().daemons if each.name not in running)

    async def settled(self, timeout: float, *, again: bool) -> None:
        """Wait for a settle that leaves nothing undone, `timeout` seconds at most."""
        if again:
            self._settle_all()
        await self._settlements.wait(self._router.seq, timeout, again=True)

    async def compare(self) -> tuple[str, ...]:
        """All of the machine against the state, now."""
        desired = self._planning.materialise()
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._host.verify, desired)
