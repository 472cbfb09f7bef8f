"""Reads the kernel's connection table: which connections there are that conntrackd shares with the peer.

Used by `standby`; nothing is changed here. A connection is named by 32 bits over its addresses, ports and protocol in
both directions, so its translation counts. Only those count that have seen traffic both ways (ASSURED) and that
conntrackd does not leave out (the filter in conntrackd.conf).

The table may hold some hundred thousand, so nothing is decoded: the kernel writes the two tuples of a TCP or UDP
connection over IPv4 at fixed places (ctnetlink_fill_info in net/netfilter/nf_conntrack_netlink.c). What looks otherwise
is no such connection.

The kernel walks all of its buckets for a dump, 262,144 by default and 7 to 9 ms, whatever is in them. So a table of
which it has told no change, and which holds as many connections as before, is what it was. A connection that began
when nobody listened ends without a word, but not without a difference in the count; the little that neither shows is
read a few seconds later.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from pathlib import Path
from zlib import crc32

from attrs import frozen

from vpcrouter.appliers._sockets import NETLINK_NETFILTER, NetlinkSocket
from vpcrouter.errors import ApplierError

_IPCTNL_MSG_CT_GET = 1 << 8 | 1
_AF_INET = 2
_CTA_STATUS, _CTA_STATUS_MASK = 3, 26
_IPS_ASSURED = 1 << 2
_TUPLES = slice(8, 108)
"""The two nested tuples of a message, with the header of the second."""
_ORIGINAL, _REPLY, _STATUS = (struct.pack("=HH", *each) for each in ((52, 0x8001), (52, 0x8002), (8, _CTA_STATUS)))
"""Length and type of the attributes at 4, 56 and 108."""
_LAST_OF_STATUS = 115
_LEFT_OUT = frozenset({127, 169, *range(224, 240)})
"""First bytes of the addresses that conntrackd.conf leaves out: the loopback, link-local, multicast."""
_GROUPS = 1 << 0 | 1 << 1 | 1 << 2
"""New connections, changes of their state, and those that end (NFNLGRP_CONNTRACK_NEW and so on)."""
_BUFFER = 4096
"""Bytes: one event says as much as all of them, and what is lost is noticed."""
OLDEST_S = 5.0
"""How long a table is taken for unchanged without being read."""
_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")
_UDP_TIMEOUT = Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream")


class ConnectionTable:
    """The connections of the network namespace that this is made in. For one thread at a time."""

    cpu_s: float = 0.0
    """CPU time of the last read, the kernel's part included: what the machine had to do, not how long we waited."""

    def __init__(self) -> None:
        try:
            self._socket = NetlinkSocket(NETLINK_NETFILTER)
            self._changes = _Changes()
        except OSError as error:
            raise ApplierError(f"cannot be read: {error.strerror}", where="connection table") from None
        self._known: _Known | None = None

    def read(self) -> frozenset[int]:
        """All shared connections. Takes some 5 µs for each, if there was a change at all.

        ApplierError if the kernel does not answer.
        """
        has_changed, count, now = self._changes.heard(), _connections(), time.monotonic()
        known, self._known = self._known, None
        if known is None or has_changed or count != known.count or now - known.read_at >= OLDEST_S:
            known = _Known(self._read(), count, now)
        self._known = known
        return known.hashes

    def _read(self) -> frozenset[int]:
        started = time.thread_time()
        assured = struct.pack(">I", _IPS_ASSURED)
        wanted = _attribute(_CTA_STATUS, assured) + _attribute(_CTA_STATUS_MASK, assured)
        found = self._socket.dump(_IPCTNL_MSG_CT_GET, bytes((_AF_INET, 0, 0, 0)) + wanted)
        hashes = frozenset(crc32(body[_TUPLES]) for _, body in found if _is_shared(body))
        self.cpu_s = time.thread_time() - started
        return hashes

    def udp_timeout_s(self) -> int:
        """How long the kernel keeps a UDP connection without traffic; 120 by default (nf_conntrack-sysctl.rst)."""
        try:
            return max(1, int(_UDP_TIMEOUT.read_text()))
        except (OSError, ValueError):
            return 120

    def close(self) -> None:
        """Close the sockets."""
        self._socket.close()
        self._changes.close()


@frozen
class _Known:
    hashes: frozenset[int]
    count: int | None
    read_at: float


class _Changes:
    """Whether the kernel has told of a connection that began, changed or ended."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, _GROUPS))
        except OSError:
            self._socket.close()
            raise

    def heard(self) -> bool:
        """Since the last call, without waiting. What was lost counts as well."""
        heard = False
        while True:
            try:
                self._socket.recv(1)  # the kernel cuts off the rest of the message
            except BlockingIOError:
                return heard
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise ApplierError(f"cannot be read: {error.strerror}", where="connection table") from None
            heard = True

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


def _connections() -> int | None:
    """How many connections of any kind there are; None if nobody says."""
    try:
        return int(_COUNT.read_text())
    except (OSError, ValueError):
        return None


def _is_shared(body: bytes) -> bool:
    if body[4:8] != _ORIGINAL or body[56:60] != _REPLY or body[108:112] != _STATUS:
        return False
    # Kernels before 5.17 do not filter by status.
    if not body[_LAST_OF_STATUS] & _IPS_ASSURED:
        return False
    left_out = _LEFT_OUT
    if body[16] in left_out or body[24] in left_out or body[68] in left_out or body[76] in left_out:
        return not any(_is_left_out(body[place], body[place + 1]) for place in (16, 24, 68, 76))
    return True


def _is_left_out(first: int, second: int) -> bool:
    return first in _LEFT_OUT and (first != 169 or second == 254)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value
