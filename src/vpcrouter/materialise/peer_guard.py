"""Election → what keeps others than the peer from its daemons: sets, a counter and a chain of the one table. Pure.

VRRP, beacons and conntrackd's messages are multicast on the tiers, where guests are. What is known of the peer's places
(`machines.whereabouts`) is held against each such packet before anything else is done with it, connection tracking
included: no socket gets it, raw ones neither. Who may speak on a device of which nothing is known is the input chain's
to say: the tier's network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vpcrouter.materialise.conntrackd import GROUP
from vpcrouter.materialise.election import Election
from vpcrouter.materialise.rendering import word
from vpcrouter.values.beacon import BEACON_GROUP, BEACON_MARK
from vpcrouter.values.desired import NftChain, NftSet

VRRP_GROUP = "224.0.0.18"
PEERS, CLOSED, ATTENDED = "peers", "closed", "attended"
"""Of the sets; the first two are read back by an agent that starts (`Host.find_places`)."""
NOT_THE_PEER = "not_the_peer"
"""The counter of what was dropped here."""
_DROP = f"counter name {NOT_THE_PEER} drop"


def peer_guard_sets(election: Election) -> Iterator[NftSet]:
    """Places of the peer, and devices that are closed to everybody else."""
    devices, known = {each.device for each in election.electors}, election.whereabouts
    yield NftSet(
        name=PEERS,
        kind="set",
        spec="type ifname . ipv4_addr . ether_addr;",
        elements=tuple(
            sorted(
                (f'"{word(each.device)}" . {word(each.address)} . {word(each.mac)}', "")
                for each in known.places
                if each.device in devices
            )
        ),
    )
    yield _devices(CLOSED, devices if known.is_alone else devices.intersection(known.closed))
    yield _devices(ATTENDED, devices.intersection(known.attended))


def peer_guard_chain() -> NftChain:
    """The chain; before connections are tracked, since a packet of one that is known is taken without a look."""
    of_peer = f"iifname . ip saddr . ether saddr @{PEERS}"
    return NftChain(
        name="peer_guard",
        hook="type filter hook prerouting priority raw; policy accept;",
        rules=(
            f"ip daddr {BEACON_GROUP} {of_peer} meta mark set {BEACON_MARK:#010x} accept",
            f"ip daddr {BEACON_GROUP} iifname @{ATTENDED} {_DROP}",
            f"ip daddr {{ {VRRP_GROUP}, {GROUP} }} iifname @{CLOSED} {of_peer.replace('@', '!= @')} {_DROP}",
        ),
    )


def _devices(name: str, devices: Iterable[str]) -> NftSet:
    elements = tuple(sorted((f'"{word(device)}"', "") for device in devices))
    return NftSet(name=name, kind="set", spec="type ifname;", elements=elements)
