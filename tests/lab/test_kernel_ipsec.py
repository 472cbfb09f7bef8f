"""Remote access and tunnels with the kernel's ESP: L2TP/IPsec with a real client, IKEv2, and another site.

Needs ESP and PPP in the kernel; where there is none, `make test-vm` runs this in an emulated machine that has both. One
tier on one router, since that machine is slow.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import hand_in, new_laboratory
from tests.lab.hand_made import run_in
from tests.lab.l2tp_client import UP_S, L2tpClient
from tests.lab.outside_daemons import Site
from tests.lab.test_drift import differences, within
from tests.lab.test_tunnels import (
    ACCESS,
    FAR,
    GUEST,
    KEY,
    PEER,
    ROUTER,
    SITE,
    client_config,
    connected,
    forget_tunnels,
    in_clear,
    open_far_networks,
    peer_config,
    pings,
    submit_to,
)
from vpcrouter.appliers import _process
from vpcrouter.lab.burst import burst_files
from vpcrouter.lab.demo import find_burst
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.machines import inside

pytestmark = [pytest.mark.lab, pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(900)]

PASSWORD = "Example-Pw#A1"
POOL = [f"198.51.100.{host}" for host in range(226, 233)]
"""The lower half of the addresses for clients."""
ADVERTISEMENT_MS = 1000
"""Ten times as long as elsewhere: an emulated machine may let a process wait for longer than a short one."""
SERVER, OTHER = "rA", "rB"
FIRST_TIER = 7
"""How many files of the example burst there are until the first tier has its guests."""
GUARD: dict[str, Any] = {
    "rules": [
        {
            "id": 1, "src_ip": ROUTER, "protocol": "tcp", "src_port_range": [443, 443],
            "source_cidr_list": ["0.0.0.0/0"], "dest_cidr_list": [], "purpose": "Firewall", "traffic_type": "Ingress",
            "revoked": False, "already_added": False, "default_egress_policy": False,
        }
    ],
    "type": "firewallrules",
}  # fmt: skip
"""One rule for the router's public address: what no rule of that address names does not get to it, IPsec does."""
REFUSED = "CHAP authentication failed"
SYSTEM_PPP = Path("/etc/ppp")


def users(*names: str, add: bool = True) -> dict[str, object]:
    entries = [{"user": name, "password": PASSWORD, "add": add} for name in names]
    return {"vpn_users": entries, "type": "vpnuserlist", "delete_from_processed_cache": False}


@pytest.fixture(scope="module")
def served() -> Iterator[Laboratory]:
    """One router with one tier and remote access for two users; the other one is not started.

    pppd reads passwords in /etc/ppp and nowhere else. In a router's namespace that is the one below its root, as on a
    machine of its own (ip-netns(8)).
    """
    laboratory = new_laboratory()
    places = {router: Path("/etc/netns", machine.namespace) for router, machine in laboratory.machines.items()}
    try:
        laboratory.build(advertisement_ms=ADVERTISEMENT_MS)
        open_far_networks(laboratory)
        for router, place in places.items():
            own = laboratory.machines[router].root / "etc/ppp"
            shutil.copytree(SYSTEM_PPP, own, ignore=shutil.ignore_patterns("*-secrets", "peers"))
            place.mkdir(parents=True)
            (place / "ppp").symlink_to(own)
        start(laboratory, SERVER, "alice", "bob")
        assert within(3 * UP_S, lambda: serves(laboratory)), laboratory.status()
        yield laboratory
    finally:
        laboratory.down()
        for place in places.values():
            shutil.rmtree(place, ignore_errors=True)


def start(laboratory: Laboratory, router: str, *names: str) -> None:
    """Start a router that has one tier, a guarded public address, and serves these users."""
    machine = laboratory.machines[router]
    machine.wait_until_it_answers(machine.start(ADVERTISEMENT_MS))
    boot_line, *files = burst_files(find_burst(None))[router][:FIRST_TIER]
    submit_to(laboratory, router, with_firewall(boot_line))
    hand_in(laboratory, router, files)
    submit_to(laboratory, router, GUARD, users(*names), ACCESS)


