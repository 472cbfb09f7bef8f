"""Three routers on networks that carry no multicast: one joins, two crash, the carrier moves, and a guest lies.

conntrackd knows any number of others by multicast alone: what it says goes by the overlay, to each of them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from tests.lab.conftest import SETTLED_S, new_laboratory
from tests.lab.forging import Sender, Wire, guest_of, multicast, sender_of, synchronisation, wire
from tests.lab.sets import is_whole, make_whole, master_of, said, survive_crashes, write_burst
from tests.lab.test_hostile_guests import FORGED_PORT, KNOWN_PORT, dropped, run_in
from tests.lab.test_moves import GUEST, LOWEST, MOVED_S, NEXT, carried_on, role_changes
from tests.lab.test_three_routers import ALL, THIRD, change
from tests.lab.test_unicast import advertisements, build_deaf
from tests.materialise.namespaces import inside
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.materialise.conntrackd import GROUP
from vpcrouter.materialise.overlay import OVERLAY_PORT
from vpcrouter.values.desired import OVERLAY

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

LISTED = ("10.1.2.2", "10.1.2.3", "10.1.2.4")
EVERYTHING = 3


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_burst(tmp_path_factory.mktemp("burst"), ALL)


@pytest.fixture(scope="module")
def three(burst: Path) -> Iterator[Laboratory]:
    """A pair that a third router will join; nobody has ever heard a multicast."""
    laboratory = new_laboratory(*(word for each in LISTED for word in ("--unicast-peer", each)))
    try:
        build_deaf(laboratory)
        files = burst_files(burst)
        assert run_burst(laboratory, {router: files[router] for router in ROUTERS}).is_good
        yield laboratory
    finally:
        laboratory.down()


def test_a_third_joins_and_nobody_s_conntrackd_starts_anew(three: Laboratory, burst: Path) -> None:
    master, before = make_whole(three), role_changes(three)
    pids = {router: three.machines[router].pids("conntrackd") for router in ROUTERS}
    with Probe(three, GUEST, Target.parse("ext")) as probing:
        three.join()
        assert run_burst(three, {THIRD: burst_files(burst)[THIRD]}).routers[THIRD].settled
        assert make_whole(three) == master
        result = probing.stop()
    assert result.lost == 0, result
    assert role_changes(three) == {**before, THIRD: 1}
    assert {router: three.machines[router].pids("conntrackd") for router in ROUTERS} == pids
    for number, router in enumerate(ALL):
        others = [each for at, each in enumerate(LISTED) if at != number]
        assert remotes(three, router) == others


def remotes(three: Laboratory, router: str) -> list[str]:
    lines = run_in(three, router, "bridge", "fdb", "show", "dev", OVERLAY).splitlines()
    return sorted(line.split(" dst ")[1].split()[0] for line in lines)


def test_two_crashes_and_the_streams_go_on(three: Laboratory) -> None:
    survive_crashes(three)


def test_the_lowest_tier_goes_and_comes(three: Laboratory, burst: Path) -> None:
    """The one of the listed addresses, and of the overlay, which goes another way meanwhile."""
    master, before = make_whole(three), role_changes(three)
    with Probe(three, GUEST, Target.parse("ext")) as probing:
        for add, ends_on in ((False, NEXT), (True, LOWEST)):
            change(three, burst, ALL, add=add, skew_s=0)
            assert three.wait(partial(carried_on, device=ends_on), MOVED_S), said(three)
            assert make_whole(three) == master
            assert three.wait(partial(goes_by, three, master, ends_on), SETTLED_S)
        result = probing.stop()
    assert result.lost == 0, result
    assert role_changes(three) == before


def test_what_somebody_does_to_the_overlay_is_put_right(three: Laboratory) -> None:
    master = make_whole(three)
    taken = remotes(three, master)[0]
    run_in(three, master, "bridge", "fdb", "del", "00:00:00:00:00:00", "dev", OVERLAY, "dst", taken)
    assert three.wait(lambda _: taken in remotes(three, master), SETTLED_S)
    run_in(three, master, "ip", "link", "del", OVERLAY)
    assert three.wait(partial(goes_by, three, master, LOWEST), SETTLED_S)
    assert three.wait(lambda _: len(remotes(three, master)) == len(ALL) - 1, SETTLED_S)
    assert make_whole(three) == master


def goes_by(three: Laboratory, router: str, device: str, _: object) -> bool:
    """Not for the moment in which it is made anew: then it is not there."""
    lines = run_in(three, router, "ip", "-o", "-d", "link", "show").splitlines()
    return any(f": {OVERLAY}:" in line and f"dev {device} " in line for line in lines)


def test_a_guest_with_another_s_mac_or_address_changes_nothing(three: Laboratory) -> None:
    """Of VRRP, nor of connections. As both, it is the peer: so the frames were well made."""
    master = make_whole(three)
    backup = next(each for each in ALL if each != master)
    before, counted = role_changes(three), dropped(three, backup)
    with inside(three.names.namespace(master)):
        door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
        door.bind((OVERLAY, EVERYTHING))
    with door, wire(three, "vm2") as cable:
        door.settimeout(5)
        send = f"import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', {KNOWN_PORT})); "
        old, new = (port.to_bytes(2) for port in (KNOWN_PORT, FORGED_PORT))
        run_in(three, "vm3", "python3", "-c", send + "s.sendto(b'x', ('203.0.113.1', 40777))")
        heard = Wire(door).capture(GROUP, lambda packet: old in bytes(packet[UDP].payload))
        content = bytes(heard[UDP].payload).replace(old, new)

        def tell(sender: Sender, ahead: int) -> str:
            number = int.from_bytes(content[4:8]) + ahead
            inner = synchronisation(Sender(sender.mac, heard[IP].src), content[:4] + number.to_bytes(4) + content[8:])
            cable.send([in_overlay(inner, sender, backup)], times=1)
            time.sleep(0.2)
            return run_in(three, backup, "conntrack", "-L", "-p", "udp", "--orig-port-src", str(FORGED_PORT))

        peer, guest = sender_of(master, 2), guest_of(2)
        disguises = [guest, Sender(guest.mac, peer.address), Sender(peer.mac, guest.address)]
        for ahead, sender in enumerate(disguises, start=3):
            assert tell(sender, ahead) == "", sender
        bare = multicast(guest, GROUP, UDP(bytes(heard[UDP])), protocol=17)
        forged = [each for sender in disguises for each in advertisements(sender, backup, 255)]
        cable.send([*forged, bare], times=50)
        assert role_changes(three) == before
        assert dropped(three, backup) - counted >= len(disguises) + 50 * len(forged)
        assert f"sport={FORGED_PORT}" in tell(peer, 20), "the message was no good"
    assert make_whole(three) == master


def in_overlay(inner: Packet, sender: Sender, router: str) -> Packet:
    target = sender_of(router, 2)
    outer = Ether(src=sender.mac, dst=target.mac) / IP(src=sender.address, dst=target.address, ttl=1)
    return outer / UDP(sport=OVERLAY_PORT, dport=OVERLAY_PORT) / VXLAN(vni=3782, flags="Instance") / inner


def test_one_leaves_and_the_others_are_a_pair(three: Laboratory) -> None:
    """The last test: it is not put back."""
    master = make_whole(three)
    three.crash(next(each for each in ALL if each != master), "namespace")
    assert three.wait(lambda status: is_whole(status, 2), SETTLED_S), said(three)
    assert master_of(three) == master
