"""A change that cuts a tier off and that nobody confirms is gone again, whatever happens to the routers meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_commands import vpcrouter
from tests.lab.test_drift import roles
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow]

NOBODY = {"protocol": "all", "networks": ["0.0.0.0/0"], "allowed": False}
CUT_OFF = json.dumps({"command": "replace-acl", "acl": {"device": "eth2", "ingress": [NOBODY], "egress": [NOBODY]}})
PROBES = 50


def submit(pair: Laboratory, data: str, routers: Iterable[str] = ROUTERS, **asked: Any) -> list[dict[str, Any]]:
    lines = []
    for router in routers:
        with pair.connect(router) as agent:
            (line,) = agent.submit_files([("change.json", data)], **asked)
            assert line["status"] == "accepted", line
            assert agent.settled(line["seq"], SETTLED_S)["settled"]
            lines.append(line)
    return lines


def lost(pair: Laboratory) -> int:
    with Probe(pair, "vm2", Target.parse("ext"), count=PROBES) as probing:
        return probing.wait().lost


def is_over(status: dict[str, dict[str, Any]]) -> bool:
    return is_pair(status) and all(each["unconfirmed"] == [] and each["settled"] for each in status.values())


def test_a_change_is_taken_back_at_its_deadline(pair: Laboratory) -> None:
    before = pair.status()
    submit(pair, CUT_OFF, confirm_within_ms=4_000)
    for status in pair.status().values():
        (waiting,) = status["unconfirmed"]
        assert 0 < waiting["left_s"] <= 4
    assert lost(pair) == PROBES
    assert pair.wait(is_over, SETTLED_S), pair.status()
    assert lost(pair) == 0
    after = pair.status()
    assert {router: each["digest"] for router, each in after.items()} == {
        router: each["digest"] for router, each in before.items()
    }
    assert {router: each["role"] for router, each in after.items()} == {
        router: each["role"] for router, each in before.items()
    }


def test_agents_killed_the_master_rebooted_and_a_failover_in_between(pair: Laboratory) -> None:
    """The deadline passes while neither agent runs; each takes its change back before it settles anything."""
    digests = {router: each["digest"] for router, each in pair.status().items()}
    master, backup = roles(pair)["master"], roles(pair)["backup"]
    submit(pair, CUT_OFF, confirm_within_ms=3_000)
    started = time.monotonic()
    assert lost(pair) == PROBES
    for router in (master, backup):
        os.kill(pair.machines[router].status()["pid"], signal.SIGKILL)
    time.sleep(max(0.0, started + 3.5 - time.monotonic()))
    assert lost(pair) == PROBES, "without an agent nobody touches the machine"
    assert pair.reboot([master])
    agent = pair.machines[backup].start(100)
    pair.machines[backup].wait_until_it_answers(agent)
    assert pair.wait(is_over, SETTLED_S), pair.status()
    assert roles(pair)["master"] == backup
    assert {router: each["digest"] for router, each in pair.status().items()} == digests
    assert lost(pair) == 0


def test_a_condition_confirms_what_works_and_not_what_cuts_off(pair: Laboratory) -> None:
    """`tcp` and `ping` go from the router to the guest; what answers nobody is taken back."""
    seqs = {router: each["seq"] for router, each in pair.status().items()}
    reached = ["settled", "ping 10.1.2.100"]
    harmless = json.dumps(
        {
            "command": "put-reservation",
            "reservation": {"address": "10.1.6.77", "mac": "02:0f:00:00:00:77", "host_name": "x"},
        }
    )
    submit(pair, harmless, confirm_within_ms=30_000, confirm_if=reached)
    assert pair.wait(is_over, 15), pair.status()
    first, second = (each["digest"] for each in pair.status().values())
    assert first == second
    for router, seq in seqs.items():
        with pair.connect(router) as agent:
            kinds = [line["event"] for line in agent.revert(seq)]
            assert kinds == ["reservation-removed"], "it was still there, and is gone now"
    submit(
        pair,
        harmless,
        confirm_within_ms=4_000,
        confirm_if=["settled", "ping 10.1.2.250"],
    )
    assert pair.wait(is_over, SETTLED_S), pair.status()
    hosts = pair.directory / roles(pair)["master"] / "root/etc/vpcrouter/dnsmasq.hosts"
    assert "10.1.6.77" not in hosts.read_text()


def test_confirm_on_the_command_line(pair: Laboratory, tmp_path: Path) -> None:
    router, other = roles(pair)["backup"], roles(pair)["master"]
    file = tmp_path / "acl.json"
    file.write_text(CUT_OFF)
    journal = str(pair.directory / router / "journal")
    done = vpcrouter("--journal", journal, "submit", str(file), "--confirm-within", "60s", "--command-id", "tf-9")
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert line["confirmation"] == "tf-9"
    assert "unless `vpcrouter confirm tf-9` comes in time; of a pair, on each router" in done.stderr
    assert pair.wait(lambda status: status[other]["peer"]["unconfirmed"] == ["tf-9"], SETTLED_S)
    again = vpcrouter("--journal", journal, "submit", str(file), "--confirm-within", "60s", "--command-id", "tf-9")
    assert json.loads(again.stdout) == line
    stale = vpcrouter("--journal", journal, "submit", str(file), "--expect-seq", "1")
    assert (stale.returncode, json.loads(stale.stdout)["status"]) == (1, "rejected")
    also = ("--journal", str(pair.directory / other / "journal"))
    assert vpcrouter(*also, "submit", str(file), "--confirm-within", "60s", "--command-id", "tf-9").returncode == 0
    assert pair.wait(lambda status: status[router]["peer"]["unconfirmed"] == ["tf-9"], SETTLED_S)
    taken_back = vpcrouter("--journal", journal, "confirm", "--take-back")
    assert json.loads(taken_back.stdout)["event"] == "change-reverted"
    assert "the other router still waits for `vpcrouter confirm tf-9`" in taken_back.stderr
    assert vpcrouter(*also, "confirm", "--take-back").returncode == 0
    nothing = vpcrouter("--journal", journal, "confirm")
    assert (nothing.returncode, "no change waits" in nothing.stderr) == (1, True)
    assert pair.wait(is_over, SETTLED_S), pair.status()
