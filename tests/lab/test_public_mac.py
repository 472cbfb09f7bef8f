"""All routers have one MAC on the public side, and whoever speaks there is who the switch sends to: the master alone.

Seen at the switch's own ports, over everything that may make a router speak: a burst, a move, a crash, a boot, an agent
that starts anew. A handover is left out: for 2 s the router that gave the service up forwards what still comes to it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.example import BURST
from tests.lab.test_connections import wait_ready
from tests.materialise.namespaces import inside
from vpcrouter.lab.doing import Doer
from vpcrouter.lab.holders import Holders
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import PUBLIC_MAC, ROUTERS, SWITCH, find_cable
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.lab.steps import parse_steps

pytestmark = [pytest.mark.lab, pytest.mark.slow]

STEPS = "kill:agent:backup:0.1,burst:30,move:rA:0.2,crash:namespace:master:0.5,kill:agent:backup:0.1"
SLACK_S = 0.1
"""Between a frame and the kernel's word on the address, each heard by a process that waits for its turn."""
_EVERYTHING, _LEAVES = 3, 4


@contextmanager
def heard_at_the_switch(pair: Laboratory) -> Iterator[dict[str, list[float]]]:
    """When each router sent a frame with the shared MAC."""
    mac = bytes.fromhex(PUBLIC_MAC.replace(":", ""))
    ports = {find_cable(router, "eth1").port: router for router in ROUTERS}
    times: dict[str, list[float]] = {router: [] for router in ROUTERS}
    ends = threading.Event()
    with inside(pair.names.namespace(SWITCH)):
        # Of all ports: those of a router that boots are new.
        door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))

    def hear() -> None:
        while not ends.is_set():
            try:
                frame, (port, _, kind, *_) = door.recvfrom(64)
            except TimeoutError:
                continue
            if port in ports and kind != _LEAVES and frame[6:12] == mac:
                times[ports[port]].append(time.monotonic())

    with door:
        door.settimeout(0.2)
        thread = threading.Thread(target=hear)
        thread.start()
        try:
            yield times
        finally:
            ends.set()
            thread.join()


def test_nobody_but_the_master_says_anything_with_the_shared_mac(pair: Laboratory) -> None:
    doer = Doer(pair, BURST)
    wait_ready(pair, SETTLED_S)
    probing = Probe(pair, "vm4", Target.parse("ext"), interval_ms=20)
    with Holders(pair) as holders, heard_at_the_switch(pair) as times, probing:
        for step in parse_steps(STEPS):
            doer.do(step)
            assert doer.make_whole(ready=False) == ""
        assert doer.restore() == ""
        spans = {router: holders.spans(router) for router in ROUTERS}
    for router in ROUTERS:
        assert len(times[router]) > 20, "both served, and were heard"
        strangers = [
            each
            for each in times[router]
            if not any(start - SLACK_S <= each <= end + SLACK_S for start, end in spans[router])
        ]
        assert strangers == [], (router, spans)
