"""What guests send and get is counted by device, and nothing that happens to the configuration resets it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.lab.hand_made import run_in
from tests.lab.test_commands import vpcrouter
from tests.lab.test_drift import by_hand, differences, roles, within
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PROBES = 500


def usage(pair: Laboratory, router: str) -> dict[str, dict[str, Any]]:
    with pair.connect(router) as agent:
        return {each["device"]: each for each in agent.usage()}


def exchange(pair: Laboratory) -> None:
    """Probes from vm2 to the outside, each answered."""
    with Probe(pair, "vm2", Target.parse("ext"), count=PROBES) as probing:
        assert probing.wait().received == PROBES


def test_what_is_forwarded_is_counted_on_both_sides_and_survives_settles(pair: Laboratory) -> None:
    master, backup = roles(pair)["master"], roles(pair)["backup"]
    before, idle = usage(pair, master), usage(pair, backup)
    exchange(pair)
    after = usage(pair, master)
    assert {each["kind"] for each in after.values()} == {"tier", "public"}
    for device, way in (("eth2", "out"), ("eth2", "in"), ("eth1", "in"), ("eth1", "out")):
        more = {what: after[device][way][what] - before[device][way][what] for what in ("packets", "bytes")}
        assert PROBES <= more["packets"] <= PROBES + 50, (device, way, more)
        assert more["bytes"] >= more["packets"] * 28
    other = usage(pair, backup)["eth2"]
    assert all(other[way] == idle["eth2"][way] for way in ("in", "out")), "each router counts what it forwards itself"

    drift = pair.status()[master]["counters"].get("drift", 0)
    by_hand(pair, master, "nft flush ruleset")
    assert within(5.0, lambda: pair.status()[master]["counters"].get("drift", 0) > drift)
    assert within(5.0, lambda: differences(pair, master) == [])
    assert usage(pair, master)["eth2"]["in"]["packets"] >= after["eth2"]["in"]["packets"]


def test_what_the_router_itself_gets_and_sends_is_counted_apart(pair: Laboratory) -> None:
    """Pings of the gateway address end at the router that serves."""
    master = roles(pair)["master"]
    before = usage(pair, master)["eth2"]
    run_in(pair, "vm2", "ping", "-n", "-q", "-c", "50", "-i", "0.01", "-s", "1000", "10.1.2.1")
    after = usage(pair, master)["eth2"]
    for way in ("in", "out"):
        more = {what: after["own"][way][what] - before["own"][way][what] for what in ("packets", "bytes")}
        assert 50 <= more["packets"] <= 500, (way, more)
        assert 50 * 1028 <= more["bytes"] <= 100 * 1028, (way, more)
        assert after[way]["bytes"] - before[way]["bytes"] < 50 * 1028, "it was not forwarded"


def test_the_metrics_have_it(pair: Laboratory) -> None:
    master = roles(pair)["master"]
    exchange(pair)
    counted = usage(pair, master)["eth2"]["in"]["bytes"]
    text = vpcrouter("--journal", str(pair.machines[master].journal), "metrics").stdout
    head = 'vpcrouter_bytes_total{device="eth2",kind="tier",way="in",whose="forwarded"} '
    found = next(float(each.removeprefix(head)) for each in text.splitlines() if each.startswith(head))
    assert found >= counted > 0


def test_the_management_server_reads_the_same(pair: Laboratory) -> None:
    master = roles(pair)["master"]
    exchange(pair)

    def cli(*words: str) -> str:
        argv, environment = pair.command_line(master, [sys.executable, "-m", "vpcrouter", *words])
        environment["VPCROUTER_JOURNAL"] = str(pair.machines[master].journal)
        return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout

    counted = usage(pair, master)["eth1"]
    out, into, end = cli("cloudstack", "netusage", "-l", "203.0.113.11", "-g").split(":")
    assert int(out) >= counted["out"]["bytes"] > 0
    assert int(into) >= counted["in"]["bytes"] > 0
    assert end == "\n"
    assert cli("cloudstack", "netusage", "-l", "203.0.113.11", "-c", "-v", "10.1.0.0/16") == ""
    listed = json.loads(cli("--json", "status"))["usage"]
    assert [each["device"] for each in listed][:2] == ["eth1", "eth2"]
