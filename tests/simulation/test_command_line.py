"""`vpcrouter simulate` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vpcrouter.simulation.case import Case, Submit, dumps, loads
from vpcrouter.simulation.strategies import add_tier, boot, public

EXAMPLES = Path(__file__).parents[2] / "examples"


def simulate(*words: str, exit_code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "vpcrouter", *words], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == exit_code, (done.stdout, done.stderr)
    return done


def figures(*words: str, exit_code: int = 0, cwd: Path | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        simulate("--json", "simulate", "--jobs", "1", *words, exit_code=exit_code, cwd=cwd).stdout
    )
    return found


def without_time(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "seconds"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_however_many_look() -> None:
    words = ("--bursts", "22", "--seed", "7")
    one, two = figures(*words), json.loads(simulate("--json", "simulate", "--jobs", "2", *words).stdout)
    assert without_time(one) == without_time(two)
    assert one["bursts"] == 22
    assert without_time(one) != without_time(figures("--bursts", "22", "--seed", "8"))


def test_files_are_taken_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    """By any names; of one router's, both get the same."""
    named = {"z.json": boot(), "a b.json": public(10), "m.json": add_tier(2)}
    for name, command in named.items():
        (tmp_path / name).write_text(command.texts["rA"])
    from vpcrouter.cli.simulate import _burst

    burst = _burst([tmp_path / name for name in named])
    assert [each.name for each in burst] == ["z.json", "a_b.json", "m.json"]
    assert [each.texts["rB"] for each in burst] == [each.texts["rA"] for each in named.values()]
    words = ("simulate", "--bursts", "1", "--jobs", "1", "--commands", *named)
    assert "no rule was broken" in simulate(*words, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "text",
    [
        '{"command":"put-guest-password","address":"10.1.2.10","password":"x"}\n\n{"command":"remove-tier",'
        '"device":"eth2","network":"10.1.2.0/24"}\n',
        '<cfg>\n# "quotes" and\ttabs\n',
        " one blank in front",
        '"a JSON string"',
        "two\r\nlines\u2028and umläute \ud800",
        "",
    ],
)
def test_any_text_of_a_file_stands_in_a_case(text: str) -> None:
    case = Case(steps=(Submit(at_ms=5, router="rA", name="x", text=text),))
    assert loads(dumps(case)) == case
    changed = Case(
        steps=(Submit(at_ms=5, router="rA", name="x", text=text, within_ms=100, condition="tcp 192.0.2.1 80"),)
    )
    assert loads(dumps(changed)) == changed


def test_a_file_of_many_commands_is_one_submission(tmp_path: Path) -> None:
    lines = "\n".join(each.texts["rA"] for each in (boot(), public(10), add_tier(2)))
    (tmp_path / "all.jsonl").write_text(lines)
    found = figures("--bursts", "1", "--faults", "none", "--commands", "all.jsonl", cwd=tmp_path)
    assert (found["violations"], found["commands"]) == ([], 2)
    assert found["keepalived_reloads"] + found["role_changes"] > 0


def test_what_breaks_a_rule_is_saved_drawn_and_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a router that restarts keepalived where a reload would do."""
    from typer.testing import CliRunner

    from tests.simulation.faults import restart_instead_of_reload
    from vpcrouter.cli import app

    monkeypatch.chdir(tmp_path)
    restart_instead_of_reload(monkeypatch)
    words = ["simulate", "--bursts", "100", "--seed", "1", "--jobs", "1", "--faults", "none"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 1, found.output
    saved = (tmp_path / "broken.case").read_text()
    rule = saved.partition(":")[0].removeprefix("# ")
    assert f"\n{rule}: " in found.output
    assert (tmp_path / "broken.svg").read_text().startswith("<svg")
    again = CliRunner().invoke(app, ["--json", "simulate", "--replay", "broken.case"])
    assert again.exit_code == 1
    assert rule in {each.partition(":")[0] for each in json.loads(again.stdout)["violations"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--faults", "crash,"), "no such fault"),
        (("--bursts", "0"), "0 is not in the range"),
        (("--commands", "missing.json"), "No such file"),
        (("missing.json",), "stand after --commands"),
        (("--replay", "missing.case"), "No such file"),
        (("--replay", "x.case", "--commands", "x.json"), "not both"),
        (("--commands", "."), "needs the folders rA and rB"),
    ],
)
def test_wrong_usage_is_named(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in " ".join(simulate("simulate", *words, exit_code=2, cwd=tmp_path).stderr.split())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    from vpcrouter.cli.simulate import _save
    from vpcrouter.simulation.pair import run
    from vpcrouter.simulation.search import Finding

    report = run(Case(steps=()))
    finding = Finding(case=Case(steps=()), violations=(), report=report, tried=1)
    with pytest.raises(SystemExit):
        _save(finding, tmp_path / "missing" / "broken.case")


@pytest.mark.parametrize("name", ["burst", "everything/provision"])
def test_the_examples_break_no_rule(name: str) -> None:
    found = figures("--bursts", "4", "--seed", "3", "--commands", str(EXAMPLES / name))
    assert found["violations"] == []
