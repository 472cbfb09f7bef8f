"""DHCP and DNS as a guest sees them, from a real dnsmasq with the generated files; and conntrackd with its own."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from tests.materialise import dhcp, vpc
from tests.materialise.namespaces import Host, Network, run, socket_in
from tests.materialise.vpc import APP, OTHER, WEB
from vpcrouter.materialise import materialise
from vpcrouter.state import State
from vpcrouter.values.config import Reservation
from vpcrouter.values.desired import Desired
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

NEWCOMER = "0.0.0.0"  # noqa: S104 - a host without an address
WEB_MAC, OTHER_MAC, THIRD_MAC = "02:00:0a:01:02:64", "02:00:0a:01:02:65", "02:00:0a:01:02:66"
STATE = vpc.state(
    tiers=[evolve(vpc.tier(2, domain="web.example.com"), mtu=1450, resolvers=("203.0.113.53",)), vpc.tier(3)],
    addresses=[vpc.public(10)],
    reservations=[
        Reservation(address=WEB, mac=WEB_MAC, host_name="web-1"),
        Reservation(address=OTHER, mac=OTHER_MAC, host_name="web-2", is_default=False, lease_seconds=3600),
        Reservation(address="10.1.2.102", mac=THIRD_MAC, host_name="12h"),
        Reservation(address=APP, mac="02:00:0a:01:03:64", host_name="app-1"),
    ],
)


class Served:
    """A router whose dnsmasq runs with the generated files below a root of its own."""

    def __init__(self, network: Network, root: Path) -> None:
        self.network = network
        self.settings = Settings(root=str(root))
        self.desired = materialise(STATE, Role.MASTER, self.settings)
        network.configure(self.desired)
        self.write(self.desired)
        Path(self.settings.run_dir).mkdir(parents=True)

    def write(self, desired: Desired) -> None:
        for file in (file for daemon in desired.daemons for file in daemon.files):
            Path(file.path).parent.mkdir(parents=True, exist_ok=True)
            Path(file.path).write_text(file.content)

    @contextmanager
    def running(self, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
        """A program in the router meanwhile."""
        router = ["ip", "netns", "exec", self.network.name("router")]
        with subprocess.Popen([*router, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(0.3)
                assert process.poll() is None
                yield process
            finally:
                process.terminate()

    def reload(self, dnsmasq: subprocess.Popen[bytes], state: State) -> None:
        """Other reservations, by a signal."""
        desired = materialise(state, Role.MASTER, self.settings)
        before, after = ({d.name: d.restart_files for d in each.daemons} for each in (self.desired, desired))
        assert before == after, "this state needs more than a signal"
        self.write(desired)
        dnsmasq.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert dnsmasq.poll() is None, "dnsmasq crashed"

    def ask(self, mac: str, kind: int = dhcp.DISCOVER, requested: str = "") -> dhcp.Answer | None:
        options = {dhcp.REQUESTED: socket.inet_aton(requested)} if requested else {}
        return dhcp.ask(self.network.name(NEWCOMER), kind, mac, options)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root")
    network = Network(
        ("eth2", "eth3"), [Host(WEB, "eth2", "10.1.2.1"), Host(APP, "eth3", "10.1.3.1"), Host(NEWCOMER, "eth2")]
    )
    try:
        yield Served(network, root)
    finally:
        network.close()


def dnsmasq_command(served: Served) -> tuple[str, ...]:
    # As root, since only its owner may enter a directory that pytest makes for a test.
    conf = served.settings.config_dir / "dnsmasq.conf"
    return ("dnsmasq", "--keep-in-foreground", f"--conf-file={conf}", "--pid-file=", "--log-facility=-", "--user=root")


@pytest.fixture
def dnsmasq(served: Served) -> Iterator[subprocess.Popen[bytes]]:
    with served.running(*dnsmasq_command(served)) as process:
        yield process


def test_a_reserved_guest_is_offered_everything(served: Served, dnsmasq: subprocess.Popen[bytes]) -> None:
    offer = served.ask(WEB_MAC)
    assert offer is not None
    assert (offer.kind, offer.address) == (dhcp.OFFER, WEB)
    assert offer.addresses(dhcp.MASK) == ["255.255.255.0"]
    assert offer.addresses(dhcp.ROUTER) == ["10.1.2.1"]
    assert offer.addresses(dhcp.RESOLVERS) == ["10.1.2.1", "203.0.113.53"]
    assert offer.options[dhcp.DOMAIN] == b"web.example.com"
    assert offer.options[dhcp.HOST_NAME] == b"web-1"
    assert offer.options[dhcp.MTU] == struct.pack("!H", 1450)
    assert offer.options[dhcp.LEASE_TIME] == b"\xff\xff\xff\xff"


def test_a_secondary_nic_is_offered_no_way_out(served: Served, dnsmasq: subprocess.Popen[bytes]) -> None:
    offer = served.ask(OTHER_MAC)
    assert offer is not None
    assert offer.address == OTHER
    assert not {dhcp.ROUTER, dhcp.RESOLVERS, dhcp.DOMAIN} & offer.options.keys()
    assert offer.options[dhcp.MTU] == struct.pack("!H", 1450)
    assert offer.options[dhcp.LEASE_TIME] == struct.pack("!I", 3600)


def test_a_name_that_looks_like_a_lease_time_is_no_lease_time(served: Served, dnsmasq: subprocess.Popen[bytes]) -> None:
    offer = served.ask(THIRD_MAC)
    assert offer is not None
    assert (offer.address, offer.options[dhcp.LEASE_TIME]) == ("10.1.2.102", b"\xff\xff\xff\xff")


def test_a_stranger_is_offered_nothing(served: Served, dnsmasq: subprocess.Popen[bytes]) -> None:
    assert served.ask("02:00:00:00:00:99") is None


def test_who_does_not_serve_offers_nothing_with_the_same_ruleset(
    served: Served, dnsmasq: subprocess.Popen[bytes]
) -> None:
    with served.network.without("eth2", "10.1.2.1/24"):
        assert served.ask(WEB_MAC) is None
    assert served.ask(WEB_MAC) is not None


def test_a_guest_that_comes_later_needs_a_signal_only(served: Served, dnsmasq: subprocess.Popen[bytes]) -> None:
    assert served.ask(OTHER_MAC) is not None, "dnsmasq must have answered a tagged client before the signal"
    new = Reservation(address="10.1.2.110", mac="02:00:0a:01:02:6e", host_name="web-3")
    assert served.ask(new.mac) is None
    served.reload(dnsmasq, evolve(STATE, reservations={**STATE.reservations, new.address: new}))
    offer = served.ask(new.mac)
    assert offer is not None
    assert offer.address == new.address
    served.reload(dnsmasq, STATE)


def test_what_dnsmasq_remembers_of_a_lease_ends_with_it(served: Served) -> None:
    """Why a removed reservation needs a restart: the address goes to another guest, and nothing is on disk."""
    moved = evolve(STATE.reservations[WEB], mac="02:00:00:00:00:77")
    with served.running(*dnsmasq_command(served)) as process:
        taken = served.ask(WEB_MAC, dhcp.REQUEST, WEB)
        assert taken is not None
        assert taken.kind == dhcp.ACK
        served.reload(process, evolve(STATE, reservations={**STATE.reservations, WEB: moved}))
        assert served.ask(moved.mac) is None
    with served.running(*dnsmasq_command(served)):
        offer = served.ask(moved.mac)
        assert offer is not None
        assert offer.address == WEB
    served.write(served.desired)


def resolve(served: Served, guest: str, name: str, server: str) -> tuple[int, list[str]]:
    """Response code and addresses of an A query."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    question = labels + b"\0" + struct.pack("!HH", 1, 1)
    with socket_in(served.network.name(guest), socket.SOCK_DGRAM, "", 0) as here:
        here.sendto(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + question, (server, 53))
        answer = here.recv(512)
    count = struct.unpack("!H", answer[6:8])[0]
    records = answer[12 + len(question) :]
    return answer[3] & 15, [socket.inet_ntoa(records[at * 16 + 12 : at * 16 + 16]) for at in range(count)]


