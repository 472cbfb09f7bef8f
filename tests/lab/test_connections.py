"""Connections outlive more than one failover: a router is ready when it has them, and it has them soon after harm."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_drift import pid_of, roles
from tests.lab.wiretap import heard_at_the_switch
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.probing import Probe, Target, Transfer
from vpcrouter.lab.steps import BUSY_MS, take_over_ms

pytestmark = [pytest.mark.lab, pytest.mark.slow]

OTHER = {"rA": "rB", "rB": "rA"}
NOTICED_S = 5.0
"""A broken synchronisation is noticed, repaired and the connections are in step again within this."""
CRASH_MS = take_over_ms(100) + BUSY_MS
TCP_FLAGS, RST = 47, 4
PATIENCE_S = 14.0
"""A stream that stands still for longer than this counts as broken (`transfer`)."""

FLOWS: Mapping[str, Mapping[str, Any]] = {
    "source NAT": {"server": "ext", "client": "vm2"},
    "port forwarding": {"server": "vm2", "client": "ext", "port": 80, "by": ("203.0.113.11", 80)},
    "static NAT, inwards": {"server": "vm4", "client": "ext", "port": 443, "by": ("203.0.113.13", 443)},
    "static NAT, outwards": {"server": "ext", "client": "vm4"},
}


@contextmanager
def flows(pair: Laboratory) -> Iterator[dict[str, Transfer]]:
    """A TCP stream of each kind of translation."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Transfer(pair, bytes_per_s=100_000, **each)) for name, each in FLOWS.items()}


def assert_alive(streams: Mapping[str, Transfer]) -> None:
    reports = {name: stream.stop() for name, stream in streams.items()}
    assert all(report.survived for report in reports.values()), reports
    assert all(report.longest_pause_ms < PATIENCE_S * 1000 for report in reports.values()), reports


def is_ready_pair(status: dict[str, dict[str, Any]]) -> bool:
    return is_pair(status) and sorted(str(each["ready"]) for each in status.values()) == ["None", "True"]


def wait_ready(pair: Laboratory, within_s: float) -> None:
    assert pair.wait(is_ready_pair, within_s), {
        router: (each.get("role"), each.get("not_ready"), each.get("faults")) for router, each in pair.status().items()
    }


def fail_over(pair: Laboratory, how: str) -> str:
    """Crash the master; the other one must take over. Returns the crashed one."""
    crashed = roles(pair)["master"]
    pair.crash(crashed, how)
    assert pair.wait(lambda status: status[OTHER[crashed]].get("role") == "master", SETTLED_S)
    return str(crashed)


def test_a_router_that_comes_back_is_ready_only_with_the_connections(pair: Laboratory) -> None:
    """Two crashes with a reboot between: what was opened before the first still lives after the second."""
    wait_ready(pair, SETTLED_S)
    with flows(pair) as streams:
        time.sleep(1)
        first = fail_over(pair, "kill")
        pair.reboot([first])
        seen = []
        deadline = time.monotonic() + SETTLED_S
        while not (status := pair.status()[first])["ready"]:
            seen.append(status["not_ready"])
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)
        assert status["connections"] >= len(FLOWS)
        second = fail_over(pair, "kill")
        time.sleep(1)
        assert_alive(streams)
    assert (first, second) == (OTHER[second], OTHER[first])


def is_tcp(frame: bytes) -> bool:
    """In IPv4 without options."""
    return frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP


def test_a_new_master_resets_nothing(pair: Laboratory) -> None:
    """Its kernel has every connection before the first packet comes: there is nothing that has to be committed."""
    wait_ready(pair, SETTLED_S)
    with flows(pair) as streams:
        time.sleep(1)
        with heard_at_the_switch(pair, lambda _, frame: is_tcp(frame)) as heard:
            fail_over(pair, "links")
            time.sleep(1.5)
        assert_alive(streams)
    assert len(heard) > 1_000, "nothing was heard at all"
    assert [each for each in heard if each[2][TCP_FLAGS] & RST] == []


def edit_and_restart(pair: Laboratory, router: str) -> None:
    """Somebody mends conntrackd.conf by hand, wrongly, and restarts it."""
    path = Path(pair.machines[router].root, "etc/vpcrouter/conntrackd.conf")
    text = path.read_text()
    path.write_text(text.replace("225.0.0.50", "225.0.0.99"))
    os.kill(pid_of(pair, router, "conntrackd"), signal.SIGKILL)
    namespace = pair.names.namespace(router)
    lock = Path(pair.machines[router].root, "run/vpcrouter/conntrackd.lock")
    lock.unlink(missing_ok=True)
    subprocess.run(
        ["ip", "netns", "exec", namespace, "conntrackd", "-C", str(path), "-d"], check=False, capture_output=True
    )


def ruin(pair: Laboratory, router: str) -> None:
    """The file becomes nonsense, and conntrackd dies."""
    Path(pair.machines[router].root, "etc/vpcrouter/conntrackd.conf").write_text("Sync { Mode NONSENSE {\n")
    os.kill(pid_of(pair, router, "conntrackd"), signal.SIGKILL)


