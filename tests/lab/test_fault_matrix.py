"""Who is killed × how × when, on either router: what each cell may cost, and that the pair is whole after it.

The table is in docs/redundancy.md. Every cell runs under three watchers with probes of 1 ms, a TCP stream through
source NAT and the kernels' own word on who holds a gateway; what it may cost is `lab/steps.py`, the same as in a soak.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_drift import differences
from vpcrouter.lab.demo import find_burst
from vpcrouter.lab.drill import is_ready
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import OUTSIDE, ROUTERS
from vpcrouter.lab.probing import Transfer
from vpcrouter.lab.soak import Soak
from vpcrouter.lab.steps import parse_steps

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HARMLESS = {
    "conntrackd killed": "kill:conntrackd:{}:0",
    "conntrackd stopped": "stop:conntrackd:{}:1.2",
    "dnsmasq killed": "kill:dnsmasq:{}:0",
    "dnsmasq stopped": "stop:dnsmasq:{}:1.2",
    "the agent killed": "kill:agent:{}:0.3",
    "the agent stopped": "stop:agent:{}:2.5",
}
"""Nothing of it moves the service, so nothing of it has to be quick."""
ELECTIONS = {
    "keepalived killed": "kill:keepalived:{}:0",
    "keepalived stopped": "stop:keepalived:{}:1.2",
    "the router gone": "crash:namespace:{}:0.6",
    "the router's links cut": "crash:links:{}:0.6",
}
WHEN = {"at rest": "{}", "in mid-burst": "burst:30+{}@0.05", "in mid-move": "move:rA:0+{}@0.3"}
"""A move lasts about a second: 0.3 s after the commands the carrier is on its way."""


@pytest.fixture(scope="module")
def soak(routers: Laboratory) -> Iterator[Soak]:
    assert routers.wait(is_ready, SETTLED_S), routers.status()
    with Soak(routers, find_burst(None)) as soak:
        yield soak


@pytest.mark.parametrize("on_the", ["master", "backup"])
@pytest.mark.parametrize("who", HARMLESS)
def test_what_moves_nothing(routers: Laboratory, soak: Soak, who: str, on_the: str) -> None:
    check_row(routers, soak, HARMLESS[who].format(on_the), ready=False)


@pytest.mark.timed
@pytest.mark.parametrize("on_the", ["master", "backup"])
@pytest.mark.parametrize("who", ELECTIONS)
def test_what_may_be_an_election(routers: Laboratory, soak: Soak, who: str, on_the: str) -> None:
    check_row(routers, soak, ELECTIONS[who].format(on_the), ready=True)


@pytest.mark.timed
@pytest.mark.parametrize("on_the", ["master", "backup"])
def test_a_router_that_was_paused(routers: Laboratory, soak: Soak, on_the: str) -> None:
    """In a move down and in one up: the router that took over carries on another elector than the one that wakes."""
    check_row(routers, soak, f"stop:router:{on_the}:1.2", ready=True, when=(*WHEN, "in mid-move"))


def check_row(routers: Laboratory, soak: Soak, harm: str, *, ready: bool, when: Collection[str] = tuple(WHEN)) -> None:
    """At these moments, one after the other. `ready`: each needs a backup with the connections."""
    first, last = len(soak.done), len(when)
    with Transfer(routers, OUTSIDE, "vm4", bytes_per_s=100_000) as stream:
        for number, words in enumerate((WHEN[each] for each in when), 1):
            (step,) = parse_steps(words.format(harm))
            assert soak.do(step, ready=ready or number == last), soak.problems
        survived = stream.stop()
    report = soak.account()
    causes = {each.words for each in soak.done[first:]}
    found = [each for each in (*report.outages, *report.both_serve) if not each.cause or each.cause in causes]
    print(*found, sep="\n")  # what the table in docs/redundancy.md is made of: pytest -rA
    assert [each for each in found if not each.may_be] == []
    assert survived.survived, survived
    assert [differences(routers, router) for router in ROUTERS] == [[], []]
