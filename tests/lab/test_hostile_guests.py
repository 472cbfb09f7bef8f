"""Guests that speak in the name of a router: what each kind of forged frame does, and that most do nothing.

A guest has the wire of its tier to itself: whatever it sends, the routers see. It knows what routers say there, the
virtual router id and the advertised address included. Two things it cannot have at once without being taken for the
peer: the peer's address and its MAC. Frames with both are sent too; they prove that the others are well made.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from scapy.layers.igmp import IGMP
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet

from tests.lab.conftest import SETTLED_S
from tests.lab.forging import (
    Sender,
    Wire,
    advertisement,
    beacon,
    gratuitous_arp,
    guest_of,
    multicast,
    sender_of,
    synchronisation,
    wire,
)
from tests.lab.test_agent_killed import restart
from tests.lab.test_connections import wait_ready
from tests.lab.test_moves import OTHER, carried_on, role_changes
from tests.lab.test_partitions import master_of
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS, find_cable
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.materialise.conntrackd import GROUP
from vpcrouter.values.beacon import BEACON_GROUP

pytestmark = [pytest.mark.lab, pytest.mark.slow]

TIER = 2
TIERS = range(2, 7)
GUEST = f"vm{TIER}"
KNOWN_PORT, FORGED_PORT = 40_001, 40_017


def run_in(pair: Laboratory, node: str, *words: str) -> str:
    argv = ["ip", "netns", "exec", pair.names.namespace(node), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def dropped(pair: Laboratory, router: str) -> int:
    words = run_in(pair, router, "nft", "list", "counter", "inet", "vpcrouter", "not_the_peer").split()
    return int(words[words.index("packets") + 1])


def knows_peer(status: dict[str, dict[str, Any]]) -> bool:
    return all(each["peer"] and each["peer"]["proven"] == [f"eth{tier}" for tier in TIERS] for each in status.values())


def disguises(router: str) -> list[Sender]:
    """Without the two at once that make a peer."""
    guest, peer = guest_of(TIER), sender_of(router, TIER)
    stranger = Sender("02:00:00:00:00:99", f"10.1.{TIER}.77")
    return [guest, Sender(guest.mac, peer.address), Sender(peer.mac, guest.address), stranger]


def alone(packet: Packet, router: str) -> Packet:
    """The same for one router, as from one that is set up to speak by unicast."""
    target = sender_of(router, TIER)
    packet.dst, packet[IP].dst = target.mac, target.address
    return packet


@pytest.fixture
def master(pair: Laboratory) -> Iterator[str]:
    assert pair.wait(lambda status: is_pair(status) and carried_on(status, f"eth{TIER}"), SETTLED_S), pair.status()
    assert pair.wait(knows_peer, SETTLED_S), pair.status()
    yield master_of(pair)


@pytest.fixture
def cable(pair: Laboratory) -> Iterator[Wire]:
    with wire(pair, GUEST) as opened:
        yield opened


def test_what_a_guest_says_in_its_own_or_half_the_peer_s_name_changes_nothing(
    pair: Laboratory, master: str, cable: Wire
) -> None:
    before, counted = role_changes(pair), {router: dropped(pair, router) for router in ROUTERS}
    said = bytes(cable.capture(BEACON_GROUP, lambda _: True)[UDP].payload)
    senders = [each for router in ROUTERS for each in disguises(router)]
    frames = [
        *(advertisement(each, TIER, priority) for each in senders for priority in (255, 0)),
        *(beacon(each, content) for each in senders for content in (said, said[:-1] + b"\0", b"\xff" * 500, b"")),
        *(alone(beacon(each, said), router) for router in ROUTERS for each in disguises(router)),
        *(gratuitous_arp(guest_of(TIER), address) for address in (f"10.1.{TIER}.1", f"169.254.255.{TIER}")),
        multicast(guest_of(TIER), "224.0.0.2", IGMP(type=0x17, gaddr="224.0.0.18"), protocol=2),
        multicast(guest_of(TIER), "224.0.0.18", IGMP(type=0x16, gaddr="224.0.0.18"), protocol=2),
    ]
    with Probe(pair, "vm4", Target.parse("ext")) as probing:
        cable.send(frames, times=100)
        result = probing.stop()
    assert result.lost == 0, result
    assert role_changes(pair) == before
    assert pair.wait(lambda status: is_pair(status) and knows_peer(status), SETTLED_S), pair.status()
    for router in ROUTERS:
        # Of each disguise in the name of both routers, advertisements and beacons; and those for this one alone.
        assert dropped(pair, router) - counted[router] >= 100 * (len(senders) * (2 + 3) + len(disguises(router)) - 1)
        heard = run_in(pair, router, "ip", "neigh", "show", "dev", f"eth{TIER}")
        assert f"10.1.{TIER}.1 " not in heard, "the gateway is nobody's to announce"


def test_whoever_has_the_gateway_s_address_too_is_named(pair: Laboratory, master: str, cable: Wire) -> None:
    """And nobody takes the gateway from the router for that."""
    before = role_changes(pair)
    gateway, other = f"10.1.{TIER}.1", Sender("02:00:00:00:00:77", f"10.1.{TIER}.1")
    conflict = {"device": f"eth{TIER}", "address": gateway, "mac": other.mac}
    assert conflict not in pair.status()[master]["conflicts"]
    cable.send([gratuitous_arp(other, gateway)], times=3, pause_s=1.1)
    assert pair.wait(lambda status: conflict in status[master]["conflicts"], SETTLED_S), pair.status()
    assert pair.status()[OTHER[master]]["conflicts"] == [], "a backup does not have that address"
    assert role_changes(pair) == before


def test_what_a_guest_tells_of_connections_is_not_believed(pair: Laboratory, master: str, cable: Wire) -> None:
    backup = OTHER[master]
    wait_ready(pair, SETTLED_S)
    send = f"import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', {KNOWN_PORT})); "
    old, new = (port.to_bytes(2) for port in (KNOWN_PORT, FORGED_PORT))
    run_in(pair, "vm3", "python3", "-c", send + "s.sendto(b'x', ('203.0.113.1', 40777))")
    packet = cable.capture(GROUP, lambda packet: old in bytes(packet[UDP].payload))
    assert packet[IP].src == sender_of(master, TIER).address
    content = bytes(packet[UDP].payload).replace(old, new)

    def tell(sender: Sender, ahead: int) -> str:
        """Its number must be a new one, or conntrackd has heard it already."""
        number = int.from_bytes(content[4:8]) + ahead
        cable.send([synchronisation(sender, content[:4] + number.to_bytes(4) + content[8:])], times=1)
        time.sleep(0.3)
        return run_in(pair, backup, "conntrack", "-L", "-p", "udp", "--orig-port-src", str(FORGED_PORT))

    for ahead, sender in enumerate(disguises(master), start=3):
        assert tell(sender, ahead) == "", sender
    assert f"sport={FORGED_PORT}" in tell(sender_of(master, TIER), 20), "the message was no good"
    for router in ROUTERS:
        subprocess.run(
            ["ip", "netns", "exec", pair.names.namespace(router), "conntrack", "-D", "-p", "udp"], capture_output=True
        )
    wait_ready(pair, SETTLED_S)


def test_an_agent_that_comes_back_knows_whom_to_listen_to(pair: Laboratory, master: str, cable: Wire) -> None:
    """Though the peer's agent does not tell."""
    before = role_changes(pair)[master]
    forged = [advertisement(each, TIER, 255) for router in ROUTERS for each in disguises(router)]
    sending = Thread(target=cable.send, args=(forged,), kwargs={"times": 400})
    for each in pair.status().values():
        os.kill(each["pid"], signal.SIGKILL)
    sending.start()
    try:
        restart(pair, master)
        assert pair.wait(lambda status: bool(status[master].get("settled")), SETTLED_S), pair.status()
        assert sending.is_alive(), "the guest was not there all the time"
    finally:
        sending.join()
        restart(pair, OTHER[master])
    assert pair.wait(lambda status: is_pair(status) and knows_peer(status), SETTLED_S), pair.status()
    assert master_of(pair) == master
    assert role_changes(pair)[master] <= min(before, 1), "init → master"


