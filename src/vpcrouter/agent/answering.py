"""What the agent answers to those who ask over its socket: one request in, one answer out.

Used by `loop`, which opens the door. Each request names its operation (`op`) and what that needs; a command goes to
`intake`, a question about the machine to the one worker that looks at it. Whatever is refused is raised, and the door
says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from vpcrouter.agent.handing_over import HandingOver
from vpcrouter.agent.intake import Intake
from vpcrouter.agent.planning import Planning
from vpcrouter.agent.reporting import Reporting
from vpcrouter.agent.settlements import Settlements
from vpcrouter.agent.sites import Sites
from vpcrouter.checkup import Checkup
from vpcrouter.confirming import Confirming
from vpcrouter.materialise.nftables import TABLE
from vpcrouter.materialise.usage import describe_usage
from vpcrouter.projections.effective import effective
from vpcrouter.router import Router
from vpcrouter.values.role import Role


class Answering:
    """The operations of one router's agent.

    `notice` settles when it is quiet, `settle_all` at once and everything, whatever is known of it.
    """

    def __init__(
        self,
        router: Router,
        worker: Executor,
        *,
        intake: Intake,
        planning: Planning,
        settlements: Settlements,
        confirming: Confirming,
        handing_over: HandingOver,
        sites: Sites,
        checkup: Checkup,
        reporting: Reporting,
        notice: Callable[[], None],
        settle_all: Callable[[], None],
    ) -> None:
        self._router = router
        self._worker = worker
        self._intake = intake
        self._planning = planning
        self._settlements = settlements
        self._confirming = confirming
        self._handing_over = handing_over
        self._sites = sites
        self._checkup = checkup
        self._reporting = reporting
        self._notice = notice
        self._settle_all = settle_all

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked. Raises CallerError, JournalError, HostError, and ValueError for what is no operation."""
        match request["op"]:
            case "submit":
                return {"results": await self._intake.submit(request)}
            case "confirm" | "take-back" as which:
                decide = self._router.confirm if which == "confirm" else self._router.take_back
                receipt = decide(str(request["name"]), origin="socket")
                self._confirming.look_again()
                self._notice()
                return {"results": [receipt.as_dict()]}
            case "unconfirmed":
                return {"unconfirmed": self._confirming.describe()}
            case "revert":
                receipts = self._intake.revert(int(request["seq"]))
                self._notice()
                return {"results": [each.as_dict() for each in receipts]}
            case "status":
                return {"status": self._reporting.status()}
            case "usage":
                return {"usage": await self.usage()}
            case "settled":
                return await self._settlements.wait(int(request["seq"]), float(request["timeout"]))
            case "settle":
                self._settle_all()
                return await self._settlements.wait(self._router.seq, float(request["timeout"]), again=True)
            case "plan":
                desired = self._planning.materialise(Role(request["role"]) if request.get("role") else None)
                operations = await self._in_worker(self._router.host.plan, desired)
                return {"operations": [[each.target, each.action, each.subject] for each in operations]}
            case "verify":
                return {"differences": await self._in_worker(self._router.host.verify, self._planning.materialise())}
            case "handover":
                return await self._handing_over.hand_over(forced=bool(request["force"]), to=request.get("to") or None)
            case "tunnels":
                return {"tunnels": await self._sites.look()}
            case "checkup":
                return {"text": await self._checkup.text(now=bool(request["now"]))}
            case other:
                raise ValueError(f"{other!r} is not an operation of the agent")

    async def usage(self) -> list[dict[str, Any]]:
        """What was forwarded by way of each device; see `materialise.usage`."""
        counted = await self._in_worker(self._router.host.traffic, TABLE)
        return describe_usage(effective(self._router.state), counted)

    async def _in_worker(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)
