"""What the agent has to do with guests: each is handed the password that waits for it, once, by whichever router.

Guests ask a web server of their tier; it asks here, by a socket of its own. That a guest has its password is an event,
and is told to the peers, so that a guest that asks again after a failover is not handed an old one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from vpcrouter.commands import ConfirmGuestPassword
from vpcrouter.errors import JournalError
from vpcrouter.guest_door import Answer, GuestDoor
from vpcrouter.machines.fetched import FetchedMachine
from vpcrouter.router import Router
from vpcrouter.values.beacon import Peer
from vpcrouter.values.config import Secret
from vpcrouter.values.desired import Shelf

LOG = logging.getLogger("vpcrouter.agent")


class Guests:
    """The guests of one router. `stored` is called when it is in the journal that one has its password."""

    def __init__(
        self, router: Router, open_door: Callable[[Path, Answer], GuestDoor], *, stored: Callable[[], None]
    ) -> None:
        self._router = router
        self._stored = stored
        self._door = open_door(Path(router.settings.password_socket), self._answer)
        self._passwords = FetchedMachine()
        self._sent: dict[str, Secret] = {}
        """The password that was last handed to each guest that has not confirmed it."""

    async def let_ask(self, shelf: Shelf) -> None:
        """Be there for the web server that guests ask; again if somebody has removed the socket."""
        try:
            await self._door.open(shelf.group)
        except OSError as error:
            LOG.error("guests cannot be given passwords: %s", error)

    def close(self) -> None:
        """Answer nobody any more."""
        self._door.close()

    def next_turn(self) -> None:
        """Of those that wait, name others to the peer."""
        self._passwords.next_turn()

    def look(self, key: bytes) -> None:
        """See whose passwords wait now. They are named to the peer by a digest under this key."""
        self._passwords.look(self._router.state.guest_passwords, key)

    def waiting(self) -> tuple[bytes, ...]:
        """For the peer: whose passwords wait here."""
        return self._passwords.waiting()

    def fetched(self, peers: Iterable[Peer]) -> tuple[bytes, ...]:
        """For the peers: which of those that wait there were fetched here."""
        return self._passwords.fetched(tuple(tag for each in peers for tag in each.saying.waiting_passwords))

    def learn(self, peers: Iterable[Peer]) -> bool:
        """Do not hand out what a guest has fetched from a peer. Whether there was something to store."""
        fetched = self._passwords.learn(dict.fromkeys(tag for each in peers for tag in each.saying.fetched_passwords))
        if not fetched:
            return False
        try:
            self._router.submit_each([ConfirmGuestPassword(address=each) for each in fetched], origin="peer")
        except JournalError as error:
            LOG.error("the journal does not know that the peer handed out a password: %s", error)
            return False
        return True

    async def _answer(self, verb: str, address: str) -> str:
        """What a guest is told that asks for its password, or says that it has it."""
        found = self._router.state.guest_passwords.get(address)
        if found is None or found.fetched:
            return "saved_password"
        if verb == "send":
            self._sent[address] = found.password
            return found.password.reveal()
        # A password that came after the one that the guest speaks of still waits for it.
        if self._sent.pop(address, found.password) == found.password:
            try:
                self._router.submit_each([ConfirmGuestPassword(address=address)], origin="guest")
            except JournalError as error:
                # What is not durable is not acknowledged: the guest says it again, or asks again.
                LOG.error("the guest %s has its password, and the journal does not know: %s", address, error)
                return "bad_request"
            LOG.info("the guest %s has fetched its password", address)
            self._stored()
        return "saved_password"
