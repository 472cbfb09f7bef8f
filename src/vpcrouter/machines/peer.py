"""One other router, as it is heard from here. Pure: times are passed in.

Used by `machines.peers`, which knows whom to believe and hands over what counts. A router whose agent starts anew is
the same one: it is known by its places.

The echo of a beacon tells what the other one had heard when it spoke. So two that both serve can be told from one that
has taken over and still remembers the other's last word: they *contest* the service while each says "master" in answer
to a beacon in which the other said so. And what the other one has *heard* of our tiers is what we said then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from vpcrouter.machines.beacon import Beacon
from vpcrouter.values.beacon import Peer, Saying
from vpcrouter.values.carriage import PeerCarriage
from vpcrouter.values.whereabouts import Place

_NS_PER_MS = 1_000_000
SILENT_NS = 2_000_000_000
"""What was heard last is not taken for the present any more."""
_SAME_NS = 1_000_000_000
"""What beacons tell of the past is late by their way and the agents' load."""
_FRESH_NS = 300_000_000
"""Two that contest the service speak every few hundredths of a second."""


@frozen(kw_only=True)
class Served:
    """A time as master, by our own clock."""

    start_ns: int
    end_ns: int | None = None

    def ms_ago(self, now_ns: int) -> tuple[int, int]:
        """When it began, and when it ended (0: it has not); a moment is a millisecond, and not nothing."""
        return -((self.start_ns - now_ns) // _NS_PER_MS), (now_ns - (self.end_ns or now_ns)) // _NS_PER_MS


def served(before: Served | None, serves: bool, now_ns: int) -> Served | None:
    """The last time as master of a router that serves now, or does not."""
    if not serves:
        return before if before is None or before.end_ns is not None else evolve(before, end_ns=now_ns)
    return before if before is not None and before.end_ns is None else Served(start_ns=now_ns)


def _served_by(beacon: Beacon, now_ns: int) -> Served | None:
    if beacon.served_ms_ago is None:
        return None
    began, ended = (now_ns - ago * _NS_PER_MS for ago in beacon.served_ms_ago)
    return Served(start_ns=began, end_ns=None if beacon.saying.serves else ended)


def in_words(peer: Mapping[str, Any], digest: str) -> str:
    """What a status says of a peer (`describe`), beside a router with this digest, for a person to read."""
    heard = f"heard {peer['heard_ms_ago'] / 1000:.1f} s ago" + (", silent" if peer["silent"] else "")
    same = "the same" if peer["digest"] == digest else "another"
    return f"{peer['role']}, {heard}, sequence number {peer['seq']}, {same} configuration ({peer['digest'][:12]})"


class PeerMachine:
    """The other router. `beacon`: the first of its beacons that counts; `number`: what it is known by here."""

    def __init__(self, number: int, beacon: Beacon, now_ns: int) -> None:
        self.number = number
        self.met_ns = now_ns
        self.newest = beacon.number
        """The highest number of its beacons."""
        self.nonce = beacon.nonce
        """Of the beacon that it is to be answered."""
        self.counts = True
        """Whether that one counted."""
        self._last = beacon
        self._heard_ns = now_ns
        self._heard_of_us: tuple[str, ...] | None = None
        self._contested_since_ns: int | None = None
        self._both_served: list[int] = []
        self._counted: tuple[int, int] = (0, 0)
        """When the times as master began that were counted last as times of two masters."""
        self._peer: Peer | None = None
        self._carriage: PeerCarriage | None = None
        """As they were asked for last, if nothing was heard since: the agent asks several times for each beacon."""

    @property
    def instance(self) -> bytes:
        """Of its agent."""
        return self._last.instance

    @property
    def last(self) -> Beacon:
        """What counted last."""
        return self._last

    @property
    def heard_ns(self) -> int:
        """When that was."""
        return self._heard_ns

    @property
    def heard_of_us(self) -> tuple[str, ...] | None:
        """Our tiers, as it has believed them last; None if it has not yet."""
        return self._heard_of_us

    @property
    def places(self) -> tuple[Place, ...]:
        """Where its frames come from, as it has said last."""
        return self._last.places

    def is_silent(self, now_ns: int) -> bool:
        """Whether it has not been heard for a while."""
        return now_ns - self._heard_ns >= SILENT_NS

    def turns_ns(self) -> tuple[int, int]:
        """The times at which something of it is otherwise by itself, if it is not heard before."""
        return self._heard_ns + SILENT_NS, self._heard_ns + _FRESH_NS + 1

    def is_where(self, places: tuple[Place, ...], now_ns: int) -> bool:
        """Whether a router in these places is this one, whose agent has started anew.

        No two routers have a place in common. One that is silent may have come back with another card.
        """
        is_silent = self.is_silent(now_ns)
        return any(
            one == other
            or (is_silent and one.device == other.device and (one.address == other.address or one.mac == other.mac))
            for one in self._last.places
            for other in places
        )

    def greet(self, beacon: Beacon, now_ns: int) -> bool:
        """It speaks, though not in answer to what we have said of late. Whether that is worth an answer.

        Of a router that was heard a moment ago it is late, or somebody else's copy. But if it is its newest word, the
        two have not heard each other for a while, and an answer begins it again.
        """
        if not self.is_silent(now_ns) and beacon.number <= self.newest:
            return False
        is_new = self.nonce != beacon.nonce
        self.nonce, self.newest, self.counts = beacon.nonce, beacon.number, False
        return is_new

    def hear(self, beacon: Beacon, answered: Saying, has_heard: bool, own: Served | None, now_ns: int) -> None:
        """Take in a beacon that counts.

        `answered` is what we said in the beacon that it answers, and `has_heard` whether the other router has believed
        that; `own` our last time as master.
        """
        is_same = self._last.instance == beacon.instance
        self.newest = max(self.newest, beacon.number) if is_same else beacon.number
        self.nonce, self.counts = beacon.nonce, True
        self._last, self._heard_ns = beacon, now_ns
        self._peer = self._carriage = None
        if has_heard:
            self._heard_of_us = answered.tiers
        elif not is_same:
            self._heard_of_us = None
        if not (answered.serves and beacon.saying.serves):
            self._contested_since_ns = None
        elif self._contested_since_ns is None:
            self._contested_since_ns = now_ns
        self._count_both(beacon, own, now_ns)

    def stand_down(self) -> None:
        """This router does not serve any more: there is nothing to contest."""
        self._contested_since_ns = None

    def carriage(self, instance: bytes, now_ns: int) -> PeerCarriage:
        """What is known of its electors; `instance` is our own."""
        known, is_silent, contested_ns = self._carriage, self.is_silent(now_ns), self.contested_ns(now_ns)
        if known is None or known.is_silent is not is_silent or known.contested_ns != contested_ns:
            saying = self._last.saying
            known = self._carriage = PeerCarriage(
                tiers=saying.tiers,
                carrier=saying.carrier,
                target=saying.target,
                heard=self._heard_of_us,
                is_silent=is_silent,
                role=saying.role,
                roles=dict(saying.roles),
                generation=saying.generation,
                contested_ns=contested_ns,
                is_senior=self._last.instance < instance,
            )
        return known

    def peer(self) -> Peer:
        """The router as it has told of itself last."""
        if self._peer is None:
            since = _served_by(self._last, self._heard_ns)
            self._peer = Peer(
                number=self.number,
                instance=self.instance,
                saying=self._last.saying,
                places=self._last.places,
                since_ns=None if since is None or since.end_ns is not None else since.start_ns,
            )
        return self._peer

    def describe(self, now_ns: int) -> dict[str, Any]:
        """What a status says of it."""
        saying = self._last.saying
        return {
            "address": self._last.places[0].address if self._last.places else "",
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
            "silent": self.is_silent(now_ns),
            "places": {each.device: f"{each.address} {each.mac}" for each in self._last.places},
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

    def _count_both(self, beacon: Beacon, here: Served | None, now_ns: int) -> None:
        """Neither need have known of the other while both served: so each tells when it did, and compares."""
        there = _served_by(beacon, now_ns)
        if here is None or there is None or here.end_ns is there.end_ns is None:
            return
        start_ns = max(here.start_ns, there.start_ns)
        end_ns = min(here.end_ns or now_ns, there.end_ns or now_ns)
        counted_here_ns, counted_there_ns = self._counted
        is_counted = here.start_ns == counted_here_ns and abs(there.start_ns - counted_there_ns) < _SAME_NS
        if end_ns > start_ns and not is_counted:
            self._counted = (here.start_ns, there.start_ns)
            self._both_served.append((end_ns - start_ns) // _NS_PER_MS)
