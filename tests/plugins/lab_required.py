"""With this plug-in a laboratory test that is skipped has failed: `pytest -m lab -p tests.plugins.lab_required`.

A guarantee that nobody checked is not a guarantee. `make test` loads it; a run without it may skip, for a person
who has no root at hand. Expected failures stay what they are.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"the laboratory is required, but this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped laboratory test into a failed one."""
    report = yield
    if report.skipped and item.get_closest_marker("lab") and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself into a failed one: nobody can tell which of its tests need the laboratory."""
    report = yield
    if report.outcome == "skipped":
        _fail(report)
    return report
