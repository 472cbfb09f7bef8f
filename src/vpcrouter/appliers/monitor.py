"""Hears that links, addresses, routes, policy rules or the nftables ruleset of this network namespace changed.

The agent's loop watches `fileno()` and calls `drain()` when it is readable; what it learns is only *that* something
changed, its own changes included: then it looks. Nothing is decoded, so a thousand new addresses cost a thousand
short reads.

A full receive buffer loses notifications; `drain` says "lost" then, and everything has to be looked at. To make
that rare, the kernel filters for us: of an nftables transaction, which announces every rule, only the new
generation gets through.
"""

from __future__ import annotations

import array
import errno
import select
import socket
import struct
import sys
from contextlib import suppress

from vpcrouter.appliers._sockets import NETLINK_NETFILTER, NFT_MSG_NEWGEN, RTMGRP_ALL
from vpcrouter.errors import ApplierError

_NFNLGRP_NFTABLES = 7
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_BUFFER = 4 * 1024 * 1024
"""Bytes, used only while notifications wait: 1,000 addresses announce themselves with 3,000 messages, 2.3 MB."""


class LinkMonitor:
    """A subscription to changes in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[str, socket.socket] = {}
        try:
            self._subscribe("kernel", socket.NETLINK_ROUTE, RTMGRP_ALL)
            self._subscribe("nftables", NETLINK_NETFILTER, 1 << _NFNLGRP_NFTABLES - 1)
        except OSError as error:
            self.close()
            raise ApplierError(f"cannot watch for changes: {error.strerror}", where="netlink") from None

    def fileno(self) -> int:
        """Readable when `drain` has something to say."""
        return self._epoll.fileno()

    def drain(self) -> frozenset[str]:
        """What changed since the last call, without waiting: of "kernel", "nftables" and "lost"."""
        changed = set()
        for name, sock in self._sockets.items():
            with suppress(BlockingIOError):
                while True:
                    try:
                        sock.recv(1)  # the kernel cuts off the rest of the message
                        changed.add(name)
                    except OSError as error:
                        if error.errno != errno.ENOBUFS:
                            raise
                        changed.add("lost")
        return frozenset(changed)

    def close(self) -> None:
        """End the subscription."""
        for sock in self._sockets.values():
            sock.close()
        self._epoll.close()

    def _subscribe(self, name: str, family: int, groups: int) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        sock = self._sockets[name] = socket.socket(socket.AF_NETLINK, kind, family)
        with suppress(PermissionError):  # in a user namespace: the default size, and "lost" more often
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        if family == NETLINK_NETFILTER:
            _only(sock, NFT_MSG_NEWGEN)
        sock.bind((0, groups))
        self._epoll.register(sock, select.EPOLLIN)


def _only(sock: socket.socket, message_type: int) -> None:
    """Let only netlink messages of one type into the receive buffer (a classic BPF program, linux/filter.h)."""
    (in_network_order,) = struct.unpack("!H", message_type.to_bytes(2, sys.byteorder))
    program = array.array(
        "Q",
        struct.pack(
            "=HBBIHBBIHBBIHBBI",
            *(0x28, 0, 0, 4),  # load the half-word at 4: nlmsg_type
            *(0x15, 0, 1, in_network_order),  # equal? else skip one
            *(0x06, 0, 0, 0xFFFFFFFF),  # take all of it
            *(0x06, 0, 0, 0),  # take nothing
        ),
    )
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 4, program.buffer_info()[0]))
