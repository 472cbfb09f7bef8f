"""What the management server reads of a router's health, from real routers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.lab.hand_made import run_in
from tests.lab.test_commands import vpcrouter
from tests.lab.test_guest_web import eventually, serving_and_other, submit
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS

INTERVALS = {
    "type": "monitorservice",
    "config": "[dhcp]:processname=dnsmasq:servicename=dnsmasq:pidfile=/var/run/dnsmasq/dnsmasq.pid:,",
    "health_checks_enabled": True,
    "health_checks_basic_run_interval": 3,
    "health_checks_advanced_run_interval": 10,
    "health_checks_config": {"systemThresholds": "minDiskNeeded=100.0,maxCpuUsage=100.0,maxMemoryUsage=100.0;"},
}

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def ask(laboratory: Laboratory, router: str, *words: str) -> str:
    done = vpcrouter("--journal", str(laboratory.machines[router].journal), "cloudstack", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def results(laboratory: Laboratory, router: str, now: str = "true") -> tuple[str, dict[str, Any]]:
    """The line of failing checks, and all results by name."""
    head, failing, title, text = ask(laboratory, router, "monitor-results", now).split("\n", 3)
    assert (head, title) == ("FAILING CHECKS:", "MONITOR RESULTS:")
    return failing, {name: each for found in json.loads(text).values() for name, each in found.items()}


def stored(kept: Path) -> dict[str, Any]:
    """The results in the file that the management server reads."""
    found: dict[str, Any] = json.loads(kept.read_text().split("MONITOR RESULTS:\n")[1])
    return found


def succeeds(kept: Path, kind: str, check: str) -> bool:
    """Whether it has been made, and well; results of before the command that names a service do not have that one."""
    return kept.exists() and stored(kept)[kind].get(check, {}).get("success") == "SUCCESS"


def metric(laboratory: Laboratory, router: str, check: str, kind: str) -> float | None:
    text = vpcrouter("--journal", str(laboratory.machines[router].journal), "metrics").stdout
    line = f'vpcrouter_health_check{{check="{check}",kind="{kind}"}} '
    return next((float(each.removeprefix(line)) for each in text.splitlines() if each.startswith(line)), None)


def test_a_pair_that_is_well_fails_nothing(pair: Laboratory) -> None:
    for router in ROUTERS:
        for now in ("true", "false"):
            failing, found = results(pair, router, now)
            assert failing == ""
            assert found["iptables_check.py"]["success"] == found["dhcp_check.py"]["success"] == "SUCCESS"
        assert ask(pair, router, "filesystem-writable") == ""


def test_what_is_repaired_is_an_alert_and_no_failure(pair: Laboratory) -> None:
    serving, _ = serving_and_other(pair)
    run_in(pair, serving, "nft", "flush", "chain", "inet", "vpcrouter", "input")
    assert results(pair, serving)[0] == ""
    assert eventually(lambda: "repaired" in ask(pair, serving, "alerts", "1970-01-01", "00:00:00"))
    assert ask(pair, serving, "alerts", "2999-01-01", "00:00:00") == "No Alerts\n"


def test_what_cannot_be_repaired_fails_and_heals(pair: Laboratory) -> None:
    """A directory stands where a file of dnsmasq belongs. Nobody asks for checks: they are made as configured."""
    serving, _ = serving_and_other(pair)
    machine = pair.machines[serving]
    submit(pair, INTERVALS)
    kept = machine.root / "run/vpcrouter/monitor_results"
    assert eventually(lambda: succeeds(kept, "advanced", "dns_check.py"), 15)
    assert metric(pair, serving, "dns_check.py", "advanced") == 1
    first = stored(kept)["advanced"]["dns_check.py"]["lastUpdate"]

    taken = machine.root / "etc/vpcrouter/dnsmasq.hosts"
    taken.unlink()
    taken.mkdir()
    try:
        assert eventually(lambda: "dns_check.py" in kept.read_text().splitlines()[1], 20), kept.read_text()
        assert results(pair, serving, "false")[0] == kept.read_text().splitlines()[1]
        assert stored(kept)["advanced"]["dns_check.py"]["success"] == "FAILED"
        assert metric(pair, serving, "dns_check.py", "advanced") == 0
        assert "dns_check.py fails: dnsmasq: " in ask(pair, serving, "alerts")
        assert "dns_check.py fails: dnsmasq: " in machine.output.read_text()
    finally:
        taken.rmdir()
    assert eventually(lambda: kept.read_text().splitlines()[1] == "", 20), kept.read_text()
    assert metric(pair, serving, "dns_check.py", "advanced") == 1
    assert "dns_check.py is well again" in ask(pair, serving, "alerts")
    assert int(stored(kept)["advanced"]["dns_check.py"]["lastUpdate"]) > int(first)


def test_a_service_that_cannot_be_started_again_fails(pair: Laboratory) -> None:
    """A directory stands where dnsmasq's output belongs, and the one that ran is killed."""
    serving, _ = serving_and_other(pair)
    machine = pair.machines[serving]
    submit(pair, INTERVALS)
    kept, output = machine.root / "run/vpcrouter/monitor_results", machine.root / "run/vpcrouter/dnsmasq.log"
    assert eventually(lambda: succeeds(kept, "basic", "dhcp.service"), 15)
    output.unlink()
    output.mkdir()
    try:
        for pid in machine.pids("dnsmasq"):
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: "dhcp.service" in kept.read_text().splitlines()[1], 20), kept.read_text()
        assert metric(pair, serving, "dhcp.service", "basic") == 0
        assert "dhcp.service fails: dnsmasq does not run" in ask(pair, serving, "alerts")
    finally:
        output.rmdir()
    assert eventually(lambda: kept.read_text().splitlines()[1] == "", 20), kept.read_text()
    assert "dhcp.service is well again" in ask(pair, serving, "alerts")
