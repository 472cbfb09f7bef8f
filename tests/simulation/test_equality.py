"""`machine`, between two looks at rest: a pass that leaves something out is found though the next one mends it."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.simulation.test_pair import case
from vpcrouter.host import Host
from vpcrouter.simulation.case import Drift, SetClock
from vpcrouter.simulation.pair import Report, run

DRIFT = Drift(at_ms=4_000, router="rA", what="file")
"""Of a file nobody is notified: a glance finds it."""
LATER = SetClock(at_ms=9_000, router="rA", by_s=0)
"""Nobody asks before whether all is at rest."""


def broken(report: Report) -> set[str]:
    return {each.rule for each in report.violations}


def test_a_pass_that_leaves_the_ruleset_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    load, calls = Host._load_ruleset, count()

    def forgetful(host: Host, *args: Any) -> None:
        if next(calls) != 2:
            load(host, *args)

    monkeypatch.setattr(Host, "_load_ruleset", forgetful)
    report = run(case())
    assert broken(report) == {"machine"}
    assert "is settled, and differs: nftables: another ruleset" in report.violations[0].what


def test_drift_is_repaired_in_time() -> None:
    assert broken(run(case(DRIFT, LATER))) == set()


def test_drift_that_is_not_looked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpcrouter.agent.loop.GLANCE_S", 3.5)
    report = run(case(DRIFT, LATER))
    assert broken(report) == {"machine"}
    assert "rA differs since 40" in report.violations[0].what
    assert "is another file" in report.violations[0].what
