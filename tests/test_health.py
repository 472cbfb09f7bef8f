"""Health checks fail on what makes a router useless, and on nothing else: the server recreates a router that fails."""

from __future__ import annotations

import json

from attrs import evolve

from vpcrouter.checkup import KINDS, check_run
from vpcrouter.cloudstack.health_results import alerts, monitor_results
from vpcrouter.health import Facts, judge
from vpcrouter.values.monitoring import Monitoring

WATCHED = Monitoring(
    services=("dhcp", "loadbalancing", "ssh"), gateways=("203.0.113.1",), least_disk_mb=100, most_cpu_percent=90
)
WELL = Facts(
    role="master",
    differences=(),
    down=(),
    silent_gateways=(),
    free_disk_mb=5000,
    cpu_percent=90,
    memory_percent=100,
)


def failing(facts: Facts, monitoring: Monitoring = WATCHED) -> set[str]:
    return {each.name for each in judge(facts, monitoring) if each.success == "FAILED"}


def with_differences(*differences: str) -> Facts:
    return Facts(role="master", differences=differences, down=(), silent_gateways=(), free_disk_mb=5000)


def test_a_router_that_is_well_fails_nothing() -> None:
    assert failing(WELL) == set()
    assert {each.name for each in judge(WELL, WATCHED) if each.success == "UNKNOWN"} == {
        "router_version_check.py",
        "ssh.service",
    }


def test_what_is_not_known_is_no_failure() -> None:
    assert failing(Facts()) == set()
    assert failing(Facts(), Monitoring()) == set()


def test_each_difference_fails_the_checks_that_are_named_after_it() -> None:
    assert failing(with_differences("nftables: rule x is missing")) == {"iptables_check.py"}
    assert failing(with_differences("dnsmasq: write /etc/x")) == {"dhcp_check.py", "dns_check.py"}
    assert failing(with_differences("kernel: add address", "conntrackd: restart")) == set(), "no check is named so"


def test_a_service_fails_whose_daemon_is_down_whatever_is_said_of_it() -> None:
    assert failing(evolve(WELL, down=("dnsmasq", "bgpd"))) == {"dhcp.service"}
    assert failing(evolve(WELL, down=("haproxy",))) == {"loadbalancing.service"}
    assert failing(with_differences("dnsmasq: starts slowly")) == {"dhcp_check.py", "dns_check.py"}


def test_limits_and_gateways() -> None:
    assert failing(Facts(free_disk_mb=99, cpu_percent=91, memory_percent=100)) == {
        "disk_space_check.py",
        "cpu_usage_check.py",
    }
    silent = Facts(role="master", silent_gateways=("203.0.113.1",))
    assert failing(silent) == {"gateways_check.py"}
    backup = Facts(role="backup", silent_gateways=("203.0.113.1",))
    assert failing(backup) == set(), "a backup has no way there"


def test_what_is_excluded_or_switched_off_is_not_made() -> None:
    some = Monitoring(excluded=("gateways_check.py", "cpu_usage_check.py"))
    assert {"gateways_check.py", "cpu_usage_check.py"}.isdisjoint(each.name for each in judge(WELL, some))
    assert judge(WELL, Monitoring(enabled=False)) == ()


def test_the_text_that_the_server_reads() -> None:
    results, start_ns = judge(Facts(free_disk_mb=1), WATCHED), 1780000000116 * 10**6
    text = monitor_results(check_run(kind, results, start_ns, start_ns + 7 * 10**6) for kind in KINDS)
    head, names, title, *rest = text.split("\n")
    assert (head, names, title) == ("FAILING CHECKS:", "disk_space_check.py", "MONITOR RESULTS:")
    read = json.loads("\n".join(rest))
    assert set(read) == {"basic", "advanced"}
    assert read["basic"]["lastRun"] == {"start": "2026-05-28 20:26:40", "end": "2026-05-28 20:26:40", "duration": "7"}
    disk = read["basic"]["disk_space_check.py"]
    assert disk == {
        "success": "FAILED",
        "lastUpdate": "1780000000123",
        "lastRunDuration": "7",
        "message": "1 MB free, 100 MB wanted",
    }
    assert set(read["advanced"]) == {
        "dhcp_check.py",
        "dns_check.py",
        "haproxy_check.py",
        "iptables_check.py",
        "lastRun",
    }


def test_alerts_are_one_line() -> None:
    assert alerts([]) == "No Alerts"
    text = alerts([("2026-05-28 20:26:40", 7, "repaired a\\nb\nc"), ("2026-05-28 20:26:41", 123, "x")])
    assert text == "2026-05-28 20:26:40,007 repaired a/nb c\\n2026-05-28 20:26:41,123 x"
