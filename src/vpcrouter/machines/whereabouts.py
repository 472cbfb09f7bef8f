"""From where the other router is listened to, so that a guest's forgeries reach no daemon. Pure: times are passed in.

Used by `peering`; the ruleset is made of it (`materialise.peer_guard`). Beacons are authenticated, VRRP and conntrackd
are not. So each beacon tells by which addresses its router is there, on each device, and the kernel takes VRRP and
conntrackd from those alone. Two that shut each other out would both serve, so a device is closed only when it is safe:

    unknown  ── a beacon tells of a place ──▶  told    the place is in the ruleset, which marks beacons that match
    told     ── a marked beacon comes in ──▶   proven  frames do arrive with these addresses: the device is closed
    proven   ── a beacon tells of another ──▶  told    the device is open until that one is proven
    proven   ── silence ──▶                    proven  its keepalived may live on; but beacons are taken from anybody,
                                                       since whoever comes in its place has other addresses;
                                                       so they are when this router has just begun to serve

Who has heard no beacon and no VRRP for long, and serves, is *alone*, and closes everything to everybody but beacons.

Known holes: a guest that uses the peer's own MAC and address looks like the peer. Before two routers have met, and for
the time that a router without a peer needs to believe it (`ALONE_NS`), everybody in the tier's network is heard. A
router whose agent is dead does not learn of a peer that comes back with other addresses.
"""

from __future__ import annotations

from collections.abc import Iterable

from vpcrouter.machines.peer import SILENT_NS
from vpcrouter.values.whereabouts import Place, Whereabouts

ALONE_NS = 10_000_000_000
"""A peer whose agent is dead is heard by its VRRP long before that, and then this router does not serve."""


class WhereaboutsMachine:
    """The places of one peer. `remembers`: as it is spoken to by unicast."""

    def __init__(self, *, remembers: bool = False) -> None:
        self._remembers = remembers
        self._places: dict[str, Place] = {}
        self._in_order: tuple[Place, ...] = ()
        self._proven: set[str] = set()
        self._remembered: dict[str, tuple[str, ...]] = {}
        """By device, where it spoke from last: a tier that it has lost is no reason to fall silent there."""
        self._heard_ns: dict[str, int] = {}
        self._serves_since_ns: int | None = None
        self._is_met = False

    def recall(self, places: Iterable[Place], remembered: Iterable[tuple[str, str]] = ()) -> None:
        """What an earlier agent had proven, and whom it spoke to by unicast, as the kernel has it."""
        for device, address in remembered:
            self._remembered[device] = (*self._remembered.get(device, ()), address)
        for each in places:
            self._is_met = True
            self._places[each.device] = each
            self._proven.add(each.device)
        self._in_order = tuple(sorted(self._places.values()))

    def told(self, places: Iterable[Place]) -> None:
        """A beacon that counts says where its router is."""
        now = {each.device: each for each in places}
        self._is_met = True
        if self._remembers:
            self._remembered.update({device: (place.address,) for device, place in now.items()})
        if now == self._places:
            return
        self._proven = {device for device in self._proven if now.get(device) == self._places.get(device)}
        self._heard_ns = {device: heard for device, heard in self._heard_ns.items() if device in self._proven}
        self._places, self._in_order = now, tuple(sorted(now.values()))

    def came(self, device: str, now_ns: int) -> None:
        """A beacon that counts has come in by this device, from the place that is known there."""
        if device in self._places:
            self._proven.add(device)
            self._heard_ns[device] = now_ns

    def serves(self, serves: bool, now_ns: int) -> None:
        """Whether this router does. If it has just begun to, the peer is gone, or has come to another place."""
        if not serves:
            self._serves_since_ns = None
        elif self._serves_since_ns is None:
            self._serves_since_ns = now_ns
            self._heard_ns = {}

    def now(self, now_ns: int) -> Whereabouts:
        """What is known."""
        if not self._is_met:
            since_ns = self._serves_since_ns
            is_alone = since_ns is not None and now_ns - since_ns >= ALONE_NS
            return Whereabouts(is_alone=is_alone, remembered=self._spoken_to())
        return Whereabouts(
            places=self._in_order,
            closed=tuple(sorted(self._proven)),
            remembered=self._spoken_to(),
            attended=tuple(
                sorted(device for device, heard_ns in self._heard_ns.items() if now_ns - heard_ns < SILENT_NS)
            ),
        )

    def _spoken_to(self) -> tuple[tuple[str, str], ...]:
        if not self._remembers:
            return ()
        return tuple((device, address) for device, found in sorted(self._remembered.items()) for address in found)
