"""A case and its text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from vpcrouter.errors import MalformedInputError
from vpcrouter.simulation.case import Case, dumps, loads
from vpcrouter.simulation.strategies import cases


@given(case=cases())
@settings(max_examples=50)
def test_what_was_written_reads_as_an_equal_case(case: Case) -> None:
    assert loads(dumps(case)) == case


@pytest.mark.parametrize(
    "line",
    [
        "12 rC crash agent",
        "12 rA crash init",
        "-1 rA crash agent",
        "12 - crash agent",
        "12 rA cut eth2 loudly 5",
        "12 rA power-off -5",
        "12 - network loss=2 for 5",
        "12 rA frobnicate",
        "12 rA submit alone",
        "12",
    ],
)
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        loads(f"seed 3\n{line}\n", name="x.case")
    assert "x.case:2" in str(caught.value)
