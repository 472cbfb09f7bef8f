"""Election → the device that conntrackd's multicasts go by where the networks carry none. Pure.

conntrackd tells any number of others by multicast, and one by anything else. So by unicast it gets a network of its own
that does carry multicast: a vxlan device between the own addresses of the routers on the link, which gives each frame
to each known peer (head-end replication). Only routers are on it, as the ruleset takes its packets from the peers alone
(`peer_guard`). A router that comes or goes is a remote more or less; conntrackd notices nothing.

The own address on it is that of the tier with the first four bits set: in a range that nobody else uses (240.0.0.0/4 is
reserved, RFC 1112), and different from every other router's, since those of one tier are.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from vpcrouter.materialise.election import Election
from vpcrouter.values.desired import OVERLAY, InterfaceAddress, Link, Overlay

OVERLAY_PORT = 3782
"""Beside conntrackd's own and that of the beacons; the kernel has one socket for it, whatever the device."""
_NUMBER = 3782
_HEADERS_BYTES = 50
"""IPv4, UDP, VXLAN and the Ethernet inside (RFC 7348, section 5)."""
_RESERVED = 0xF0000000


def overlay(election: Election | None) -> Overlay | None:
    """The device; None where the group is spoken to by the link itself, or nothing is to be synchronised."""
    if election is None or election.peers is None or not election.synchronises:
        return None
    link = election.link
    remotes = tuple(sorted(election.peers[link.device]))
    return Overlay(number=_NUMBER, device=link.device, source=link.source, port=OVERLAY_PORT, remotes=remotes)


def overlay_source(found: Overlay) -> str:
    """The router's address on it."""
    return str(IPv4Address(int(IPv4Address(found.source)) | _RESERVED))


def overlay_address(found: Overlay) -> InterfaceAddress:
    """The same, as it is put there. Nobody is reached by it: the group needs no route."""
    return InterfaceAddress(device=OVERLAY, address=f"{overlay_source(found)}/32")


def overlay_link(mtu: int | None) -> Link:
    """It as one of the links; `mtu`: that of the device that it goes by. The kernel subtracts by itself but once."""
    return Link(name=OVERLAY, up=True, mtu=None if mtu is None else mtu - _HEADERS_BYTES)


def overlay_sysctls() -> Iterator[tuple[str, str]]:
    """What the others send comes from addresses that no route leads to; and IPv6 would have things to say."""
    yield f"net/ipv4/conf/{OVERLAY}/rp_filter", "0"
    yield f"net/ipv4/conf/{OVERLAY}/arp_ignore", "1"
    yield f"net/ipv6/conf/{OVERLAY}/disable_ipv6", "1"
