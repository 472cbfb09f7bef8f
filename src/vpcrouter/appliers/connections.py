"""Reads the kernel's connection table: which connections there are that conntrackd shares with the peer.

Used by `standby`; nothing is changed here. A connection is named by 32 bits over its addresses, ports and protocol in
both directions, so its translation counts. Only those count that have seen traffic both ways (ASSURED) and that
conntrackd does not leave out (the filter in conntrackd.conf).

The table may hold some hundred thousand, so nothing is decoded: the kernel writes the two tuples of a TCP or UDP
connection over IPv4 at fixed places (ctnetlink_fill_info in net/netfilter/nf_conntrack_netlink.c). What looks otherwise
is no such connection.
"""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

from vpcrouter.appliers._sockets import NETLINK_NETFILTER, NetlinkSocket
from vpcrouter.errors import ApplierError

_IPCTNL_MSG_CT_GET = 1 << 8 | 1
_AF_INET = 2
_CTA_STATUS, _CTA_STATUS_MASK = 3, 26
_IPS_ASSURED = 1 << 2
_TUPLES = slice(8, 108)
"""The two nested tuples of a message, with the header of the second."""
_TUPLE_HEADERS = struct.Struct("=HH48xHH48xHH")
_TUPLE_LENGTH, _TUPLE_ORIGINAL, _TUPLE_REPLY = 52, 0x8001, 0x8002
_ADDRESSES = (16, 24, 68, 76)
_STATUS = slice(112, 116)
_UDP_TIMEOUT = Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream")


class ConnectionTable:
    """The connections of the network namespace that this is made in. For one thread at a time."""

    def __init__(self) -> None:
        try:
            self._socket = NetlinkSocket(NETLINK_NETFILTER)
        except OSError as error:
            raise ApplierError(f"cannot be read: {error.strerror}", where="connection table") from None

    def read(self) -> frozenset[int]:
        """All shared connections. Costs about 1 µs each; raises ApplierError if the kernel does not answer."""
        assured = struct.pack(">I", _IPS_ASSURED)
        wanted = _attribute(_CTA_STATUS, assured) + _attribute(_CTA_STATUS_MASK, assured)
        found = self._socket.dump(_IPCTNL_MSG_CT_GET, bytes((_AF_INET, 0, 0, 0)) + wanted)
        return frozenset(crc32(body[_TUPLES]) for _, body in found if _is_shared(body))

    def udp_timeout_s(self) -> int:
        """How long the kernel keeps a UDP connection without traffic; 120 by default (nf_conntrack-sysctl.rst)."""
        try:
            return max(1, int(_UDP_TIMEOUT.read_text()))
        except (OSError, ValueError):
            return 120

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _is_shared(body: bytes) -> bool:
    if len(body) < _STATUS.stop:
        return False
    length, kind, reply_length, reply_kind, status_length, status_kind = _TUPLE_HEADERS.unpack_from(body, 4)
    if (length, kind, reply_length, reply_kind) != (_TUPLE_LENGTH, _TUPLE_ORIGINAL, _TUPLE_LENGTH, _TUPLE_REPLY):
        return False
    if (status_length, status_kind) != (8, _CTA_STATUS):
        return False
    # Kernels before 5.17 do not filter by status.
    if not int.from_bytes(body[_STATUS], "big") & _IPS_ASSURED:
        return False
    return not any(_is_left_out(body[place], body[place + 1]) for place in _ADDRESSES)


def _is_left_out(first: int, second: int) -> bool:
    """By the first two bytes of an address: the loopback, link-local, multicast; as in conntrackd.conf."""
    return first == 127 or (first == 169 and second == 254) or 224 <= first < 240


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value
