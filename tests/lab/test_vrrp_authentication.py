"""A pair whose keepalived proves by AH who it is: what a guest sends in the peer's own MAC and address changes nothing.

Without it that is the known hole (`test_hostile_guests`). The frames are one of the pair's own, changed: what is done
with the right secret shows that they are well made. Advertisements of VRRPv2 come once a second, so all takes its time.
"""

from __future__ import annotations

import hmac
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import checksum

from tests.lab.conftest import SETTLED_S, hand_in, new_laboratory
from tests.lab.example import state_after
from tests.lab.forging import Sender, advertisement, sender_of, wire
from tests.lab.test_connections import wait_ready
from tests.lab.test_moves import OTHER, carried_on, role_changes
from tests.lab.test_partitions import master_of
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.demo import find_burst
from vpcrouter.lab.failover import fail_over, is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.machines import Machine
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.materialise.peer_guard import VRRP_GROUP
from vpcrouter.materialise.vrrp_authentication import AH_PROTOCOL, authentication
from vpcrouter.values.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SECOND_MS = 1000
OUTAGE_MS = 3 * SECOND_MS + SECOND_MS * (256 - 199) / 256 + 2 * SECOND_MS
"""The master-down interval, and what a busy machine adds where all is counted in seconds."""
IP_BYTES, AH_BYTES = 20, 24
PRIORITY, CHECKSUM = IP_BYTES + AH_BYTES + 2, IP_BYTES + AH_BYTES + 6
SEQUENCE, ICV = IP_BYTES + 8, IP_BYTES + 12


def the_secret() -> str:
    config = state_after(burst_files(find_burst(None))["rA"]).router
    assert config is not None
    found = authentication(config, Settings(vrrp_authentication="ah", advertisement_interval_ms=SECOND_MS))
    assert found is not None
    return found.secret


def forged(heard: bytes, sender: Sender, priority: int, secret: str, ahead: int = 1) -> Packet:
    """An advertisement that was heard, said by another one with another priority (RFC 2402; VRRPv2 is RFC 3768)."""
    packet = bytearray(heard)
    packet[12:16] = packet[IP_BYTES + 4 : IP_BYTES + 8] = bytes(map(int, sender.address.split(".")))
    packet[10:12] = bytes(2)
    packet[10:12] = checksum(bytes(packet[:IP_BYTES])).to_bytes(2)
    packet[SEQUENCE:ICV] = (int.from_bytes(packet[SEQUENCE:ICV]) + ahead).to_bytes(4)
    packet[PRIORITY] = priority
    packet[CHECKSUM : CHECKSUM + 2] = bytes(2)
    packet[CHECKSUM : CHECKSUM + 2] = checksum(bytes(packet[IP_BYTES + AH_BYTES :])).to_bytes(2)
    packet[ICV : ICV + 12] = proof(packet, secret)
    return Ether(src=sender.mac, dst="01:00:5e:00:00:12") / IP(bytes(packet))


def proof(packet: bytearray, secret: str) -> bytes:
    """Of what no router changes on the way."""
    steady = bytearray(packet)
    for start, end in ((1, 2), (6, 8), (10, 12), (ICV, ICV + 12)):
        steady[start:end] = bytes(end - start)
    return hmac.digest(secret.encode(), bytes(steady), "md5")[:12]


@pytest.fixture(scope="module")
def proving() -> Iterator[Laboratory]:
    laboratory = new_laboratory("--vrrp-authentication", "ah")
    try:
        laboratory.up(advertisement_ms=SECOND_MS)
        assert run_burst(laboratory, burst_files(find_burst(None))).is_good
        yield laboratory
    finally:
        laboratory.down()


@pytest.fixture
def pair(proving: Laboratory) -> Iterator[Laboratory]:
    assert proving.wait(lambda status: is_pair(status) and carried_on(status, "eth2"), 2 * SETTLED_S), proving.status()
    yield proving
    proving.heal()


def test_the_secret_is_for_keepalived_s_eyes_only(pair: Laboratory) -> None:
    for router in ROUTERS:
        file = pair.machines[router].root / "etc/vpcrouter/keepalived.conf"
        assert f"auth_pass {the_secret()}\n" in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        for path in pair.machines[router].directory.rglob("*.log"):
            assert the_secret() not in path.read_text(errors="replace"), path
        assert pair.status()[router]["without_effect"] == {}


def test_a_crash_is_survived_and_who_comes_back_is_a_full_backup(pair: Laboratory) -> None:
    wait_ready(pair, SETTLED_S)
    result = fail_over(pair, "namespace")
    assert result.new_master is not None and result.new_master != result.crashed
    assert 0 < result.outage_ms <= OUTAGE_MS, result
    pair.heal()
    assert pair.wait(is_pair, 2 * SETTLED_S), pair.status()
    assert master_of(pair) == result.new_master
    wait_ready(pair, SETTLED_S)


