"""When the carrier moves from one elector to another: only onto one that has the same role, so nothing changes hands.

Called by `router.py`, which tells what keepalived reports and what it has loaded, and asks for the next carriage.
The machine calls nobody and reads no clock: times are a monotonic clock's nanoseconds and are passed in. Nothing of
it has to survive a kill: who runs, in which role, and who carries is asked of keepalived again (`learned`).

    a lower tier comes    reload: its elector is added ── it gets the carrier's role ──▶ reload: the list moves to it
    the carrier's goes    reload: the list moves to another of the same role; the elector is *held*
                          ── the peer knows, and its carrier is elsewhere ──▶ reload: the elector goes

Why it is safe: a router that serves is master of its own carrier and of every peer's, for as long as they obey.
A move from an elector to one of the same role keeps that true, and dropping an elector that one is not master of, or
that no peer carries on, does too. So the routers may move at different times, or one of them never. Of a router that is
known to be there and was not heard yet nothing is known, and everything is held for it.

An elector that is backup may only just have started; it counts when it has been so for longer than a backup
without a master would stay. One that is master counts at once. Which elector is wanted is no question of safety: the
lowest that all routers have and can use; before any was heard, the one that carries. What a silent one had counts only
where none is heard.

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
lasts half a second. Likewise, of three that carry on different electors when the serving one crashes, the other two may
both serve until the one that has loaded the priority of a master wins everywhere.
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


_NEVER_NS = 2**63


@frozen
class _Standing:
    role: Role
    since_ns: int


@frozen
class _Answer:
    """The carriage that was found last, and for what; it is the same until then, if nothing happens."""

    tiers: tuple[Elector, ...]
    peers: tuple[PeerCarriage, ...]
    knows_all: bool
    from_ns: int
    until_ns: int
    carriage: Carriage


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
        self._newest: _Answer | None = None

    # What is so ---------------------------------------------------------------------------------

    @property
    def carrier(self) -> str | None:
        """The device of the elector that carries, as keepalived has loaded it."""
        return self._carrier

    @property
    def link(self) -> str | None:
        """The device that conntrackd speaks by; it follows the carrier when all routers carry there."""
        return self._link

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
                self._newest = None
                self._standings[device] = _Standing(role, now_ns)

    def _begin_generation(self) -> None:
        if self._peer_generation is not None:
            self._generation = (self._peer_generation + 1) % GENERATIONS

    def learned(self, found: Iterable[FoundElector], now_ns: int) -> None:
        """What a keepalived that runs already says of all its electors."""
        running = {each.device: each for each in found}
        if not running:
            return
        self._newest = None
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
        """Keepalived runs with this now, most of the time as before."""
        before = self._sources, self._standings, self._carrier, self._link, self._refuge
        electors = (*tiers, *carriage.held)
        self._sources = {each.device: each.source for each in electors}
        self._standings = {device: each for device, each in self._standings.items() if device in self._sources}
        self._carrier, self._link = carriage.carrier, carriage.link
        if self._refuge is not None and carriage.carrier == self._refuge:
            self._refuge = None
        if before != (self._sources, self._standings, self._carrier, self._link, self._refuge):
            self._newest = None

    def lost(self) -> None:
        """Keepalived is gone: nobody is anything. What its successor runs with stays."""
        self._newest = None
        self._standings.clear()
        self._refuge = None

    # What is next -------------------------------------------------------------------------------

    def stay(self, tiers: Sequence[Elector]) -> Carriage:
        """The carriage without a move: what a look at the machine is compared with."""
        held = tuple(each for each in self._gone(tiers) if each.device in self._standings)
        return Carriage(carrier=self._carrier, link=self._link, held=held, generation=self._generation)

    def next(
        self, tiers: Sequence[Elector], peers: Sequence[PeerCarriage], now_ns: int, *, knows_all: bool = True
    ) -> Carriage:
        """What keepalived is to run with now.

        `peers`: each router that was ever heard; `knows_all`: whether no other one is known to be there. Asked again
        and again, with every beacon: what was found last is found again as long as nothing of it is another.
        """
        newest = self._newest
        if (
            newest is None
            or not newest.from_ns <= now_ns < newest.until_ns
            or newest.tiers != tiers
            or newest.peers != peers
            or newest.knows_all is not knows_all
        ):
            carriage = self._next(tiers, peers, now_ns, knows_all=knows_all)
            until_ns = self._until_ns(now_ns)
            newest = self._newest = _Answer(tuple(tiers), tuple(peers), knows_all, now_ns, until_ns, carriage)
        return newest.carriage

    def _until_ns(self, now_ns: int) -> int:
        """When time alone makes another carriage possible."""
        times = [since_ns + self._patience_ns for since_ns in self._split_since_ns.values()]
        for each in self._standings.values():
            times += (each.since_ns + self._settled_ns, each.since_ns + self._lonely_ns)
        return min((each for each in times if each > now_ns), default=_NEVER_NS)

    def _next(
        self, tiers: Sequence[Elector], peers: Sequence[PeerCarriage], now_ns: int, *, knows_all: bool
    ) -> Carriage:
        own = sorted((each.device for each in tiers), key=device_number)
        heard = [each for each in peers if not each.is_silent] or peers
        self._note_peers(own, peers, now_ns)
        if not own:
            return Carriage()
        carrier = self._next_carrier(own, heard, now_ns)
        link = self._next_link(own, carrier, _elected(heard))
        needed = {carrier, link}
        held = (
            each
            for each in self._gone(tiers)
            if each.device in needed or self._holds_down(each.device, peers, knows_all=knows_all)
        )
        moves = self._carrier is not None and carrier != self._carrier
        return Carriage(
            carrier=carrier,
            link=link,
            held=tuple(held),
            is_bridged=moves and self._role(self._carrier) is Role.MASTER and self._role(carrier) is Role.MASTER,
            generation=self._generation,
        )

    def _note_peers(self, own: Sequence[str], peers: Sequence[PeerCarriage], now_ns: int) -> None:
        if not peers:
            return
        self._peer_generation = _newest([each for each in peers if each.role is Role.MASTER] or peers)
        obeyed = all(each.role is Role.BACKUP and not each.is_silent for each in peers)
        if self.role is Role.MASTER and obeyed and self._generation > _MANY_GENERATIONS:
            self._generation = 0
        split = {
            device
            for device in own
            if self._role(device) is Role.MASTER
            and any(each.roles.get(device) is Role.MASTER for each in peers if not each.is_silent)
        }
        self._split_since_ns = {device: self._split_since_ns.get(device, now_ns) for device in split}

    def _next_carrier(self, own: Sequence[str], peers: Sequence[PeerCarriage], now_ns: int) -> str | None:
        current = self._carrier if self._carrier in own or self._carrier in self._sources else None
        elected = _elected(peers)
        usable = [device for device in own if self._can_carry(device, elected, now_ns)]
        working = [device for device in own if self._role(device) is not Role.FAULT]
        common = [device for device in working if elected and all(device in each.tiers for each in elected)]
        shared = [device for device in working if any(device in each.tiers for each in elected)]
        # Where all are split one of them is better than a tier that only this router has: a peer will hear it again.
        candidates = (
            [device for device in common if device in usable]
            or common
            or [device for device in shared if device in usable]
            or shared
            or usable
            or own
        )
        if current is None:
            return self._first_carrier(own, candidates, peers, now_ns)
        if not peers and current in own and self._role(current) is not Role.FAULT:
            return current  # a peer that we have not heard yet may rely on where it knows us to be
        if self._refuge is None:
            self._refuge = self._find_refuge(own, current, peers)
        if self._refuge in own:
            return self._refuge
        for device in candidates:
            if device == current or self._may_move(current, device, peers, now_ns):
                return device
        return current

    def _can_carry(self, device: str, peers: Sequence[PeerCarriage], now_ns: int) -> bool:
        if self._role(device) is Role.FAULT or self.is_split(device, now_ns):
            return False
        if self._role(self._carrier) is not Role.MASTER:
            # A backup stays where the serving router's link is down, or nobody serves: there it is about to take over.
            serving = [each for each in peers if each.role is Role.MASTER]
            if not serving or any(each.roles.get(device) is Role.FAULT for each in serving):
                return True
        return all(each.roles.get(device) is not Role.FAULT for each in peers)

    def _find_refuge(self, own: Sequence[str], current: str, peers: Sequence[PeerCarriage]) -> str | None:
        """Two serve, though one of them is backup somewhere: that one goes there. If both are, the junior one."""
        claims = [each for each in peers if (each.contested_ns or 0) >= self._patience_ns]
        if self._role(current) is not Role.MASTER or not claims:
            return None
        obeyed = [device for device in own if self._role(device) is Role.BACKUP]
        return obeyed[0] if obeyed and any(each.is_senior or not _can_obey(each) for each in claims) else None

    def _may_move(self, current: str, target: str, peers: Sequence[PeerCarriage], now_ns: int) -> bool:
        if not self._is_decided(target, now_ns):
            return False
        if self._role(target) is Role.MASTER:
            return self._role(current) is Role.MASTER or self._may_take(current, target, peers, now_ns)
        heard = [each for each in peers if not each.is_silent]
        masters = [each for each in heard if each.roles.get(target) is Role.MASTER]
        if any(each.carrier == target for each in heard) and all(each.carrier == target for each in masters):
            return True  # all on one elector is what VRRP is made for, whatever came before
        return self._role(current) is not Role.MASTER

    def _may_take(self, current: str, target: str, peers: Sequence[PeerCarriage], now_ns: int) -> bool:
        """Whether nobody serves and nobody is about to, so that this router may where it is master already."""
        standing = self._standings.get(current)
        is_lost = standing is not None and standing.role is Role.FAULT
        heard = [each for each in peers if not each.is_silent]
        if not heard:
            # A peer that serves or could would be master here too by now, being the better one.
            return is_lost and standing is not None and now_ns - standing.since_ns >= self._lonely_ns
        if any(each.serves for each in heard):
            return False
        # Each is backup where it carries; the other one does not move, its carrier being the lower of the two.
        return any(each.carrier == target for each in heard) or (
            is_lost and all(each.roles.get(each.carrier or "") is Role.FAULT for each in heard)
        )

    def _first_carrier(
        self, own: Sequence[str], candidates: Sequence[str], peers: Sequence[PeerCarriage], now_ns: int
    ) -> str | None:
        """Nobody carries here yet. An elector that is backup proves that another router serves: follow that one."""
        for each in sorted(peers, key=lambda peer: not peer.serves):
            if each.carrier in own:
                return each.carrier
        if self._is_agreed(candidates[0], peers):
            return candidates[0]
        if not all(self._is_decided(device, now_ns) or self._role(device) is Role.FAULT for device in own):
            return None
        for role, devices in ((Role.BACKUP, candidates), (Role.BACKUP, own), (Role.MASTER, candidates)):
            for device in devices:
                if self._role(device) is role:
                    return device
        return None

    def _is_agreed(self, lowest: str, peers: Sequence[PeerCarriage]) -> bool:
        """Whether the peers, which carry nowhere either, will choose this tier too, and one of all serves there.

        They had heard of our tier when they said that they carry nowhere: so whatever they choose next is the lowest.
        """
        roles = [self._role(lowest), *(each.roles.get(lowest) for each in peers)]
        return (
            bool(peers)
            and all(
                not each.is_silent
                and each.carrier is None
                and each.target is None
                and lowest in each.tiers
                and each.heard is not None
                and lowest in each.heard
                for each in peers
            )
            and roles.count(Role.MASTER) == 1
            and roles.count(Role.BACKUP) == len(peers)
        )

    def _next_link(self, own: Sequence[str], carrier: str | None, peers: Sequence[PeerCarriage]) -> str | None:
        """The peers' conntrackd listen on one device too: change when all carriers are the same."""
        if self._link is None or (self._link not in own and self._link not in self._sources):
            return carrier or own[0]
        is_agreed = all(each.carrier == carrier for each in peers)
        return carrier if is_agreed and carrier is not None else self._link

    def _holds_down(self, device: str, peers: Sequence[PeerCarriage], *, knows_all: bool) -> bool:
        """Whether a peer would become master there, with all addresses, if this elector went.

        A peer that is not there may still be about to move there, unless it has heard that the tier is gone.
        """
        if self._role(device) is not Role.MASTER:
            return False
        if not peers or not knows_all:
            return True
        return any(
            device in (each.carrier, each.target) or each.heard is None or device in each.heard for each in peers
        )

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


def _elected(peers: Sequence[PeerCarriage]) -> Sequence[PeerCarriage]:
    """Those that carry somewhere: one that joins gets its tiers one by one, and the others do not follow it."""
    return [each for each in peers if each.carrier is not None] or peers


def _can_obey(peer: PeerCarriage) -> bool:
    """Whether it is backup where it could carry: on an elector that is held for a tier that is gone it cannot."""
    return any(peer.roles.get(each) is Role.BACKUP for each in peer.tiers if each != peer.carrier)


def _newest(peers: Sequence[PeerCarriage]) -> int:
    """The generation that came last, in a count that begins anew."""
    newest = peers[0].generation
    for each in peers[1:]:
        if 0 < (each.generation - newest) % GENERATIONS <= GENERATIONS // 2:
            newest = each.generation
    return newest
