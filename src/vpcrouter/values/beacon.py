"""What one router tells the others of its set, many times a second."""

from __future__ import annotations

from attrs import evolve, frozen

from vpcrouter.values.agreement import Trace, Window
from vpcrouter.values.connections import ConnectionSample
from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import Place

UNICAST, MULTICAST = "unicast", "multicast"
MOST_ROUTERS = 8
"""In a set, this one included: a bound for what a beacon has to echo, not a figure that was tried out."""
BEACON_GROUP = "225.0.0.51"
BEACON_PORT = 3781
BEACON_MARK = 0x56505221
"""On beacons that come from the place where the peer is known to be; the ruleset sets it, the socket reads it."""


@frozen(kw_only=True)
class Saying:
    """What a router says of itself."""

    tiers: tuple[str, ...] = ()
    """The devices of its tiers on which an elector runs."""
    carrier: str | None = None
    target: str | None = None
    """The carrier that is being loaded."""
    link: str | None = None
    """The device that conntrackd speaks by; None: not told."""
    role: Role = Role.INIT
    seq: int = 0
    digest: str = ""
    offer: int = 0
    """1: a master that wants a peer that is ready to take over; 2: whether it is ready or not."""
    taker: bytes = b""
    """The instance of the router that the offer is made to."""
    ready: bool = False
    """A backup that could take over now, connections included."""
    missing: int = 0
    """Connections of the peer's last sample that a backup does not have."""
    waiting_passwords: tuple[bytes, ...] = ()
    """Tags of passwords that no guest has fetched from this router, as far as it knows."""
    fetched_passwords: tuple[bytes, ...] = ()
    """Tags of passwords that guests have fetched."""
    sample: ConnectionSample | None = None
    """Some of its connections, by which the peer sees whether it has them too."""
    window: Window | None = None
    """Part of its configuration, when the two are not configured alike."""
    traces: tuple[Trace, ...] = ()
    """How some things in which the two differ came to be what they are here."""
    roles: tuple[tuple[str, Role], ...] = ()
    """What each running elector is, held ones included, by device."""
    generation: int = 0
    """Of its last time as master; see `Carriage`."""
    lost: tuple[str, ...] = ()
    """What it has lost, in words, of what it needs to serve."""
    reaches_gateway: bool | None = None
    """Whether the gateway of the way out answers it; None if it has not asked."""
    vrrp: str = ""
    """By what its advertisements prove themselves: who does it otherwise does not hear them. Empty: not told."""
    way: str = ""
    """By what its advertisements go: who speaks by the other way does not hear them either. Empty: not told."""
    unconfirmed: tuple[str, ...] = ()
    """The changes that wait for a confirmation, some of the oldest."""

    @property
    def serves(self) -> bool:
        """Whether it says that it serves."""
        return self.role is Role.MASTER

    @property
    def weighty(self) -> Saying:
        """Without what changes all the time: a change of this is worth telling at once, and listening for answers."""
        if not (self.missing or self.sample or self.window or self.traces or self.waiting_passwords):
            return self
        return evolve(self, missing=0, sample=None, window=None, traces=(), waiting_passwords=())


@frozen(kw_only=True)
class Peer:
    """Another router of the set that is heard just now."""

    number: int
    """The same for as long as it is known, also when its agent starts anew."""
    instance: bytes
    """Of its agent; new with each start."""
    saying: Saying
    places: tuple[Place, ...] = ()
    """Where its frames come from."""
    since_ns: int | None = None
    """Since when it serves, by our own clock; None if it does not, or has not told."""