def test_names(served: Served, dnsmasq: subprocess.Popen[bytes]) -> None:
    assert resolve(served, WEB, "web-1.web.example.com", "10.1.2.1") == (0, [WEB])
    assert resolve(served, WEB, "web-1", "10.1.2.1") == (0, [WEB])
    assert resolve(served, APP, "web-1.web.example.com", "10.1.3.1") == (0, [WEB])
    assert resolve(served, APP, "app-1.vpc1.example.com", "10.1.3.1") == (0, [APP])
    assert resolve(served, WEB, "12h.web.example.com", "10.1.2.1") == (0, ["10.1.2.102"])
    assert resolve(served, WEB, "nobody.web.example.com", "10.1.2.1") == (3, [])
    assert resolve(served, WEB, "data-server", "10.1.2.1") == (0, ["10.1.2.1"])
    assert resolve(served, APP, "data-server", "10.1.3.1") == (0, ["10.1.3.1"])


def one_of_many(number: int) -> Reservation:
    """One of two thousand, in 10.1.4.0 to 10.1.11.255."""
    return Reservation(
        address=f"10.1.{4 + number // 250}.{1 + number % 250}",
        mac=f"02:00:00:01:{number // 256:02x}:{number % 256:02x}",
        host_name=f"many-{number}",
    )


def test_one_guest_more_among_two_thousand_costs_no_question(served: Served) -> None:
    wide = evolve(STATE.tiers["eth2"], network="10.1.0.0/20")
    reservations = [STATE.reservations[WEB], *(one_of_many(number) for number in range(2000))]
    before = evolve(STATE, tiers={"eth2": wide}, reservations={each.address: each for each in reservations})
    new = Reservation(address="10.1.2.110", mac="02:00:0a:01:02:6e", host_name="web-3")
    after = evolve(before, reservations={**before.reservations, new.address: new})
    served.write(materialise(before, Role.MASTER, served.settings))
    answers: list[tuple[int, list[str]] | None] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        while not is_over.is_set():
            try:
                answers.append(resolve(served, WEB, "web-1", "10.1.2.1"))
            except TimeoutError:
                answers.append(None)

    guest = threading.Thread(target=keep_asking)
    try:
        with served.running(*dnsmasq_command(served)) as process:
            guest.start()
            time.sleep(0.2)
            served.write(materialise(after, Role.MASTER, served.settings))
            process.send_signal(signal.SIGHUP)
            time.sleep(1.0)
            is_over.set()
            guest.join()
            assert process.poll() is None
            assert resolve(served, WEB, "web-3", "10.1.2.1") == (0, [new.address])
            assert resolve(served, WEB, "many-1999", "10.1.2.1") == (0, ["10.1.11.250"])
    finally:
        is_over.set()
        served.write(served.desired)
    assert len(answers) > 50
    assert all(each == (0, [WEB]) for each in answers)


def test_conntrackd_runs_with_its_file(served: Served) -> None:
    conf = str(served.settings.config_dir / "conntrackd.conf")
    with served.running("conntrackd", "-C", conf):
        inside = ("ip", "netns", "exec", served.network.name("router"))
        assert "multicast traffic (active device=eth2)" in run((*inside, "conntrackd", "-C", conf, "-s"))
