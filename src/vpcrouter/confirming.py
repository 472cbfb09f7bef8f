"""The agent's watch over changes that wait for a confirmation: their deadlines, and the conditions that confirm them.

    submit_change ──▶ ConfirmationRequired ──▶ deadline ──▶ Router.expire ──▶ the machine is settled without the change
                                       └─────▶ conditions hold at three looks in a row ──▶ Router.confirm

The duty itself is in the journal; an agent that died has lost nothing but the looks it had counted. Called by `agent`,
which says when there may be something new, and what is in effect. Between changes nothing here wakes up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from vpcrouter.errors import FullDiskError, JournalError, JournalWriteError, RejectedCommandError
from vpcrouter.router import Router
from vpcrouter.values.confirmation import Confirmation

LOG = logging.getLogger("vpcrouter.confirming")

LOOK_S = 1.0
"""Between two looks at the conditions of a change."""
STEADY_LOOKS = 3
"""A guest that answers once may have answered by way of what is just going away."""
LONGEST_SLEEP_S = 5.0
"""The loop's clock stands still while the machine sleeps; the deadline's does not."""
RETRY_S = 60.0
"""A change whose past cannot be read cannot be taken back; somebody has to bring the journal's files back."""


class Confirming:
    """Watches over one router's changes. `changed` is called when a change was taken back, so that it is settled.

    `in_effect` says whether everything up to a sequence number is applied and verified, at this moment.
    """

    def __init__(
        self, router: Router, *, changed: Callable[[], None], in_effect: Callable[[int], Awaitable[bool]]
    ) -> None:
        self._router = router
        self._changed = changed
        self._in_effect = in_effect
        self._news = (asyncio.Event(), asyncio.Event())
        self._looks: dict[str, int] = {}
        self._said: str = ""

    def expire(self) -> bool:
        """Take back what is overdue; whether that could be done. Raises JournalWriteError, but not for want of room."""
        try:
            taken_back = self._router.expire()
        except JournalError as error:
            if isinstance(error, JournalWriteError) and not isinstance(error, FullDiskError):
                raise
            if str(error) != self._said:
                LOG.error("a change that was not confirmed cannot be taken back: %s", error)
                self._said = str(error)
            return False
        for each in taken_back:
            LOG.warning("a change was not confirmed in time and was taken back, event %d", each.seq)
        if taken_back:
            self._changed()
        return True

    def look_again(self) -> None:
        """There may be a new change. One less is seen when it would have been due."""
        if self._router.state.confirmations:
            for each in self._news:
                each.set()

    async def watch_deadlines(self) -> None:
        """Take each change back when its time is up. Ends with JournalWriteError if the disk refuses."""
        while True:
            self._news[0].clear()
            could = self.expire()
            left_s = [left_s for _, left_s in self._router.unconfirmed]
            await _sleep(self._news[0], min([LONGEST_SLEEP_S, *left_s]) if could else RETRY_S, left_s)

    async def watch_conditions(self) -> None:
        """Confirm each change whose conditions hold."""
        while True:
            self._news[1].clear()
            waiting = [change for change, _ in self._router.unconfirmed if change.conditions]
            await asyncio.gather(*map(self._look, waiting))
            self._looks = {each.name: self._looks.get(each.name, 0) for each in waiting}
            await _sleep(self._news[1], LOOK_S, waiting)

    async def _look(self, change: Confirmation) -> None:
        holds = await self._holds(change)
        looks = self._looks[change.name] = self._looks.get(change.name, 0) + 1 if holds else 0
        if looks >= STEADY_LOOKS:
            # Confirmed by somebody meanwhile, or too late; where there is no room, the next look tries again.
            with suppress(RejectedCommandError, FullDiskError):
                self._router.confirm(change.name, by=", ".join(change.conditions), origin="conditions")
                LOG.info("the change %s is confirmed: %s", change.name, ", ".join(change.conditions))
            self._changed()

    async def _holds(self, change: Confirmation) -> bool:
        if not await self._in_effect(change.until):
            return False
        loop, answers = asyncio.get_running_loop(), self._router.surroundings.answers
        asked = [each for each in change.conditions if each != "settled"]
        return all(await asyncio.gather(*(loop.run_in_executor(None, answers, each) for each in asked)))

    def describe(self) -> list[dict[str, Any]]:
        """What waits, for people and scripts."""
        return describe(self._router)


def describe(router: Router) -> list[dict[str, Any]]:
    """The changes that wait for their confirmation, oldest first."""
    return [
        {
            "confirmation": change.name,
            "events": [change.before + 1, change.until],
            "left_s": round(left_s, 1),
            "confirm_by_ms": change.deadline_ms,
            "conditions": list(change.conditions),
        }
        for change, left_s in router.unconfirmed
    ]


async def _sleep(news: asyncio.Event, seconds: float, waiting: list[Any]) -> None:
    """Until there is news, `seconds` at most; as long as it takes if nothing waits."""
    with suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), seconds if waiting else None)
