"""One VPC that uses every function: provisioned as a burst, tried with traffic, failed over, rebooted, torn down.

The commands are examples/everything. vm2, vm3 and vm4 are guests of its three tiers, vm9 is the upstream router of the
second public device, ext the Internet, and the other end: the gateway of the site behind the tunnel, and the BGP
neighbour. Remote access is left out where the kernel has no PPP: a router that cannot serve L2TP says so and is not
settled.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.lab.conftest import SETTLED_S, new_laboratory
from tests.lab.hand_made import run_in
from tests.lab.outside_daemons import Neighbour, Site
from tests.lab.test_drift import REPAIRED_S, differences, roles, within
from tests.lab.test_guest_web import ask, get
from tests.lab.test_ipv6 import LOOK_UP, NETWORK, NEXT_HOP, PUBLIC, guest_address, reaches
from tests.lab.test_load_balancer import SERVER
from tests.lab.test_tunnels import pings
from tests.materialise import dhcp
from vpcrouter.cloudstack.decoder import _DECODERS
from vpcrouter.lab.burst import Files, burst_files, run_burst
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.machines import inside
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(180)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "everything"
NEEDS_PPP = frozenset({"remote_access_vpn"})
FORWARDED, STATIC, BALANCED, SECOND = "203.0.113.11", "203.0.113.12", "203.0.113.15", "198.18.5.10"
ROUTER, END, FAR = "203.0.113.10", "203.0.113.1", "198.51.100.65"
"""The router's end of the tunnel and of BGP's session, the other one, and a host behind that."""
PORT = 7777
SITE = f"""\
connections {{
 site {{
  local_addrs = {END}
  remote_addrs = {ROUTER}
  proposals = aes256-sha256-modp2048
  unique = replace
  local {{
   auth = psk
  }}
  remote {{
   auth = psk
  }}
  children {{
   net {{
    local_ts = 198.51.100.64/27
    remote_ts = 10.1.0.0/16
    esp_proposals = aes256-sha256-modp2048
   }}
  }}
 }}
}}
secrets {{
 ike-1 {{
  secret = "example-psk-not-secret"
 }}
}}
"""
BGP = f"""\
router bgp 64501
 bgp router-id {END}
 bgp graceful-restart
 no bgp ebgp-requires-policy
 neighbor {ROUTER} remote-as 64496
 neighbor {ROUTER} password example-md5-key
"""
SETTINGS = "cd /proc/sys/net; grep -s '' ipv4/ip_forward ipv[46]/conf/*/* netfilter/nf_conntrack_tcp_* || true"
WAYS = (
    ("ext", FORWARDED, "vm2"),  # port forwarding
    ("ext", STATIC, "vm3"),  # static NAT
    ("vm9", SECOND, "vm4"),  # by the second public device, and back by it
    ("vm2", "203.0.113.1", "ext"),  # source NAT
    ("vm2", "10.1.3.100", "vm3"),  # from tier to tier
)
"""Who sends to which address, and who answers."""


def part(name: str) -> Files:
    files = burst_files(EXAMPLE / name)
    if Path("/dev/ppp").exists():
        return files
    return {
        router: [path for path in paths if not any(word in path.name for word in NEEDS_PPP)]
        for router, paths in files.items()
    }


def bare_machine(laboratory: Laboratory, router: str) -> dict[str, str]:
    """What the kernel has, without numbers of its own, and the generated files."""
    links = json.loads(run_in(laboratory, router, "ip", "-j", "link"))
    listed = {
        "links": "\n".join(f"{each['ifname']} {'UP' in each['flags']} mtu {each['mtu']}" for each in links),
        "addresses": run_in(laboratory, router, "ip", "-o", "address"),
        "routes": run_in(laboratory, router, "ip", "route", "show", "table", "all"),
        "IPv6 routes": run_in(laboratory, router, "ip", "-6", "route", "show", "table", "all"),
        "rules": run_in(laboratory, router, "ip", "rule"),
        "IPv6 rules": run_in(laboratory, router, "ip", "-6", "rule"),
        "IPsec": run_in(laboratory, router, "sh", "-c", "ip xfrm state; ip xfrm policy"),
        "settings": run_in(laboratory, router, "sh", "-c", SETTINGS),
        "files": "\n".join(files(laboratory, router)),
        "sets": run_in(laboratory, router, "nft", "list", "sets"),
        "chains": run_in(laboratory, router, "nft", "list", "chains"),
    }
    # Link-local addresses come from MACs, which are drawn when a machine is built.
    return {
        name: "\n".join(
            re.sub(r"^\d+: |fe80::[0-9a-f:]+/?\d*|(valid_lft|preferred_lft|expires) \S+", "", line)
            for line in text.splitlines()
        )
        for name, text in listed.items()
    }


def files(laboratory: Laboratory, router: str) -> list[str]:
    """Every generated file, and what is there for guests; the daemons' own output may stay."""
    root = laboratory.machines[router].root
    paths = [path for folder in ("etc", "run/vpcrouter/guests") for path in sorted((root / folder).rglob("*"))]
    return [str(path.relative_to(root)) for path in paths if path.is_file()]


