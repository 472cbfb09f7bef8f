"""The simulator finds what has gone wrong in routers of this kind, and makes it small.

Each fault is put into the real code (`faults.py`), and a search over all bursts, with the kinds of faults that are
named for it, must find it within the budget and shrink it to a few steps.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.simulation.faults import FAULTS
from vpcrouter.simulation.case import Case, Submit
from vpcrouter.simulation.pair import Report, run
from vpcrouter.simulation.search import search
from vpcrouter.simulation.strategies import BASE_MS, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BUDGET = 300
"""Cases. Most are found within fifty."""
SHRINKS = 400
FEW = 3
"""Commands after the first ones, and faults."""

RULES = {
    "restart_instead_of_reload": {"traffic", "settled", "served", "one master"},
    "lists_that_differ": {"traffic", "one master", "served", "settled", "machine", "converged"},
    "carrier_moved_before_the_elector_is_up": {"traffic", "one master"},
    "elector_dropped_without_a_hold": {"traffic", "one master", "served"},
    "acknowledged_before_it_is_on_the_disk": {"durable"},
    "file_rewritten_in_place": {"durable"},
    "addresses_removed_by_file_order": {"traffic", "settled"},
    "sync_group_instead_of_electors": {"traffic", "settled", "one master"},
    "role_restored_from_the_journal": {"role"},
    "stale_snapshot_accepted": {"replay"},
    "ready_without_the_old_connections": {"connections"},
    "ipv6_gateways_are_the_agents": {"traffic", "served"},
    "addresses_put_by_the_agent_of_a_new_master": {"traffic"},
    "rules_flushed_at_the_start": {"traffic"},
    "rules_follow_the_role": {"traffic"},
}
"""What each of them breaks; nothing else counts."""
KINDS = {
    "elector_dropped_without_a_hold": ("agent",),
    "acknowledged_before_it_is_on_the_disk": ("power",),
    "file_rewritten_in_place": ("power",),
    "role_restored_from_the_journal": ("power", "crash"),
    "stale_snapshot_accepted": ("snapshot", "agent"),
    "ready_without_the_old_connections": ("power", "crash"),
    "addresses_put_by_the_agent_of_a_new_master": ("power", "agent"),
    "rules_flushed_at_the_start": ("agent",),
    "rules_follow_the_role": ("agent", "power"),
}
"""The faults that are drawn; for the others there are none but the burst."""


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_found_and_made_small(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[name](monkeypatch)

    def judge(case: Case) -> Report:
        report = run(case)
        return evolve(report, violations=tuple(each for each in report.violations if each.rule in RULES[name]))

    strategy = cases(faults=KINDS.get(name, ()), common_tier=True)
    found = search(strategy, bursts=BUDGET, seed=1, shrinks=SHRINKS, judge=judge, is_small=is_small)
    assert found.finding is not None, f"not found in {BUDGET} cases"
    assert is_small(found.finding.case), found.finding.case


def is_small(case: Case) -> bool:
    """Whether there are few steps after the first commands."""
    burst = {step.name for step in case.steps if isinstance(step, Submit) and step.at_ms > BASE_MS}
    return len(burst) + len(case.faults) <= FEW
