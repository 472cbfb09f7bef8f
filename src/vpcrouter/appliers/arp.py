"""Speaks ARP: asks whether a gateway is there, and tells everyone where virtual addresses are.

Used by `fitness`. A backup must not be seen on the public side, and asks all the same. A pair's public devices have
the same MAC, and a switch sends to where it saw it last: so a backup asks with another MAC, its own with a bit turned,
and without an address (an ARP probe, RFC 5227, 1.1), which nobody remembers. Answers come to that MAC; a packet socket
hears them although they are addressed to somebody else.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from fcntl import ioctl

from attrs import frozen

from vpcrouter.values.desired import InterfaceAddress

_ETH_P_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_BROADCAST = b"\xff" * 6
_SIOCGIFHWADDR = 0x8927
_IFREQ = struct.Struct("16s2x6s16x")
"""netdevice(7): a name, then a socket address, which is a family and the MAC."""


@frozen
class _Open:
    socket: socket.socket
    device: str
    index: int
    mac: bytes


class ArpSpeaker:
    """A packet socket on one device at a time."""

    def __init__(self) -> None:
        self._open: _Open | None = None

    def ask(self, device: str, gateway: str, source: str | None) -> None:
        """Ask who has `gateway`. `source` is the own address; None: from nobody, in disguise.

        What cannot be sent (no such device, link down) is as good as not answered.
        """
        with suppress(OSError):
            door = self._on(device)
            mac = door.mac if source is not None else bytes([door.mac[0] | 2, door.mac[1] ^ 0x80, *door.mac[2:]])
            door.socket.send(_question(mac, source or "0.0.0.0", gateway))  # noqa: S104 - the address of an ARP probe

    def answered(self, gateway: str) -> bool:
        """Whether it has answered since the last call."""
        if self._open is None:
            return False
        wanted, found = socket.inet_aton(gateway), False
        with suppress(OSError):
            while True:
                frame = self._open.socket.recv(_FRAME.size)
                if len(frame) == _FRAME.size:
                    fields = _FRAME.unpack(frame)
                    found = found or (fields[7], fields[9]) == (_REPLY, wanted)
        return found

    def announce(self, addresses: Iterable[InterfaceAddress]) -> None:
        """Tell everyone that these IPv4 addresses are here (a gratuitous ARP request, RFC 5227, 3).

        keepalived does so when it becomes master, but not when another one stops being it.
        """
        # Protocol 0 hears nothing. So the kernel need not wait for whoever is about to hand it a frame, as it does for
        # some milliseconds when another one is bound or closed (synchronize_net in net/packet/af_packet.c).
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0) as sock:
            for device, each in sorted((each.device, each.address.partition("/")[0]) for each in addresses):
                if ":" not in each:
                    with suppress(OSError):
                        sock.sendto(_question(mac_of(sock, device), each, each), (device, _ETH_P_ARP))

    def close(self) -> None:
        """Ask no more."""
        if self._open is not None:
            self._open.socket.close()
            self._open = None

    def _on(self, device: str) -> _Open:
        index = socket.if_nametoindex(device)
        if self._open is not None and (self._open.device, self._open.index) == (device, index):
            return self._open
        self.close()
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        sock = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_P_ARP))
        try:
            sock.bind((device, _ETH_P_ARP))
            mac = sock.getsockname()[4]
        except OSError:
            sock.close()
            raise
        self._open = _Open(sock, device, index, mac)
        return self._open


def _question(mac: bytes, sender: str, target: str) -> bytes:
    """The frame that asks everyone who has `target`."""
    addresses = (socket.inet_aton(sender), bytes(6), socket.inet_aton(target))
    return _FRAME.pack(_BROADCAST, mac, _ETH_P_ARP, 1, 0x0800, 6, 4, _REQUEST, mac, *addresses)


def mac_of(sock: socket.socket, device: str) -> bytes:
    """The MAC of a device; any socket may ask. Raises OSError."""
    mac: bytes = _IFREQ.unpack(ioctl(sock, _SIOCGIFHWADDR, _IFREQ.pack(device.encode(), bytes(6))))[1]
    return mac
