"""Namespaces, cables, cuts and what is left behind: with a router configured by hand, no agent."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.conftest import new_laboratory
from tests.lab.hand_made import PUBLIC, configure, run_in
from vpcrouter.appliers import _process
from vpcrouter.errors import CallerError, HostError
from vpcrouter.lab import machines, topology
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.probing import Probe, ProbeReport, Target

pytestmark = pytest.mark.lab


def probe(laboratory: Laboratory, source: str, target: Target, count: int = 200) -> ProbeReport:
    with Probe(laboratory, source, target, count=count) as probing:
        return probing.wait()


def sleeper(laboratory: Laboratory, node: str, *, marked: bool = True) -> subprocess.Popen[bytes]:
    """A process that would stay."""
    words, environment = laboratory.command_line(node, ["sleep", "300"])
    process = subprocess.Popen(words, env=environment if marked else {"PATH": os.environ["PATH"]})
    wanted = (topology.NAMESPACES / laboratory.names.namespace(node)).stat().st_ino
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process.pid}/ns/net").stat().st_ino != wanted and time.monotonic() < deadline:
        time.sleep(0.005)
    return process


def has_namespaces(laboratory: Laboratory) -> bool:
    return any((topology.NAMESPACES / name).exists() for name in laboratory.names.all)


def test_routers_are_bare_and_down(bare: Laboratory) -> None:
    for router in ROUTERS:
        links = {link["ifname"]: link for link in json.loads(run_in(bare, router, "ip", "-json", "address"))}
        assert list(links) == ["lo", *(f"eth{number}" for number in range(10))]
        for name, link in links.items():
            assert ("UP" in link["flags"]) == (name == "lo")
            assert name == "lo" or link["addr_info"] == []
        assert links["eth1"]["address"] == "06:00:00:00:00:01"


def test_hosts_reach_each_other_through_a_router(bare: Laboratory) -> None:
    configure(bare)
    for source, target in (("vm2", "ext"), ("vm9", "198.51.100.1"), ("vm3", "vm4")):
        report = probe(bare, source, Target.parse(target))
        assert (report.sent, report.lost, report.outages) == (200, 0, ())
    assert "203.0.113.10" in run_in(bare, "ext", "ip", "neighbour", "show"), "source NAT was not in the way"


def test_a_translated_address_is_probed_through_its_answerer(bare: Laboratory) -> None:
    configure(bare)
    target = Target.parse(PUBLIC, port=7000, answerer="vm2", answerer_port=7100)
    assert probe(bare, "ext", target).received == 200
    assert probe(bare, "ext", Target.parse(PUBLIC, port=7001, answerer="vm2", answerer_port=7100)).received == 0


def test_the_switch_keeps_quiet(bare: Laboratory) -> None:
    assert run_in(bare, "sw", "ip", "-6", "address", "show", "scope", "link") == ""


def test_a_pulled_cable_takes_the_carrier_and_a_silent_cut_does_not(bare: Laboratory) -> None:
    configure(bare)

    def carrier() -> str:
        return run_in(bare, "rA", "cat", "/sys/class/net/eth2/carrier").strip()

    assert probe(bare, "vm2", Target.parse("ext")).lost == 0
    bare.cut("rA", "eth2")
    assert carrier() == "0"
    assert probe(bare, "vm2", Target.parse("ext"), 20).received == 0
    assert bare.heal("rA", "eth2") == ("rA eth2",)
    assert carrier() == "1"
    bare.cut("rA", "eth2", silent=True)
    assert carrier() == "1"
    assert probe(bare, "vm2", Target.parse("ext"), 20).received == 0
    assert bare.record.cuts == {"rA-eth2": "silent"}
    assert bare.heal() == ("rA eth2",)
    assert probe(bare, "vm2", Target.parse("ext")).lost == 0
    assert bare.heal() == ()


def test_an_outage_is_measured(bare: Laboratory) -> None:
    configure(bare)
    with Probe(bare, "vm2", Target.parse("ext")) as probing:
        time.sleep(0.3)
        moments = [time.monotonic_ns()]
        bare.cut("rA", "eth2", silent=True)
        moments.append(time.monotonic_ns())
        time.sleep(0.2)
        moments.append(time.monotonic_ns())
        bare.heal("rA", "eth2")
        moments.append(time.monotonic_ns())
        time.sleep(0.3)
        report = probing.stop()
    cutting, cut, healing, healed = ((moment - report.started_ns) / 1e6 for moment in moments)
    (outage,) = report.outages
    assert outage.lost == report.lost
    # The cable was cut, and mended, at some moment of the two calls; the next probe after it shows it.
    assert cutting - 1 <= outage.start_ms <= cut + report.max_gap_ms
    assert healing - 1 <= outage.start_ms + outage.length_ms <= healed + report.max_gap_ms


def test_all_cables_of_a_router_are_cut_at_once(bare: Laboratory) -> None:
    configure(bare)
    assert probe(bare, "vm5", Target.parse("ext")).lost == 0
    bare.cut_off("rA")
    assert len(bare.record.cuts) == 10
    assert probe(bare, "vm5", Target.parse("ext"), 20).received == 0
    assert len(bare.heal()) == 10
    assert bare.record.crashed == {}
    assert probe(bare, "vm5", Target.parse("ext")).lost == 0


def test_a_killed_router_is_not_plugged_in_again(bare: Laboratory) -> None:
    """Its kernel still holds the addresses and would answer for them."""
    process = sleeper(bare, "rA")
    bare.crash("rA", "kill")
    process.wait(5)  # raises if it lives
    with pytest.raises(CallerError, match="lab reboot rA"):
        bare.heal("rA")
    assert len(bare.record.cuts) == 10


def test_a_router_without_its_namespace_is_reported_as_crashed(bare: Laboratory) -> None:
    bare.crash("rB", "namespace")
    assert "lab reboot rB" in bare.status()["rB"]["error"]
    with pytest.raises(HostError, match="lab reboot rB"):
        bare.command_line("rB", ["true"])


def test_a_router_is_rebuilt_at_once_after_it_was_removed(bare: Laboratory) -> None:
    configure(bare)
    topology.remove_router(bare.names, "rA")
    topology.build_router(bare.names, "rA")
    assert "10.1.2.1" not in run_in(bare, "rA", "ip", "-brief", "address")
    configure(bare)
    assert probe(bare, "vm2", Target.parse("ext")).lost == 0


def test_down_leaves_nothing() -> None:
    laboratory = new_laboratory()
    laboratory.build()
    process = sleeper(laboratory, "vm3")
    removed = laboratory.down()
    assert (removed.namespaces, removed.processes, removed.directory) == (12, 1, True)
    process.wait(5)  # raises if it lives
    assert not laboratory.directory.exists() and not has_namespaces(laboratory)
    assert not laboratory.down()


def test_down_finds_processes_whose_namespace_has_lost_its_name() -> None:
    laboratory = new_laboratory()
    laboratory.build()
    process = sleeper(laboratory, "vm3")
    _process.run(["ip", "netns", "delete", laboratory.names.namespace("vm3")])
    removed = laboratory.down()
    assert (removed.namespaces, removed.processes) == (11, 1)
    process.wait(5)  # raises if it lives


def test_a_namespaces_number_alone_ends_nobody(bare: Laboratory) -> None:
    """The kernel gives the number of a namespace to another one later."""
    process = sleeper(bare, "vm3", marked=False)
    try:
        inode = topology.inodes(bare.names)["vm3"]
        assert machines.kill([], [inode], bare.directory) == 0
        assert process.poll() is None
        assert machines.kill([inode], [], bare.directory) == 1
        process.wait(5)  # raises if it lives
    finally:
        process.kill()
        process.wait()


def test_our_own_namespace_is_never_cleared(bare: Laboratory) -> None:
    own = Path("/proc/self/ns/net").stat().st_ino
    assert list(machines.processes_in([own], [own], bare.directory)) == []


@pytest.mark.parametrize("damage", ["record", "directory", "switch", "nothing but names"])
def test_down_copes_with_what_a_crash_left(damage: str) -> None:
    laboratory = new_laboratory()
    laboratory.build()
    try:
        if damage == "record":
            (laboratory.directory / "lab.json").write_text("{")
        elif damage == "directory":
            _process.run(["rm", "-r", str(laboratory.directory)])
        elif damage == "switch":
            _process.run(["ip", "netns", "delete", laboratory.names.namespace("sw")])
        else:
            # What is left of a namespace after the machine lost power between making the file and mounting it.
            (topology.NAMESPACES / laboratory.names.namespace("vm9")).exists()
            _process.run(["ip", "netns", "delete", laboratory.names.namespace("vm9")])
            (topology.NAMESPACES / laboratory.names.namespace("vm9")).touch()
    finally:
        laboratory.down()
    assert not laboratory.directory.exists() and not has_namespaces(laboratory)


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="sudo"):
        new_laboratory().up()


def test_a_laboratory_that_is_not_up_says_so() -> None:
    with pytest.raises(HostError, match="lab up"):
        new_laboratory().status()
