"""The simulator against the real daemons: the same case in both, the same roles at about the same times.

A disagreement is a defect of the model (or of the laboratory's clock: a busy machine is late, never early).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.lab.conftest import new_laboratory
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.replay import Replayed, replay
from vpcrouter.simulation.case import EVERYWHERE, ROUTERS, Ask, Case, Crash, CutCable, Step
from vpcrouter.simulation.host import START_NS
from vpcrouter.simulation.pair import run
from vpcrouter.simulation.recording import RoleStep
from vpcrouter.simulation.strategies import BASE_MS, add_tier, boot, public, remove_tier

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

EARLY_MS, LATE_MS = 120, 700
"""How much earlier and later than in the simulator a role may come in the laboratory."""
RACE_MS = {"master-without-public-link": 400}
"""The backup takes over after its skew of 22 ms, unless its agent, which hears of the fault by a beacon, reloads
keepalived before: then after a whole master-down time. 20 ms decide, and both are right."""
RACES = frozenset({"both-booting-at-once"})
"""Which of the two serves is decided by less than a millisecond, in both: it is compared with whoever serves there."""
FAULT_MS = 4_000


@pytest.fixture
def bare_pair() -> Iterator[Laboratory]:
    """Both agents and nothing else."""
    laboratory = new_laboratory()
    try:
        laboratory.up()
        yield laboratory
    finally:
        laboratory.down()


def scenario(*extra: Step, tiers: tuple[int, ...] = (2, 3)) -> Case:
    """rA gets its commands a second before rB, so that there is no doubt about who serves first."""
    base = (boot(), public(10), *map(add_tier, tiers))
    first = [command.to("rA", BASE_MS) for command in base]
    second = [command.to("rB", BASE_MS + 1_200) for command in base]
    return Case(steps=(*first, *second, *extra))


SCENARIOS = {
    "first-election": scenario(),
    "lowest-tier-goes": scenario(*(remove_tier(2).to(router, FAULT_MS) for router in ROUTERS)),
    "master-without-public-link": scenario(
        CutCable(at_ms=FAULT_MS, router="rA", device="eth1", how="carrier", for_ms=1_500)
    ),
    "lower-tier-comes": scenario(*(add_tier(2).to(router, FAULT_MS) for router in ROUTERS), tiers=(3,)),
    "master-without-its-carrier": scenario(
        CutCable(at_ms=FAULT_MS, router="rA", device="eth2", how="carrier", for_ms=1_500)
    ),
    "agent-killed": scenario(Crash(at_ms=FAULT_MS, router="rA", process="agent")),
    "keepalived-killed": scenario(Crash(at_ms=FAULT_MS, router="rA", process="keepalived")),
    "keepalived-parent-killed": scenario(Crash(at_ms=FAULT_MS, router="rA", process="keepalived-parent")),
    "keepalived-child-killed": scenario(Crash(at_ms=FAULT_MS, router="rA", process="keepalived-child")),
    # The machine lives on, with the addresses of a keepalived that has not said good-bye, until its agent is back.
    "master-crashed": scenario(*(Crash(at_ms=FAULT_MS, router="rA", process=each) for each in EVERYWHERE)),
    # When both know all connections of each other, which takes some seconds.
    "service-handed-over": scenario(Ask(at_ms=2 * FAULT_MS, router="rA", what="handover")),
    "both-booting-at-once": Case(
        steps=tuple(
            command.to(router, BASE_MS)
            for router in ROUTERS
            for command in (boot(), public(10), add_tier(2), add_tier(3))
        )
    ),
}


def sequence(roles: tuple[RoleStep, ...], router: str) -> list[str]:
    return [step.role for step in roles if step.router == router]


def as_if_first_served(roles: tuple[RoleStep, ...]) -> tuple[RoleStep, ...]:
    """With the names of the two exchanged, if in the end the second one serves."""
    if sequence(roles, ROUTERS[0])[-1:] == ["master"]:
        return roles
    other = dict(zip(ROUTERS, reversed(ROUTERS), strict=True))
    return tuple(evolve(step, router=other[step.router]) for step in roles)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_model_does_what_the_daemons_do(bare_pair: Laboratory, name: str) -> None:
    case = SCENARIOS[name]
    expected, found = run(case), replay(bare_pair, case)
    assert expected.violations == ()
    assert found.rests, found
    assert len(set(found.digests)) == 1
    told, seen = expected.roles, found.roles
    if name in RACES:
        told, seen = as_if_first_served(told), as_if_first_served(seen)
    for router in ROUTERS:
        assert sequence(seen, router) == sequence(told, router), (told, seen)
    for modelled, real in zip(
        sorted(told, key=lambda step: (step.router, step.at_ms)),
        sorted(seen, key=lambda step: (step.router, step.at_ms)),
        strict=True,
    ):
        late_ms = LATE_MS + _started_late_ms(real, found)
        assert -RACE_MS.get(name, EARLY_MS) <= real.at_ms - modelled.at_ms <= late_ms, (told, seen)


def _started_late_ms(step: RoleStep, found: Replayed) -> float:
    """How much longer than in the simulator the agent took to start that told this: Python's time, not the model's."""
    starts = [each for each in found.starts if each.router == step.router and each.began_ms <= step.at_ms]
    return max(0.0, starts[-1].took_ms - START_NS / 1e6) if starts else 0.0