def test_the_example_has_a_command_of_every_type() -> None:
    for router in ROUTERS:
        types = {json.loads(path.read_text())["type"] for path in (EXAMPLE / "provision" / router).iterdir()}
        assert types == _DECODERS.keys()


@pytest.fixture(scope="module")
def provisioned() -> Iterator[Laboratory]:
    """The whole example on both routers, from bare machines, in one burst."""
    laboratory = new_laboratory()
    try:
        laboratory.up()
        for node, line in (
            ("vm9", "address add 198.18.5.1/24 dev eth0"),
            ("vm9", "route replace 198.18.5.0/24 dev eth0"),
            ("ext", f"address add {FAR}/32 dev lo"),
            ("ext", f"address add {NEXT_HOP}/64 dev eth0 nodad"),
            ("ext", f"route add {NETWORK}/64 via {PUBLIC}"),
        ):
            run_in(laboratory, node, "ip", *line.split())
        report = run_burst(laboratory, part("provision"))
        assert report.is_good, report
        assert laboratory.wait(is_pair, SETTLED_S), laboratory.status()
        yield laboratory
    finally:
        laboratory.down()


def lost(laboratory: Laboratory, seconds: float = 0.4) -> dict[str, int]:
    """By way, how many probes got no answer."""
    found = {}
    for source, address, answerer in WAYS:
        with Probe(laboratory, source, Target.parse(address, port=PORT, answerer=answerer)) as probing:
            time.sleep(seconds)
            report = probing.stop()
        assert report.sent > 50
        found[f"{source} to {address}"] = report.lost
    return found


@pytest.fixture
def neighbour(provisioned: Laboratory, tmp_path: Path) -> Iterator[Neighbour]:
    """What BGP's neighbour knows, in the same place where the tunnel ends."""
    with Site(provisioned, tmp_path / "site") as site, Neighbour(provisioned, tmp_path / "bgpd", BGP) as neighbour:
        site.load(SITE)
        yield neighbour


@pytest.mark.parametrize("role", ["master", "backup"])
def test_every_file_that_is_edited_and_every_daemon_that_is_killed_is_put_back(
    provisioned: Laboratory, role: str
) -> None:
    router = roles(provisioned)[role]
    machine = provisioned.machines[router]
    edited = {path: path.read_bytes() for path in (machine.root / "etc").rglob("*") if path.is_file()}
    modes = {path: path.stat().st_mode for path in edited}
    for path, content in edited.items():
        path.write_bytes(content + b"\n# by hand\n")
        path.chmod(0o640)
    assert within(REPAIRED_S, lambda: {path: path.read_bytes() for path in edited} == edited)
    assert {path: path.stat().st_mode for path in edited} == modes
    everywhere = {"dnsmasq", "haproxy", "radvd", "bgpd", "conntrackd"}
    for name in everywhere | ({"charon-systemd"} if role == "master" else set()):
        killed = machine.pids(name)
        assert killed, f"no {name} on the {role}"
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert within(REPAIRED_S, partial(is_replaced, provisioned, router, name, killed)), name
    assert within(SETTLED_S, lambda: [differences(provisioned, each) for each in ROUTERS] == [[], []])
    assert roles(provisioned)[role] == router


def is_replaced(laboratory: Laboratory, router: str, name: str, killed: list[int]) -> bool:
    return bool(set(laboratory.machines[router].pids(name)) - set(killed))


