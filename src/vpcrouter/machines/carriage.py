"""When the carrier moves from one elector to another: only onto one that has the same role, so nothing changes hands.

Called by `router.py`, which tells what keepalived reports and what it has loaded, and asks for the next carriage.
The machine calls nobody and reads no clock: times are a monotonic clock's nanoseconds and are passed in. Nothing of
it has to survive a kill: who runs, in which role, and who carries is asked of keepalived again (`learned`).

    a lower tier comes    reload: its elector is added ── it gets the carrier's role ──▶ reload: the list moves to it
    the carrier's goes    reload: the list moves to another of the same role; the elector is *held*
                          ── the peer knows, and its carrier is elsewhere ──▶ reload: the elector goes

Why it is safe: a router that serves is master of its own carrier and of the peer's, for as long as the peer obeys.
A move from an elector to one of the same role keeps that true, and dropping an elector that one is not master of, or
that the peer does not carry on, does too. So the two routers may move at different times, or one of them never.

An elector that is backup may only just have started; it counts when it has been so for longer than a backup
without a master would stay. One that is master counts at once. Which elector is wanted is no question of safety: the
lowest that both routers have and can use; before the peer was heard, the one that carries.

A tier on which the two do not hear each other any more makes a second master there. The routers know it from each
other, by the other tiers: both say that they are master of that tier's elector (it is *split*), and if it carries,
both say that they serve (they *contest*). Then whoever is backup on another elector carries there: it obeys again,
without leaving the election. This is the one move from master to backup. A split elector carries no more; nor does
one whose link is down.

    eth2 is cut between them    A: eth2 M, eth3 M, carries on eth2    B: eth2 M, eth3 B, carries on eth2
    B steps back                                                       B: carries on eth3, where it is backup
    both leave the split tier   A: carries on eth3                     B: carries on eth3

Known hole: while the two carry on different electors, a serving router whose link on the *peer's* carrier fails
while its own is well is not relieved there by anybody, and the peer takes over too, until the two contest. A move
lasts half a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from vpcrouter.values.carriage import GENERATIONS, Carriage, Elector, FoundElector, PeerCarriage
from vpcrouter.values.fields import device_number
from vpcrouter.values.role import Role

_NS_PER_MS = 1_000_000
_MANY_GENERATIONS = GENERATIONS // 2
"""Past these the count begins anew where that does not matter, so that it need not do so in a partition, where the
older of two masters would win."""


@frozen
class _Standing:
    role: Role
    since_ns: int


class CarriageMachine:
    """The electors of one router."""

    def __init__(self, *, advertisement_interval_ms: int) -> None:
        # Master-down interval: three advertisements and a skew of less than one (RFC 9568, 6.1); one more to be sure.
        self._settled_ns = (5 * advertisement_interval_ms + 100) * _NS_PER_MS
        # Of two that both serve, VRRP makes one step back with the next advertisement, where they hear each other.
        self._patience_ns = advertisement_interval_ms * _NS_PER_MS
        # An election, the reload that follows it, and another election for the other electors.
        self._lonely_ns = (10 * advertisement_interval_ms + 1_000) * _NS_PER_MS
        self._standings: dict[str, _Standing] = {}
        self._sources: dict[str, str] = {}
        self._carrier: str | None = None
        self._link: str | None = None
        self._generation = 0
        self._peer_generation: int | None = None
        self._split_since_ns: dict[str, int] = {}
        self._refuge: str | None = None

    # What is so ---------------------------------------------------------------------------------

    @property
    def carrier(self) -> str | None:
        """The device of the elector that carries, as keepalived has loaded it."""
        return self._carrier

    @property
    def role(self) -> Role | None:
        """The carrier's role, which is the router's; None if it has not reported."""
        return self._role(self._carrier)

    @property
    def roles(self) -> Mapping[str, Role]:
        """The role of each elector that runs."""
        return {device: standing.role for device, standing in self._standings.items()}

    @property
    def generation(self) -> int:
        """Of this router's last time as master."""
        return self._generation

    @property
    def must_obey(self) -> bool:
        """Whether this router must stop serving at once: it steps back, and a reload takes its time."""
        return self._refuge is not None

    def is_split(self, device: str, now_ns: int) -> bool:
        """Whether the two have both been master there, and have known it, for longer than VRRP lets that be."""
        since_ns = self._split_since_ns.get(device)
        return since_ns is not None and now_ns - since_ns >= self._patience_ns

    def observe(self, device: str, role: Role, now_ns: int) -> None:
        """An elector reports. That it stopped or was removed says nothing: its successor may have reported before.

        A backup reports again after a reload, and its time begins again then: so does its wait for a master.
        """
        if role is not Role.INIT:
            before = self._standings.get(device)
            if role is Role.MASTER and device == self._carrier and (before is None or before.role is not role):
                self._begin_generation()
            if before is None or before.role is not role or role is Role.BACKUP:
                self._standings[device] = _Standing(role, now_ns)

    def _begin_generation(self) -> None:
        if self._peer_generation is not None:
            self._generation = (self._peer_generation + 1) % GENERATIONS

    def learned(self, found: Iterable[FoundElector], now_ns: int) -> None:
        """What a keepalived that runs already says of all its electors."""
        running = {each.device: each for each in found}
        if not running:
            return
        self._standings = {device: each for device, each in self._standings.items() if device in running}
        for device, each in running.items():
            self._sources[device] = each.source or self._sources.get(device, "")
            if self._role(device) is not each.role:
                self.observe(device, each.role, now_ns)
        self._carrier = next((device for device, each in running.items() if each.is_carrier), None)
        if self._carrier is not None:
            self._generation = running[self._carrier].generation or self._generation
        if self._link is None:
            self._link = self._carrier

    def loaded(self, carriage: Carriage, tiers: Sequence[Elector]) -> None:
        """Keepalived runs with this now."""
        electors = (*tiers, *carriage.held)
        self._sources = {each.device: each.source for each in electors}
        self._standings = {device: each for device, each in self._standings.items() if device in self._sources}
        self._carrier, self._link = carriage.carrier, carriage.link
        if self._refuge is not None and carriage.carrier == self._refuge:
            self._refuge = None

    def lost(self) -> None:
        """Keepalived is gone: nobody is anything. What its successor runs with stays."""
        self._standings.clear()
        self._refuge = None

    # What is next -------------------------------------------------------------------------------

    def stay(self, tiers: Sequence[Elector]) -> Carriage:
        """The carriage without a move: what a look at the machine is compared with."""
        held = tuple(each for each in self._gone(tiers) if each.device in self._standings)
        return Carriage(carrier=self._carrier, link=self._link, held=held, generation=self._generation)

    def next(self, tiers: Sequence[Elector], peer: PeerCarriage | None, now_ns: int) -> Carriage:
        """What keepalived is to run with now. `peer` is None as long as it was never heard."""
        own = sorted((each.device for each in tiers), key=device_number)
        self._note_peer(own, peer, now_ns)
        if not own:
            return Carriage()
        carrier = self._next_carrier(own, peer, now_ns)
        link = self._next_link(own, carrier, peer)
        needed = {carrier, link}
        held = (each for each in self._gone(tiers) if each.device in needed or self._holds_down(each.device, peer))
        moves = self._carrier is not None and carrier != self._carrier
        return Carriage(
            carrier=carrier,
            link=link,
            held=tuple(held),
            is_bridged=moves and self._role(self._carrier) is Role.MASTER and self._role(carrier) is Role.MASTER,
            generation=self._generation,
        )

    def _note_peer(self, own: Sequence[str], peer: PeerCarriage | None, now_ns: int) -> None:
        if peer is None:
            return
        self._peer_generation = peer.generation
        obeys = self.role is Role.MASTER and peer.role is Role.BACKUP and not peer.is_silent
        if obeys and self._generation > _MANY_GENERATIONS:
            self._generation = 0
        split = {
            device
            for device in own
            if not peer.is_silent and self._role(device) is Role.MASTER is peer.roles.get(device)
        }
        self._split_since_ns = {device: self._split_since_ns.get(device, now_ns) for device in split}

    def _next_carrier(self, own: Sequence[str], peer: PeerCarriage | None, now_ns: int) -> str | None:
        current = self._carrier if self._carrier in own or self._carrier in self._sources else None
        usable = [device for device in own if self._can_carry(device, peer, now_ns)]
        common = [d for d in own if peer is not None and d in peer.tiers and self._role(d) is not Role.FAULT]
        # Where all are split one of them is better than a tier that only this router has: the peer will hear it again.
        candidates = [device for device in common if device in usable] or common or usable or own
        if current is None:
            return self._first_carrier(own, candidates, peer, now_ns)
        if peer is None and current in own and self._role(current) is not Role.FAULT:
            return current  # a peer that we have not heard yet may rely on where it knows us to be
        if peer is not None and self._refuge is None:
            self._refuge = self._find_refuge(own, current, peer)
        if self._refuge in own:
            return self._refuge
        for device in candidates:
            if device == current or self._may_move(current, device, peer, now_ns):
                return device
        return current

    def _can_carry(self, device: str, peer: PeerCarriage | None, now_ns: int) -> bool:
        if self._role(device) is Role.FAULT or self.is_split(device, now_ns):
            return False
        # A backup stays where the peer's link is down: there it is about to take over.
        is_taking_over = self._role(self._carrier) is not Role.MASTER
        return peer is None or is_taking_over or peer.roles.get(device) is not Role.FAULT

    def _find_refuge(self, own: Sequence[str], current: str, peer: PeerCarriage) -> str | None:
        """Both serve, though one of them is backup somewhere: that one goes there. If both are, the junior one."""
        if self._role(current) is not Role.MASTER or (peer.contested_ns or 0) < self._patience_ns:
            return None
        obeyed = [device for device in own if self._role(device) is Role.BACKUP]
        # On an elector that is held for a tier that is gone it may be backup too, and cannot go there.
        peer_obeys = any(peer.roles.get(each) is Role.BACKUP for each in peer.tiers if each != peer.carrier)
        return obeyed[0] if obeyed and (peer.is_senior or not peer_obeys) else None

    def _may_move(self, current: str, target: str, peer: PeerCarriage | None, now_ns: int) -> bool:
        if not self._is_decided(target, now_ns):
            return False
        if self._role(target) is Role.MASTER:
            return self._role(current) is Role.MASTER or self._may_take(current, target, peer, now_ns)
        if peer is not None and not peer.is_silent and peer.carrier == target:
            return True  # both on one elector is what VRRP is made for, whatever came before
        return self._role(current) is not Role.MASTER

    def _may_take(self, current: str, target: str, peer: PeerCarriage | None, now_ns: int) -> bool:
        """Whether nobody serves and nobody is about to, so that this router may where it is master already."""
        standing = self._standings.get(current)
        is_lost = standing is not None and standing.role is Role.FAULT
        if peer is None or peer.is_silent:
            # A peer that serves or could would be master here too by now, being the better one.
            return is_lost and standing is not None and now_ns - standing.since_ns >= self._lonely_ns
        if peer.serves:
            return False
        # Each is backup where it carries; the other one does not move, its carrier being the lower of the two.
        return peer.carrier == target or (is_lost and peer.roles.get(peer.carrier or "") is Role.FAULT)

    def _first_carrier(
        self, own: Sequence[str], candidates: Sequence[str], peer: PeerCarriage | None, now_ns: int
    ) -> str | None:
        """Nobody carries here yet. An elector that is backup proves that another router serves: follow that one."""
        if peer is not None and peer.carrier in own:
            return peer.carrier
        if peer is not None and self._is_agreed(candidates[0], peer):
            return candidates[0]
        if not all(self._is_decided(device, now_ns) or self._role(device) is Role.FAULT for device in own):
            return None
        for role, devices in ((Role.BACKUP, candidates), (Role.BACKUP, own), (Role.MASTER, candidates)):
            for device in devices:
                if self._role(device) is role:
                    return device
        return None

    def _is_agreed(self, lowest: str, peer: PeerCarriage) -> bool:
        """Whether the peer, which carries nowhere either, will choose this tier too, and one of the two serves there.

        It had heard of our tier when it said that it carries nowhere: so whatever it chooses next is the lowest.
        """
        is_free = not peer.is_silent and peer.carrier is None and peer.target is None
        knows = lowest in peer.tiers and peer.heard is not None and lowest in peer.heard
        return is_free and knows and {self._role(lowest), peer.roles.get(lowest)} == {Role.MASTER, Role.BACKUP}

    def _next_link(self, own: Sequence[str], carrier: str | None, peer: PeerCarriage | None) -> str | None:
        """The peer's conntrackd listens on one device too: change when both carriers are the same."""
        if self._link is None or (self._link not in own and self._link not in self._sources):
            return carrier or own[0]
        is_agreed = peer is None or peer.carrier == carrier
        return carrier if is_agreed and carrier is not None else self._link

    def _holds_down(self, device: str, peer: PeerCarriage | None) -> bool:
        """Whether the peer would become master there, with all addresses, if this elector went.

        A peer that is not there may still be about to move there, unless it has heard that the tier is gone.
        """
        if self._role(device) is not Role.MASTER:
            return False
        return peer is None or device in (peer.carrier, peer.target) or peer.heard is None or device in peer.heard

    def _gone(self, tiers: Sequence[Elector]) -> Iterator[Elector]:
        """The electors that are loaded and have no tier any more."""
        own = {each.device for each in tiers}
        gone = (device for device, source in self._sources.items() if source and device not in own)
        return (Elector(device=device, source=self._sources[device]) for device in sorted(gone, key=device_number))

    def _is_decided(self, device: str, now_ns: int) -> bool:
        standing = self._standings.get(device)
        if standing is None:
            return False
        if standing.role is Role.BACKUP:
            return now_ns - standing.since_ns >= self._settled_ns
        return standing.role is Role.MASTER

    def _role(self, device: str | None) -> Role | None:
        standing = self._standings.get(device) if device is not None else None
        return None if standing is None else standing.role
