"""The conversation with the other router of the pair: what to say goes in, what it says comes out.

Used by the agent, which waits on `fileno` and calls `announce` several times a second and whenever something
changes. Whom to believe is `machines.peer`; the sockets are `appliers.beacons`. Nothing of a failover waits for this:
it only lets the two move their carriers at nearly the same time, and hold an elector until the other has moved. What
is learnt of the peer's addresses on the way (`machines.whereabouts`) keeps guests from speaking in its name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vpcrouter.machines.peer import Heard, PeerMachine
from vpcrouter.machines.whereabouts import WhereaboutsMachine
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.beacon import Saying
from vpcrouter.values.carriage import Elector, PeerCarriage
from vpcrouter.values.whereabouts import UNKNOWN, Place, Whereabouts

if TYPE_CHECKING:
    from vpcrouter.appliers.beacons import Arrival

LOG = logging.getLogger("vpcrouter.peering")
_NONCE_BYTES = 8
_ANSWER_NS = 20_000_000
"""Greetings are answered no more often: whoever sends them must not decide how much we send."""


class Peering:
    """The other router, as this one hears it."""

    def __init__(self, surroundings: Surroundings = HERE, *, by_unicast: bool = False) -> None:
        self._surroundings = surroundings
        self._by_unicast = by_unicast
        self._sockets = surroundings.beacons()
        self._peer = PeerMachine(surroundings.random_bytes(_NONCE_BYTES))
        self._whereabouts = WhereaboutsMachine(remembers=by_unicast)
        self._is_secret = False
        self._counted = b""
        """The peer's beacon that counted last: its copies come in by the other devices."""
        self._key = b""
        self._electors: tuple[Elector, ...] = ()
        self._said: Saying | None = None
        self._said_ns = 0
        self._answered_ns = 0
        self._latest = b""
        self._others: list[str] = []

    def fileno(self) -> int:
        """Readable when `hear` has something to do."""
        return self._sockets.fileno()

    def listen(self, electors: Iterable[Elector], key: bytes, *, is_secret: bool) -> None:
        """Talk by these devices, with this key; unless it is secret, anybody may be the peer."""
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
            self._peer.stir(now_ns)
        self._said, self._said_ns = saying, now_ns
        self._whereabouts.serves(saying.serves, now_ns)
        nonce = self._surroundings.random_bytes(_NONCE_BYTES)
        self._pin(self.whereabouts)
        self._sockets.send(self._peer.beacon(saying, self._key, nonce, now_ns, self._sockets.places))

    def says(self, saying: Saying) -> bool:
        """Whether that is what was announced last."""
        return self._said == saying

    @property
    def due_ns(self) -> int:
        """When to announce again, though nothing has changed; who has nothing to say yet looks again as often."""
        now_ns = self._surroundings.monotonic_ns()
        return (now_ns if self._said is None else self._said_ns) + self._peer.pace_ns(now_ns)

    @property
    def contested_ns(self) -> int | None:
        """How long both routers have known of each other that they serve; None if they do not."""
        return self._peer.contested_ns(self._surroundings.monotonic_ns())

    def take_both_served(self) -> list[int]:
        """For how many milliseconds both served, for each time that this came to an end since the last call."""
        return self._peer.take_both_served()

    def hear(self) -> bool:
        """Take in what has come; whether the peer said something new, or is heard where it was not."""
        is_news, before = False, self.whereabouts
        for arrival in self._sockets.read():
            now_ns = self._surroundings.monotonic_ns()
            if arrival.datagram == self._latest:  # it came by another tier already
                self._came(arrival, now_ns)
                continue
            self._latest = arrival.datagram
            heard = self._peer.hear(arrival.datagram, self._key, now_ns)
            is_news = is_news or heard is Heard.NEWS
            if heard in (Heard.NEWS, Heard.SAME):
                self._counted = arrival.datagram
                self._whereabouts.told(self._peer.places)
            self._came(arrival, now_ns)
            if heard is Heard.GREETING and self._said is not None and now_ns - self._answered_ns >= _ANSWER_NS:
                self._answered_ns = now_ns
                self.announce(self._said)
        self._tell_others()
        after = self.whereabouts
        self._pin(after)
        return is_news or after != before

    def _tell_others(self) -> None:
        others = self.others
        if others and not self._others:
            LOG.error("more routers than a pair has are heard; these are not taken for the peer: %s", ", ".join(others))
        self._others = others

    @property
    def others(self) -> list[str]:
        """Where more routers than a pair has speak from: device, address, MAC."""
        found = self._peer.others(self._surroundings.monotonic_ns())
        return [f"{each.device} {each.address} {each.mac}" for each in found]

    def _pin(self, known: Whereabouts) -> None:
        """While it is heard, its MACs are what it says. One that is silent may come back with others."""
        if self._by_unicast:
            self._sockets.pin(each for each in known.places if each.device in known.attended)

    def _came(self, arrival: Arrival, now_ns: int) -> None:
        if arrival.is_marked and arrival.datagram == self._counted:
            self._whereabouts.came(arrival.device, now_ns)

    def recall(self, places: Sequence[Place], remembered: Sequence[tuple[str, str]] = ()) -> None:
        """What an earlier agent had found to be the peer's places, and whom it spoke to by unicast."""
        self._whereabouts.recall(places, remembered)

    @property
    def whereabouts(self) -> Whereabouts:
        """From where the peer is to be listened to."""
        if not self._is_secret:
            return UNKNOWN
        now_ns = self._surroundings.monotonic_ns()
        known = self._whereabouts.now(now_ns)
        serves = self._said is not None and self._said.serves
        # A third router must hear whichever of the two serves, or it would serve beside it.
        return Whereabouts(remembered=known.remembered) if not serves and self._peer.is_surplus(now_ns) else known

    @property
    def carriage(self) -> PeerCarriage | None:
        """What is known of the peer's electors; None if it was never heard."""
        return self._peer.carriage(self._surroundings.monotonic_ns())

    @property
    def heard(self) -> Saying | None:
        """What the peer said last; None if it is silent, or was never heard."""
        return self._peer.saying(self._surroundings.monotonic_ns())

    def describe(self) -> dict[str, Any] | None:
        """What the status says of it."""
        described = self._peer.describe(self._surroundings.monotonic_ns())
        if described is not None:
            known = self.whereabouts
            described["places"] = {each.device: f"{each.address} {each.mac}" for each in known.places}
            described["proven"] = list(known.closed)
        return described

    def close(self) -> None:
        """Say and hear nothing more."""
        self._sockets.close()
