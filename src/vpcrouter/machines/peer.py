"""What the other router of the pair says, and whether to believe it. Pure: times, nonces and the key are passed in.

Used by `peering`, which owns the sockets; what a beacon is, is `machines.beacon`. One counts if its authenticator is
right, it echoes a nonce that this router has sent in one of its last beacons, and its number is higher than that of the
last one that counted: so a recorded one cannot be sent again. Two routers that meet need one beacon each way before the
next ones count; who hears a stranger says so at once (`Heard.GREETING`).

The echo also tells what the peer had heard when it spoke. So two that both serve can be told from one that has taken
over and still remembers the other's last word: they *contest* the service while each says "master" in answer to a
beacon in which the other said so.

It is written for a pair. A third router with the same key is not taken in as long as the peer is heard, and is told of
(`others`); a router whose peer falls silent takes the next one.

Known hole: a guest that repeats the peer's old beacons faster than the peer sends new ones can keep the two from
hearing each other, which holds moves up and nothing else.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any

from attrs import evolve, frozen

from vpcrouter.machines.beacon import Beacon, unpack_beacon
from vpcrouter.values.beacon import Saying
from vpcrouter.values.carriage import PeerCarriage
from vpcrouter.values.whereabouts import Place

_NS_PER_MS = 1_000_000
_ECHOES = 4
"""So many of the own last beacons may be answered: changes are told at once, and may cross an answer on the way."""
SILENT_NS = 2_000_000_000
"""What was heard last is not taken for the present any more."""
PACE_NS = 800_000_000
"""Between two beacons when nothing happens: two missed in a row, and some more, are silence."""
_STIRRED_PACE_NS = 200_000_000
_STIRRED_NS = 3_000_000_000
"""Who changes, or hears of a change, speaks faster for so long: a move waits for elections and for the other router."""
_CONTESTED_PACE_NS = 40_000_000
_SAME_NS = 1_000_000_000
"""What beacons tell of the past is late by their way and the agents' load."""
_FRESH_NS = 300_000_000
"""Two that contest the service speak every few hundredths of a second."""


_OTHERS_NS = 10_000_000_000
_MOST_ROUTERS = 8


class Heard(Enum):
    """What a datagram was."""

    NOTHING = "nothing"
    """Not the peer's, or known already."""
    GREETING = "greeting"
    """The peer's, but no proof yet that it is of today: answer, so that its next one is."""
    SAME = "same"
    NEWS = "news"
    ANOTHER = "another"
    """A third router's, with the pair's key: not taken in while the peer is heard."""


@frozen(kw_only=True)
class _Served:
    start_ns: int
    end_ns: int | None = None

    def ms_ago(self, now_ns: int) -> tuple[int, int]:
        return (now_ns - self.start_ns) // _NS_PER_MS, (now_ns - (self.end_ns or now_ns)) // _NS_PER_MS


def _served_by(beacon: Beacon, now_ns: int) -> _Served | None:
    """The peer's last time as master, by our own clock."""
    if beacon.served_ms_ago is None:
        return None
    began, ended = (now_ns - ago * _NS_PER_MS for ago in beacon.served_ms_ago)
    return _Served(start_ns=began, end_ns=None if beacon.saying.serves else ended)


def _are_two(one: Beacon, other: Beacon) -> bool:
    """Whether two beacons are of different routers, and not of one whose agent was started again."""
    is_told = one.places and other.places
    return one.instance != other.instance and bool(is_told) and set(one.places).isdisjoint(other.places)


def derive_key(password: str | None, network: str) -> bytes:
    """The key of a pair. Without a password it is of public knowledge, and keeps out strangers only."""
    return hashlib.sha256(b"vpcrouter beacon\0" + (password or "").encode() + b"\0" + network.encode()).digest()