def with_firewall(boot_line: Path) -> dict[str, Any]:
    """The boot line of a VPC whose public addresses have a firewall."""
    command: dict[str, Any] = json.loads(boot_line.read_text())
    command["cmd_line"]["vpc_firewall_enabled"] = "true"
    return command


def serves(laboratory: Laboratory, router: str = SERVER) -> bool:
    """Whether the router is master and as configured, its daemons at work."""
    status = laboratory.machines[router].status_or_error()
    return status.get("role") == "master" and status["settled"] and not status["faults"]


@pytest.fixture
def home(served: Laboratory) -> Iterator[str]:
    """A namespace behind the Internet host, which has one address for all that is there."""
    name, outside = f"{served.names.prefix}-home", served.names.namespace("ext")
    lines = [
        f"netns add {name}",
        f"-n {outside} link add home type veth peer name eth0 netns {name}",
        f"-n {outside} address add 192.168.44.1/24 dev home",
        f"-n {outside} link set home up",
        f"-n {name} address add 192.168.44.2/24 dev eth0",
        f"-n {name} link set eth0 up",
        f"-n {name} route add default via 192.168.44.1",
    ]
    masquerade = (
        "table ip home {\n chain out {\n type nat hook postrouting priority srcnat;"
        " ip saddr 192.168.44.0/24 masquerade\n }\n}\n"
    )
    try:
        for line in lines:
            _process.run(["ip", *line.split()])
        _process.run(inside(outside, ["nft", "-f", "-"]), stdin=masquerade.encode())
        run_in(served, "ext", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        yield name
    finally:
        _process.run(["ip", "netns", "delete", name])
        run_in(served, "ext", "nft", "delete", "table", "ip", "home")


@pytest.fixture
def client(served: Laboratory, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[L2tpClient]:
    """On the Internet host itself, unless the test says that it is at home."""
    is_at_home = getattr(request, "param", False)
    place = request.getfixturevalue("home") if is_at_home else served.names.namespace("ext")
    with L2tpClient(place, tmp_path / "client", server=ROUTER, key=KEY) as client:
        yield client


def said(laboratory: Laboratory, client: L2tpClient) -> str:
    """What client and routers said."""
    logs = [path for name in ("charon-systemd", "xl2tpd") for path in laboratory.directory.rglob(f"{name}.log")]
    return client.log() + "".join(f"\n{path}:\n{path.read_text(errors='replace')[-4000:]}" for path in logs)


def download(laboratory: Laboratory, client: L2tpClient, directory: Path, size: int) -> tuple[int, str]:
    """Fetch a file from the guest: how many bytes came, and what the guest said of who asked."""
    directory.mkdir()
    (directory / "file").write_bytes(bytes(size))
    words = ["python3", "-u", "-m", "http.server", "--directory", str(directory), "80"]
    argv = inside(laboratory.names.namespace("vm2"), words)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as guest:
        try:
            patience = ["--retry-connrefused", "--retry", "30", "--retry-delay", "1", "--max-time", "60"]
            client.run("curl", "--silent", *patience, "--output", str(directory / "copy"), f"http://{GUEST}/file")
        finally:
            guest.terminate()
        return (directory / "copy").stat().st_size, guest.communicate()[0]


def connect(laboratory: Laboratory, client: L2tpClient) -> str:
    """Dial, and reach the guest through the session; the address that the router gave."""
    client.exchange_keys()
    client.dial("alice", PASSWORD)
    assert within(UP_S, lambda: client.address() is not None), said(laboratory, client)
    client.run("ip", "route", "add", "10.1.0.0/16", "dev", "ppp0")
    assert within(UP_S, lambda: client.pings(GUEST)), said(laboratory, client)
    return str(client.address())


@pytest.mark.parametrize("client", [False, True], ids=["direct", "behind a NAT"], indirect=True)
def test_a_client_and_a_guest_reach_each_other(served: Laboratory, client: L2tpClient, tmp_path: Path) -> None:
    assert ROUTER in run_in(served, SERVER, "nft", "list", "map", "inet", "vpcrouter", "guarded")
    address = connect(served, client)
    assert address in POOL
    assert client.pings("10.1.2.1"), "the gateway of the tier"
    assert pings(served, "vm2", address), "the guest may begin too"
    assert client.pings(GUEST, "-M", "do", "-s", "1252"), "as large as the session's MTU"
    size, guest_said = download(served, client, tmp_path / "files", 300_000)
    assert size == 300_000
    assert f"{address} - - " in guest_said, "the guest knows the client by its own address"
    assert not listens(client, 81), "the tier's ACL holds for what comes out of the session"
    assert within(UP_S, lambda: differences(served, SERVER) == []), differences(served, SERVER)
    print(run_in(served, SERVER, "ip", "-s", "xfrm", "state"))
    client.hang_up()
    assert within(UP_S, lambda: "ppp" not in run_in(served, SERVER, "ip", "link")), said(served, client)


def listens(client: L2tpClient, port: int) -> bool:
    """Whether a connection reaches the guest's port, open or closed; a dropped one does not."""
    code = (
        "import socket, sys\n"
        "s = socket.socket(); s.settimeout(3)\n"
        f"print(s.connect_ex(('{GUEST}', {port})) in (0, 111))\n"
    )
    return client.run("python3", "-c", code).strip() == "True"


def test_without_keys_the_router_does_not_answer_any_more(served: Laboratory, client: L2tpClient) -> None:
    connect(served, client)
    client.hang_up()
    client.forget_keys()
    known = run_in(served, SERVER, "conntrack", "-L", "-p", "udp", "--orig-port-dst", "1701")
    assert f"src={PEER} dst={ROUTER}" in known, "a connection that began with keys"
    client.dial("alice", PASSWORD)
    assert within(UP_S, lambda: "Maximum retries exceeded" in client.log()), said(served, client)
    assert client.log().count("Connection established") == 1


def test_who_has_no_password_gets_no_session(served: Laboratory, client: L2tpClient) -> None:
    client.exchange_keys()
    client.dial("alice", "wrong")
    assert within(UP_S, lambda: REFUSED in client.log()), said(served, client)
    client.hang_up()
    submit_to(served, SERVER, users("bob", add=False))
    assert within(UP_S, lambda: serves(served)), served.status()
    client.dial("bob", PASSWORD)
    assert within(UP_S, lambda: client.log().count(REFUSED) > 1), said(served, client)
    assert client.address() is None


def test_a_client_by_ikev2(served: Laboratory, tmp_path: Path) -> None:
    with Site(served, tmp_path / "client") as client:
        client.load(client_config("alice", PASSWORD))
        client.swanctl("--initiate", "--ike", "home", "--child", "net", "--timeout", "20")
        found = re.search(r"inet (\S+)/32", run_in(served, "ext", "ip", "address", "show", "dev", "ipsec0"))
        assert found is not None
        assert pings(served, "ext", GUEST)
        assert pings(served, "vm2", found[1]), "the guest may begin too"


@pytest.mark.parametrize("version", [1, 2])
def test_another_site(served: Laboratory, tmp_path: Path, version: int) -> None:
    """The other end does ESP in user space, so what goes by the cable in clear is what the router let out."""
    with Site(served, tmp_path / "site") as site:
        site.load(peer_config(version))
        submit_to(served, SERVER, {**SITE, "ike_version": f"ikev{version}", "split_connections": version == 2})
        assert within(UP_S, lambda: connected(served, SERVER)), site.log()
        before = in_clear(served)
        for far in (FAR, "192.168.8.1"):
            assert pings(served, "vm2", far)
            assert pings(served, "ext", GUEST, "-I", far), "the guest is known by its own address"
        assert differences(served, SERVER) == []
        site.end()
    forget_tunnels(served, SERVER)
    assert not pings(served, "vm2", FAR)
    assert in_clear(served) == before
    submit_to(served, SERVER, {**SITE, "create": False})
    assert within(UP_S, lambda: serves(served)), served.status()


def test_the_new_master_serves_a_client_that_dials_again(served: Laboratory, client: L2tpClient) -> None:
    """The last test: the router that served is gone afterwards."""
    start(served, OTHER, "alice")
    assert served.wait(is_pair, 3 * UP_S), served.status()
    connect(served, client)
    served.crash(SERVER, "kill")
    assert within(2 * UP_S, lambda: serves(served, OTHER)), served.status()
    assert not client.pings(GUEST)
    client.vanish()
    connect(served, client)
    client.hang_up()
    assert differences(served, OTHER) == []
