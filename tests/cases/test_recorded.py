"""The recorded cases: same commands, same files, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.recorded import outputs, recorded, rewrite

CASES = sorted(about.parent for about in Path(__file__).parent.glob("*/about.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_recorded_case(case: Path, update_cases: bool) -> None:
    found = outputs(case)
    if update_cases:
        rewrite(case, found)
    assert found == recorded(case), "read the difference; if it is right: pytest --update-cases tests/cases"


def test_there_are_cases() -> None:
    assert CASES