HARM = {
    "killed": lambda pair, router: os.kill(pid_of(pair, router, "conntrackd"), signal.SIGKILL),
    "stopped": lambda pair, router: os.kill(pid_of(pair, router, "conntrackd"), signal.SIGSTOP),
    "ended": lambda pair, router: os.kill(pid_of(pair, router, "conntrackd"), signal.SIGTERM),
    "misconfigured": edit_and_restart,
    "ruined": ruin,
}


# In this order each failover makes the next harm the other router's: the agent waits longer and longer before it starts
# a daemon again that dies again and again.
@pytest.mark.timed
@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("on_the", ["master", "backup"])
def test_a_broken_synchronisation_is_repaired_and_proven(pair: Laboratory, harm: str, on_the: str) -> None:
    """Connections that were opened while it was broken are there 5 s later, and live through a failover.

    Not earlier: until the next connections are named, a backup is ready by those that were named before the harm.
    """
    wait_ready(pair, SETTLED_S)
    HARM[harm](pair, roles(pair)[on_the])
    with flows(pair) as streams:
        time.sleep(NOTICED_S)
        wait_ready(pair, 0.0)
        assert min(status["connections"] for status in pair.status().values()) >= len(FLOWS)
        fail_over(pair, "links")
        time.sleep(1)
        assert_alive(streams)


@pytest.mark.timed
def test_no_connection_of_the_serving_router_is_made_anew(pair: Laboratory) -> None:
    """conntrackd makes what it has and is told of anew, by destroying it first; an answer that comes then is lost."""
    wait_ready(pair, SETTLED_S)
    master = roles(pair)["master"]
    words = ["ip", "netns", "exec", pair.names.namespace(master), "conntrack", "-E", "-e", "DESTROY"]
    with flows(pair) as streams:
        time.sleep(1)
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as events:
            for router in (OTHER[master], master):
                HARM["killed"](pair, router)
                time.sleep(0.5)
                wait_ready(pair, SETTLED_S)
            events.terminate()
            destroyed = events.communicate()[0].splitlines()
        assert_alive(streams)
    assert [each for each in destroyed if "progname=conntrackd" in each] == []


def test_connections_that_the_backup_has_lost_are_noticed_and_fetched(pair: Laboratory) -> None:
    """Nothing died and nothing was reported: only the comparison can tell."""
    wait_ready(pair, SETTLED_S)
    with flows(pair) as streams:
        time.sleep(NOTICED_S)
        backup = roles(pair)["backup"]
        namespace = pair.names.namespace(backup)
        subprocess.run(["ip", "netns", "exec", namespace, "conntrack", "-F"], check=True, capture_output=True)
        assert pair.wait(lambda status: status[backup]["ready"] is False, NOTICED_S), pair.status()[backup]
        wait_ready(pair, NOTICED_S)
        fail_over(pair, "links")
        time.sleep(1)
        assert_alive(streams)


def test_connections_live_on_with_both_agents_dead(pair: Laboratory) -> None:
    """There and back by keepalived, conntrackd and the kernel alone."""
    wait_ready(pair, SETTLED_S)
    master = roles(pair)["master"]
    agents = {router: pair.machines[router].status()["pid"] for router in ROUTERS}
    with flows(pair) as streams, Probe(pair, "vm5", Target.parse("ext")) as probing:
        time.sleep(1)
        for pid in agents.values():
            os.kill(pid, signal.SIGKILL)
        for router in (master, OTHER[master]):
            pair.cut_off(router)
            time.sleep(1.5)
            pair.heal()
            time.sleep(1.0)
        outages = probing.stop()
        for router in ROUTERS:
            pair.machines[router].wait_until_it_answers(pair.machines[router].start(pair.record.advertisement_ms))
        assert pair.wait(is_pair, SETTLED_S), pair.status()
        assert_alive(streams)
    assert roles(pair)["master"] == master
    assert 0 < outages.longest_outage_ms <= CRASH_MS, outages


def test_a_flow_that_is_used_for_long_stays_known_to_the_backup(pair: Laboratory) -> None:
    """The kernel forgets UDP after a time without packets (here 6 s), and the backup sees none."""
    wait_ready(pair, SETTLED_S)
    timeouts = [f"net.netfilter.nf_conntrack_udp_timeout{suffix}" for suffix in ("", "_stream")]
    try:
        for router in ROUTERS:
            for name in timeouts:
                sysctl(pair, router, f"{name}=6")
        with Probe(pair, "vm2", Target.parse("ext"), interval_ms=20) as probing:
            time.sleep(14)
            backup = roles(pair)["backup"]
            assert pair.status()[backup]["ready"] is True
            fail_over(pair, "links")
            time.sleep(1.5)
            report = probing.stop()
        assert len(report.outages) == 1 and report.longest_outage_ms < 1000, report
    finally:
        pair.heal()
        for router in ROUTERS:
            for name, seconds in zip(timeouts, (30, 120), strict=True):
                sysctl(pair, router, f"{name}={seconds}")


def sysctl(pair: Laboratory, router: str, setting: str) -> None:
    subprocess.run(["ip", "netns", "exec", pair.names.namespace(router), "sysctl", "-q", "-w", setting], check=True)
