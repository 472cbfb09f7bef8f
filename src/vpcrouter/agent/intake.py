"""The agent's way into the journal: requests are decided and stored, as many with one sync as have gathered.

Called by the loop, with what comes over the socket. A disk that is full, or a key file that is missing, refuses what
needs it and nothing else; after a write that failed, the journal takes nothing more until it is opened anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from attrs import frozen

from vpcrouter import desk
from vpcrouter.errors import FullDiskError, HostError, JournalError, KeyFileError
from vpcrouter.receipt import Receipt
from vpcrouter.router import Router

LOG = logging.getLogger("vpcrouter.agent")


@frozen(kw_only=True)
class _Request:
    handed: desk.Handed
    answer: asyncio.Future[list[dict[str, Any]]]


class Intake:
    """Takes commands for one router. `stored` is called with how many were answered, `lost` when the journal is."""

    def __init__(self, router: Router, *, stored: Callable[[int], None], lost: Callable[[], None]) -> None:
        self._router = router
        self._stored = stored
        self._lost = lost
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()
        self.fault: JournalError | None = None
        """Why the journal refused a command last, if nothing was stored since."""

    async def submit(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """A line for each of the request's commands, durable if it says so. Raises what `desk.read_request` does."""
        answer: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._requests.put_nowait(_Request(handed=desk.read_request(request), answer=answer))
        return await answer

    def revert(self, seq: int) -> list[Receipt]:
        """See `Router.revert`."""
        try:
            return self._router.revert(seq, origin="socket")
        except (FullDiskError, KeyFileError) as error:
            self.refused(error)
            raise

    async def serve(self) -> None:
        """Store what is submitted, for ever."""
        while True:
            requests = [await self._requests.get()]
            while not self._requests.empty():
                requests.append(self._requests.get_nowait())
            self._submit(requests)

    def _submit(self, requests: list[_Request]) -> None:
        try:
            answers = desk.submit(self._router, [each.handed for each in requests], origin="socket")
        except JournalError as error:
            is_plain = all(each.handed.is_plain for each in requests)
            if isinstance(error, FullDiskError) and is_plain and len(requests) > 1:
                for request in requests:  # there may be room for one of them
                    self._submit([request])
                return
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(HostError(str(error)))
            if isinstance(error, FullDiskError | KeyFileError):
                self.refused(error)
            elif self._router.journal.refusal:
                self.lose(error)
            else:
                raise
            return
        self.fault = None
        for request, lines in zip(requests, answers, strict=True):
            if not request.answer.done():
                request.answer.set_result(lines)
        self._stored(sum(len(lines) for lines in answers))

    def refused(self, error: JournalError) -> None:
        """Nothing was stored, and the journal can still be written: the router serves on, and says what is wrong."""
        if self.fault is None:
            LOG.error("%s", error)
        self.fault = error

    def lose(self, error: JournalError) -> None:
        """What the disk holds now, nobody knows: no command is taken any more, and a peer that can take some serves."""
        self.refused(error)
        self._lost()

    def tend(self) -> JournalError | None:
        """See whether there is room again. Returns an error to end with if a lost journal could be opened anew."""
        journal = self._router.journal
        if journal.refusal:
            if journal.could_be_opened_anew():
                return self.fault or JournalError(journal.refusal, where=str(journal.directory))
            return None
        journal.tend()
        if isinstance(self.fault, FullDiskError) and not journal.shortage_bytes:
            LOG.info("there is room for the journal again")
            self.fault = None
            self._stored(0)
        return None
