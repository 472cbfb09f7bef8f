"""The metrics: their names are a promise, and every value comes from the status."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vpcrouter.durations import Durations
from vpcrouter.metrics import exposition

STATUS: dict[str, Any] = {
    "role": "backup",
    "role_since": 1700000000.5,
    "role_reason": 'keepalived: "eth2" is backup',
    "seq": 47,
    "settled_seq": 46,
    "settled": False,
    "ready": True,
    "connections": 12,
    "connections_missing": 0,
    "faults": ["kernel: there is no device eth7"],
    "pending": [],
    "digest": "aa",
    "differs": {"seconds": 12.5, "only_here": ["acl eth3"], "only_there": 2, "counts": {"here": 1, "there": 2}},
    "peers": [
        {
            "address": "10.1.2.3", "role": "master", "seq": 45, "digest": "bb", "ready": False, "heard_ms_ago": 130,
            "silent": False,
        },
        {
            "address": "10.1.2.4", "role": "backup", "seq": 9, "digest": "aa", "ready": True, "heard_ms_ago": 9000,
            "silent": True,
        },
    ],
    "health": [
        {"name": "dhcp_check.py", "kind": "advanced", "success": "FAILED", "message": "", "time": 1700000001.5},
        {"name": "dns_check.py", "kind": "advanced", "success": "SUCCESS", "message": "", "time": 1700000001.5},
        {"name": "gateways_check.py", "kind": "basic", "success": "UNKNOWN", "message": "", "time": 1700000002.5},
    ],
    "counters": {
        "commands": 40, "settles": 5, "drift": 2, "role_changes": 3, "handovers": 1, "double_masters": 1,
        "double_master_ms": 250, "keepalived_starts": 1, "keepalived_reloads": 4, "conntrackd_deaths": 2,
    },
    "settle_seconds": {"buckets": [["0.1", 2], ["+Inf", 3]], "sum": 1.5},
}  # fmt: skip


USAGE = [
    {
        "device": "eth2", "kind": "tier", "networks": ["10.1.2.0/24"],
        "in": {"packets": 1, "bytes": 100}, "out": {"packets": 2, "bytes": 200},
        "own": {"in": {"packets": 3, "bytes": 300}, "out": {"packets": 4, "bytes": 400}},
    }
]  # fmt: skip


def samples(status: dict[str, Any]) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(exposition(status, USAGE).decode()):
        for each in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(each.labels.items()))
            found[f"{each.name}{{{labels}}}" if labels else each.name] = each.value
    return found


def test_every_value_of_the_status_is_there() -> None:
    found = samples(STATUS)
    assert found["vpcrouter_role{role=backup}"] == 1
    assert found["vpcrouter_role{role=master}"] == 0
    expected = {
        "vpcrouter_role_since_timestamp_seconds": 1700000000.5,
        'vpcrouter_role_reason{reason=keepalived: "eth2" is backup}': 1,
        "vpcrouter_digest{digest=aa}": 1,
        "vpcrouter_seq": 47,
        "vpcrouter_settled_seq": 46,
        "vpcrouter_settled": 0,
        "vpcrouter_ready": 1,
        "vpcrouter_connections": 12,
        "vpcrouter_connections_missing": 0,
        "vpcrouter_faults": 1,
        "vpcrouter_pending": 0,
        "vpcrouter_peer_role{peer=10.1.2.3,role=master}": 1,
        "vpcrouter_peer_role{peer=10.1.2.3,role=backup}": 0,
        "vpcrouter_peer_role{peer=10.1.2.4,role=backup}": 1,
        "vpcrouter_peer_digest{digest=bb,peer=10.1.2.3}": 1,
        "vpcrouter_peer_age_seconds{peer=10.1.2.3}": 0.13,
        "vpcrouter_peer_silent{peer=10.1.2.3}": 0,
        "vpcrouter_peer_seq{peer=10.1.2.3}": 45,
        "vpcrouter_peer_ready{peer=10.1.2.3}": 0,
        "vpcrouter_digest_equal{peer=10.1.2.3}": 0,
        "vpcrouter_peer_age_seconds{peer=10.1.2.4}": 9,
        "vpcrouter_peer_silent{peer=10.1.2.4}": 1,
        "vpcrouter_peer_ready{peer=10.1.2.4}": 1,
        "vpcrouter_digest_equal{peer=10.1.2.4}": 1,
        "vpcrouter_digest_differs_seconds": 12.5,
        "vpcrouter_digest_differs_things{side=here}": 1,
        "vpcrouter_digest_differs_things{side=there}": 2,
        "vpcrouter_commands_total": 40,
        "vpcrouter_settles_total": 5,
        "vpcrouter_drift_total": 2,
        "vpcrouter_role_changes_total": 3,
        "vpcrouter_handovers_total": 1,
        "vpcrouter_double_masters_total": 1,
        "vpcrouter_double_master_seconds_total": 0.25,
        "vpcrouter_daemon_starts_total{daemon=keepalived}": 1,
        "vpcrouter_daemon_reloads_total{daemon=keepalived}": 4,
        "vpcrouter_daemon_deaths_total{daemon=conntrackd}": 2,
        "vpcrouter_bytes_total{device=eth2,kind=tier,way=in,whose=forwarded}": 100,
        "vpcrouter_bytes_total{device=eth2,kind=tier,way=out,whose=own}": 400,
        "vpcrouter_packets_total{device=eth2,kind=tier,way=in,whose=own}": 3,
        "vpcrouter_packets_total{device=eth2,kind=tier,way=out,whose=forwarded}": 2,
        "vpcrouter_health_check{check=dhcp_check.py,kind=advanced}": 0,
        "vpcrouter_health_check{check=dns_check.py,kind=advanced}": 1,
        "vpcrouter_health_check{check=gateways_check.py,kind=basic}": None,
        "vpcrouter_health_checked_timestamp_seconds{kind=basic}": 1700000002.5,
        "vpcrouter_settle_seconds_bucket{le=0.1}": 2,
        "vpcrouter_settle_seconds_count": 3,
        "vpcrouter_settle_seconds_sum": 1.5,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_what_is_unknown_has_no_sample() -> None:
    found = samples({**STATUS, "peers": [], "ready": None, "differs": None})
    of_peers = ("vpcrouter_peer", "vpcrouter_digest_")
    assert not [name for name in found if name.startswith(of_peers) or name == "vpcrouter_ready"]


def test_routers_that_are_configured_alike_differ_in_nothing() -> None:
    found = samples({**STATUS, "differs": None})
    assert found["vpcrouter_digest_differs_things{side=here}"] == found["vpcrouter_digest_differs_seconds"] == 0


def test_every_name_is_documented() -> None:
    text = Path(__file__).parents[1].joinpath("docs/operations.md").read_text()
    names = {re.sub(r"(_bucket|_count|_sum)?(\{.*)?$", "", name) for name in samples(STATUS)}
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_a_histogram_counts_what_took_no_longer() -> None:
    durations = Durations((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        durations.note(seconds)
    assert durations.as_dict() == {"buckets": [["0.1", 2], ["1", 3], ["+Inf", 4]], "sum": 7.65}


@pytest.mark.parametrize("module", ["vpcrouter.agent", "vpcrouter.cli"])
def test_nobody_pays_for_metrics_that_nobody_asked_for(module: str) -> None:
    code = f"import sys, {module}; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
