"""Which connections of a real kernel count as shared with the peer, and that a translation is part of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliers.private_network import PrivateNetwork, private_network
from vpcrouter.appliers import connections
from vpcrouter.appliers._sockets import NetlinkSocket
from vpcrouter.appliers.connections import ConnectionTable

pytestmark = pytest.mark.lab

TCP = ("-p", "tcp", "--state", "ESTABLISHED")
ASSURED = ("-u", "SEEN_REPLY,ASSURED")
TO_OUTSIDE = ("-s", "10.1.2.100", "-d", "203.0.113.1", "--sport", "40000", "--dport", "80")


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    with private_network() as made:
        yield made


def insert(network: PrivateNetwork, *words: str) -> None:
    network.run("conntrack", "-I", "-t", "100", *words)


def read(network: PrivateNetwork) -> frozenset[int]:
    def look() -> frozenset[int]:
        table = ConnectionTable()
        try:
            return table.read()
        finally:
            table.close()

    return network.do(look)


def test_an_empty_table_is_empty(network: PrivateNetwork) -> None:
    assert read(network) == frozenset()


def test_a_connection_is_the_same_on_both_routers_and_with_another_translation_another(network: PrivateNetwork) -> None:
    insert(network, *TCP, *ASSURED, *TO_OUTSIDE)
    (plain,) = read(network)
    with private_network() as other:
        insert(other, *TCP, *ASSURED, *TO_OUTSIDE)
        assert read(other) == {plain}
    with private_network() as translating:
        insert(translating, *TCP, *ASSURED, *TO_OUTSIDE, "-n", "203.0.113.10")
        (translated,) = read(translating)
    assert translated != plain


def test_udp_counts_and_each_connection_is_one(network: PrivateNetwork) -> None:
    for port in range(50):
        words = ("-p", "udp", "-s", "10.1.2.100", "-d", "203.0.113.1", "--sport", str(5000 + port), "--dport", "53")
        insert(network, *words, *ASSURED)
    assert len(read(network)) == 50


@pytest.mark.parametrize(
    "words",
    [
        (*TCP, "-u", "SEEN_REPLY", *TO_OUTSIDE),
        (*TCP, *ASSURED, "-s", "127.0.0.1", "-d", "127.0.0.2", "--sport", "1", "--dport", "2"),
        (*TCP, *ASSURED, "-s", "169.254.1.1", "-d", "169.254.1.2", "--sport", "1", "--dport", "2"),
        ("-p", "udp", *ASSURED, "-s", "10.1.2.2", "-d", "225.0.0.51", "--sport", "1", "--dport", "2"),
        ("-p", "icmp", *ASSURED, "-s", "10.1.2.2", "-d", "10.1.3.2", "--icmp-type", "8", "--icmp-code", "0"),
        (*TCP, *ASSURED, "-s", "2001:db8::1", "-d", "2001:db8::2", "--sport", "1", "--dport", "2"),
    ],
    ids=["not assured", "loopback", "control", "multicast", "ICMP", "IPv6"],
)
def test_what_conntrackd_does_not_share_or_nobody_misses_is_left_out(
    network: PrivateNetwork, words: tuple[str, ...]
) -> None:
    insert(network, *words)
    assert read(network) == frozenset()


def test_the_time_for_udp_is_the_kernels(network: PrivateNetwork) -> None:
    network.run("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_udp_timeout_stream=77")
    assert network.do(lambda: ConnectionTable().udp_timeout_s()) == 77


# A table that did not change is not read again -----------------------------------------------------


class _Kept:
    """A table that is kept open, and how often it was read from the kernel."""

    def __init__(self, network: PrivateNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
        self.network, self.dumps = network, 0
        dump = NetlinkSocket.dump

        def counting(sock: NetlinkSocket, kind: int, payload: bytes) -> list[tuple[int, bytes]]:
            self.dumps += 1
            return dump(sock, kind, payload)

        monkeypatch.setattr(NetlinkSocket, "dump", counting)
        self.table = network.do(ConnectionTable)

    def read(self) -> int:
        return len(self.network.do(self.table.read))


@pytest.fixture
def kept(network: PrivateNetwork, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Kept]:
    opened = _Kept(network, monkeypatch)
    yield opened
    opened.table.close()


def test_a_table_that_did_not_change_is_read_once(kept: _Kept) -> None:
    insert(kept.network, *TCP, *ASSURED, *TO_OUTSIDE)
    assert [kept.read() for _ in range(5)] == [1] * 5
    assert kept.dumps == 1


def test_what_begins_changes_and_ends_is_seen_at_once(kept: _Kept) -> None:
    assert kept.read() == 0
    insert(kept.network, *TCP, "-u", "SEEN_REPLY", *TO_OUTSIDE)
    assert kept.read() == 0
    kept.network.run("conntrack", "-U", "-p", "tcp", *TO_OUTSIDE, "-u", "SEEN_REPLY,ASSURED")
    assert kept.read() == 1, "only its state has changed"
    kept.network.run("conntrack", "-D", "-p", "tcp", *TO_OUTSIDE)
    insert(kept.network, *TCP, *ASSURED, *(*TO_OUTSIDE[:-1], "81"))
    insert(kept.network, *TCP, *ASSURED, *(*TO_OUTSIDE[:-1], "82"))
    kept.network.run("conntrack", "-D", "-p", "tcp", *TO_OUTSIDE[:-1], "82")
    assert kept.read() == 1


def test_more_than_can_be_told_is_seen(kept: _Kept) -> None:
    assert kept.read() == 0
    for port in range(30):
        insert(kept.network, *TCP, *ASSURED, *(*TO_OUTSIDE[:-1], str(1000 + port)))
    assert kept.read() == 30
    assert kept.dumps == 2


def test_what_ends_without_a_word_is_missing_in_the_count(kept: _Kept) -> None:
    kept.network.do(lambda: Path("/proc/sys/net/netfilter/nf_conntrack_events").write_text("0"))
    insert(kept.network, *TCP, *ASSURED, *TO_OUTSIDE)
    assert kept.read() == 1
    kept.network.run("conntrack", "-D", "-p", "tcp", *TO_OUTSIDE)
    assert kept.read() == 0


def test_a_table_is_read_again_after_a_while(kept: _Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OLDEST_S", 0.0)
    assert [kept.read(), kept.read()] == [0, 0]
    assert kept.dumps == 2
