"""What the management server reads of a router's health, from real routers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.hand_made import run_in
from tests.lab.test_commands import vpcrouter
from tests.lab.test_guest_web import eventually, serving_and_other
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS

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
    """A directory stands where a file of dnsmasq belongs."""
    serving, _ = serving_and_other(pair)
    config = pair.machines[serving].root / "etc/vpcrouter"
    taken = config / "dnsmasq.hosts"
    taken.unlink()
    taken.mkdir()
    try:
        assert eventually(lambda: "dns_check.py" in results(pair, serving)[0], 15)
    finally:
        taken.rmdir()
    assert eventually(lambda: results(pair, serving)[0] == "", 15)