def test_all_of_it_works_on_either_router_and_after_a_reboot_and_nothing_is_left_of_it(
    provisioned: Laboratory, neighbour: Neighbour
) -> None:
    laboratory = provisioned
    servers = [
        subprocess.Popen(inside(laboratory.names.namespace(guest), [sys.executable, "-c", SERVER, guest]))
        for guest in ("vm2", "vm3")
    ]
    try:
        everything_works(laboratory, neighbour)
        assert ask(laboratory, "vm2", "10.1.2.1", "send_my_password") == "Example-Pw-0001"
        ask(laboratory, "vm2", "10.1.2.1", "saved_password")

        master, backup = roles(laboratory)["master"], roles(laboratory)["backup"]
        laboratory.crash(master, "links")
        assert within(SETTLED_S, lambda: laboratory.status()[backup].get("role") == "master"), "the other serves"
        everything_works(laboratory, neighbour)
        assert ask(laboratory, "vm2", "10.1.2.1", "send_my_password") == "saved_password"

        laboratory.heal()
        assert laboratory.wait(is_pair, SETTLED_S), laboratory.status()
        laboratory.reboot(ROUTERS)
        assert laboratory.wait(is_pair, SETTLED_S), laboratory.status()
        everything_works(laboratory, neighbour)
    finally:
        for server in servers:
            server.kill()
            server.wait()

    before = {router: laboratory.status()[router]["seq"] for router in ROUTERS}
    commands = part("teardown")
    for router in ROUTERS:
        with laboratory.connect(router) as agent:
            for path in commands[router]:
                (outcome,) = agent.submit(path.name, path.read_text())
                assert outcome["status"] == "accepted", (path.name, outcome)
            assert agent.settled(outcome["seq"], SETTLED_S)["settled"], agent.status()
    assert within(SETTLED_S, lambda: all(differences(laboratory, router) == [] for router in ROUTERS))
    fresh = new_laboratory()
    try:
        fresh.up()
        boot_only = {router: paths[:1] for router, paths in part("provision").items()}
        run_burst(fresh, boot_only)
        for router in ROUTERS:
            assert laboratory.status()[router]["seq"] > before[router]
            assert within(SETTLED_S, partial(is_bare, laboratory, fresh, router)), left(laboratory, fresh, router)
            assert daemons(laboratory, router) == daemons(fresh, router)
    finally:
        fresh.down()


def is_bare(used: Laboratory, fresh: Laboratory, router: str) -> bool:
    return not left(used, fresh, router)


def left(used: Laboratory, fresh: Laboratory, router: str) -> dict[str, list[str]]:
    """By kind, the lines that one of the two machines has and the other has not."""
    mine, theirs = bare_machine(used, router), bare_machine(fresh, router)
    different = {kind: sorted(set(mine[kind].splitlines()) ^ set(theirs[kind].splitlines())) for kind in mine}
    return {kind: lines for kind, lines in different.items() if lines}


def daemons(laboratory: Laboratory, router: str) -> list[str]:
    """The names of the programs that run in the router's namespace, but for its agent."""
    pids = run_in(laboratory, "rA", "ip", "netns", "pids", laboratory.names.namespace(router)).split()
    names = []
    for pid in pids:
        try:
            names.append(Path(f"/proc/{pid}/comm").read_text().strip())
        except FileNotFoundError:
            continue
    return sorted(name for name in names if name not in ("ip", "sleep") and not name.startswith("python"))


def everything_works(laboratory: Laboratory, neighbour: Neighbour) -> None:
    assert within(5.0, lambda: not any(lost(laboratory).values())), lost(laboratory)
    assert within(10.0, lambda: {balanced(laboratory) for _ in range(4)} == {"vm2", "vm3"}), "load balancing"
    for number, name in ((2, "web"), (3, "app"), (4, "db")):
        status, body = get(laboratory, f"vm{number}", f"10.1.{number}.1/latest/meta-data/instance-id")
        assert (status, body) == (200, f"i-{name}-1".encode())
    for number, name in ((2, "web-1"), (3, "app-1"), (4, "db-1")):
        assert looked_up(laboratory, number, name) == f"10.1.{number}.100"
        assert offered(laboratory, number) == (f"10.1.{number}.100", [f"10.1.{number}.1"])
    assert within(10.0, lambda: bool(guest_address(laboratory)) and reaches(laboratory, "vm2", NEXT_HOP)), "IPv6"
    assert reaches(laboratory, "ext", guest_address(laboratory)), "what an IPv6 firewall rule and the ACL let in"
    assert within(20.0, lambda: pings(laboratory, "ext", "10.1.2.100", "-I", FAR)), "only through the tunnel"
    told = {f"10.1.{number}.0/24": ROUTER for number in (2, 3)}
    assert within(20.0, lambda: neighbour.routes() == told), neighbour.log()
    for router, said in laboratory.status().items():
        if said.get("settled"):
            assert differences(laboratory, router) == []
            assert not said["pending"], said["pending"]


def looked_up(laboratory: Laboratory, number: int, name: str) -> str:
    """The address that the gateway of the tier tells for a name."""
    return run_in(laboratory, f"vm{number}", sys.executable, "-c", LOOK_UP, f"::ffff:10.1.{number}.1", name).strip()


def offered(laboratory: Laboratory, number: int) -> tuple[str, list[str]]:
    """The address and the next hops that a guest is offered by DHCP."""
    namespace, mac = laboratory.names.namespace(f"vm{number}"), f"02:00:0a:01:{number:02x}:64"
    answer = dhcp.ask(namespace, dhcp.DISCOVER, mac, device="eth0")
    return (answer.address, answer.addresses(dhcp.ROUTER)) if answer is not None else ("", [])


def balanced(laboratory: Laboratory) -> str:
    """Which guest answers at the load balancer's address."""
    status, body = get(laboratory, "ext", f"{BALANCED}/")
    return body.decode().partition(" ")[0] if status == 200 else str(status)