def test_who_does_not_know_the_secret_changes_nothing_even_as_the_peer(pair: Laboratory) -> None:
    master = master_of(pair)
    before = role_changes(pair)
    with wire(pair, "vm2") as cable, Probe(pair, "vm4", Target.parse("ext")) as probing:
        heard = bytes(cable.capture(VRRP_GROUP, lambda packet: packet.proto == AH_PROTOCOL))
        senders = [sender_of(router, 2) for router in (OTHER[master], master)]
        replayed = Ether(src=senders[1].mac, dst="01:00:5e:00:00:12") / IP(heard)
        frames = [
            replayed,
            *(advertisement(each, 2, priority) for each in senders for priority in (255, 0)),
            *(forged(heard, each, priority, "WRONG123", 50) for each in senders for priority in (255, 0)),
        ]
        cable.send(frames, times=100, pause_s=0.05)
        result = probing.stop()
    assert result.lost == 0, result
    assert role_changes(pair) == before


def test_who_knows_the_secret_is_the_peer(pair: Laboratory) -> None:
    """Which proves that the frames above were well made."""
    master = master_of(pair)
    before = role_changes(pair)[master]
    with wire(pair, "vm2") as cable:
        heard = bytes(cable.capture(VRRP_GROUP, lambda packet: packet.proto == AH_PROTOCOL))
        assert heard[ICV : ICV + 12] == proof(bytearray(heard), the_secret())
        cable.send([forged(heard, sender_of(OTHER[master], 2), 255, the_secret(), 5)], times=1)
    assert pair.wait(lambda status: status[master]["counters"]["role_changes"] > before, SETTLED_S), pair.status()
    assert pair.wait(is_pair, 2 * SETTLED_S), pair.status()


def test_of_two_that_prove_differently_one_serves_and_the_other_says_why() -> None:
    """Neither hears the other's advertisements. When the one that serves is gone, the other one does."""
    laboratory = new_laboratory()
    machine = laboratory.machines["rB"]
    laboratory.machines["rB"] = Machine("rB", machine.namespace, laboratory.directory, ("--vrrp-authentication", "ah"))
    try:
        laboratory.up(advertisement_ms=SECOND_MS)
        files = burst_files(find_burst(None))
        for router in ROUTERS:  # one after the other: who is there first serves
            hand_in(laboratory, router, files[router])
            assert laboratory.wait(lambda status: status["rA"]["role"] == "master", SETTLED_S), laboratory.status()
        assert laboratory.wait(lambda status: status["rB"]["role"] == "fault", SETTLED_S), laboratory.status()
        time.sleep(4 * SECOND_MS / 1000)  # long enough to be master, if nothing kept it
        status = laboratory.status()
        assert (status["rA"]["role"], status["rB"]["role"]) == ("master", "fault"), status
        assert "authentication is none there and ah here" in status["rB"]["role_reason"]
        assert any("authentication" in each for each in status["rA"]["peer"]["lost"])
        laboratory.crash("rA", "namespace")
        assert laboratory.wait(lambda status: status["rB"]["role"] == "master", SETTLED_S), laboratory.status()
    finally:
        laboratory.down()


def test_where_keepalived_has_no_hmac_the_pair_goes_on_without_and_says_so() -> None:
    """And where it has one (2.4), the pair has it."""
    laboratory = new_laboratory("--vrrp-authentication", "hmac")
    try:
        laboratory.up()
        assert run_burst(laboratory, burst_files(find_burst(None))).is_good
        said = subprocess.run(["keepalived", "--version"], capture_output=True, text=True, check=True).stderr
        has_hmac = "v2.2" not in said.split()[1] and "v2.3" not in said.split()[1]
        for router, status in laboratory.status().items():
            file = Path(laboratory.machines[router].root) / "etc/vpcrouter/keepalived.conf"
            assert ("auth_hmac" in file.read_text()) is has_hmac
            assert list(status["without_effect"]) == ([] if has_hmac else ["vrrp_authentication=hmac"])
        if has_hmac:
            assert laboratory.wait(lambda status: is_pair(status) and carried_on(status, "eth2"), SETTLED_S)
            before = role_changes(laboratory)
            with wire(laboratory, "vm2") as cable:
                peer = sender_of(OTHER[master_of(laboratory)], 2)
                cable.send([advertisement(peer, 2, priority) for priority in (255, 0)], times=200)
            assert role_changes(laboratory) == before
            result = fail_over(laboratory, "kill")
            assert result.new_master not in (None, result.crashed)
            laboratory.heal()
            assert laboratory.wait(is_pair, SETTLED_S), laboratory.status()
    finally:
        laboratory.down()
