"""How the service goes to the peer on purpose without a moment in which nobody has it. Pure, with time passed in.

Called by the agents of both routers. keepalived decides; the two only prepare what it decides by, and tell each other
in their beacons. Of several backups one is named, and the others do nothing.

    master: yields                                   backup: takes over
    ──────────────                                   ──────────────────
    BRIDGING  routes that outlive the addresses
       │      (as when the carrier moves)
       ▼
    OFFERING  “I yield to X” in every beacon ─────▶  every elector may preempt, with the highest priority
       │                                                │  keepalived: after three advertisements, master
       ▼      a higher advertisement was heard  ◀───────┘
    LEAVING   backup; packets that are still on
       │      their way here are forwarded
       ▼
    IDLE                                             IDLE, when the other one is backup: the ordinary priority

A master that has lost something a peer has is relieved by keepalived without an offer. It bridges for that too: from
when it knows that it will be (YIELDING) until what is on its way has arrived (LEAVING).

The new master has the addresses before the old one gives them up, and the old one forwards what guests still send to
it until they have heard the gratuitous ARP. So it needs no script and no pause; if either agent dies in the middle,
keepalived's last word stands, with one master.
"""

from __future__ import annotations

from enum import Enum

from vpcrouter.values.role import Role

OFFER_NS = 5_000_000_000
"""The peer has to have taken over by then: its reload takes 0.1 s, its keepalived waits for 0.4 s at 100 ms
advertisements; with slower ones the agent allows that much more."""
LEAVE_NS = 2_000_000_000
"""The old master forwards for so long: what a guest that missed the first gratuitous ARP needs to hear one of the
later ones (keepalived repeats them)."""
STRENGTHEN_NS = 10_000_000_000
"""One that takes over waits no longer than this for the other one to step back."""


class Phase(Enum):
    """Where a handover is, on one router."""

    IDLE = "idle"
    YIELDING = "yielding"
    BRIDGING = "bridging"
    OFFERING = "offering"
    LEAVING = "leaving"
    TAKING = "taking"


class HandoverMachine:
    """The part of one router in a handover."""

    def __init__(self, *, advertisement_interval_ms: int) -> None:
        self._offer_ns = OFFER_NS + 5 * advertisement_interval_ms * 1_000_000
        self._phase = Phase.IDLE
        self._since_ns = 0
        self._is_forced = False
        self._taker = b""
        self._outcome: bool | None = None

    @property
    def phase(self) -> Phase:
        """Where it is."""
        return self._phase

    @property
    def is_bridged(self) -> bool:
        """Whether what goes through this router has to go on though its addresses go."""
        return self._phase in (Phase.YIELDING, Phase.BRIDGING, Phase.OFFERING, Phase.LEAVING)

    @property
    def is_under_way(self) -> bool:
        """Whether a handover that somebody asked for has not ended yet, on either router."""
        return self._phase not in (Phase.IDLE, Phase.YIELDING)

    @property
    def takes_over(self) -> bool:
        """Whether this router is to win every election."""
        return self._phase is Phase.TAKING

    @property
    def offer(self) -> int:
        """What the beacon says: 0 nothing, 1 take over if you are ready, 2 take over."""
        return 0 if self._phase is not Phase.OFFERING else 2 if self._is_forced else 1

    @property
    def taker(self) -> bytes:
        """The instance of the router that the offer is made to."""
        return self._taker if self._phase is Phase.OFFERING else b""

    @property
    def outcome(self) -> bool | None:
        """Whether the handover that was begun here has succeeded; None while it is under way."""
        return self._outcome

    def begin(self, now_ns: int, *, taker: bytes, forced: bool) -> None:
        """Somebody asks this master to yield to that router."""
        self._enter(Phase.BRIDGING, now_ns)
        self._taker, self._is_forced, self._outcome = taker, forced, None

    def bridged(self, now_ns: int) -> None:
        """The routes are there."""
        if self._phase is Phase.BRIDGING:
            self._enter(Phase.OFFERING, now_ns)

    def step(
        self, now_ns: int, *, role: Role, ready: bool, offer: int, is_served: bool, outranked: bool = False
    ) -> bool:
        """Take in how things are; whether anything changed.

        `offer` is what this router is offered, `is_served` whether a peer says that it serves; `ready` is whether this
        router, as a backup, could take over now; `outranked` whether this router has lost something that a peer, a
        backup, has.
        """
        before, age_ns = self._phase, now_ns - self._since_ns
        if before in (Phase.BRIDGING, Phase.OFFERING):
            if role is not Role.MASTER:
                self._outcome = role is Role.BACKUP
                self._enter(Phase.LEAVING, now_ns)
            elif age_ns >= self._offer_ns:
                self._outcome = False
                self._enter(Phase.IDLE, now_ns)
        elif before is Phase.YIELDING:
            if role is not Role.MASTER or not outranked:
                self._enter(Phase.IDLE if role is Role.MASTER else Phase.LEAVING, now_ns)
        elif before is Phase.LEAVING:
            if role is Role.MASTER or age_ns >= LEAVE_NS:
                self._enter(Phase.IDLE, now_ns)
        elif before is Phase.TAKING:
            if self._has_taken(role, offer, is_served) or age_ns >= STRENGTHEN_NS:
                self._enter(Phase.IDLE, now_ns)
        elif role is Role.MASTER and outranked:
            self._enter(Phase.YIELDING, now_ns)
        elif role is Role.BACKUP and (offer == 2 or (offer == 1 and ready)):
            self._enter(Phase.TAKING, now_ns)
        return self._phase is not before

    @staticmethod
    def _has_taken(role: Role, offer: int, is_served: bool) -> bool:
        if role is Role.MASTER:
            return not is_served
        return not offer

    def _enter(self, phase: Phase, now_ns: int) -> None:
        self._phase, self._since_ns = phase, now_ns
