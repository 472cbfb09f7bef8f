"""When the agent's first settle may begin."""

from __future__ import annotations

import asyncio

from vpcrouter.agent.pacing import Pacing
from vpcrouter.surroundings import HERE
from vpcrouter.values.settings import Settings


def test_nothing_is_settled_before_the_role_is_learnt() -> None:
    """A command, or a change in the kernel, that comes while keepalived is being asked: it waits, and is not lost."""
    due: list[str] = []

    async def run() -> None:
        pacing = Pacing(Settings(quiet_ms=1, max_delay_ms=2), HERE, lambda: due.append("settle"))
        pacing.notice()
        pacing.urgent()
        await asyncio.sleep(0.05)
        assert due == []
        pacing.begin()
        for _ in range(1_000):
            if due:
                break
            await asyncio.sleep(0.01)

    asyncio.run(run())
    assert due == ["settle"]