class PeerMachine:
    """The other router, as seen from this one. `instance` is eight random bytes, new with each start."""

    def __init__(self, instance: bytes) -> None:
        self._instance = instance
        self._number = 0
        self._said: tuple[tuple[bytes, Saying], ...] = ()
        """The last beacons, by nonce."""
        self._echo = b""
        self._newest = 0
        """The highest number of the peer's beacons."""
        self._last: Beacon | None = None
        self._heard_ns = 0
        self._contested_since_ns: int | None = None
        self._served: _Served | None = None
        """The own last time as master."""
        self._both_served: list[int] = []
        self._counted: tuple[int, int] = (0, 0)
        """When the times as master began that were counted last as times of two masters."""
        self._stirred_ns: int | None = None
        self._routers: dict[bytes, tuple[tuple[Place, ...], int]] = {}
        """Where those that say that they are of the pair speak from, by instance, and when they did last."""

    def beacon(self, saying: Saying, key: bytes, nonce: bytes, now_ns: int, places: tuple[Place, ...] = ()) -> bytes:
        """The next beacon, by way of these places; the nonce is eight random bytes."""
        self._number += 1
        self._said = (*self._said[1 - _ECHOES :], (nonce, saying))
        self._note_serving(saying, now_ns)
        beacon = Beacon(
            instance=self._instance,
            number=self._number,
            nonce=nonce,
            echo=self._echo,
            saying=saying,
            served_ms_ago=None if self._served is None else self._served.ms_ago(now_ns),
            places=places,
        )
        return beacon.pack(key)

    def pace_ns(self, now_ns: int) -> int:
        """How long after a beacon the next one is due."""
        if self.contested_ns(now_ns) is not None:
            return _CONTESTED_PACE_NS
        is_stirred = self._stirred_ns is not None and now_ns - self._stirred_ns < _STIRRED_NS
        return _STIRRED_PACE_NS if is_stirred else PACE_NS

    def stir(self, now_ns: int) -> None:
        """Something has changed here."""
        self._stirred_ns = now_ns

    def hear(self, datagram: bytes, key: bytes, now_ns: int) -> Heard:
        """Take in a datagram."""
        beacon = unpack_beacon(datagram, key)
        if beacon is None or beacon.instance == self._instance:
            return Heard.NOTHING
        last = self._last
        self._note_router(beacon, now_ns)
        if last is not None and not self._is_silent(now_ns) and _are_two(last, beacon):
            return Heard.ANOTHER
        answered = next((saying for nonce, saying in self._said if nonce == beacon.echo), None)
        if answered is None:
            # Of a peer that was heard a moment ago it is late, or somebody else's copy. But if it is its newest
            # word, the two have not heard each other for a while, and an answer begins it again.
            is_known = last is not None and now_ns - self._heard_ns < SILENT_NS and last.instance == beacon.instance
            if is_known and beacon.number <= self._newest:
                return Heard.NOTHING
            is_new = self._echo != beacon.nonce
            self._echo, self._newest = beacon.nonce, beacon.number
            return Heard.GREETING if is_new else Heard.NOTHING
        if last is not None and last.instance == beacon.instance and beacon.number <= last.number:
            return Heard.NOTHING
        was_silent = now_ns - self._heard_ns >= SILENT_NS
        is_same = last is not None and last.instance == beacon.instance
        self._newest = max(self._newest, beacon.number) if is_same else beacon.number
        self._last, self._heard_ns, self._echo = beacon, now_ns, beacon.nonce
        if not (answered.serves and beacon.saying.serves):
            self._contested_since_ns = None
        elif self._contested_since_ns is None:
            self._contested_since_ns = now_ns
        self._count_both(beacon, now_ns)
        if last is None or was_silent or last.saying.weighty != beacon.saying.weighty:
            self._stirred_ns = now_ns
            return Heard.NEWS
        if last.saying != beacon.saying:
            return Heard.NEWS
        return Heard.SAME

    def carriage(self, now_ns: int) -> PeerCarriage | None:
        """What is known of its electors; None if it was never heard."""
        if self._last is None:
            return None
        saying = self._last.saying
        return PeerCarriage(
            tiers=saying.tiers,
            carrier=saying.carrier,
            target=saying.target,
            heard=saying.heard,
            is_silent=self._is_silent(now_ns),
            role=saying.role,
            roles=dict(saying.roles),
            generation=saying.generation,
            contested_ns=self.contested_ns(now_ns),
            is_senior=self._last.instance < self._instance,
        )

    @property
    def places(self) -> tuple[Place, ...]:
        """Where its frames come from, as it has said last."""
        return () if self._last is None else self._last.places

    def others(self, now_ns: int) -> tuple[Place, ...]:
        """Where more routers than a pair has speak from: a place of each but the peer. Copies of old beacons count.

        Of two that are heard while neither has answered, nobody knows which is the peer: both are told.
        """
        found, is_met = self._others(now_ns)
        return found if is_met or len(found) > 1 else ()

    def is_surplus(self, now_ns: int) -> bool:
        """Whether two others are heard and neither answers: they are the pair, and this is the third."""
        found, is_met = self._others(now_ns)
        return not is_met and len(found) > 1

    def _others(self, now_ns: int) -> tuple[tuple[Place, ...], bool]:
        """A place of each router but the peer, and whether there is a peer."""
        last = None if self._last is None or self._is_silent(now_ns) else self._last
        found: list[tuple[Place, ...]] = []
        for places, heard_ns in self._routers.values():
            is_peer = last is not None and not set(places).isdisjoint(last.places)
            is_known = any(not set(places).isdisjoint(each) for each in found)
            if places and now_ns - heard_ns < _OTHERS_NS and not is_peer and not is_known:
                found.append(places)
        return tuple(sorted(min(each) for each in found)), last is not None

    def saying(self, now_ns: int) -> Saying | None:
        """What it said last; None if it is silent, or was never heard."""
        return None if self._last is None or self._is_silent(now_ns) else self._last.saying

    def describe(self, now_ns: int) -> dict[str, Any] | None:
        """What a status says of it; None if it was never heard."""
        if self._last is None:
            return None
        saying = self._last.saying
        return {
            "role": saying.role.value,
            "carrier": saying.carrier,
            "tiers": list(saying.tiers),
            "seq": saying.seq,
            "digest": saying.digest,
            "ready": saying.ready,
            "connections": None if saying.sample is None else saying.sample.total,
            "heard_ms_ago": (now_ns - self._heard_ns) // _NS_PER_MS,
            "lost": list(saying.lost),
            "unconfirmed": list(saying.unconfirmed),
            "silent": self._is_silent(now_ns),
        }

    def contested_ns(self, now_ns: int) -> int | None:
        """How long both have said that they serve; None if they do not say so just now.

        Until the other one was heard last: what it does not say again, it may not mean any more.
        """
        if self._contested_since_ns is None or now_ns - self._heard_ns > _FRESH_NS:
            return None
        return self._heard_ns - self._contested_since_ns

    def take_both_served(self) -> list[int]:
        """For how many milliseconds both served, for each time that this came to an end since the last call."""
        taken, self._both_served = self._both_served, []
        return taken

    def _note_serving(self, saying: Saying, now_ns: int) -> None:
        if not saying.serves:
            self._contested_since_ns = None
            if self._served is not None and self._served.end_ns is None:
                self._served = evolve(self._served, end_ns=now_ns)
        elif self._served is None or self._served.end_ns is not None:
            self._served = _Served(start_ns=now_ns)

    def _note_router(self, beacon: Beacon, now_ns: int) -> None:
        self._routers.pop(beacon.instance, None)
        self._routers[beacon.instance] = (beacon.places, now_ns)
        while len(self._routers) > _MOST_ROUTERS:
            del self._routers[next(iter(self._routers))]

    def _count_both(self, beacon: Beacon, now_ns: int) -> None:
        """Neither need have known of the other while both served: so each tells when it did, and compares."""
        here, there = self._served, _served_by(beacon, now_ns)
        if here is None or there is None or here.end_ns is there.end_ns is None:
            return
        start_ns = max(here.start_ns, there.start_ns)
        end_ns = min(here.end_ns or now_ns, there.end_ns or now_ns)
        counted_here_ns, counted_there_ns = self._counted
        is_counted = here.start_ns == counted_here_ns and abs(there.start_ns - counted_there_ns) < _SAME_NS
        if end_ns > start_ns and not is_counted:
            self._counted = (here.start_ns, there.start_ns)
            self._both_served.append((end_ns - start_ns) // _NS_PER_MS)

    def _is_silent(self, now_ns: int) -> bool:
        return now_ns - self._heard_ns >= SILENT_NS
