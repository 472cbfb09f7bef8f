"""Tunnels with real traffic: the Internet host is another site's gateway, and a client, with a charon of its own.

Behind it is 192.168.7.1. Where this kernel has no ESP, both ends do it in user space; L2TP needs PPP, and where there
is none the router has to say so.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S, new_laboratory
from tests.lab.hand_made import run_in
from tests.lab.outside_daemons import Site
from tests.lab.test_drift import differences, roles, within
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.demo import find_burst
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.machines import inside

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("swanctl", path="/usr/sbin") is None, reason="needs strongswan-swanctl"),
]

ROUTER, PEER, FAR, GUEST = "203.0.113.10", "203.0.113.1", "192.168.7.1", "10.1.2.100"
KEY = 'an "example" key } # not secret'
UP_S = 10.0
"""A tunnel stands some 50 ms after both ends know of it; one that was refused is begun again every 5 s."""
SITE: dict[str, Any] = {
    "local_public_ip": ROUTER, "local_guest_cidr": "10.1.0.0/16", "local_public_gateway": PEER,
    "peer_gateway_ip": PEER, "peer_guest_cidr_list": "192.168.7.0/24,192.168.8.0/24",
    "esp_policy": "aes256-sha256;modp2048", "ike_policy": "aes256-sha256;modp2048", "ipsec_psk": KEY,
    "ike_version": "ikev2", "ike_lifetime": 86400, "esp_lifetime": 3600, "create": True, "dpd": True,
    "passive": False, "encap": False, "split_connections": True,
    "type": "site2sitevpn", "delete_from_processed_cache": False,
}  # fmt: skip
ACCESS: dict[str, Any] = {
    "create": True, "ip_range": "198.51.100.226-198.51.100.238", "preshared_key": KEY, "vpn_server_ip": ROUTER,
    "local_ip": "198.51.100.225", "local_cidr": "10.1.0.0/16", "public_interface": "eth1",
    "type": "remoteaccessvpn", "delete_from_processed_cache": False,
}  # fmt: skip


def peer_config(version: int = 2, key: str = KEY) -> str:
    """The other site's connections: a tunnel for each network."""
    children = "".join(
        f"net{number} {{\n local_ts = 192.168.{number}.0/24\n remote_ts = 10.1.0.0/16\n"
        " esp_proposals = aes256-sha256-modp2048\n}\n"
        for number in (7, 8)
    )
    return (
        f"connections {{\n site {{\n version = {version}\n local_addrs = {PEER}\n remote_addrs = {ROUTER}\n"
        f" proposals = aes256-sha256-modp2048\n unique = replace\n"
        f" local {{\n auth = psk\n id = {PEER}\n }}\n remote {{\n auth = psk\n id = {ROUTER}\n }}\n"
        f" children {{\n {children} }}\n }}\n}}\n"
        f"secrets {{\n ike-1 {{\n id-1 = {PEER}\n id-2 = {ROUTER}\n secret = 0x{key.encode().hex()}\n }}\n}}\n"
    )


def client_config(user: str, password: str) -> str:
    """A client that proves itself with a password."""
    return (
        f"connections {{\n home {{\n version = 2\n local_addrs = 198.51.100.1\n remote_addrs = {ROUTER}\n"
        f" vips = 0.0.0.0\n local {{\n auth = eap-mschapv2\n eap_id = {user}\n id = anybody\n }}\n"
        f" remote {{\n auth = psk\n id = {ROUTER}\n }}\n"
        f" children {{\n net {{\n remote_ts = 10.1.0.0/16\n }}\n }}\n }}\n}}\n"
        f"secrets {{\n ike-1 {{\n id-1 = {ROUTER}\n secret = 0x{KEY.encode().hex()}\n }}\n"
        f" eap-1 {{\n id = {user}\n secret = 0x{password.encode().hex()}\n }}\n}}\n"
    )


