"""A failover takes what VRRP needs, and no agent takes part: the rule is kept, and it finds who breaks it."""

from __future__ import annotations

import pytest

from tests.simulation.faults import rules_follow_the_role
from vpcrouter.simulation.case import ROUTERS, Case, Crash, PowerOff
from vpcrouter.simulation.pair import run
from vpcrouter.simulation.strategies import BASE_MS, add_tier, boot, public

BASE = tuple(
    command.to(router, BASE_MS) for router in ROUTERS for command in (boot(), public(10), add_tier(2, ipv6=True))
)
READY_MS = 6_000


def without_agent(master: str, backup: str) -> Case:
    """The backup's agent dies, and then the master."""
    crash = Crash(at_ms=READY_MS - 100, router=backup, process="agent")
    return Case(steps=(*BASE, crash, PowerOff(at_ms=READY_MS, router=master, for_ms=1_500)))


@pytest.fixture(scope="module")
def roles() -> tuple[str, str]:
    """Master and backup of this case."""
    master = run(Case(steps=BASE)).master
    assert master is not None
    return master, next(each for each in ROUTERS if each != master)


def test_it_takes_what_vrrp_needs(roles: tuple[str, str]) -> None:
    report = run(without_agent(*roles))
    assert report.violations == ()
    assert {each.tier for each in report.outages if each.length_ms > 100} == {"eth2", "eth2 IPv6"}
    assert max(each.length_ms for each in report.outages) <= 350


def test_rules_that_follow_the_role_are_found(roles: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    rules_follow_the_role(monkeypatch)
    assert {each.rule for each in run(without_agent(*roles)).violations} == {"traffic"}
