"""DHCP and DNS are answered by the router that serves and by no other one, from the moment on that it serves.

A guest asks for its address, and both routers' own addresses for a name, a hundred times a second: by ports that are
new each time, and by one and the same, which connection tracking knows. Whose MAC is on an answer is who gave it, and
when a router serves is what its kernel says of the gateway's address.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.lab.conftest import SETTLED_S
from tests.lab.forging import guest_of, sender_of
from tests.lab.test_connections import OTHER, fail_over, wait_ready
from tests.lab.test_drift import roles
from tests.materialise import dhcp
from tests.materialise.namespaces import inside
from vpcrouter.lab.drill import hand_over
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.holders import Holders, Span
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

TIER = 2
GATEWAY = f"10.1.{TIER}.1"
PAUSE_S = 0.01
WITHIN_MS = 50
ALLOWED_S = 0.3
"""A busy machine may hold who asks and hears here up: most have to be as quick as that, and all as quick as this."""
TOLD_S = 0.05
"""A busy machine may be told of an address by so much later than it is there, and answered for."""
TOLD_S = 0.05
"""A busy machine may be told of an address by so much later than it is there, and answered for."""
HANDOVERS = 3
KNOWN_PORT, FIRST_PORT = 20_000, 20_001
SERVICES = ("DHCP", "DNS", "DNS by a known port")
SOURCE_PORT = slice(34, 36)
"""In a frame of IPv4 without options."""


class Asking:
    """A guest that asks and asks. `answers`: the times of the answers, by service and router."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._ask, self._hear)]
        self.answers: dict[tuple[str, str], list[float]] = {
            (each, router): [] for each in SERVICES for router in ROUTERS
        }

    def __enter__(self) -> Asking:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for each in self._threads:
            each.join()

    def _ask(self) -> None:
        guest = guest_of(TIER)
        everybody = Ether(src=guest.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255")  # noqa: S104
        discover = bytes(everybody / UDP(sport=68, dport=67) / Raw(dhcp.message(dhcp.DISCOVER, guest.mac)))
        questions = [question(router) for router in ROUTERS]
        for port in count(FIRST_PORT):
            self._door.send(discover)
            for each in questions:
                for source in (port, KNOWN_PORT):
                    each[SOURCE_PORT] = source.to_bytes(2)
                    self._door.send(each)
            if self._ends.wait(PAUSE_S):
                return

    def _hear(self) -> None:
        routers = {bytes.fromhex(sender_of(each, TIER).mac.replace(":", "")): each for each in ROUTERS}
        while not self._ends.is_set():
            try:
                frame = self._door.recv(2048)
            except TimeoutError:
                continue
            if frame[6:12] not in routers or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
                continue
            source, target = struct.unpack("!HH", frame[34:38])
            by = {67: "DHCP", 53: "DNS by a known port" if target == KNOWN_PORT else "DNS"}.get(source)
            if by is not None:
                self.answers[by, routers[frame[6:12]]].append(time.monotonic())


def question(router: str) -> bytearray:
    """To the router's own address; without a checksum, so that its source port can be changed."""
    guest, asked = guest_of(TIER), sender_of(router, TIER)
    head = Ether(src=guest.mac, dst=asked.mac) / IP(src=guest.address, dst=asked.address)
    return bytearray(bytes(head / UDP(sport=FIRST_PORT, dport=53, chksum=0) / DNS(qd=DNSQR(qname="data-server"))))


@contextmanager
def asking(pair: Laboratory) -> Iterator[Asking]:
    with inside(pair.names.namespace(f"vm{TIER}")):
        door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        door.bind(("eth0", 3))
    with door:
        door.settimeout(0.2)
        with Asking(door) as guest:
            yield guest


def began_ms(answers: list[float], spans: tuple[Span, ...], watched: float) -> Iterator[float]:
    """Of a router that serves in these spans: how long each time until it answered."""
    for start, end in spans:
        if start > watched:
            yield (next((each for each in answers if each >= start), end) - start) * 1000


def ceased_ms(answers: list[float], spans: tuple[Span, ...]) -> Iterator[float]:
    """How long it still answered each time. What it says in no span and not soon after one is not in here."""
    for _, end in spans:
        last = max((each for each in answers if each <= end + ALLOWED_S), default=end)
        yield max(0.0, last - end) * 1000


def starts(pair: Laboratory) -> dict[str, int]:
    """Of all daemons of both routers; so many by name."""
    return {
        f"{router} {name}": counted
        for router, status in pair.status().items()
        for name, counted in status["counters"].items()
        if name.endswith(("_starts", "_restarts"))
    }


def assert_followed(guest: Asking, holders: Holders, changes: int) -> None:
    """Of so many changes: each service was answered by who held the gateway's address, soon after it did, and alone."""
    spans = {router: holders.spans(router) for router in ROUTERS}
    for service in SERVICES:
        began: list[float] = []
        ceased: list[float] = []
        for router in ROUTERS:
            answers = guest.answers[service, router]
            began += began_ms(answers, spans[router], holders.began)
            ceased += ceased_ms(answers, spans[router])
            strangers = [
                each
                for each in answers
                if not any(start - TOLD_S <= each <= end + ALLOWED_S for start, end in spans[router])
            ]
            assert strangers == [], (service, router, spans)
        assert len(began) == changes
        for took in (began, ceased):
            assert sorted(took)[len(took) // 2] <= WITHIN_MS and max(took) <= 1000 * ALLOWED_S, (service, began, ceased)


def test_dhcp_and_dns_are_the_master_s_alone_within_50_ms_of_every_change(pair: Laboratory) -> None:
    wait_ready(pair, SETTLED_S)
    before = starts(pair)
    with Holders(pair, GATEWAY) as holders, asking(pair) as guest:
        for _ in range(HANDOVERS):
            time.sleep(0.5)
            wait_ready(pair, SETTLED_S)
            assert hand_over(pair).taker
        time.sleep(0.5)
        fail_over(pair, "links")
        time.sleep(0.5)
        assert_followed(guest, holders, HANDOVERS + 1)
    assert starts(pair) == before, "nothing is started at a failover"


def test_with_both_agents_dead_they_follow_all_the_same(pair: Laboratory) -> None:
    """keepalived moves the addresses, there and back, and the kernel asks nobody else."""
    wait_ready(pair, SETTLED_S)
    master = roles(pair)["master"]
    for router in ROUTERS:
        os.kill(pair.machines[router].status()["pid"], signal.SIGKILL)
    with Holders(pair, GATEWAY) as holders, asking(pair) as guest:
        pair.cut_off(master)
        time.sleep(1)
        pair.heal()
        time.sleep(1)
        assert_followed(guest, holders, 1)
        assert guest.answers["DHCP", OTHER[master]] != []
    for router in ROUTERS:
        pair.machines[router].wait_until_it_answers(pair.machines[router].start(pair.record.advertisement_ms))
    assert pair.wait(is_pair, SETTLED_S), pair.status()
