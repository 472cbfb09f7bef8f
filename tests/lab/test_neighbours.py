"""BGP with a real neighbour: the Internet host runs a bgpd of its own and learns the tiers from whoever serves."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.hand_made import run_in
from tests.lab.outside_daemons import Neighbour
from tests.lab.test_drift import differences, roles, within
from tests.lab.test_ipv6 import NETWORK, NEXT_HOP, PUBLIC, make_dual
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("/usr/lib/frr/bgpd") is None, reason="needs frr"),
]

ROUTER, NEIGHBOUR = "203.0.113.10", "203.0.113.1"
PASSWORD = "md5|key?!"
LEARNED_S = 10.0
ITS_OWN = "0.0.0.0"  # noqa: S104
"""The next hop of what a speaker announces itself."""
CONFIG = f"""\
router bgp 64501
 bgp router-id {NEIGHBOUR}
 no bgp default ipv4-unicast
 bgp graceful-restart
 no bgp ebgp-requires-policy
 neighbor {ROUTER} remote-as 64496
 neighbor {ROUTER} password {PASSWORD}
 neighbor {ROUTER} ebgp-multihop 2
 neighbor {PUBLIC} remote-as 64496
 neighbor {PUBLIC} password {PASSWORD}
 neighbor {PUBLIC} ebgp-multihop 2
 address-family ipv4 unicast
  network 192.0.2.0/24
  neighbor {ROUTER} activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:9::/48
  neighbor {PUBLIC} activate
 exit-address-family
"""


def peerings(*tiers: int, password: str = PASSWORD) -> dict[str, Any]:
    """The neighbour is told of these tiers."""
    return {
        "peers": [
            {
                "peer_id": 1, "peer_as_number": 64501, "ip4_address": NEIGHBOUR, "peer_password": password,
                "network_id": 200 + tier, "network_as_number": 64496, "guest_ip4_cidr": f"10.1.{tier}.0/24",
                "details": {"EBGP_MultiHop": "2"},
            }
            for tier in tiers
        ],
        "type": "bgppeers", "delete_from_processed_cache": False,
    }  # fmt: skip


def peerings6() -> dict[str, Any]:
    """The neighbour is told of the IPv6 side of eth2, by IPv6."""
    peer = peerings(2)["peers"][0]
    del peer["ip4_address"], peer["guest_ip4_cidr"]
    peer |= {"ip6_address": NEXT_HOP, "guest_ip6_cidr": f"{NETWORK}/64"}
    return {**peerings(), "peers": [peer]}


@pytest.fixture
def neighbour(routers: Laboratory, tmp_path: Path) -> Iterator[Neighbour]:
    assert routers.wait(is_pair, SETTLED_S), routers.status()
    with Neighbour(routers, tmp_path / "bgpd", CONFIG) as neighbour:
        yield neighbour
    routers.heal()
    submit(routers, peerings())
    assert routers.wait(is_pair, SETTLED_S), routers.status()


def submit(laboratory: Laboratory, command: dict[str, Any]) -> None:
    for router in ROUTERS:
        with laboratory.connect(router) as agent:
            (outcome,) = agent.submit("bgp_peers.json", json.dumps(command))
            assert outcome["status"] in ("accepted", "unchanged"), outcome


def known(laboratory: Laboratory, router: str, family: str) -> set[str]:
    """The networks that the router's own bgpd knows, and so tells."""
    socket = laboratory.machines[router].root / "run/vpcrouter/bgpd"
    argv = ["vtysh", "--vty_socket", str(socket), "-c", f"show bgp {family} unicast json"]
    return set(
        json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout)["routes"]
    )


def told(*tiers: int) -> dict[str, str]:
    return {"192.0.2.0/24": ITS_OWN, **{f"10.1.{tier}.0/24": ROUTER for tier in tiers}}


