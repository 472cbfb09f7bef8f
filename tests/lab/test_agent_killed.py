"""An agent that is killed with -9 loses nothing it acknowledged, and its successor disturbs nothing."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_drift import differences, pids_of, roles, within
from vpcrouter.errors import HostError
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROUNDS = 8


def lease(number: int, *, remove: bool = False) -> str:
    return (
        f'{{"host_name":"k{number}","mac_address":"02:0f:00:00:{number >> 8:02x}:{number & 255:02x}",'
        f'"ipv4_address":"10.1.6.{number}","default_gateway":"10.1.6.1","default_entry":true,'
        f'"remove":{"true" if remove else "false"},"type":"dhcpentry","delete_from_processed_cache":false}}'
    )


class Sender(threading.Thread):
    """Submits leases one after the other until the agent is gone; remembers what was acknowledged."""

    def __init__(self, pair: Laboratory, router: str, numbers: range) -> None:
        super().__init__()
        self.pair, self.router, self.numbers = pair, router, numbers
        self.acknowledged: list[int] = []

    def run(self) -> None:
        try:
            with self.pair.connect(self.router) as agent:
                for number in self.numbers:
                    (line,) = agent.submit("vm_dhcp_entry.json", lease(number))
                    assert line["status"] == "accepted", line
                    self.acknowledged.append(number)
        except HostError:
            pass


def daemons(pair: Laboratory, router: str) -> dict[str, list[int]]:
    """Beside conntrackd itself, the oldest of that name, there may be one that tells it something just now."""
    found = {name: pids_of(pair, router, name) for name in ("keepalived", "conntrackd", "dnsmasq")}
    return {**found, "conntrackd": found["conntrackd"][:1]}


def reserved(pair: Laboratory, router: str) -> set[str]:
    from vpcrouter.past import replay

    return set(replay(pair.directory / router / "journal").state.reservations)


def restart(pair: Laboratory, router: str) -> dict[str, Any]:
    pid = pair.machines[router].start(100)
    return pair.machines[router].wait_until_it_answers(pid)


@pytest.mark.parametrize("role", ["master", "backup"])
def test_killed_in_mid_burst(pair: Laboratory, role: str) -> None:
    router = roles(pair)[role]
    chance = random.Random(7)
    before = daemons(pair, router)
    seq = pair.status()[router]["seq"]
    start = 20
    with Probe(pair, "vm2", Target.parse("ext"), count=30_000) as probing:
        for _ in range(ROUNDS):
            sender = Sender(pair, router, range(start, 250))
            sender.start()
            time.sleep(chance.uniform(0.01, 0.08))
            os.kill(pair.machines[router].status()["pid"], signal.SIGKILL)
            sender.join()
            restart(pair, router)
            there = reserved(pair, router)
            assert {f"10.1.6.{number}" for number in sender.acknowledged} <= there
            start += len(sender.acknowledged) + 1
        result = probing.stop()
    assert result.lost == 0
    assert pair.wait(is_pair, SETTLED_S), pair.status()
    after = pair.status()[router]
    assert after["role"] == role
    assert after["counters"].get("role_changes", 0) <= 1, "init → what keepalived says, and nothing else"
    assert after["seq"] > seq
    now = daemons(pair, router)
    assert (now["keepalived"], now["conntrackd"]) == (before["keepalived"], before["conntrackd"])
    assert len(now["dnsmasq"]) == 1
    # Who is heard where is still being learnt by an agent that has just begun, and each time the ruleset follows.
    assert within(5.0, lambda: differences(pair, router) == [])
    with pair.connect(router) as agent:
        for number in range(20, start + 2):
            agent.submit("vm_dhcp_entry.json", lease(number, remove=True))


def test_a_command_while_the_agent_is_dead_takes_effect_when_it_is_back(pair: Laboratory) -> None:
    from vpcrouter.cli.submit import open_door

    router = roles(pair)["backup"]
    os.kill(pair.machines[router].status()["pid"], signal.SIGKILL)
    time.sleep(0.1)
    with open_door(pair.directory / router / "journal") as door:
        assert door.submit("vm_dhcp_entry.json", lease(251))[0]["status"] == "accepted"
    status = restart(pair, router)
    with pair.connect(router) as agent:
        assert agent.settled(status["seq"], 5)["settled"]
        hosts = pair.directory / router / "root/etc/vpcrouter/dnsmasq.hosts"
        assert "10.1.6.251 " in hosts.read_text()
        agent.submit("vm_dhcp_entry.json", lease(251, remove=True))
