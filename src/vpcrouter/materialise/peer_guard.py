"""Election → what keeps others than the peers from its daemons: sets, a counter and a chain of the one table. Pure.

VRRP, beacons and conntrackd's messages pass over the tiers, where guests are. What is known of the peers' places
(`machines.whereabouts`) is held against each such packet before anything else is done with it, connection tracking
included: no socket gets it, raw ones neither. Who may speak on a device of which nothing is known is the input chain's
to say: the tier's network.

By unicast, VRRP and the packets of the overlay that conntrackd speaks by (`overlay`) are taken from the known addresses
alone, on their device, to the own address there, and VRRP with the hop limit that nothing has which was routed. None of
it is tracked: each such packet is judged by itself, and the routers' talk is none of the connections that they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vpcrouter.materialise.conntrackd import GROUP
from vpcrouter.materialise.election import Election
from vpcrouter.materialise.overlay import OVERLAY_PORT
from vpcrouter.materialise.rendering import word
from vpcrouter.materialise.vrrp_authentication import protocol
from vpcrouter.values.beacon import BEACON_GROUP, BEACON_MARK, BEACON_PORT
from vpcrouter.values.desired import OVERLAY, NftChain, NftSet

VRRP_GROUP = "224.0.0.18"
PEERS, CLOSED, ATTENDED = "peers", "closed", "attended"
"""Of the sets; the first two are read back by an agent that starts (`Host.find_places`)."""
UNICAST_PEERS = "unicast_peers"
"""Of the set of addresses that are spoken to by unicast; read back too."""
_OWN = "unicast_own"
TO_US = f"iifname . ip daddr @{_OWN}"
"""What is meant for this router alone."""
FROM_PEER = f"iifname . ip saddr @{UNICAST_PEERS}"
NOT_THE_PEER = "not_the_peer"
"""The counter of what was dropped here."""
_DROP = f"counter name {NOT_THE_PEER} drop"
_STRANGERS_A_SECOND = 10
_DROP_MOST = f"limit rate over {_STRANGERS_A_SECOND}/second burst {_STRANGERS_A_SECOND} packets {_DROP}"
"""Of beacons from elsewhere where a peer is heard: another router may join, and no guest keeps the agent busy."""
_OF_PEER = f"iifname . ip saddr . ether saddr @{PEERS}"
_OF_ANOTHER = _OF_PEER.replace("@", "!= @")


def is_vrrp(election: Election) -> str:
    """The match of an advertisement."""
    return f"meta l4proto {protocol(election.authentication)}"


def peer_guard_sets(election: Election) -> Iterator[NftSet]:
    """Places of the peers, and devices that are closed to everybody else."""
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
    yield _places(_OWN, ((each.device, each.source) for each in election.electors))
    if election.peers is not None:
        yield _places(UNICAST_PEERS, ((device, each) for device, found in election.peers.items() for each in found))


def peer_guard_chains(election: Election) -> Iterator[NftChain]:
    """The chains; before connections are tracked, since a packet of one that is known is taken without a look."""
    yield NftChain(
        name="peer_guard",
        hook="type filter hook prerouting priority raw; policy accept;",
        rules=(
            *(_multicast_rules() if election.peers is None else ()),
            *_beacon_rules(),
            *(() if election.peers is None else _unicast_rules(is_vrrp(election))),
        ),
    )
    yield NftChain(
        name="peer_talk",
        hook="type filter hook output priority raw; policy accept;",
        rules=(
            f"oifname . ip saddr @{_OWN} udp dport {BEACON_PORT} notrack",
            *(
                ()
                if election.peers is None
                else (
                    f"oifname . ip saddr @{_OWN} {is_vrrp(election)} notrack",
                    f"oifname . ip saddr @{_OWN} udp dport {OVERLAY_PORT} notrack",
                    f'oifname "{OVERLAY}" notrack',
                )
            ),
        ),
    )


def _beacon_rules() -> Iterator[str]:
    """By unicast. Taken by who speaks to the group too: one that is set up otherwise has to be heard saying so."""
    beacon = f"{TO_US} udp dport {BEACON_PORT}"
    yield f"{beacon} {_OF_PEER} meta mark set {BEACON_MARK:#010x} notrack accept"
    yield f"{beacon} iifname @{ATTENDED} {_DROP_MOST}"
    yield f"{beacon} notrack accept"


def _multicast_rules() -> Iterator[str]:
    yield f"ip daddr {BEACON_GROUP} {_OF_PEER} meta mark set {BEACON_MARK:#010x} accept"
    yield f"ip daddr {BEACON_GROUP} iifname @{ATTENDED} {_DROP_MOST}"
    yield f"ip daddr {{ {VRRP_GROUP}, {GROUP} }} iifname @{CLOSED} {_OF_ANOTHER} {_DROP}"


def _unicast_rules(vrrp: str) -> Iterator[str]:
    yield f"{TO_US} {vrrp} ip ttl != 255 {_DROP}"
    for what in (f"{TO_US} {vrrp}", f"{TO_US} udp dport {OVERLAY_PORT}"):
        yield f"{what} {FROM_PEER.replace('@', '!= @')} {_DROP}"
        yield f"{what} iifname @{CLOSED} {_OF_ANOTHER} {_DROP}"
        yield f"{what} notrack"
    yield f'iifname "{OVERLAY}" notrack'


def _places(name: str, places: Iterable[tuple[str, str]]) -> NftSet:
    elements = tuple(sorted((f'"{word(device)}" . {word(address)}', "") for device, address in places))
    return NftSet(name=name, kind="set", spec="type ifname . ipv4_addr;", elements=elements)


def _devices(name: str, devices: Iterable[str]) -> NftSet:
    elements = tuple(sorted((f'"{word(device)}"', "") for device in devices))
    return NftSet(name=name, kind="set", spec="type ifname;", elements=elements)
