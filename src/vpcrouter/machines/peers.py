"""What the other routers of a set say, and whether to believe it. Pure: times, nonces and the key are passed in.

Used by `peering`, which owns the sockets; what a beacon is, is `machines.beacon`, and one other router `machines.peer`.
A beacon counts if its authenticator is right, it echoes a nonce that this router has sent in one of its last beacons,
and its number is higher than that of the last one of its sender that counted: so a recorded one cannot be sent again.
Each beacon has an echo for each router that its sender hears. Two routers that meet need one beacon each way before the
next ones count; who hears a stranger says so at once (`Heard.GREETING`).

Who is known stays known: its last word is believed for ever, since its agent may be dead while its keepalived lives. It
is the same router if it comes back to a place where it was. One that has been silent for long is forgotten when another
router has come since, which stands in its place.

Known hole: a guest that repeats a router's old beacons faster than that one sends new ones can keep it from being met,
and one that repeats those of several agents that are gone can do so for all that join. It holds moves up, nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import Enum

from attrs import frozen

from vpcrouter.machines.beacon import Beacon, Echo, unpack_beacon
from vpcrouter.machines.peer import SILENT_NS, PeerMachine, Served, served
from vpcrouter.values.beacon import MOST_ROUTERS, Peer, Saying
from vpcrouter.values.carriage import PeerCarriage
from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import Place

_ECHOES = 4
"""So many of the own last beacons may be answered: changes are told at once, and may cross an answer on the way."""
PACE_NS = 800_000_000
"""Between two beacons when nothing happens: two missed in a row, and some more, are silence."""
STIRRED_PACE_NS = 200_000_000
_STIRRED_NS = 3_000_000_000
"""Who changes, or hears of a change, speaks faster for so long: a move waits for elections and for other routers."""
_CONTESTED_PACE_NS = 40_000_000
_MOST_STRANGERS = 3
"""So many that have not answered yet are answered: whoever repeats old beacons takes no more room than that."""
_NEVER_NS = 2**63
GONE_NS = 60_000_000_000
"""A router that is silent for so long, and whose place in the set another one has taken, does not come back."""


class Heard(Enum):
    """What a datagram was."""

    NOTHING = "nothing"
    """No beacon of the set, or known already."""
    GREETING = "greeting"
    """Of the set, but no proof yet that it is of today: answer, so that its next one is."""
    SAME = "same"
    NEWS = "news"
    SURPLUS = "surplus"
    """Of one router more than a set may have: not taken in."""


@frozen
class _Stranger:
    nonce: bytes
    number: int
    heard_ns: int


@frozen
class _Present:
    """What is known of the others, from when until when if nothing is said or heard."""

    from_ns: int
    until_ns: int
    heard: tuple[Peer, ...]
    carriages: tuple[PeerCarriage, ...]
    knows_all: bool


def derive_key(password: str | None, network: str) -> bytes:
    """The key of a set. Without a password it is of public knowledge, and keeps out strangers only."""
    return hashlib.sha256(b"vpcrouter beacon\0" + (password or "").encode() + b"\0" + network.encode()).digest()


class PeersMachine:
    """The other routers, as seen from this one. `instance` is eight random bytes, new with each start."""

    def __init__(self, instance: bytes) -> None:
        self._instance = instance
        self._number = 0
        self._said: tuple[tuple[bytes, Saying], ...] = ()
        """The last beacons, by nonce."""
        self._peers: dict[bytes, PeerMachine] = {}
        """By instance."""
        self._in_order: tuple[PeerMachine, ...] = ()
        """The same, by number."""
        self._strangers: dict[bytes, _Stranger] = {}
        self._names = 0
        self._served: Served | None = None
        """The own last time as master."""
        self._served_told: Served | None = None
        """The same, as the last own beacon has told it."""
        self._stirred_ns: int | None = None
        self._told: dict[int, tuple[str, ...]] = {}
        """Of each peer, the tiers that the last own beacon has acknowledged."""
        self._present: _Present | None = None
        self.newest: PeerMachine | None = None
        """Whose beacon counted last."""

    # Saying -------------------------------------------------------------------------------------

    @property
    def instance(self) -> bytes:
        """Of this router's agent."""
        return self._instance

    @property
    def since_ns(self) -> int | None:
        """Since when this router says that it serves; None if it does not."""
        return None if self._served is None or self._served.end_ns is not None else self._served.start_ns

    def serves(self, serves: bool, now_ns: int) -> None:
        """This router serves now, or does not: said at once, for it may be otherwise again before the next beacon."""
        self._served = served(self._served, serves, now_ns)

    def beacon(self, saying: Saying, key: bytes, nonce: bytes, now_ns: int, places: tuple[Place, ...] = ()) -> bytes:
        """The next beacon, by way of these places; the nonce is eight random bytes."""
        self._present = None
        self._number += 1
        self._said = (*self._said[1 - _ECHOES :], (nonce, saying))
        self.serves(saying.serves, now_ns)
        self._served_told = self._served
        if not saying.serves:
            for each in self._peers.values():
                each.stand_down()
        self._told = self._known_tiers()
        beacon = Beacon(
            instance=self._instance,
            number=self._number,
            nonce=nonce,
            echoes=tuple(self._echoes(now_ns)),
            saying=saying,
            served_ms_ago=None if self._served is None else self._served.ms_ago(now_ns),
            places=places,
        )
        return beacon.pack(key)

    @property
    def owes_word(self) -> bool:
        """Whether the others do not know yet when this router served, or what was heard of their tiers."""
        return self._served_told != self._served or self._told != self._known_tiers()

    def pace_ns(self, now_ns: int) -> int:
        """How long after a beacon the next one is due."""
        if self.contested_ns(now_ns) is not None:
            return _CONTESTED_PACE_NS
        is_stirred = self._stirred_ns is not None and now_ns - self._stirred_ns < _STIRRED_NS
        return STIRRED_PACE_NS if is_stirred else PACE_NS

    def stir(self, now_ns: int) -> None:
        """Something has changed here."""
        self._stirred_ns = now_ns

    def _known_tiers(self) -> dict[int, tuple[str, ...]]:
        return {each.number: each.last.saying.tiers for each in self._peers.values() if each.counts}

    def _echoes(self, now_ns: int) -> Iterator[Echo]:
        for peer in self._peers.values():
            if not peer.is_silent(now_ns) or not peer.counts:
                yield Echo(peer.instance, peer.nonce, peer.counts)
        for instance, stranger in self._strangers.items():
            yield Echo(instance, stranger.nonce, False)

    # Hearing ------------------------------------------------------------------------------------

    def hear(self, datagram: bytes, key: bytes, now_ns: int) -> Heard:
        """Take in a datagram."""
        beacon = unpack_beacon(datagram, key)
        if beacon is None or beacon.instance == self._instance:
            return Heard.NOTHING
        self._present = None
        self._forget(now_ns)
        echo = next((each for each in beacon.echoes if each.instance == self._instance), None)
        answered = next((saying for nonce, saying in self._said if echo is not None and nonce == echo.nonce), None)
        peer = self._peers.get(beacon.instance)
        if echo is None or answered is None:
            is_new = self._greet(beacon, now_ns) if peer is None else peer.greet(beacon, now_ns)
            return Heard.GREETING if is_new else Heard.NOTHING
        if peer is not None and beacon.number <= peer.last.number:
            return Heard.NOTHING
        was_silent = peer is None or peer.is_silent(now_ns)
        peer = peer or self._meet(beacon, now_ns)
        if peer is None:
            return Heard.SURPLUS
        before, heard_before = peer.last.saying, peer.heard_of_us
        peer.hear(beacon, answered, echo.counts, self._served, now_ns)
        self.newest = peer
        is_new = was_silent or heard_before != peer.heard_of_us
        if is_new or before.weighty != beacon.saying.weighty:
            self._stirred_ns = now_ns
            return Heard.NEWS
        return Heard.SAME if before == beacon.saying else Heard.NEWS

    def _greet(self, beacon: Beacon, now_ns: int) -> bool:
        known = self._strangers.pop(beacon.instance, None)
        if known is not None and beacon.number <= known.number and now_ns - known.heard_ns < SILENT_NS:
            self._strangers[beacon.instance] = known
            return False
        self._strangers[beacon.instance] = _Stranger(beacon.nonce, beacon.number, now_ns)
        while len(self._strangers) > _MOST_STRANGERS:
            del self._strangers[next(iter(self._strangers))]
        return known is None or known.nonce != beacon.nonce

    def _meet(self, beacon: Beacon, now_ns: int) -> PeerMachine | None:
        """The first beacon of an instance that counts: of a router that is known, or of another one."""
        self._strangers.pop(beacon.instance, None)
        same = [instance for instance, each in self._peers.items() if each.is_where(beacon.places, now_ns)]
        if not same and len(self._peers) == 1:
            # Where the one or the other does not tell, it is as in a pair: the other one.
            same = [instance for instance, each in self._peers.items() if not (each.places and beacon.places)]
        if same:
            peer = self._peers[same[0]]
            for instance in same:
                del self._peers[instance]
        else:
            if len(self._peers) >= MOST_ROUTERS - 1:
                return None
            self._names += 1
            peer = PeerMachine(self._names, beacon, now_ns)
        self._peers[beacon.instance] = peer
        self._sort()
        return peer

    def _forget(self, now_ns: int) -> None:
        for instance, each in list(self._peers.items()):
            later = [other for other in self._peers.values() if other.met_ns > each.heard_ns]
            is_gone = now_ns - each.heard_ns >= GONE_NS and bool(later)
            if is_gone or (each.is_silent(now_ns) and any(each.is_where(other.places, now_ns) for other in later)):
                del self._peers[instance]
                self._sort()
        for instance, stranger in list(self._strangers.items()):
            if now_ns - stranger.heard_ns >= 2 * SILENT_NS:
                del self._strangers[instance]

    # What is known ------------------------------------------------------------------------------

    def known(self) -> tuple[PeerMachine, ...]:
        """All other routers, in the order in which they were met."""
        return self._in_order

    def _sort(self) -> None:
        self._in_order = tuple(sorted(self._peers.values(), key=lambda each: each.number))

    def heard(self, now_ns: int) -> tuple[Peer, ...]:
        """Those that are heard, the one that serves first."""
        return self._now(now_ns).heard

    def carriages(self, now_ns: int) -> tuple[PeerCarriage, ...]:
        """What is known of the electors of each."""
        return self._now(now_ns).carriages

    def knows_all(self, now_ns: int) -> bool:
        """Whether every router that one of the others hears is known here too."""
        return self._now(now_ns).knows_all

    def _now(self, now_ns: int) -> _Present:
        """The agent asks for all of it several times for each beacon."""
        present = self._present
        if present is None or not present.from_ns <= now_ns < present.until_ns:
            times = (at_ns for each in self._in_order for at_ns in each.turns_ns() if at_ns > now_ns)
            present = self._present = _Present(
                from_ns=now_ns,
                until_ns=min(times, default=_NEVER_NS),
                heard=self._heard(now_ns),
                carriages=tuple(each.carriage(self._instance, now_ns) for each in self._in_order),
                knows_all=self._knows_all(now_ns),
            )
        return present

    def _heard(self, now_ns: int) -> tuple[Peer, ...]:
        found = [each.peer() for each in self._in_order if not each.is_silent(now_ns)]
        if len(found) > 1:
            found.sort(key=lambda each: each.saying.role is not Role.MASTER)
        return tuple(found)

    def _knows_all(self, now_ns: int) -> bool:
        known = {self._instance, *self._peers}
        return all(
            each.instance in known
            for peer in self._peers.values()
            if not peer.is_silent(now_ns)
            for each in peer.last.echoes
            if each.counts
        )

    def contested_ns(self, now_ns: int) -> int | None:
        """How long this router and another have said that they serve; None if they do not say so just now."""
        return max((ns for each in self.known() if (ns := each.contested_ns(now_ns)) is not None), default=None)

    def take_both_served(self) -> list[int]:
        """For how many milliseconds two served, for each time that this came to an end since the last call."""
        return [ms for each in self.known() for ms in each.take_both_served()]
