"""A DHCP client as far as the tests need one: DISCOVER and REQUEST of any MAC, by one UDP socket. RFC 2131."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address

from attrs import frozen

from tests.materialise.namespaces import inside

MASK, ROUTER, RESOLVERS, HOST_NAME, DOMAIN, MTU, REQUESTED, LEASE_TIME, KIND, SERVER, WANTED = (
    1, 3, 6, 12, 15, 26, 50, 51, 53, 54, 55,
)  # fmt: skip
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
_COOKIE = b"\x63\x82\x53\x63"


@frozen
class Answer:
    """What a server said."""

    kind: int
    address: str
    options: Mapping[int, bytes]

    def addresses(self, option: int) -> list[str]:
        """An option that holds addresses."""
        value = self.options.get(option, b"")
        return [str(IPv4Address(value[at : at + 4])) for at in range(0, len(value), 4)]


def ask(
    namespace: str, kind: int, mac: str, options: Mapping[int, bytes] | None = None, *, device: str = "nic"
) -> Answer | None:
    """Broadcast a message from the namespace's device, which may have no address; the answer, if any."""
    with inside(namespace):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        client.settimeout(0.5)
        client.bind(("", 68))
        client.sendto(message(kind, mac, options), ("255.255.255.255", 67))
        try:
            return _parse(client.recv(2048))
        except TimeoutError:
            return None


def message(kind: int, mac: str, options: Mapping[int, bytes] | None = None) -> bytes:
    """What a client says, to be answered by broadcast."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = struct.pack("!BBBBIHH16s16s192s", 1, 1, 6, 0, 7, 0, 0x8000, b"", hardware, b"")
    wanted = bytes((MASK, ROUTER, RESOLVERS, HOST_NAME, DOMAIN, MTU, LEASE_TIME))
    sent = {KIND: bytes((kind,)), WANTED: wanted, **(options or {})}
    packed = b"".join(bytes((code, len(value))) + value for code, value in sent.items())
    return head + _COOKIE + packed + b"\xff"


def _parse(packet: bytes) -> Answer:
    options, at = {}, 240
    while packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        length = packet[at + 1]
        options[packet[at]] = packet[at + 2 : at + 2 + length]
        at += 2 + length
    return Answer(options[KIND][0], str(IPv4Address(packet[16:20])), options)