def test_the_neighbour_learns_the_tiers_and_nothing_is_learned_from_it(
    routers: Laboratory, neighbour: Neighbour
) -> None:
    submit(routers, peerings(2, 3))
    assert within(LEARNED_S, lambda: neighbour.routes() == told(2, 3)), neighbour.log()
    for router in ROUTERS:
        assert "192.0.2.0" not in run_in(routers, router, "ip", "route", "show", "table", "all")
        assert known(routers, router, "ipv4") == {"10.1.2.0/24", "10.1.3.0/24"}, "or other neighbours would be told"
        assert differences(routers, router) == []
    files = [path for path in routers.directory.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert {path.name for path in files} == {"bgpd.conf"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_change_leaves_the_session_as_it_is(routers: Laboratory, neighbour: Neighbour) -> None:
    submit(routers, peerings(2, 3))
    assert within(LEARNED_S, lambda: neighbour.routes() == told(2, 3)), neighbour.log()
    before = neighbour.session(ROUTER)["connectionsEstablished"]
    submit(routers, peerings(2, 4))
    assert within(LEARNED_S, lambda: neighbour.routes() == told(2, 4)), neighbour.log()
    assert neighbour.session(ROUTER)["connectionsEstablished"] == before


def test_another_password_is_another_neighbour(routers: Laboratory, neighbour: Neighbour) -> None:
    submit(routers, peerings(2, password="another"))
    time.sleep(3)
    assert neighbour.session(ROUTER)["state"] != "Established"
    submit(routers, peerings(2))
    assert within(LEARNED_S, lambda: neighbour.routes() == told(2)), neighbour.log()


def test_no_route_is_lost_when_the_master_is(routers: Laboratory, neighbour: Neighbour) -> None:
    submit(routers, peerings(2, 3))
    assert within(LEARNED_S, lambda: neighbour.routes() == told(2, 3)), neighbour.log()
    before = neighbour.session(ROUTER)["connectionsEstablished"]
    seen: list[dict[str, str]] = []
    crashed = time.monotonic()
    routers.crash(roles(routers)["master"], "namespace")

    def is_spoken_to_again() -> bool:
        seen.append(neighbour.routes())
        return int(neighbour.session(ROUTER)["connectionsEstablished"]) > int(before)

    assert within(LEARNED_S, is_spoken_to_again), neighbour.log()
    print(f"the new master speaks after {time.monotonic() - crashed:.1f} s")
    assert [each for each in seen if each != told(2, 3)] == []


@pytest.fixture
def dual(routers: Laboratory) -> Laboratory:
    """The same pair, with IPv6 on eth2 and on the public side."""
    run_in(routers, "ext", "ip", "address", "replace", f"{NEXT_HOP}/64", "dev", "eth0", "nodad")
    make_dual(routers)
    return routers


def test_a_neighbour_by_ipv6_learns_the_tier_and_loses_nothing_with_the_master(
    dual: Laboratory, neighbour: Neighbour
) -> None:
    submit(dual, peerings6())
    wanted = {"2001:db8:9::/48": "::", f"{NETWORK}/64": PUBLIC}
    assert within(LEARNED_S, lambda: neighbour.routes("ipv6") == wanted), (neighbour.routes("ipv6"), neighbour.log())
    assert neighbour.routes() == told(), "nothing was asked of IPv4"
    for router in ROUTERS:
        assert "2001:db8:9:" not in run_in(dual, router, "ip", "-6", "route", "show", "table", "all")
        assert known(dual, router, "ipv6") == {f"{NETWORK}/64"}
        assert differences(dual, router) == []
    before = int(neighbour.session(PUBLIC, "ipv6")["connectionsEstablished"])
    seen: list[dict[str, str]] = []
    dual.crash(roles(dual)["master"], "namespace")

    def is_spoken_to_again() -> bool:
        seen.append(neighbour.routes("ipv6"))
        return int(neighbour.session(PUBLIC, "ipv6")["connectionsEstablished"]) > before

    assert within(LEARNED_S, is_spoken_to_again), neighbour.log()
    assert [each for each in seen if each != wanted] == []


def test_without_peerings_nobody_is_told_and_nothing_is_left(routers: Laboratory, neighbour: Neighbour) -> None:
    submit(routers, peerings(2))
    assert within(LEARNED_S, lambda: neighbour.routes() == told(2)), neighbour.log()
    submit(routers, peerings())
    assert within(LEARNED_S, lambda: neighbour.session(ROUTER)["state"] != "Established")
    assert routers.wait(is_pair, SETTLED_S), routers.status()
    for router in ROUTERS:
        root = routers.directory / router / "root"
        assert [path.name for path in root.rglob("bgpd*") if path.is_file() and ".log" not in path.name] == []
        assert "bgp_neighbours" not in run_in(routers, router, "nft", "list", "ruleset")
