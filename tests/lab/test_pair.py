"""The laboratory with its agents and the real daemons: burst, failover, reboot, demo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.lab.conftest import new_laboratory
from tests.lab.test_commands import json_of, lab, vpcrouter
from vpcrouter.lab import topology
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.demo import find_burst
from vpcrouter.lab.failover import fail_over, is_pair, serving_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

SETTLED_S = 20.0


def lost(laboratory: Laboratory, source: str = "vm2", to: str = "ext", count: int = 300) -> int:
    with Probe(laboratory, source, Target.parse(to), count=count) as probing:
        return probing.wait().lost


def test_a_burst_configures_both_routers_alike(pair: Laboratory) -> None:
    first, second = pair.status().values()
    assert first["digest"] == second["digest"]
    assert {first["role"], second["role"]} == {"master", "backup"}
    assert (first["faults"], second["faults"]) == ([], [])
    assert lost(pair) == 0


def test_the_same_burst_again_changes_nothing(pair: Laboratory) -> None:
    before = {router: status["seq"] for router, status in pair.status().items()}
    report = run_burst(pair, burst_files(find_burst(None)))
    assert report.is_good
    for router, part in report.routers.items():
        assert (part.accepted, part.unchanged) == (0, part.commands)
        assert (part.keepalived_reloads, part.keepalived_starts, part.role_changes) == (0, 0, 0)
        assert part.seq == before[router]


def test_a_burst_with_a_bad_command_is_answered_with_1(pair: Laboratory, tmp_path: Path) -> None:
    for router in ROUTERS:
        (tmp_path / router).mkdir()
        (tmp_path / router / "000-guest_network.json").write_text('{"type": "guestnetwork", "device": "eth2; reboot"}')
    digests = {router: status["digest"] for router, status in pair.status().items()}
    done = lab(pair, "burst", str(tmp_path), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert [part["rejected"] for part in report["routers"].values()] == [1, 1]
    assert report["routers"]["rA"]["rejections"][0]["file"] == "000-guest_network.json"
    assert {router: status["digest"] for router, status in pair.status().items()} == digests


def test_submit_prints_a_line_for_each_command(pair: Laboratory, tmp_path: Path) -> None:
    good = find_burst(None) / "rA/002-guest_network.json"
    bad = tmp_path / "network_acl.json"
    bad.write_text("{}")
    done = lab(pair, "submit", "rA", str(good), str(bad))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["status"] for line in lines] == ["unchanged", "rejected"]
    assert done.returncode == 1
    assert lab(pair, "submit", "rA", str(good)).returncode == 0


def test_status_prints_both(pair: Laboratory) -> None:
    both = json_of(lab(pair, "status", "--json"))
    assert both["rA"]["digest"] == both["rB"]["digest"]
    assert json_of(vpcrouter("--json", "lab", "--prefix", pair.names.prefix, "status")).keys() == both.keys()


ATTEMPTS = 3
"""A busy machine may hold one failover up; it is the failover that is judged, so one in three has to be clean."""


def test_a_crash_of_the_master_is_an_outage_of_400_ms_at_most(pair: Laboratory) -> None:
    """The other ways to crash are in test_fault_matrix."""
    seen = []
    for _ in range(ATTEMPTS):
        result = fail_over(pair, "kill")
        assert result.new_master is not None and result.new_master != result.crashed
        assert result.outage_ms > 0, "a crash that nobody noticed was none"
        assert set(pair.record.crashed) == {result.crashed}
        pair.heal()
        assert pair.wait(is_pair, SETTLED_S), pair.status()
        assert pair.record.crashed == {} and pair.record.cuts == {}
        assert lost(pair) == 0
        seen.append(result)
        if result.outage_ms <= 400 and len(result.outages) == 1:
            assert result.outages[0].start_ms >= -5, "traffic stopped before the crash"
            return
    pytest.fail(f"no outage of 400 ms at most, and in one piece: {seen}")


def test_a_rebooted_router_has_a_new_kernel_and_its_old_configuration(pair: Laboratory) -> None:
    namespace = pair.names.namespace("rA")
    inode = topology.inodes(pair.names)["rA"]
    done = json_of(lab(pair, "reboot", "rA", "--json"))["rA"]
    assert done["digest_before"] == done["digest_after"]
    assert done["settled"] is True
    assert pair.record.inodes["rA"] == topology.inodes(pair.names)["rA"]
    assert (topology.NAMESPACES / namespace).exists() and inode


def test_both_rebooted_are_a_pair_again(pair: Laboratory) -> None:
    before = pair.status()["rA"]["digest"]
    done = pair.reboot(ROUTERS)
    assert {each.digest_after for each in done.values()} == {before}
    assert pair.wait(is_pair, SETTLED_S), pair.status()
    assert lost(pair) == 0


@pytest.mark.timeout(180)
def test_the_demo_holds_and_leaves_nothing() -> None:
    laboratory = new_laboratory()
    done = lab(laboratory, "demo", "--json")
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert [check for check in result["checks"] if not check["holds"]] == []
    assert (done.returncode, result["holds"]) == (0, True)
    assert not laboratory.directory.exists()
    assert topology.inodes(laboratory.names) == {}


def test_up_replaces_what_a_crashed_laboratory_left_running() -> None:
    laboratory = new_laboratory()
    try:
        laboratory.up()
        old = {router: status["pid"] for router, status in laboratory.status().items()}
        (laboratory.directory / "lab.json").unlink()
        leftovers = laboratory.up(advertisement_ms=30)
        assert (leftovers.namespaces, leftovers.processes >= 2) == (12, True)
        new = {router: status["pid"] for router, status in laboratory.status().items()}
        assert not set(old.values()) & set(new.values())
        assert laboratory.record.advertisement_ms == 30
    finally:
        laboratory.down()
    assert not any(Path(f"/proc/{pid}").exists() for pid in (*old.values(), *new.values()))


@pytest.mark.parametrize("apart_s", [0.6, 0.75])
def test_guests_follow_the_remaining_master_when_a_partition_ends(pair: Laboratory, apart_s: float) -> None:
    """Both were master; the one that steps back was the last one whose gratuitous ARP they heard."""
    master, backup, guest = serving_pair(pair.status())
    with Probe(pair, guest, Target.parse("ext")) as probing:
        pair.cut_off(master)
        assert pair.wait(lambda status: status[backup]["role"] == "master", SETTLED_S)
        time.sleep(apart_s)
        healed_ns = time.monotonic_ns()
        pair.heal()
        assert pair.wait(is_pair, SETTLED_S), pair.status()
        time.sleep(1)
        report = probing.stop()
    healed_ms = (healed_ns - report.started_ns) / 1e6
    later = [outage for outage in report.outages if outage.start_ms >= healed_ms]
    # Measured: 0 to 1 ms; 0.2 s to 10 s without vrrp_higher_prio_send_advert, in one case of three.
    assert sum(outage.length_ms for outage in later) <= 100, later


def kill_agent_at(laboratory: Laboratory, router: str, seq: int) -> None:
    """SIGKILL as soon as the agent has acknowledged so many."""
    with laboratory.connect(router) as agent:
        while (status := agent.status())["seq"] < seq:
            time.sleep(0.001)
    os.kill(status["pid"], signal.SIGKILL)


def test_a_burst_over_an_agent_that_dies_tells_what_was_acknowledged(tmp_path: Path) -> None:
    entry = {"host_name": "h", "default_gateway": "10.1.2.1", "default_entry": True, "remove": False}
    for router in ROUTERS:
        shutil.copytree(find_burst(None) / router, tmp_path / router)
        for number in range(20, 90):
            lease = {**entry, "mac_address": f"02:0f:00:00:00:{number:02x}", "ipv4_address": f"10.1.2.{number}"}
            text = json.dumps({**lease, "type": "dhcpentry", "delete_from_processed_cache": False})
            (tmp_path / router / f"9{number}-vm_dhcp_entry.json").write_text(text)
    laboratory = new_laboratory()
    try:
        laboratory.up()
        killer = threading.Thread(target=kill_agent_at, args=(laboratory, "rA", 10))
        killer.start()
        report = run_burst(laboratory, burst_files(tmp_path))
        killer.join()
        first, second = report.routers["rA"], report.routers["rB"]
        assert first.error and first.commands < second.commands == second.accepted == 110
        assert not second.error and second.settled
        assert not report.is_good
        assert laboratory.reboot(["rA"])["rA"].settled
        assert laboratory.status()["rA"]["seq"] >= first.accepted
    finally:
        laboratory.down()
