"""The conversation with the other routers of the set: what to say goes in, what they say comes out.

Used by the agent, which waits on `fileno` and calls `announce` several times a second and whenever something
changes. Whom to believe is `machines.peers`; the sockets are `appliers.beacons`. Nothing of a failover waits for this:
it only lets them move their carriers at nearly the same time, and hold an elector until the others have moved. What
is learnt of their addresses on the way (`machines.whereabouts`) keeps guests from speaking in their name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vpcrouter.machines.peer import SILENT_NS
from vpcrouter.machines.peers import STIRRED_PACE_NS, Heard, PeersMachine
from vpcrouter.machines.whereabouts import WhereaboutsMachine
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.beacon import MOST_ROUTERS, Peer, Saying
from vpcrouter.values.carriage import Elector, PeerCarriage
from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import UNKNOWN, Place, Whereabouts

if TYPE_CHECKING:
    from vpcrouter.appliers.beacons import Arrival

LOG = logging.getLogger("vpcrouter.peering")
_NONCE_BYTES = 8
_MOST_ASKERS = 64
"""So many are answered: a router has as many addresses as tiers, and who repeats its words gets no more of ours."""
_ANSWER_NS = 20_000_000
"""Greetings are answered no more often: whoever sends them must not decide how much we send."""


class Peering:
    """The other routers, as this one hears them."""

    def __init__(self, surroundings: Surroundings = HERE, *, by_unicast: bool = False) -> None:
        self._surroundings = surroundings
        self._by_unicast = by_unicast
        self._sockets = surroundings.beacons()
        self._peers = PeersMachine(surroundings.random_bytes(_NONCE_BYTES))
        self._whereabouts = WhereaboutsMachine(remembers=by_unicast)
        self._is_secret = False
        self._counted: dict[int, bytes] = {}
        """Of each peer, the beacon that counted last: its copies come in by the other devices."""
        self._askers: dict[tuple[str, str], int] = {}
        """Who speaks to this router alone, though it speaks to the group: by device and address, when."""
        self._key = b""
        self._electors: tuple[Elector, ...] = ()
        self._said: Saying | None = None
        self._said_ns = 0
        self._answered_ns = 0
        self._has_complained = False

    def fileno(self) -> int:
        """Readable when `hear` has something to do."""
        return self._sockets.fileno()

    def listen(self, electors: Iterable[Elector], key: bytes, *, is_secret: bool) -> None:
        """Talk by these devices, with this key; unless it is secret, anybody may be a peer."""
        self._key, self._is_secret = key, is_secret
        self._electors = tuple(electors)
        self._sockets.follow({each.device: each.source for each in self._electors}, self._addresses())

    def _addresses(self) -> dict[str, tuple[str, ...]] | None:
        """Whom to speak to, by device: where it was heard, and where it may be."""
        if not self._by_unicast:
            return None
        heard = self.whereabouts.remembered
        return {
            each.device: tuple(
                dict.fromkeys((*(address for device, address in heard if device == each.device), *each.listed))
            )
            for each in self._electors
        }

    @property
    def unknown(self) -> tuple[str, ...]:
        """Devices on which it would be spoken to by unicast, and nobody knows at which address."""
        return tuple(device for device, found in (self._addresses() or {}).items() if not found)

    def announce(self, saying: Saying) -> None:
        """Send what this router has to say, by every device."""
        now_ns = self._surroundings.monotonic_ns()
        if self._said is None or saying.weighty != self._said.weighty:
            self._peers.stir(now_ns)
        self._said, self._said_ns = saying, now_ns
        self._whereabouts.serves(saying.serves, now_ns)
        nonce = self._surroundings.random_bytes(_NONCE_BYTES)
        self._pin(self.whereabouts)
        self._askers = {each: at_ns for each, at_ns in self._askers.items() if now_ns - at_ns < SILENT_NS}
        self._sockets.send(self._peers.beacon(saying, self._key, nonce, now_ns, self._sockets.places), self._askers)

    def says(self, saying: Saying) -> bool:
        """Whether that is what was announced last, and the others know all else that a beacon tells of this router."""
        return self._said == saying and not self._peers.owes_word

    def serves(self, serves: bool) -> None:
        """This router serves now, or does not."""
        self._peers.serves(serves, self._surroundings.monotonic_ns())

    @property
    def due_ns(self) -> int:
        """When to announce again, though nothing has changed; who has nothing to say yet looks again as often."""
        now_ns = self._surroundings.monotonic_ns()
        pace_ns = self._peers.pace_ns(now_ns)
        if self._awaits_one:
            pace_ns = min(pace_ns, STIRRED_PACE_NS)
        return (now_ns if self._said is None else self._said_ns) + pace_ns

    @property
    def _awaits_one(self) -> bool:
        """Whether one that is listed is not heard: it may speak to the group alone, and should hear of this router, by
        what is sent to it, before it is elected beside it.
        """
        heard = {place.address for peer in self.heard for place in peer.places}
        return any(address not in heard for each in self._electors for address in each.listed)

    @property
    def contested_ns(self) -> int | None:
        """How long this router and another have known of each other that they serve; None if they do not."""
        return self._peers.contested_ns(self._surroundings.monotonic_ns())

    def take_both_served(self) -> list[int]:
        """For how many milliseconds two served, for each time that this came to an end since the last call."""
        return self._peers.take_both_served()

    def hear(self) -> bool:
        """Take in what has come; whether a peer said something new, or is heard where it was not."""
        is_news, are_copies, before = False, True, self.whereabouts
        for arrival in self._sockets.read():
            now_ns = self._surroundings.monotonic_ns()
            is_copy = arrival.datagram in self._counted.values()  # it came by another tier already
            are_copies = are_copies and is_copy
            heard = Heard.SAME if is_copy else self._peers.hear(arrival.datagram, self._key, now_ns)
            if heard is Heard.NOTHING:
                continue
            if arrival.asker and len(self._askers) < _MOST_ASKERS:
                self._askers[arrival.device, arrival.asker] = now_ns
            if not is_copy:
                is_news = is_news or heard is Heard.NEWS
                self._take_in(heard, arrival.datagram, now_ns)
            self._came(arrival, now_ns)
        if not are_copies:
            self._forget()
        after = self.whereabouts
        self._pin(after)
        return is_news or after != before

    def _take_in(self, heard: Heard, datagram: bytes, now_ns: int) -> None:
        if heard in (Heard.NEWS, Heard.SAME) and (peer := self._peers.newest) is not None:
            self._counted[peer.number] = datagram
            self._whereabouts.told(peer.number, peer.places)
        elif heard is Heard.GREETING and self._said and now_ns - self._answered_ns >= _ANSWER_NS:
            self._answered_ns = now_ns
            self.announce(self._said)
        elif heard is Heard.SURPLUS and not self._has_complained:
            self._has_complained = True
            LOG.error("more than %d routers are heard; one is not listened to", MOST_ROUTERS)

    def _forget(self) -> None:
        """What is left of routers that are none of the set any more."""
        known = self.known
        if not known.issuperset(self._counted):
            self._counted = {number: each for number, each in self._counted.items() if number in known}
            self._whereabouts.forget(known)

    def _pin(self, known: Whereabouts) -> None:
        """While they are heard, their MACs are what they say. One that is silent may come back with others."""
        if self._by_unicast:
            self._sockets.pin(each for each in known.places if each.device in known.attended)

    def _came(self, arrival: Arrival, now_ns: int) -> None:
        if not arrival.is_marked:
            return
        for number, datagram in self._counted.items():
            if datagram == arrival.datagram:
                self._whereabouts.came(number, arrival.device, now_ns)

    def recall(self, places: Sequence[Place], remembered: Sequence[tuple[str, str]] = ()) -> None:
        """What an earlier agent had found to be the peers' places, and whom it spoke to by unicast."""
        self._whereabouts.recall(places, remembered)

    @property
    def whereabouts(self) -> Whereabouts:
        """From where the peers are to be listened to."""
        return self._whereabouts.now(self._surroundings.monotonic_ns()) if self._is_secret else UNKNOWN

    @property
    def instance(self) -> bytes:
        """What the others know this router's agent by."""
        return self._peers.instance

    @property
    def since_ns(self) -> int | None:
        """Since when this router says that it serves; None if it does not."""
        return self._peers.since_ns

    @property
    def carriages(self) -> tuple[PeerCarriage, ...]:
        """What is known of the electors of each router that was ever heard."""
        return self._peers.carriages(self._surroundings.monotonic_ns())

    @property
    def knows_all(self) -> bool:
        """Whether no router of the set is known of that was not heard yet."""
        return self._peers.knows_all(self._surroundings.monotonic_ns()) and not self._whereabouts.has_unmet

    @property
    def known(self) -> set[int]:
        """The numbers of the routers of the set."""
        return {each.number for each in self._peers.known()}

    @property
    def heard(self) -> tuple[Peer, ...]:
        """What those that are heard said last; the one that serves is the first."""
        return self._peers.heard(self._surroundings.monotonic_ns())

    def describe(self) -> list[dict[str, Any]]:
        """What the status says of each, the one that serves first, and those that are silent last."""
        now_ns, serves = self._surroundings.monotonic_ns(), Role.MASTER.value
        found = [
            {**each.describe(now_ns), "proven": list(self._whereabouts.proven(each.number))}
            for each in self._peers.known()
        ]
        return sorted(found, key=lambda each: (each["silent"], each["role"] != serves))

    def close(self) -> None:
        """Say and hear nothing more."""
        self._sockets.close()
