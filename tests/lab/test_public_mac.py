"""All routers have one MAC on the public side, and whoever speaks there is who the switch sends to: the master alone.

Seen at the switch's own ports, over everything that may make a router speak: a burst, a move, a crash, a boot, an agent
that starts anew. A handover is left out: for 2 s the router that gave the service up forwards what still comes to it.
"""

from __future__ import annotations

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.example import BURST
from tests.lab.test_connections import wait_ready
from tests.lab.wiretap import heard_at_the_switch
from vpcrouter.lab.doing import Doer
from vpcrouter.lab.holders import Holders
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import PUBLIC_MAC, ROUTERS, find_cable
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.lab.steps import parse_steps

pytestmark = [pytest.mark.lab, pytest.mark.slow]

STEPS = "kill:agent:backup:0.1,burst:30,move:rA:0.2,crash:namespace:master:0.5,kill:agent:backup:0.1"
SLACK_S = 0.1
"""Between a frame and the kernel's word on the address, each heard by a process that waits for its turn."""
MAC = bytes.fromhex(PUBLIC_MAC.replace(":", ""))


def test_nobody_but_the_master_says_anything_with_the_shared_mac(pair: Laboratory) -> None:
    doer = Doer(pair, BURST)
    wait_ready(pair, SETTLED_S)
    ports = {router: find_cable(router, "eth1").port for router in ROUTERS}
    says_it = heard_at_the_switch(pair, lambda port, frame: frame[6:12] == MAC and port in ports.values())
    probing = Probe(pair, "vm4", Target.parse("ext"), interval_ms=20)
    with Holders(pair) as holders, says_it as heard, probing:
        for step in parse_steps(STEPS):
            doer.do(step)
            assert doer.make_whole(ready=False) == ""
        assert doer.restore() == ""
        spans = {router: holders.spans(router) for router in ROUTERS}
    for router in ROUTERS:
        times = [at for at, port, _ in heard if port == ports[router]]
        assert len(times) > 20, "both served, and were heard"
        strangers = [
            each for each in times if not any(start - SLACK_S <= each <= end + SLACK_S for start, end in spans[router])
        ]
        assert strangers == [], (router, spans)