def open_far_networks(laboratory: Laboratory) -> None:
    """The other site's networks are on the Internet host, which counts what comes to them in clear by the cable."""
    for address in (FAR, "192.168.8.1"):
        run_in(laboratory, "ext", "ip", "address", "add", f"{address}/24", "dev", "lo")
    rules = (
        "table ip watch {\n counter clear {\n }\n chain in {\n"
        " type filter hook prerouting priority -300;\n"
        ' iifname "eth0" ip daddr 192.168.0.0/16 counter name clear\n }\n}\n'
    )
    argv = inside(laboratory.names.namespace("ext"), ["nft", "-f", "-"])
    subprocess.run(argv, input=rules.encode(), check=True)


@pytest.fixture(scope="module")
def routers() -> Iterator[Laboratory]:
    laboratory = new_laboratory()
    try:
        laboratory.up()
        assert run_burst(laboratory, burst_files(find_burst(None))).is_good
        open_far_networks(laboratory)
        yield laboratory
    finally:
        laboratory.down()


@pytest.fixture
def site(routers: Laboratory, tmp_path: Path) -> Iterator[Site]:
    """The other site is there; afterwards the routers have no tunnels any more."""
    assert routers.wait(is_pair, SETTLED_S), routers.status()
    with Site(routers, tmp_path / "site") as site:
        yield site
    routers.heal()
    submit(routers, {**SITE, "create": False}, {**ACCESS, "create": False})
    assert routers.wait(is_pair, SETTLED_S), routers.status()


def submit(laboratory: Laboratory, *commands: dict[str, Any]) -> None:
    for router in ROUTERS:
        submit_to(laboratory, router, *commands)


def submit_to(laboratory: Laboratory, router: str, *commands: dict[str, Any]) -> None:
    with laboratory.connect(router) as agent:
        for command in commands:
            (outcome,) = agent.submit("command.json", json.dumps(command))
            assert outcome["status"] in ("accepted", "unchanged"), outcome


def pings(laboratory: Laboratory, node: str, address: str, *words: str) -> bool:
    argv = inside(laboratory.names.namespace(node), ["ping", "-c", "1", "-W", "1", *words, address])
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def in_clear(laboratory: Laboratory) -> int:
    found = re.search(r"packets (\d+)", run_in(laboratory, "ext", "nft", "list", "counter", "ip", "watch", "clear"))
    assert found is not None
    return int(found[1])


