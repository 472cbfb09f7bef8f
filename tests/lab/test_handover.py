"""The service is handed over without a packet lost, and not at all when that would cost something."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_commands import lab
from tests.lab.test_connections import OTHER, assert_alive, flows, is_ready_pair, wait_ready
from tests.lab.test_drift import roles
from vpcrouter.lab.drill import hand_over
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]


def handover(pair: Laboratory, router: str, *words: str) -> tuple[int, dict[str, Any]]:
    """`vpcrouter handover` on a router: exit status and answer."""
    argv = [sys.executable, "-m", "vpcrouter", "--json", "--journal", str(pair.machines[router].journal), "handover"]
    done = subprocess.run([*argv, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {"said": done.stderr}


def test_a_drill_loses_nothing(pair: Laboratory, tmp_path: Path) -> None:
    """And both pictures of it, its own and that of whoever watches, show the handovers."""
    pictures = [tmp_path / "own.svg", tmp_path / "watched.svg"]
    watch = [sys.executable, "-m", "vpcrouter", "lab", "--prefix", pair.names.prefix]
    with subprocess.Popen([*watch, "timeline", str(pictures[1]), "--seconds", "7", "--guests", "vm5"]) as watching:
        done = lab(pair, "drill", "--rounds", "4", "--timeline", str(pictures[0]), "--json")
        assert watching.wait(20) == 0
    for picture in pictures:
        drawn = picture.read_text()
        for router in OTHER:
            assert f"{router} master" in drawn and f"{router} backup" in drawn
    assert pictures[0].read_text().count("handover") >= 4
    assert "both serve" in pictures[1].read_text() and "vm5 → ext" in pictures[1].read_text()
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert (report["lost"], report["broken_flows"], report["longest_gap_ms"]) == (0, 0, 0.0), report
    assert [each["done"] for each in report["handovers"]] == [True] * 4, report
    assert report["sent"] > 4_000
    assert len(report["streams"]) == 5
    assert done.returncode == 0


def test_streams_of_every_translation_go_on_and_so_do_probes_inwards(pair: Laboratory) -> None:
    wait_ready(pair, SETTLED_S)
    inwards = Target.parse("203.0.113.11", port=7001, answerer="vm2")
    with flows(pair) as streams, Probe(pair, "ext", inwards) as probing:
        for _ in range(2):
            time.sleep(1)
            wait_ready(pair, SETTLED_S)
            assert hand_over(pair).taker
        time.sleep(2.5)  # past the time in which the old master forwards
        report = probing.stop()
        assert_alive(streams)
    assert report.lost == 0, report


def test_why_and_since_when_is_told(pair: Laboratory) -> None:
    wait_ready(pair, SETTLED_S)
    done = hand_over(pair)
    status = pair.status()
    assert done.taker
    assert "handed over" in status[done.giver]["role_reason"]
    assert "handed over" in status[done.taker]["role_reason"]
    assert " was last master, heard " in pair.machines[done.taker].output.read_text()


def test_a_backup_cannot_hand_over(pair: Laboratory) -> None:
    wait_ready(pair, SETTLED_S)
    status, answer = handover(pair, roles(pair)["backup"])
    assert (status, answer["done"], answer["refused"]) == (1, False, True)


def test_it_is_refused_while_the_peer_is_not_ready_and_forced_all_the_same(pair: Laboratory) -> None:
    """The backup's configuration is another one."""
    wait_ready(pair, SETTLED_S)
    master, backup = roles(pair)["master"], roles(pair)["backup"]
    lease = {"host_name": "h", "default_gateway": "10.1.2.1", "default_entry": True, "remove": False}
    lease |= {"mac_address": "02:0f:00:00:00:77", "ipv4_address": "10.1.2.77", "type": "dhcpentry"}
    line = json.dumps({**lease, "delete_from_processed_cache": False})
    with pair.connect(backup) as agent:
        agent.submit("vm_dhcp_entry.json", line)
    assert pair.wait(lambda status: status[master]["peer"]["ready"] is False, SETTLED_S)
    status, answer = handover(pair, master)
    assert (status, answer["refused"]) == (1, True)
    assert "not ready" in answer["reasons"][0]
    assert pair.status()[master]["role"] == "master"
    status, answer = handover(pair, master, "--force")
    assert (status, answer["done"]) == (0, True)
    assert pair.wait(lambda status: status[backup]["role"] == "master", SETTLED_S)
    with pair.connect(master) as agent:
        agent.submit("vm_dhcp_entry.json", line)
    wait_ready(pair, SETTLED_S)
    for router in OTHER:
        with pair.connect(router) as agent:
            agent.submit("vm_dhcp_entry.json", json.dumps({**json.loads(line), "remove": True}))
    wait_ready(pair, SETTLED_S)


def kill_agent(pair: Laboratory, router: str) -> None:
    os.kill(pair.machines[router].status()["pid"], signal.SIGKILL)


def start_agent(pair: Laboratory, router: str) -> None:
    pair.machines[router].wait_until_it_answers(pair.machines[router].start(pair.record.advertisement_ms))


def test_a_peer_without_an_agent_gets_it_by_force_only(pair: Laboratory) -> None:
    wait_ready(pair, SETTLED_S)
    master, backup = roles(pair)["master"], roles(pair)["backup"]
    kill_agent(pair, backup)
    assert pair.wait(lambda status: status[master]["peer"]["silent"], SETTLED_S)
    status, answer = handover(pair, master)
    assert (status, answer["refused"], answer["reasons"]) == (1, True, ["the peer is silent"])
    with Probe(pair, "vm3", Target.parse("ext")) as probing:
        time.sleep(0.5)
        status, answer = handover(pair, master, "--force")
        time.sleep(2.0)
        report = probing.stop()
    assert (status, answer["done"]) == (0, True)
    assert report.longest_outage_ms <= 200, report  # (256 - 100) / 256 of an advertisement, and the addresses
    start_agent(pair, backup)
    assert pair.wait(
        lambda status: (status[backup].get("role"), status[master].get("role")) == ("master", "backup"), SETTLED_S
    )
    wait_ready(pair, SETTLED_S)


@pytest.mark.parametrize("victim", ["giver", "taker"])
def test_an_agent_that_dies_in_the_middle_leaves_one_master(pair: Laboratory, victim: str) -> None:
    with Probe(pair, "vm3", Target.parse("ext")) as probing:
        for after_s in (0.0, 0.1, 0.3):
            wait_ready(pair, SETTLED_S)
            giver, taker = roles(pair)["master"], roles(pair)["backup"]
            killed = giver if victim == "giver" else taker
            with pair.connect(giver) as agent:
                agent.send({"op": "handover", "force": False})
                time.sleep(after_s)
                kill_agent(pair, killed)
            time.sleep(2)
            start_agent(pair, killed)
            assert pair.wait(is_ready_pair, SETTLED_S), pair.status()
        time.sleep(2.5)  # past the time in which an old master forwards
        report = probing.stop()
    assert report.lost == 0, report
