"""A keepalived that is killed leaves its addresses; the router gives them up at once, whatever it is about to do.

The peer takes over after 0.32 s at 100 ms advertisements. Who still has the addresses then, answers beside it.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_drift import REPAIRED_S, pids_of, roles, within
from tests.lab.test_moves import change_tier
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.holders import Holders
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

GIVEN_UP_S = 0.1
"""3 to 19 ms were seen."""
TIER = "eth5"


def test_at_rest(pair: Laboratory) -> None:
    router = roles(pair)["master"]
    with Holders(pair) as holders:
        killed = kill_keepalived(pair, router)
        assert within(REPAIRED_S, lambda: roles(pair).get("master") not in (None, router))
        assert given_up_s(holders, router, killed) <= GIVEN_UP_S
    assert within(REPAIRED_S, lambda: sorted(roles(pair)) == ["backup", "master"])


def test_in_the_middle_of_a_pass(pair: Laboratory) -> None:
    """So long after the pass that a tier goes by, or comes by, has begun: keepalived and dnsmasq are being told."""
    took: list[float] = []
    for number, after_s in enumerate((0.02, 0.04, 0.06, 0.08, 0.12, 0.16)):
        router = roles(pair)["master"]
        with Holders(pair) as holders:
            changes = [
                threading.Thread(target=change_tier, args=(pair, each), kwargs={"add": number % 2 == 1, "device": TIER})
                for each in ROUTERS
            ]
            for each in changes:
                each.start()
            time.sleep(after_s)
            killed = kill_keepalived(pair, router)
            for each in changes:
                each.join()
            time.sleep(1)  # whoever is elected now; it may be the same one, if the other one reloads just then
            took.append(given_up_s(holders, router, killed))
            both = holders.both()
        assert pair.wait(is_pair, SETTLED_S), pair.status()
        assert both == (), both
        print(f"{after_s * 1000:.0f} ms after: given up after {took[-1] * 1000:.0f} ms")
    assert max(took) <= GIVEN_UP_S, took


def kill_keepalived(pair: Laboratory, router: str) -> float:
    """When it was done, by CLOCK_MONOTONIC in seconds."""
    pids = pids_of(pair, router, "keepalived")
    killed = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return killed


def given_up_s(holders: Holders, router: str, killed: float) -> float:
    """How long the router had the address after that."""
    return next(end for _, end in holders.spans(router) if end > killed) - killed
