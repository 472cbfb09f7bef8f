"""The drawing in the documentation shows the table that the code has."""

from __future__ import annotations

from tools import draw_role_machine
from vpcrouter.machines.role import TABLE, Report, Standing


def test_the_page_shows_the_table_of_the_code() -> None:
    page = draw_role_machine.PAGE.read_text("utf-8")
    assert page == draw_role_machine.redraw(page), "run `python tools/draw_role_machine.py`, then read the diff"


def test_every_transition_is_drawn() -> None:
    drawn = draw_role_machine.drawing()
    edges = {
        (source, dest, report)
        for line in drawn.splitlines()
        if " --> " in line and "[*]" not in line
        for ends, reports in [line.strip().split(": ")]
        for source, dest in [ends.split(" --> ")]
        for report in reports.split(", ")
    }
    assert edges == {
        (row["source"].name, row["dest"].name, row["trigger"])
        for row in TABLE
        if isinstance(row["source"], Standing) and isinstance(row["dest"], Standing)
    }


def test_the_table_has_a_row_for_each_standing_and_a_column_for_each_report() -> None:
    head, _, *rows = draw_role_machine.table().splitlines()
    assert [f"`{report.value}`" for report in Report] == [cell.strip() for cell in head.split("|")[3:-1]]
    assert len(rows) == len(Standing)
    assert {row.count("|") for row in rows} == {head.count("|")}
