"""The sockets that beacons go out and come in by, on each device: multicast or to known addresses, one hop.

Used by `peering`; what a datagram says is not known here. A socket is bound to its device, so that it hears only
what came in there, and is made again when the device was taken away and put back.

Who speaks to the group also takes what is sent to it alone, by a router that is set up to speak by unicast, and can
answer that (`peering`).

With each datagram comes whether the ruleset has marked it: whether its frame came from where the peer is known to be.

A datagram that cannot be sent (the link is down, the address is not there yet) is as good as lost on the way: the
next one follows in a moment, so that is no error.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from attrs import frozen

from vpcrouter.values.beacon import BEACON_GROUP, BEACON_MARK, BEACON_PORT
from vpcrouter.values.whereabouts import Place

_MAX_BYTES = 4096
_AT_ONCE = 256
"""So many datagrams of one device are read in one go; a guest that floods must not keep the agent busy."""
_IP_FREEBIND = 15
"""linux/in.h; Python has no name for it before 3.13."""
_SO_RCVMARK = 75
"""Linux 5.19; the message that brings the mark has the type SO_MARK."""
_SIOCGIFHWADDR, _SIOCDARP, _SIOCSARP = 0x8927, 0x8953, 0x8955
_ATF_COM, _ATF_PERM = 0x02, 0x04
_ARPHRD_ETHER = 1
_MARKED = (socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", BEACON_MARK))
_ANCILLARY_BYTES = socket.CMSG_SPACE(4)


@frozen
class Arrival:
    """A datagram that came in by a device."""

    device: str
    datagram: bytes
    is_marked: bool = False
    asker: str = ""
    """The address of one that spoke to this router alone, though it speaks to the group."""


@frozen
class _Door:
    socket: socket.socket
    index: int
    source: str
    mac: str


class BeaconSockets:
    """The devices that are listened on."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._doors: dict[tuple[str, bool], _Door] = {}
        """By device, and whether it is for what is sent to this router alone."""
        self._peers: Mapping[str, Sequence[str]] | None = None
        self._pinned: dict[tuple[str, str], Place] = {}

    def fileno(self) -> int:
        """Readable when something was heard."""
        return self._epoll.fileno()

    def follow(self, sources: Mapping[str, str], peers: Mapping[str, Sequence[str]] | None = None) -> None:
        """Listen on these devices and no others; by device, the own address to send from.

        `peers`: speak to these addresses, and neither speak nor listen to the group.
        """
        self._peers = peers
        kinds = (False, True) if peers is None else (True,)
        indexes = {name: index for index, name in socket.if_nameindex()}
        for (device, is_unicast), door in list(self._doors.items()):
            is_same = (door.index, door.source) == (indexes.get(device), sources.get(device)) and is_unicast in kinds
            if not is_same or door.mac != _mac(door.socket, device):
                del self._doors[device, is_unicast]
                self._epoll.unregister(door.socket)
                door.socket.close()
        for device, source in sources.items():
            for is_unicast in kinds:
                if device in indexes and (device, is_unicast) not in self._doors:
                    with suppress(OSError):  # unplugged since; the next call sees it
                        self._open(device, indexes[device], source, is_unicast=is_unicast)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where frames of this router come from, on each of the devices."""
        doors = {device: door for (device, _), door in self._doors.items() if door.mac}
        return tuple(Place(device=device, address=door.source, mac=door.mac) for device, door in sorted(doors.items()))

    def pin(self, places: Iterable[Place]) -> None:
        """Have the kernel know the MACs of these places for certain: no ARP of a guest changes them.

        At most one for each address; what was pinned there and is not named any more is found by ARP again.
        """
        wanted = {(each.device, each.address): each for each in places if (each.device, True) in self._doors}
        for key, place in self._pinned.items():
            if wanted.get(key) != place:
                _set_neighbour(place, is_known=False)
        for key, place in wanted.items():
            if self._pinned.get(key) != place:
                _set_neighbour(place, is_known=True)
        self._pinned = wanted

    def send(self, datagram: bytes, also: Collection[tuple[str, str]] = ()) -> None:
        """Send it by every device; and to these addresses, each by its device."""
        for (device, is_unicast), door in self._doors.items():
            if not is_unicast:
                to: Iterable[str] = (BEACON_GROUP,)
            else:
                known = () if self._peers is None else self._peers.get(device, ())
                to = dict.fromkeys((*known, *(address for there, address in also if there == device)))
            for address in to:
                with suppress(OSError):
                    door.socket.sendto(datagram, (address, BEACON_PORT))

    def read(self) -> list[Arrival]:
        """What was heard since the last call; never waits."""
        heard = []
        for (device, is_unicast), door in self._doors.items():
            with suppress(OSError):
                for _ in range(_AT_ONCE):
                    datagram, ancillary, _, sender = door.socket.recvmsg(_MAX_BYTES, _ANCILLARY_BYTES)
                    asker = sender[0] if is_unicast and self._peers is None else ""
                    heard.append(Arrival(device, datagram, _MARKED in ancillary, asker))
        return heard

    def close(self) -> None:
        """Listen no more."""
        self.follow({})
        self._epoll.close()

    def _open(self, device: str, index: int, source: str, *, is_unicast: bool) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            with suppress(OSError):  # an older kernel: then nothing is ever proven to come from the peer's place
                sock.setsockopt(socket.SOL_SOCKET, _SO_RCVMARK, 1)
            if not is_unicast:
                _join(sock, source, index)
                sock.bind((BEACON_GROUP, BEACON_PORT))
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)  # the address may come a moment later
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
                sock.bind((source, BEACON_PORT))
            self._epoll.register(sock, select.EPOLLIN)
            self._doors[device, is_unicast] = _Door(sock, index, source, _mac(sock, device))
        except OSError:
            sock.close()
            raise


def _join(sock: socket.socket, source: str, index: int) -> None:
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    # struct ip_mreqn: group, address to send from, device (ip(7)).
    chosen = struct.pack("=4s4si", socket.inet_aton(BEACON_GROUP), socket.inet_aton(source), index)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, chosen)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, chosen)


def _set_neighbour(place: Place, *, is_known: bool) -> None:
    """A permanent entry of the ARP table, or none (arp(7)). A device that is gone has none either."""
    address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(place.address))
    hardware = struct.pack("=H6s8x", _ARPHRD_ETHER, bytes.fromhex(place.mac.replace(":", "")))
    flags = _ATF_COM | _ATF_PERM if is_known else 0
    request = address + hardware + struct.pack("=i16s16s", flags, b"", place.device.encode())
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        fcntl.ioctl(sock, _SIOCSARP if is_known else _SIOCDARP, request)


def _mac(sock: socket.socket, device: str) -> str:
    """The device's MAC; an empty one if it has none, or is gone."""
    try:
        found = fcntl.ioctl(sock, _SIOCGIFHWADDR, struct.pack("16s24x", device.encode()))
    except OSError:
        return ""
    return found[18:24].hex(":")
