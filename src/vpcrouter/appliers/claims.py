"""Hears who else says by ARP that a virtual address is its own (RFC 5227, 2.4: ongoing conflict detection).

The kernel takes no notice of that, and keepalived says nothing of it. One packet socket hears the ARP of all devices; a
filter in the kernel (classic BPF, linux/filter.h) lets nothing through but frames whose sender has one of the
addresses, and none of our own. So it costs nothing as long as there is no conflict, and a guest that sends a million of
them costs no more than `_MOST` a look: it is asked now and then, and nobody wakes up for it. It touches nothing.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress

from vpcrouter.appliers.arp import mac_of
from vpcrouter.values.claim import Claim

_ETH_P_ARP = 0x0806
_SO_ATTACH_FILTER = 26
_PACKET_OUTGOING = 4
_SENDER_AT = 28
"""Where the sender's IPv4 address lies in an ARP frame, its MAC being the six bytes before."""
_FRAME_BYTES = 42
_PACKET_TYPE_AT = 0xFFFF_F004
"""SKF_AD_OFF + SKF_AD_PKTTYPE."""
_LOAD_BYTE, _LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x20, 0x15, 0x06
_INSTRUCTION = struct.Struct("HBBI")
_BUFFER_BYTES = 64 * 1024
_MOST = 256
_MOST_ADDRESSES = 1_000
"""A filter has 4,096 instructions at most."""


class ClaimListener:
    """Listens on every device of this network namespace."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._watched: tuple[str, ...] = ()

    def watch(self, addresses: Iterable[str]) -> None:
        """Listen for these IPv4 addresses from now on, for the first thousand of them; none: do not listen.

        What was heard for others is forgotten. Raises OSError if there can be no such socket.
        """
        wanted = tuple(sorted({*addresses}))[:_MOST_ADDRESSES]
        if wanted == self._watched:
            return
        if self._socket is None:
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_P_ARP))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        _attach(self._socket, wanted)
        for _ in self._frames():
            pass
        self._watched = wanted

    def claims(self) -> tuple[Claim, ...]:
        """Who has claimed one of the addresses since the last call; not who has a MAC of this router."""
        found = set()
        for device, frame in self._frames():
            with suppress(OSError):
                if self._socket is not None and frame[_SENDER_AT - 6 : _SENDER_AT] != mac_of(self._socket, device):
                    mac, address = frame[_SENDER_AT - 6 : _SENDER_AT], frame[_SENDER_AT : _SENDER_AT + 4]
                    found.add(Claim(device=device, address=socket.inet_ntoa(address), mac=mac.hex(":")))
        return tuple(sorted(found))

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._watched = ()

    def _frames(self) -> Iterator[tuple[str, bytes]]:
        """Device and bytes of what has come."""
        if (sock := self._socket) is None:
            return
        for _ in range(_MOST):
            try:
                frame, place = sock.recvfrom(_FRAME_BYTES)
            except OSError:
                return
            if len(frame) == _FRAME_BYTES:
                yield place[0], frame


def _attach(sock: socket.socket, addresses: Iterable[str]) -> None:
    program = b"".join(_program(addresses))
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where they lie.
    given = struct.pack("HP", len(program) // _INSTRUCTION.size, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, given)


def _program(addresses: Iterable[str]) -> Iterator[bytes]:
    yield _INSTRUCTION.pack(_LOAD_BYTE, 0, 0, _PACKET_TYPE_AT)
    yield _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, 1, _PACKET_OUTGOING)
    yield _INSTRUCTION.pack(_RETURN, 0, 0, 0)
    yield _INSTRUCTION.pack(_LOAD_WORD, 0, 0, _SENDER_AT)
    for each in addresses:
        yield _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, 1, int.from_bytes(socket.inet_aton(each)))
        yield _INSTRUCTION.pack(_RETURN, 0, 0, _FRAME_BYTES)
    yield _INSTRUCTION.pack(_RETURN, 0, 0, 0)
