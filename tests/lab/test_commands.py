"""`vpcrouter lab …` as scripts see it: exit codes, JSON, what is passed through. No agents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

from tests.lab.hand_made import configure
from vpcrouter.lab import topology
from vpcrouter.lab.laboratory import Laboratory


def vpcrouter(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vpcrouter", *words], input=stdin, capture_output=True, text=True, timeout=60
    )


def lab(laboratory: Laboratory, verb: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return vpcrouter("lab", verb, "--prefix", laboratory.names.prefix, *words, stdin=stdin)


def json_of(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_verb_has_a_help() -> None:
    listed = vpcrouter("lab", "--help").stdout
    verbs = "up down burst submit exec status failover drill soak timeline reboot cut heal probe demo"
    for verb in verbs.split():
        assert f"\n  {verb} " in listed


def test_a_soak_refuses_what_is_no_step_before_it_builds_anything() -> None:
    done = vpcrouter("lab", "soak", "--steps", "handover,kill:init:master:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "kill:init:master:1" in done.stderr and "conntrackd" in done.stderr


@pytest.mark.lab
def test_a_place_with_too_long_a_path_for_sockets_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60)
    done = vpcrouter("lab", "up", "--prefix", "tdeep", "--dir", str(deep))
    assert done.returncode == 2
    assert "too long for the sockets" in done.stderr and "shorter path" in done.stderr
    assert not deep.exists()


@pytest.mark.lab
def test_exec_passes_output_input_and_exit_code_through(bare: Laboratory) -> None:
    done = lab(bare, "exec", "vm2", "sh", "-c", "cat; ip -brief address show dev eth0; exit 7", stdin="hello\n")
    assert done.returncode == 7
    assert done.stdout.startswith("hello\neth0") and "10.1.2.100/24" in done.stdout


@pytest.mark.lab
def test_exec_leaves_the_commands_own_options_alone(bare: Laboratory) -> None:
    done = lab(bare, "exec", "ext", "ip", "--json", "address", "show", "dev", "eth0")
    assert json_of(done)[0]["ifname"] == "eth0"
    assert json_of(lab(bare, "exec", "ext", "--", "echo", "[1]")) == [1]


@pytest.mark.lab
def test_the_prefix_may_stand_before_the_verb(bare: Laboratory) -> None:
    done = vpcrouter("lab", "--prefix", bare.names.prefix, "exec", "sw", "true")
    assert done.returncode == 0


@pytest.mark.lab
@pytest.mark.parametrize(
    "words",
    [
        ("exec", "rC", "true"),
        ("exec", "rD", "true"),
        ("submit", "rC", "/dev/null"),
        ("cut", "rC", "eth2"),
        ("reboot", "rC"),
        ("cut", "rA", "eth77"),
        ("probe", "vm2", "203.0.113.10"),
        ("probe", "vm2", "ext", "--interval", "soon"),
        ("probe", "vm2", "rB"),
        ("submit", "ext", "/dev/null"),
        ("burst", "/nonexistent"),
        ("failover", "--how", "gently"),
        ("reboot", "none"),
    ],
)
def test_wrong_usage_is_2_and_says_what_would_be_right(bare: Laboratory, words: tuple[str, ...]) -> None:
    done = lab(bare, *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr and "Traceback" not in done.stderr


def test_a_prefix_that_cannot_be_one_is_wrong_usage() -> None:
    done = vpcrouter("lab", "status", "--prefix", "a/b")
    assert (done.returncode, "prefix" in done.stderr) == (2, True)


@pytest.mark.lab
def test_a_laboratory_that_is_not_up_is_1() -> None:
    done = vpcrouter("lab", "status", "--prefix", "never-up")
    assert done.returncode == 1
    assert "vpcrouter lab up" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.lab
@pytest.mark.parametrize("where", ["before", "after"])
def test_probe_prints_json(bare: Laboratory, where: str) -> None:
    configure(bare)
    words = ("probe", "--prefix", bare.names.prefix, "vm2", "ext", "--interval", "2ms", "--seconds", "0.2")
    done = vpcrouter("--json", "lab", *words) if where == "before" else vpcrouter("lab", *words, "--json")
    report = json_of(done)
    assert (report["from"], report["to"], report["sent"], report["lost"]) == ("vm2", "ext", 100, 0)
    assert report["outages"] == []


@pytest.mark.lab
def test_dead_agents_are_reported_for_each_router(bare: Laboratory) -> None:
    done = lab(bare, "status", "--json")
    assert done.returncode == 1
    assert set(both := json.loads(done.stdout)) == {"rA", "rB"}
    assert all("no agent answers" in each["error"] for each in both.values())


@pytest.mark.lab
def test_cut_heal_and_down(bare: Laboratory) -> None:
    assert lab(bare, "cut", "rA", "eth2", "--silent").returncode == 0
    assert json_of(lab(bare, "heal", "--json")) == {"mended": ["rA eth2"]}
    assert json_of(lab(bare, "down", "--json"))["namespaces"] == 12
    assert json_of(lab(bare, "down", "--json")) == {"namespaces": 0, "processes": 0, "directory": False}


@pytest.mark.lab
def test_up_that_fails_leaves_nothing() -> None:
    """The directory cannot be made, since a file stands in the way; its path is short enough for sockets."""
    with NamedTemporaryFile() as file:
        done = vpcrouter("lab", "up", "--prefix", "t-fails", "--dir", file.name)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not any(path.name.startswith("t-fails-") for path in topology.NAMESPACES.iterdir())
