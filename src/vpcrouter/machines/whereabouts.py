"""From where the other routers are listened to, so that a guest's forgeries reach no daemon. Pure: times are passed in.

Used by `peering`; the ruleset is made of it (`materialise.peer_guard`). Beacons are authenticated, VRRP and conntrackd
are not. So each beacon tells by which addresses its router is there, on each device, and the kernel takes VRRP and
conntrackd from those alone. Two that shut each other out would both serve, so a device is closed only when it is safe:

    unknown  ── a beacon tells of a place ──▶  told    the place is in the ruleset, which marks beacons that match
    told     ── a marked beacon comes in ──▶   proven  frames do arrive with these addresses: the device is closed
    proven   ── a beacon tells of another ──▶  told    the device is open until that one is proven
    proven   ── silence ──▶                    proven  its keepalived may live on; but where nobody is heard any more,
                                                       beacons are taken from anybody, since whoever comes instead has
                                                       other addresses; so they are when this router has just begun to
                                                       serve. Elsewhere the ruleset lets a few strangers through.

Of several routers a device is closed when each that says it is there has been proven there.

Who has heard no beacon and no VRRP for long, and serves, is *alone*, and closes everything to everybody but beacons.

Known holes: a guest that uses the peer's own MAC and address looks like the peer. Before two routers have met, and for
the time that a router without a peer needs to believe it (`ALONE_NS`), everybody in the tier's network is heard. A
router whose agent is dead does not learn of a peer that comes back with other addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from attrs import define, field

from vpcrouter.machines.peer import SILENT_NS
from vpcrouter.values.whereabouts import Place, Whereabouts

_NEVER_NS = 2**63
ALONE_NS = 10_000_000_000
"""A peer whose agent is dead is heard by its VRRP long before that, and then this router does not serve."""


@define
class _Places:
    """Of one router."""

    by_device: dict[str, Place] = field(factory=dict)
    proven: set[str] = field(factory=set)
    heard_ns: dict[str, int] = field(factory=dict)
    remembered: dict[str, str] = field(factory=dict)
    """By device, where it spoke from last: a tier that it has lost is no reason to fall silent there."""


class WhereaboutsMachine:
    """The places of the other routers, each of which has a number. `remembers`: as they are spoken to by unicast."""

    def __init__(self, *, remembers: bool = False) -> None:
        self._remembers = remembers
        self._routers: dict[int, _Places] = {}
        self._recalled: frozenset[Place] = frozenset()
        """Proven by an earlier agent, and not told of since. Whose they are is not known."""
        self._recalled_routers = 0
        self._recalled_peers: tuple[tuple[str, str], ...] = ()
        self._serves_since_ns: int | None = None
        self._in_order: tuple[Place, ...] = ()
        self._known: tuple[Whereabouts, int, int] | None = None
        """What was found last, and from when until when that is so if nobody says anything; None: look again."""

    def recall(self, places: Iterable[Place], remembered: Iterable[tuple[str, str]] = ()) -> None:
        """What an earlier agent had proven, and whom it spoke to by unicast, as the kernel has it."""
        self._recalled, self._recalled_peers = frozenset(places), tuple(remembered)
        self._recalled_routers = max(Counter(each.device for each in self._recalled).values(), default=0)
        self._sort()

    @property
    def has_unmet(self) -> bool:
        """Whether an earlier agent knew more routers than have told where they are."""
        return bool(self._recalled)

    def told(self, number: int, places: Iterable[Place]) -> None:
        """A beacon that counts says where its router is."""
        now = {each.device: each for each in places}
        router = self._routers.setdefault(number, _Places())
        if self._remembers:
            router.remembered.update({device: place.address for device, place in now.items()})
            self._known = None
        if now == router.by_device and not self._recalled:
            return
        router.proven = {device for device in router.proven if now.get(device) == router.by_device.get(device)}
        router.proven |= {device for device, place in now.items() if place in self._recalled}
        router.heard_ns = {device: heard for device, heard in router.heard_ns.items() if device in router.proven}
        router.by_device = now
        self._take_recalled(now.values())
        self._sort()

    def _take_recalled(self, told: Iterable[Place]) -> None:
        """What is left is of routers that have not been met; if all have been, it is of nobody."""
        are_all = len(self._routers) >= self._recalled_routers
        self._recalled = frozenset() if are_all else self._recalled.difference(told)

    def forget(self, known: Collection[int]) -> None:
        """Other routers than these are none of the set any more."""
        for number in self._routers.keys() - set(known):
            del self._routers[number]
            self._sort()

    def came(self, number: int, device: str, now_ns: int) -> None:
        """A beacon that counts has come in by this device, from the place that is known there."""
        router = self._routers.get(number)
        if router is not None and device in router.by_device:
            router.proven.add(device)
            router.heard_ns[device] = now_ns
            if self._known is not None and device not in self._known[0].attended:
                self._known = None

    def serves(self, serves: bool, now_ns: int) -> None:
        """Whether this router does. If it has just begun to, a peer is gone, or has come to another place."""
        if not serves:
            if self._serves_since_ns is not None:
                self._serves_since_ns, self._known = None, None
        elif self._serves_since_ns is None:
            self._serves_since_ns, self._known = now_ns, None
            for each in self._routers.values():
                each.heard_ns.clear()

    def proven(self, number: int) -> tuple[str, ...]:
        """The devices on which one router has been found where it says it is."""
        router = self._routers.get(number)
        return () if router is None else tuple(sorted(router.proven))

    def now(self, now_ns: int) -> Whereabouts:
        """What is known."""
        if self._known is None or not self._known[1] <= now_ns < self._known[2]:
            found, changes_ns = self._look(now_ns)
            self._known = found, now_ns, min((each for each in changes_ns if each > now_ns), default=_NEVER_NS)
        return self._known[0]

    def _look(self, now_ns: int) -> tuple[Whereabouts, Iterable[int]]:
        """What is known, and the times at which some of it is otherwise by itself."""
        if not self._routers and not self._recalled:
            alone_ns = _NEVER_NS if self._serves_since_ns is None else self._serves_since_ns + ALONE_NS
            return Whereabouts(is_alone=now_ns >= alone_ns, remembered=self._spoken_to()), (alone_ns,)
        routers = self._routers.values()
        known = {each.device for each in self._in_order}
        open_ = {device for each in routers for device in each.by_device if device not in each.proven}
        heard = {device for each in routers for device, at_ns in each.heard_ns.items() if now_ns - at_ns < SILENT_NS}
        closed = known - open_
        found = Whereabouts(
            places=self._in_order,
            closed=tuple(sorted(closed)),
            remembered=self._spoken_to(),
            attended=tuple(sorted(closed & heard)),
        )
        return found, [at_ns + SILENT_NS for each in routers for at_ns in each.heard_ns.values()]

    def _sort(self) -> None:
        self._known = None
        told = (place for each in self._routers.values() for place in each.by_device.values())
        self._in_order = tuple(sorted({*self._recalled, *told}))

    def _spoken_to(self) -> tuple[tuple[str, str], ...]:
        if not self._remembers:
            return ()
        told = {entry for each in self._routers.values() for entry in each.remembered.items()}
        met = Counter(device for device, _ in told)
        before = Counter(device for device, _ in self._recalled_peers)
        recalled = {entry for entry in self._recalled_peers if met[entry[0]] < before[entry[0]]}
        return tuple(sorted(told | recalled))
