"""A pair with a second public device: answers leave by the device that the question came in by, on either router.

eth9 stands in for it, and vm9 for its upstream router: 198.18.5.1, and FAR behind it, which nobody on eth1 can reach.
Both routers have a MAC of their own on eth9.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S, new_laboratory
from tests.lab.hand_made import run_in
from tests.lab.test_drift import REPAIRED_S, differences, repaired, roles, within
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.demo import find_burst
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow]

UPSTREAM, FAR, PUBLIC = "198.18.5.1", "198.18.200.1", "198.18.5.10"
MARK = 1009
PORT = 7777
COMMANDS: dict[str, dict[str, Any]] = {
    "ip_associations.json": {
        "ip_address": [
            {
                "public_ip": PUBLIC, "source_nat": False, "add": True, "one_to_one_nat": False, "first_i_p": True,
                "gateway": UPSTREAM, "netmask": "255.255.255.0", "nic_dev_id": 9, "new_nic": False,
                "nw_type": "Public", "is_private_gateway": False,
            }
        ],
        "type": "ips",
        "delete_from_processed_cache": False,
    },
    "forwarding_rules.json": {
        "rules": [
            {
                "revoke": False, "protocol": "udp", "source_ip_address": PUBLIC, "source_port_range": f"{PORT}:{PORT}",
                "destination_ip_address": "10.1.2.100", "destination_port_range": f"{PORT}:{PORT}",
                "source_cidr_list": "",
            }
        ],
        "type": "forwardrules",
        "delete_from_processed_cache": False,
    },
    "network_acl.json": {
        "device": "eth2", "mac_address": "02:01:00:02:00:0a", "private_gateway_acl": False,
        "nic_ip": "10.1.2.2", "nic_netmask": "24",
        "ingress_rules": [{"type": "all", "cidr": "0.0.0.0/0", "allowed": True}], "egress_rules": [],
        "type": "networkacl", "delete_from_processed_cache": False,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def two_ways() -> Iterator[Laboratory]:
    laboratory = new_laboratory()
    try:
        laboratory.up()
        assert run_burst(laboratory, burst_files(find_burst(None))).is_good
        for line in (
            f"address add {UPSTREAM}/24 dev eth0",
            f"address add {FAR}/32 dev eth0",
            f"route replace 198.18.5.0/24 dev eth0 src {FAR}",
        ):
            run_in(laboratory, "vm9", "ip", *line.split())
        for router in ROUTERS:
            with laboratory.connect(router) as agent:
                for name, command in COMMANDS.items():
                    (outcome,) = agent.submit(name, json.dumps(command))
                    assert outcome["status"] == "accepted", outcome
        assert laboratory.wait(is_pair, SETTLED_S), laboratory.status()
        yield laboratory
    finally:
        laboratory.down()


def test_both_routers_have_the_rules_and_tables(two_ways: Laboratory) -> None:
    for router in ROUTERS:
        assert f"fwmark 0x{MARK:x} lookup {MARK} proto 77" in run_in(two_ways, router, "ip", "rule")
        listed = run_in(two_ways, router, "ip", "route", "show", "table", str(MARK))
        assert f"default via {UPSTREAM} dev eth9" in listed


BY_HAND = {
    "a deleted rule": f"ip rule del fwmark {MARK}",
    "a rule that asks a table of ours": f"ip rule add from 10.1.2.0/24 lookup {MARK}",
    "a flushed table": f"ip route flush table {MARK}",
    "another default route in a table": f"ip route replace default via 198.18.5.77 dev eth9 table {MARK}",
}


@pytest.mark.parametrize("role", ["master", "backup"])
@pytest.mark.parametrize("line", BY_HAND.values(), ids=BY_HAND.keys())
def test_what_is_changed_by_hand_is_put_back(two_ways: Laboratory, line: str, role: str) -> None:
    router = roles(two_ways)[role]
    assert within(SETTLED_S, lambda: differences(two_ways, router) == [])
    before = two_ways.status()[router]["counters"].get("drift", 0)
    run_in(two_ways, router, *line.split())
    assert within(REPAIRED_S, lambda: repaired(two_ways, router, before)), differences(two_ways, router)


def test_answers_leave_by_the_second_device_also_on_the_next_master(two_ways: Laboratory) -> None:
    master, backup = roles(two_ways)["master"], roles(two_ways)["backup"]
    with Probe(two_ways, "vm9", Target.parse(PUBLIC, port=PORT, answerer="vm2")) as probing:
        time.sleep(1)
        assert within(2.0, lambda: f"mark={MARK}" in connections(two_ways, backup)), "the peer is told the mark"
        crashed = time.monotonic_ns()
        two_ways.crash(master, "links")
        time.sleep(2)
        report = probing.stop()
    assert [each for each in report.outages if report.started_ns + each.start_ms * 1e6 < crashed] == []
    assert report.received > report.sent / 2, report
    assert report.longest_outage_ms < 1500, report
    two_ways.heal()
    assert two_ways.wait(is_pair, SETTLED_S), two_ways.status()


def connections(laboratory: Laboratory, router: str) -> str:
    """The forwarded connections that a router's kernel knows."""
    argv, environment = laboratory.command_line(router, ["conntrack", "-L", "-p", "udp", "--orig-dst", PUBLIC])
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