@pytest.mark.parametrize("whose", ["backup", "master"])
def test_a_router_with_other_macs_is_the_peer_as_soon_as_it_says_so(pair: Laboratory, master: str, whose: str) -> None:
    router = master if whose == "master" else OTHER[master]
    before, other = role_changes(pair), OTHER[router]

    def wear(last: str) -> None:
        for tier in TIERS:
            mac = f"{find_cable(router, f'eth{tier}').mac[:-2]}{last}"
            run_in(pair, router, "ip", "link", "set", "dev", f"eth{tier}", "address", mac)

    def is_known(last: str) -> bool:
        return pair.wait(
            lambda status: (
                knows_peer(status)
                and is_pair(status)
                and all(each.endswith(last) for each in status[other]["peer"]["places"].values())
            ),
            SETTLED_S,
        )

    own = find_cable(router, "eth2").mac[-2:]
    try:
        wear("cc")
        assert is_known("cc"), pair.status()
        if whose == "backup":
            assert role_changes(pair) == before
    finally:
        wear(own)
    assert is_known(own), pair.status()


def test_the_peer_s_own_mac_and_address_are_believed(pair: Laboratory, master: str, cable: Wire) -> None:
    """The known hole, and the proof that what does nothing elsewhere would do something."""
    before = role_changes(pair)[master]
    cable.send([advertisement(sender_of(OTHER[master], TIER), TIER, 255)], times=20)
    assert pair.wait(lambda status: status[master]["counters"]["role_changes"] > before, SETTLED_S), pair.status()
    assert pair.wait(lambda status: is_pair(status) and knows_peer(status), SETTLED_S), pair.status()
