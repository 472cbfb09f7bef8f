"""Frames that a guest has no business to send, out of its own device. Used by `test_hostile_guests`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import frozen
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vrrp import VRRPv3
from scapy.packet import Packet, Raw

from tests.materialise.namespaces import inside
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import find_cable
from vpcrouter.materialise.conntrackd import GROUP, PORT
from vpcrouter.materialise.peer_guard import VRRP_GROUP
from vpcrouter.values.beacon import BEACON_GROUP, BEACON_PORT

_EVERYTHING = 3
"""ETH_P_ALL."""
_LARGEST = 9000


@frozen
class Sender:
    """Who a frame says that it is from."""

    mac: str
    address: str


def sender_of(router: str, tier: int) -> Sender:
    """A router of the example burst."""
    return Sender(find_cable(router, f"eth{tier}").mac, f"10.1.{tier}.{ {'rA': 2, 'rB': 3, 'rC': 4}[router] }")


def guest_of(tier: int) -> Sender:
    return Sender(find_cable(f"vm{tier}", "eth0").mac, f"10.1.{tier}.100")


def multicast(sender: Sender, group: str, payload: Packet, *, protocol: int, ttl: int = 1) -> Packet:
    low = ":".join(
        f"{octet & mask:02x}" for octet, mask in zip(socket.inet_aton(group)[1:], (127, 255, 255), strict=True)
    )
    packet = IP(src=sender.address, dst=group, ttl=ttl, proto=protocol)
    return Ether(src=sender.mac, dst=f"01:00:5e:{low}") / packet / payload


def advertisement(sender: Sender, tier: int, priority: int) -> Packet:
    """What keepalived believes, but for who says it."""
    said = VRRPv3(vrid=51, priority=priority, adv=10, addrlist=[f"169.254.255.{tier}"])
    return multicast(sender, VRRP_GROUP, said, protocol=112, ttl=255)


def beacon(sender: Sender, content: bytes) -> Packet:
    return multicast(sender, BEACON_GROUP, UDP(sport=BEACON_PORT, dport=BEACON_PORT) / Raw(content), protocol=17)


def synchronisation(sender: Sender, content: bytes) -> Packet:
    return multicast(sender, GROUP, UDP(sport=PORT, dport=PORT) / Raw(content), protocol=17)


def gratuitous_arp(sender: Sender, address: str) -> Packet:
    told = ARP(op=2, hwsrc=sender.mac, psrc=address, hwdst="ff:ff:ff:ff:ff:ff", pdst=address)
    return Ether(src=sender.mac, dst="ff:ff:ff:ff:ff:ff") / told


class Wire:
    """A guest's device."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door

    def send(self, packets: list[Packet], *, times: int, pause_s: float = 0.005) -> None:
        """All of them, so many times."""
        frames = [bytes(each) for each in packets]
        for _ in range(times):
            for each in frames:
                self._door.send(each)
            time.sleep(pause_s)

    def capture(self, group: str, suits: Callable[[Packet], bool], *, within_s: float = 5.0) -> Packet:
        """The next packet to this group that suits."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            packet: Packet | None = Ether(self._door.recv(_LARGEST)).getlayer(IP)
            if packet is not None and packet.dst == group and suits(packet):
                return packet
        raise AssertionError(f"nothing for {group}")


@contextmanager
def wire(laboratory: Laboratory, guest: str) -> Iterator[Wire]:
    with inside(laboratory.names.namespace(guest)):
        door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        door.bind(("eth0", _EVERYTHING))
    with door:
        door.settimeout(5)
        yield Wire(door)
