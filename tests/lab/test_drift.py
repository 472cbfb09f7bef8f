"""What somebody changes by hand on a router is put back within 2 s, and reported."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vpcrouter.lab.holders import Holders
from vpcrouter.lab.laboratory import Laboratory

pytestmark = [pytest.mark.lab, pytest.mark.slow]

REPAIRED_S = 2.0
ADVERTISEMENT_S = 0.1

BY_HAND = {
    "a flushed ruleset": "nft flush ruleset",
    "a deleted table": "nft delete table inet vpcrouter",
    "a rule in front": "nft insert rule inet vpcrouter input accept",
    "a deleted own address": "ip addr del 10.1.3.{own}/24 dev eth3",
    "a foreign address": "ip addr add 192.0.2.77/24 dev eth3",
    "a foreign route": "ip route add 192.0.2.0/24 via 10.1.3.14 dev eth3",
    "a deleted static route": "ip route del 198.51.100.128/26",
    "a deleted route to a tier": "ip route del 10.1.3.0/24 dev eth3",
    "a changed setting": "sysctl -q -w net.ipv4.conf.eth3.rp_filter=0",
    "a changed MTU": "ip link set eth4 mtu 1300",
    "a device set down": "ip link set eth4 down",
}
ON_THE_MASTER = {
    "a deleted gateway": "ip addr del 10.1.3.1/24 dev eth3",
    "a deleted public address": "ip addr del 203.0.113.11/24 dev eth1",
    "a deleted default route": "ip route del default",
}
FILES = ["keepalived.conf", "conntrackd.conf", "dnsmasq.conf", "dnsmasq.dhcp-hosts", "dnsmasq.hosts"]
DAEMONS = ["keepalived", "conntrackd", "dnsmasq"]


def own_host(router: str) -> str:
    """The last number of the router's own tier addresses in the example burst."""
    return {"rA": "2", "rB": "3"}[router]


def by_hand(pair: Laboratory, router: str, line: str) -> None:
    words = line.format(own=own_host(router)).split()
    subprocess.run(["ip", "netns", "exec", pair.names.namespace(router), *words], check=True)


def differences(pair: Laboratory, router: str) -> list[str]:
    with pair.connect(router) as agent:
        found: list[str] = agent.call({"op": "verify"})["differences"]
        return found


def repaired(pair: Laboratory, router: str, drift_before: int) -> bool:
    status = pair.status()[router]
    return (
        status["settled"]
        and status["counters"].get("drift", 0) > drift_before
        and bool(status["drift"])
        and not differences(pair, router)
    )


def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def roles(pair: Laboratory) -> dict[str, Any]:
    return {status["role"]: router for router, status in pair.status().items()}


@pytest.mark.parametrize("role", ["master", "backup"])
@pytest.mark.parametrize("line", BY_HAND.values(), ids=BY_HAND.keys())
def test_what_is_changed_by_hand_is_put_back(pair: Laboratory, line: str, role: str) -> None:
    router = roles(pair)[role]
    # Who may be heard changes by itself while the two have just met.
    assert within(REPAIRED_S, lambda: differences(pair, router) == []), differences(pair, router)
    before = pair.status()[router]
    by_hand(pair, router, line)
    assert within(REPAIRED_S, lambda: repaired(pair, router, before["counters"].get("drift", 0))), (
        differences(pair, router),
        pair.status()[router],
    )
    after = pair.status()[router]
    assert after["role"] == before["role"]
    assert after["counters"]["role_changes"] == before["counters"]["role_changes"]


@pytest.mark.parametrize("line", ON_THE_MASTER.values(), ids=ON_THE_MASTER.keys())
def test_what_keepalived_holds_is_put_back_without_a_change_of_the_master(pair: Laboratory, line: str) -> None:
    router = roles(pair)["master"]
    before = pair.status()[router]
    by_hand(pair, router, line)
    assert within(REPAIRED_S, lambda: repaired(pair, router, before["counters"].get("drift", 0))), pair.status()[router]
    assert pair.status()[router]["counters"]["role_changes"] == before["counters"]["role_changes"]


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_is_put_back_and_no_daemon_is_disturbed(pair: Laboratory, name: str) -> None:
    router = roles(pair)["master"]
    path = Path(pair.directory, router, "root/etc/vpcrouter", name)
    before, content = pair.status()[router], path.read_bytes()
    path.write_bytes(b"# edited by hand\n")
    assert within(REPAIRED_S, lambda: repaired(pair, router, before["counters"].get("drift", 0)))
    assert path.read_bytes() == content
    after = pair.status()[router]["counters"]
    for daemon in DAEMONS:
        for what in ("starts", "restarts", "reloads"):
            assert after.get(f"{daemon}_{what}", 0) == before["counters"].get(f"{daemon}_{what}", 0)


@pytest.mark.parametrize("name", DAEMONS)
def test_a_killed_daemon_is_started_again(pair: Laboratory, name: str) -> None:
    router = roles(pair)["backup"]
    deaths = pair.status()[router]["counters"].get(f"{name}_deaths", 0)
    os.kill(pid_of(pair, router, name), signal.SIGKILL)
    assert within(
        REPAIRED_S,
        lambda: (
            pair.status()[router]["counters"].get(f"{name}_deaths", 0) == deaths + 1
            and pair.status()[router]["settled"]
            and pair.status()[router]["role"] == "backup"
        ),
    ), pair.status()[router]
    # The agent's own words to conntrackd are processes of that name too, for some milliseconds.
    assert within(REPAIRED_S, lambda: len(pids_of(pair, router, name)) == (2 if name == "keepalived" else 1))


@pytest.mark.parametrize("role", ["master", "backup"])
@pytest.mark.parametrize("name", [*DAEMONS, "the child of keepalived"])
def test_a_stopped_daemon_is_continued(pair: Laboratory, name: str, role: str) -> None:
    router = roles(pair)[role]
    before = pair.status()[router]["counters"].get("drift", 0)
    comm, index = ("keepalived", 1) if name == "the child of keepalived" else (name, 0)
    os.kill(pids_of(pair, router, comm)[index], signal.SIGSTOP)
    assert within(REPAIRED_S, lambda: pair.status()[router]["counters"].get("drift", 0) > before)
    assert any("continue" in each["what"] for each in pair.status()[router]["drift"])
    assert within(REPAIRED_S, lambda: sorted(roles(pair)) == ["backup", "master"])


def test_a_keepalived_that_ends_gives_its_addresses_up_and_nobody_puts_them_back(pair: Laboratory) -> None:
    router = roles(pair)["master"]
    with Holders(pair) as holders:
        os.kill(pid_of(pair, router, "keepalived"), signal.SIGTERM)
        time.sleep(2.5)
        both = holders.both()
    assert sum(end - start for start, end in both) <= ADVERTISEMENT_S, "two routers answer for one address"
    assert within(REPAIRED_S, lambda: sorted(roles(pair)) == ["backup", "master"])


def pids_of(pair: Laboratory, router: str, name: str) -> list[int]:
    """The processes of that name in the router's namespace, oldest first."""
    return pair.machines[router].pids(name)


def pid_of(pair: Laboratory, router: str, name: str) -> int:
    return pids_of(pair, router, name)[0]