def status_line(laboratory: Laboratory, router: str) -> str:
    argv, environment = laboratory.command_line(
        router,
        [
            sys.executable,
            "-m",
            "vpcrouter",
            "--journal",
            str(laboratory.directory / router / "journal"),
            "cloudstack",
            "checks2svpn",
        ],
    )
    done = subprocess.run([*argv, PEER, "192.0.2.99"], env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def connected(laboratory: Laboratory, router: str) -> bool:
    with laboratory.connect(router) as agent:
        return [each["connected"] for each in agent.call({"op": "tunnels"})["tunnels"]] == [True]


@pytest.mark.parametrize("version", [1, 2])
def test_guests_and_the_other_site_reach_each_other_through_a_tunnel_only(
    routers: Laboratory, site: Site, version: int
) -> None:
    site.load(peer_config(version))
    before = in_clear(routers)
    assert pings(routers, "vm2", FAR), "without a VPN it goes in clear, by source NAT"
    leaked_without_vpn = in_clear(routers)
    assert leaked_without_vpn > before, "the counter sees what goes in clear"
    submit(routers, {**SITE, "ike_version": f"ikev{version}", "split_connections": version == 2})
    master, backup = roles(routers)["master"], roles(routers)["backup"]
    assert within(UP_S, lambda: connected(routers, master)), site.log()
    for far in (FAR, "192.168.8.1"):
        assert pings(routers, "vm2", far)
        assert pings(routers, "ext", GUEST, "-I", far), "the guest is known by its own address"
    assert in_clear(routers) == leaked_without_vpn
    assert not pings(routers, "ext", "10.1.5.100", "-I", "127.0.0.1")
    assert not listens(routers, GUEST, 81), "the tier's ACL holds for what comes out of a tunnel"
    assert listens(routers, GUEST, 80)
    assert not connected_anywhere(routers, backup)
    assert differences(routers, master) == [] == differences(routers, backup)
    assert within(UP_S, lambda: [each["connected"] for each in routers.status()[master]["tunnels"]] == [True])

    submit(routers, {**SITE, "create": False})
    site.end()
    assert routers.wait(is_pair, SETTLED_S), routers.status()
    assert "ipsec0" not in run_in(routers, master, "ip", "link")
    assert "192.168.7.0" not in run_in(routers, master, "ip", "route", "show", "table", "all")
    assert "tunnelled" not in run_in(routers, master, "nft", "list", "ruleset")
    assert left_over(routers, master) == []


def listens(laboratory: Laboratory, address: str, port: int) -> bool:
    """Whether a connection from the other site reaches a guest's port, open or closed; a dropped one does not."""
    code = (
        "import socket, sys\n"
        f"s = socket.socket(); s.settimeout(1); s.bind(('{FAR}', 0))\n"
        f"sys.exit(0 if s.connect_ex(('{address}', {port})) in (0, 111) else 1)\n"
    )
    argv = inside(laboratory.names.namespace("ext"), ["python3", "-c", code])
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def connected_anywhere(laboratory: Laboratory, router: str) -> bool:
    with laboratory.connect(router) as agent:
        found: list[Any] = agent.call({"op": "tunnels"})["tunnels"]
        return bool(found)


def left_over(laboratory: Laboratory, router: str) -> list[str]:
    root = laboratory.directory / router / "root"
    return sorted(str(path) for path in root.rglob("*charon*") if not path.name.startswith("charon-systemd.log"))


def test_without_its_tunnel_nothing_goes_in_clear(routers: Laboratory, site: Site) -> None:
    site.load(peer_config())
    submit(routers, SITE)
    master = roles(routers)["master"]
    assert within(UP_S, lambda: connected(routers, master))
    site.end()
    before = in_clear(routers)
    forget_tunnels(routers, master)
    assert not connected(routers, master)
    assert not pings(routers, "vm2", FAR)
    assert in_clear(routers) == before
    assert f"{PEER}:11:" in status_line(routers, master)


def forget_tunnels(laboratory: Laboratory, router: str) -> None:
    """Have the router end those to the other site without a word to it."""
    words = ["--terminate", "--ike", "site-203-0-113-1", "--force", "--timeout", "0"]
    run_in(laboratory, router, "swanctl", *words, "--uri", f"unix://{laboratory_socket(laboratory, router)}")


def laboratory_socket(laboratory: Laboratory, router: str) -> Path:
    return laboratory.directory / router / "root/run/vpcrouter/charon-systemd.vici"


def test_a_tunnel_that_was_refused_stands_once_the_peer_knows_the_key(routers: Laboratory, site: Site) -> None:
    site.load(peer_config(key="another"))
    submit(routers, SITE)
    master, backup = roles(routers)["master"], roles(routers)["backup"]
    time.sleep(1)
    assert status_line(routers, master).startswith(f"{PEER}:11:")
    site.load(peer_config())
    assert within(UP_S, lambda: connected(routers, master)), site.log()
    assert (
        status_line(routers, master)
        == f"{PEER}:0:every tunnel of this peer is up&" + status_line(routers, master).partition("&")[2]
    )
    assert "192.0.2.99:1:" in status_line(routers, master)
    assert status_line(routers, backup).startswith(f"{PEER}:1:")


def test_another_site_leaves_the_first_one_s_tunnels_as_they_are(routers: Laboratory, site: Site) -> None:
    site.load(peer_config())
    submit(routers, SITE)
    master = roles(routers)["master"]
    assert within(UP_S, lambda: connected(routers, master))
    before = re.findall(r"(?:in|out) +([0-9a-f]{8})", site.swanctl("--list-sas"))
    assert len(before) == 4
    other = {**SITE, "peer_gateway_ip": "203.0.113.77", "peer_guest_cidr_list": "192.168.99.0/24"}
    submit(routers, other)
    assert routers.wait(is_pair, SETTLED_S)
    submit(routers, {**other, "create": False})
    assert routers.wait(is_pair, SETTLED_S)
    assert re.findall(r"(?:in|out) +([0-9a-f]{8})", site.swanctl("--list-sas")) == before
    assert pings(routers, "vm2", FAR)


def test_an_agent_that_starts_again_leaves_tunnels_alone(routers: Laboratory, site: Site) -> None:
    site.load(peer_config())
    submit(routers, SITE)
    master = roles(routers)["master"]
    assert within(UP_S, lambda: connected(routers, master))
    before = re.findall(r"(?:in|out) +([0-9a-f]{8})", site.swanctl("--list-sas"))
    os.kill(routers.status()[master]["pid"], 9)
    routers.machines[master].start(100)
    assert routers.wait(is_pair, SETTLED_S), routers.status()
    assert re.findall(r"(?:in|out) +([0-9a-f]{8})", site.swanctl("--list-sas")) == before


def test_the_new_master_has_the_tunnels_by_itself(routers: Laboratory, site: Site) -> None:
    site.load(peer_config())
    submit(routers, SITE)
    master, backup = roles(routers)["master"], roles(routers)["backup"]
    assert within(UP_S, lambda: connected(routers, master))
    argv = inside(routers.names.namespace("vm2"), ["ping", "-D", "-i", "0.02", "-W", "1", FAR])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as ping:
        time.sleep(1)
        routers.crash(master, "links")
        assert within(UP_S, lambda: connected(routers, backup)), site.log()
        time.sleep(1)
        ping.send_signal(2)
        said = ping.communicate()[0]
    answered = [float(when) for when in re.findall(r"^\[([\d.]+)\] \d+ bytes from", said, re.MULTILINE)]
    longest = max(later - earlier for earlier, later in itertools.pairwise(answered))
    print(f"outage through the tunnel: {longest:.2f} s")
    assert longest < 5.0
    routers.heal()
    assert routers.wait(is_pair, SETTLED_S), routers.status()
    assert within(UP_S, lambda: left_over(routers, roles(routers)["backup"]) == [])


def has_ppp() -> bool:
    return Path("/dev/ppp").exists()


def test_a_client_with_a_password_gets_an_address_and_is_thrown_out_with_its_user(
    routers: Laboratory, site: Site
) -> None:
    users = [
        {"user": "alice", "password": "Example-Pw#A1", "add": True},
        {"user": "bob@example.com", "password": "Example-Pw-B1", "add": True},
    ]
    tail = {"type": "vpnuserlist", "delete_from_processed_cache": False}
    submit(routers, {"vpn_users": users, **tail}, ACCESS)
    master = roles(routers)["master"]
    assert within(UP_S, laboratory_socket(routers, master).exists)
    site.load(client_config("bob@example.com", "wrong"))
    with pytest.raises(subprocess.CalledProcessError):
        site.swanctl("--initiate", "--ike", "home", "--child", "net", "--timeout", "5")
    site.load(client_config("bob@example.com", "Example-Pw-B1"))
    site.swanctl("--initiate", "--ike", "home", "--child", "net", "--timeout", "10")
    assert " 198.51.100.2" in run_in(routers, "ext", "ip", "address", "show", "dev", "ipsec0")
    assert pings(routers, "ext", GUEST)
    submit(routers, {"vpn_users": [{**users[1], "add": False}], **tail})
    assert within(UP_S, lambda: not pings(routers, "ext", GUEST)), "the user is gone, and so is the connection"
    with pytest.raises(subprocess.CalledProcessError):
        site.swanctl("--initiate", "--ike", "home", "--child", "net", "--timeout", "5")
    if not has_ppp():
        faults = routers.status()[master]["faults"]
        assert any("the kernel has no PPP" in fault for fault in faults), faults
    secrets = laboratory_secrets(routers, master)
    assert secrets and all(path.stat().st_mode & 0o077 == 0 for path in secrets)


def laboratory_secrets(laboratory: Laboratory, router: str) -> list[Path]:
    """The files that hold the key, in any form."""
    root = laboratory.directory / router
    forms = (KEY.encode(), KEY.encode().hex().encode(), b"Example-Pw#A1", b"Example-Pw#A1".hex().encode())
    return [path for path in root.rglob("*") if path.is_file() and any(form in path.read_bytes() for form in forms)]
