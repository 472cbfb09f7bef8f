"""Options and profiles of all tests.

`--update-cases` rewrites the expectations of the recorded cases; a person reads the diff. `--hypothesis-profile long`
is for nights; every other run is derandomised, so that a failure is the change's and not the dice's.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("check", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("check")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption(
        "--update-cases", action="store_true", help="rewrite what the recorded cases in tests/cases expect"
    )


@pytest.fixture(scope="session")
def update_cases(request: pytest.FixtureRequest) -> bool:
    """Whether expectations are rewritten rather than compared."""
    return bool(request.config.getoption("--update-cases"))
