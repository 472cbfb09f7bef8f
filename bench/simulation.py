"""The simulator: what a burst costs, and a thousand of them; in processor time.

A burst is as many commands to each of two routers, from their first boot until all has been calm for 1.7 s of virtual
time, elections and the comparison at rest included. On a busy machine processor time too is up to twice as long.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice

from bench.row import Reach, Row
from vpcrouter.simulation.case import ROUTERS, Case
from vpcrouter.simulation.pair import run
from vpcrouter.simulation.search import Plan, search_block
from vpcrouter.simulation.strategies import (
    BASE_MS,
    FAULTS,
    Command,
    add_forward,
    add_lease,
    add_route,
    add_static_nat,
    add_tier,
    boot,
    public,
    replace_acl,
)

_COMMANDS = 50
_TIERS = (2, 3, 4, 5)
_BLOCK = 20
_PROCESSORS = 2


def rows(smoke: bool) -> Iterable[Row]:
    """One burst, and random ones with faults of all kinds."""
    case = Case(steps=tuple(command.to(router, BASE_MS) for router in ROUTERS for command in burst()))
    yield Row(
        what=f"simulated pair: {_COMMANDS} commands to each, first election included, processor time",
        ours=min(_cpu_s(case) for _ in range(5 if smoke else 25)) * 1_000,
        reach=Reach(at_most=20),
    )
    blocks = 1 if smoke else 10
    began, found = time.process_time(), 0
    for number in range(blocks):
        found += len(search_block(Plan(bursts=_BLOCK, seed=1, faults=FAULTS), number, _BLOCK).figures)
    yield Row(
        what=f"1,000 random bursts with faults, processor time by {_PROCESSORS} processors",
        ours=(time.process_time() - began) / found * 1_000 / _PROCESSORS,
        unit="s",
        reach=Reach(at_most=60),
    )


def burst() -> list[Command]:
    """Four tiers, and what belongs to them."""
    base = [boot(), public(10), *map(add_tier, _TIERS), *(public(11 + kind) for kind in range(4))]
    kinds = (replace_acl, add_static_nat, add_route, add_forward)
    for number in _TIERS:
        base += [make(number, number - 2) for make in kinds]
    leases = (add_lease(number, kind) for kind in range(_COMMANDS) for number in _TIERS)
    return [*base, *islice(leases, _COMMANDS - len(base))]


def _cpu_s(case: Case) -> float:
    began = time.process_time()
    report = run(case)
    assert not report.violations, report.violations
    return time.process_time() - began
