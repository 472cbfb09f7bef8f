"""Raw netlink sockets: many acknowledged requests at a time, dumps, the generation of the nftables ruleset.

Used by `_netlink` (which knows what the messages mean) and by the appliers. Bytes in, bytes out.

pyroute2 has sockets of its own. These are here because it was measured to matter: every message of a batch gets its
acknowledgement, matched by sequence number, which pyroute2's batch does not give, and one by one its sockets take
246 ms for 1,000 addresses, where this takes 60 ms and `ip -batch` 30 ms. Nor do these bring an asyncio loop, so they
work in any thread.

A socket belongs to the network namespace of the thread that opened it, and is used by one thread at a time.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from attrs import frozen

from vpcrouter.errors import ApplierError

NETLINK_NETFILTER = 12
# linux/rtnetlink.h: links; addresses, routes and rules of IPv4; addresses and routes of IPv6.
RTMGRP_ALL = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400
NFT_MSG_NEWGEN = 10 << 8 | 15  # NFNL_SUBSYS_NFTABLES, linux/netfilter/nf_tables.h
_NFT_MSG_GETGEN = 10 << 8 | 16
_NFTA_GEN_ID = 1

_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_NETLINK_CAP_ACK = 10
_NLM_F_REQUEST = 0x1
_NLM_F_ACK = 0x4
_NLM_F_DUMP_INTR = 0x10
_NLM_F_ACK_TLVS = 0x200
_NLM_F_DUMP = 0x300
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")

_BATCH = 128
"""Messages in one send: their acknowledgements fit the default receive buffer (208 KiB) twice."""
_RECEIVE = 128 * 1024
_DUMP_S = 0.5
"""Whoever writes in bursts leaves gaps; a dump takes a few milliseconds, and many are tried to meet one."""


@frozen
class Refusal:
    """The kernel's answer to a request that it did not do."""

    errno: int
    message: str
    """The kernel's own words (extended acknowledgement), or empty."""

    def __str__(self) -> str:
        return self.message or os.strerror(self.errno)


class NetlinkSocket:
    """One netlink socket that asks and waits for the answers."""

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        try:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
            self._socket.settimeout(5.0)  # the kernel answers within the send; this only ends a hang
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def request(self, messages: Sequence[tuple[int, int, bytes]]) -> list[Refusal | None]:
        """Send requests (type, flags, payload) in order, each acknowledged; the answers in the same order.

        A refused request does not stop the ones after it.
        """
        answers: list[Refusal | None] = []
        for start in range(0, len(messages), _BATCH):
            answers.extend(self._exchange(messages[start : start + _BATCH]))
        return answers

    def dump(self, kind: int, payload: bytes) -> list[tuple[int, bytes]]:
        """All objects that the kernel lists: type and payload of each, asked again when it changed meanwhile."""
        deadline = time.monotonic() + _DUMP_S
        interrupted = True
        while interrupted:
            objects, interrupted = self._dump_once(kind, payload)
            if interrupted and time.monotonic() > deadline:
                what = f"the kernel changed during each dump in {_DUMP_S:g} s"
                raise ApplierError(what, where="kernel", hint="something else writes it")
        return objects

    def ask(self, kind: int, payload: bytes) -> bytes:
        """The payload of the one object that answers a request."""
        sequence = self._send([(kind, 0, payload)])
        while True:
            for answer, _, number, body in self._receive():
                if number != sequence:
                    continue
                if answer == _NLMSG_ERROR:
                    raise ApplierError(f"netlink: {_refusal(body, 0)}", where="kernel")
                return body

    def _exchange(self, messages: Sequence[tuple[int, int, bytes]]) -> list[Refusal | None]:
        first = self._send([(kind, flags | _NLM_F_ACK, payload) for kind, flags, payload in messages])
        answers: list[Refusal | None] = [None] * len(messages)
        open_requests = len(messages)
        while open_requests:
            for kind, flags, sequence, body in self._receive():
                index = sequence - first
                if kind == _NLMSG_ERROR and 0 <= index < len(messages):
                    answers[index] = _refusal(body, flags)
                    open_requests -= 1
        return answers

    def _dump_once(self, kind: int, payload: bytes) -> tuple[list[tuple[int, bytes]], bool]:
        sequence = self._send([(kind, _NLM_F_DUMP, payload)])
        objects: list[tuple[int, bytes]] = []
        interrupted = False
        while True:
            for answer, flags, number, body in self._receive():
                if number != sequence:
                    continue  # the rest of a dump that was given up
                interrupted |= bool(flags & _NLM_F_DUMP_INTR)
                if answer == _NLMSG_DONE:
                    return objects, interrupted
                if answer == _NLMSG_ERROR:
                    raise ApplierError(f"netlink dump: {_refusal(body, 0)}", where="kernel")
                objects.append((answer, body))

    def _send(self, messages: Sequence[tuple[int, int, bytes]]) -> int:
        """Send the messages in one datagram; returns the sequence number of the first."""
        first = self._sequence + 1
        self._sequence += len(messages)
        data = bytearray()
        for sequence, (kind, flags, payload) in enumerate(messages, first):
            data += _HEADER.pack(_HEADER.size + len(payload), kind, flags | _NLM_F_REQUEST, sequence, 0)
            data += payload
            data += bytes(-len(payload) % 4)
        try:
            self._socket.send(data)
        except OSError as error:
            raise ApplierError(f"netlink send: {error.strerror}", where="kernel") from None
        return first

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, flags, sequence number and payload of the messages that wait; blocks until there is one."""
        try:
            data = self._socket.recv(_RECEIVE)
        except OSError as error:
            # An answer is lost (ENOBUFS) or late; if it still comes, its sequence number keeps it apart.
            raise ApplierError(f"netlink receive: {error.strerror or error}", where="kernel") from None
        return split(data)


def split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and payload of each message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += length + 3 & ~3


def attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Type and value of each attribute from `offset` on."""
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + 3 & ~3


def _refusal(body: bytes, flags: int) -> Refusal | None:
    (code,) = _ERROR.unpack_from(body)
    if code == 0:
        return None
    words = ""
    if flags & _NLM_F_ACK_TLVS:
        # Behind the code stands the header of the request, and with NETLINK_CAP_ACK not its payload.
        for kind, value in attributes(body, _ERROR.size + _HEADER.size):
            if kind == _NLMSGERR_ATTR_MSG:
                words = value.rstrip(b"\0").decode(errors="replace")
    return Refusal(-code, words)


class GenerationSocket:
    """Asks for the nftables generation: a number that every transaction in this network namespace raises by one."""

    def __init__(self) -> None:
        self._socket = NetlinkSocket(NETLINK_NETFILTER)

    def generation(self) -> int:
        """The present generation."""
        answer = self._socket.ask(_NFT_MSG_GETGEN, bytes(4))
        for kind, value in attributes(answer, 4):
            if kind == _NFTA_GEN_ID:
                return int.from_bytes(value, "big")
        raise ApplierError("the kernel names no generation", where="nftables", hint="it needs nf_tables")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
