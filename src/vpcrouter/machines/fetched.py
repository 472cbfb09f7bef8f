"""Which guests have fetched their passwords, told between the two routers of a pair. Pure.

A password is handed out by the router that serves, and once the guest has confirmed it, by neither. So each router says
a few passwords that wait here, in turn, and which of those that the peer names were fetched here. What one of them
missed, since it was away or a beacon was lost, it learns when it names that password the next time.

A password is spoken of by its *tag*, an HMAC under the pair's key, so that nobody who hears it learns anything. A pair
without a router password has no key of its own: then nothing is said and nothing believed.

Known hole: a router that crashes before its beacon about a fetched password arrives cannot tell: the peer would hand
that password out once more, to the same guest. It is said at once, and again five times a second.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping

from vpcrouter.values.guests import GuestPassword

SAID_AT_ONCE = 8
"""Tags of each kind in one beacon."""
_TAG_BYTES = 8


class FetchedMachine:
    """What this router says of passwords, and what it learns."""

    def __init__(self) -> None:
        self._turn = 0
        self._known: tuple[Mapping[str, GuestPassword], bytes] | None = None
        self._waiting: dict[bytes, str] = {}
        self._fetched: dict[bytes, str] = {}
        self._told: list[bytes] = []

    def look(self, passwords: Mapping[str, GuestPassword], key: bytes) -> None:
        """Take in what is so here; `key` is empty without a router password. Cheap if nothing changed."""
        if self._known is not None and self._known[0] is passwords and self._known[1] == key:
            return
        self._known = (passwords, key)
        before = self._fetched
        self._waiting, self._fetched = {}, {}
        if key:
            for address, each in passwords.items():
                (self._fetched if each.fetched else self._waiting)[_tag(each, key)] = address
        new = [tag for tag in self._fetched if tag not in before]
        self._told = [tag for tag in (*new, *self._told) if tag in self._fetched][:SAID_AT_ONCE]

    def next_turn(self) -> None:
        """Speak of the next few from now on."""
        self._turn += 1

    def waiting(self) -> tuple[bytes, ...]:
        """Some of the passwords that wait here."""
        tags = sorted(self._waiting)
        if len(tags) <= SAID_AT_ONCE:
            return tuple(tags)
        start = self._turn * SAID_AT_ONCE % len(tags)
        return tuple((tags[start:] + tags[:start])[:SAID_AT_ONCE])

    def fetched(self, peer_waits: Iterable[bytes]) -> tuple[bytes, ...]:
        """Passwords that were fetched here: of those that wait at the peer first, then the latest."""
        asked = [tag for tag in peer_waits if tag in self._fetched]
        return tuple(dict.fromkeys((*asked, *self._told)))[:SAID_AT_ONCE]

    def learn(self, peer_fetched: Iterable[bytes]) -> tuple[str, ...]:
        """The guests whose passwords wait here and were fetched at the peer."""
        return tuple(self._waiting[tag] for tag in peer_fetched if tag in self._waiting)


def _tag(password: GuestPassword, key: bytes) -> bytes:
    message = b"guest password\0" + password.address.encode() + b"\0" + password.password.reveal().encode()
    return hmac.digest(key, message, "sha256")[:_TAG_BYTES]
