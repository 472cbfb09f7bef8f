"""What a soak may and may not lose: every outage has a cause that allows it, or the soak has failed."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from vpcrouter.lab.soak import SoakReport
from vpcrouter.lab.steps import parse_steps
from vpcrouter.lab.tables import soak_tables
from vpcrouter.lab.verdict import Done, judge_both_serve, judge_silences
from vpcrouter.timeline import Recording, Silence

ADVERTISEMENT_MS = 100


def done(text: str, start_s: float = 10, end_s: float = 15, heard_s: float = 0) -> list[Done]:
    (step,) = parse_steps(text)
    return [Done(number=1, step=step, start_s=start_s, end_s=end_s, heard_s=heard_s or start_s)]


def silences(*found: tuple[float, float, int]) -> dict[str, list[Silence]]:
    return {"vm4": [Silence(start_s=start, length_ms=length, lost=lost) for start, length, lost in found]}


@pytest.mark.parametrize(
    ("text", "found", "may_be"),
    [
        ("crash:kill:master:1", [(10.1, 330, 330)], [True]),
        ("crash:kill:master:1", [(10.1, 500, 500)], [False]),
        ("crash:kill:backup:1", [(10.1, 1.0, 1)], [False]),
        ("handover", [(10.1, 1.0, 1)], [False]),
        # Two that are too long only together.
        ("crash:kill:master:1", [(10.1, 300, 300), (12, 300, 300)], [False, False]),
        # It began before the step ended.
        ("crash:kill:master:1", [(14.9, 300, 300)], [True]),
        # Nothing was done then.
        ("crash:kill:master:1", [(9.0, 300, 300)], [False]),
        ("crash:kill:master:1", [(15.1, 1, 1)], [False]),
    ],
)
def test_an_outage_is_judged_by_its_step(text: str, found: list[tuple[float, float, int]], may_be: list[bool]) -> None:
    judged = list(judge_silences(done(text), silences(*found), ADVERTISEMENT_MS))
    assert [each.may_be for each in judged] == may_be
    assert all(bool(each.cause) == (10 <= each.at_s < 15) for each in judged)


def test_each_watcher_is_judged_by_itself() -> None:
    both = {name: [Silence(start_s=10.1, length_ms=330, lost=330)] for name in ("vm4", "vm6")}
    assert all(each.may_be for each in judge_silences(done("crash:kill:master:1"), both, ADVERTISEMENT_MS))


@pytest.mark.parametrize(
    ("text", "span", "heard_s", "may_be"),
    [
        ("stop:keepalived:master:2", (10.5, 10.8), 0, True),
        ("stop:keepalived:master:2", (10.5, 11.5), 0, False),
        ("handover", (10.5, 10.501), 0, True),
        ("handover", (10.5, 10.7), 0, False),
        # Nobody can know while all cables of one are cut…
        ("crash:links:master:3", (10.4, 13.1), 13.0, True),
        # …but then it has to end.
        ("crash:links:master:3", (10.4, 13.9), 13.0, False),
        ("reboot:backup", (10.4, 10.5), 0, False),
    ],
)
def test_two_masters_are_judged_from_when_they_hear_each_other(
    text: str, span: tuple[float, float], heard_s: float, may_be: bool
) -> None:
    (found,) = judge_both_serve(done(text, heard_s=heard_s), [span], ADVERTISEMENT_MS)
    assert found.may_be == may_be


def test_two_masters_without_any_cause_may_not_be() -> None:
    (found,) = judge_both_serve(done("crash:links:master:3"), [(3, 3.001)], ADVERTISEMENT_MS)
    assert (found.may_be, found.cause) == (False, "")


def test_a_report_names_every_outage_with_its_cause_and_the_time_of_two_masters() -> None:
    crash = done("crash:links:master:1.2", heard_s=11.3)
    report = SoakReport(
        seed=7,
        steps=("crash:links:master:1.2",),
        seconds=60.0,
        sent={"vm4": 60_000},
        lost={"vm4": 331},
        outages=tuple(judge_silences(crash, silences((10.1, 330, 330), (20, 1, 1)), ADVERTISEMENT_MS)),
        both_serve=tuple(judge_both_serve(crash, [(10.4, 11.4)], ADVERTISEMENT_MS)),
        problems=(),
        recording=Recording(title="", length_s=60, roles={}, marks={}, silences={}),
    )
    assert (report.double_master_ms, report.is_good) == (1000.0, False)
    assert [each.at_s for each in report.unexplained] == [20]
    console = Console(width=200, record=True, file=StringIO())
    for table in soak_tables(report):
        console.print(table)
    lines = console.export_text().splitlines()

    def cells(first: str) -> list[str]:
        return next([cell.strip() for cell in line.split("│")[1:-1]] for line in lines if first in line)

    assert cells("probes sent / lost")[1] == "60000 / 331"
    assert cells("double-master time")[1] == "1000 ms"
    assert cells("10.10 s")[1:] == ["vm4", "330.0 ms", "330", "1. crash:links:master:1.2", "572 ms", "may be"]
    assert cells("20.00 s")[1:] == ["vm4", "1.0 ms", "1", "none", "0 ms", "MAY NOT BE"]
    assert cells("10.40 s")[1:3] == ["both serve", "1000.0 ms"]
