"""The nftables applier on a real kernel: one transaction, proof by generation, repair of what others did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from tests.appliers.private_network import PrivateNetwork, private_network
from vpcrouter.appliers import _process, nftables
from vpcrouter.appliers._libnftables import NftLibrary, open_library
from vpcrouter.appliers.monitor import LinkMonitor
from vpcrouter.appliers.nftables import NftablesApplier, NftOutcome
from vpcrouter.errors import ApplierError
from vpcrouter.plan.nftables import ruleset_text
from vpcrouter.values.desired import NftChain, NftSet, Ruleset

pytestmark = pytest.mark.lab

FORWARDS = NftSet(
    name="forwards",
    kind="map",
    spec="type ipv4_addr . ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; flags interval;",
    elements=(
        ("0.0.0.0/0 . 203.0.113.10 . tcp . 80", "10.1.2.10 . 8080"),
        ("198.51.100.0/24 . 203.0.113.10 . udp . 5000-5010", "10.1.2.11 . 5000"),
    ),
)
SERVING = NftSet(name="serving", kind="set", spec="type ifname;", elements=(('"eth2"', ""), ('"eth3"', "")))
EGRESS = NftSet(name="egress", kind="map", spec="type ifname : verdict;", elements=(('"eth2"', "jump acl_eth2"),))
ACL = NftChain(
    name="acl_eth2",
    rules=(
        "ip saddr { 198.51.100.0/24, 192.0.2.7 } tcp dport { 443, 22 } accept",
        "udp dport 53 accept",
        "drop",
    ),
)
FORWARD = NftChain(
    name="forward",
    hook="type filter hook forward priority filter; policy drop;",
    rules=("ct state established,related accept", "iifname vmap @egress"),
)
INPUT = NftChain(
    name="input",
    hook="type filter hook input priority filter; policy drop;",
    rules=('iifname "lo" accept', "iifname @serving udp dport 67 accept"),
)
DNAT = NftChain(
    name="nat_in",
    hook="type nat hook prerouting priority dstnat; policy accept;",
    rules=("meta l4proto { tcp, udp } dnat ip to ip saddr . ip daddr . meta l4proto . th dport map @forwards",),
)
RULESET = Ruleset(table="vpcrouter", sets=(FORWARDS, SERVING, EGRESS), chains=(FORWARD, INPUT, DNAT, ACL))


BOTH_WAYS = pytest.mark.parametrize("table", ["library", "program"], indirect=True)


def _with_rule(ruleset: Ruleset, rule: str) -> Ruleset:
    *others, acl = ruleset.chains
    return evolve(ruleset, chains=(*others, evolve(acl, rules=(rule, *acl.rules))))


class _Table:
    """An applier inside a namespace of its own."""

    def __init__(self, network: PrivateNetwork) -> None:
        self.network = network
        self.applier = network.do(NftablesApplier)

    def settle(self, desired: Ruleset) -> NftOutcome:
        return self.network.do(lambda: self.applier.settle(desired))

    def verify(self, desired: Ruleset, *, full: bool = True) -> tuple[str, ...]:
        return self.network.do(lambda: self.applier.verify(desired, full=full))

    def nft(self, script: str) -> str:
        return self.network.run("nft", "-f", "-", text=script)

    def listing(self) -> str:
        return self.network.run("nft", "-s", "list", "ruleset")


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Table]:
    """An empty kernel; the least changes by libnftables, or by the program as if there were no library."""
    if getattr(request, "param", "library") == "program":
        monkeypatch.setattr(nftables, "open_library", lambda: None)
    with private_network() as network:
        opened = _Table(network)
        yield opened
        opened.applier.close()


def test_a_table_is_loaded_once_and_then_left_alone(table: _Table) -> None:
    first = table.settle(RULESET)
    assert (first.changed, first.drift) == (True, False)
    assert table.verify(RULESET) == ()
    assert table.settle(RULESET) == NftOutcome(changed=False)


def test_an_equal_table_is_taken_over_without_a_transaction(table: _Table) -> None:
    table.nft(ruleset_text(RULESET))
    assert table.settle(RULESET) == NftOutcome(changed=False)
    assert table.settle(_with_rule(RULESET, "tcp dport 80 accept")).script_bytes < 400


@BOTH_WAYS
def test_one_more_rule_touches_only_its_chain(table: _Table) -> None:
    table.settle(RULESET)
    handles = table.network.run("nft", "-a", "list", "chain", "inet", "vpcrouter", "forward")
    more = _with_rule(RULESET, "tcp dport 8443 accept")
    assert table.settle(more).changed
    assert table.verify(more) == ()
    assert table.network.run("nft", "-a", "list", "chain", "inet", "vpcrouter", "forward") == handles


@pytest.mark.parametrize(
    ("by_hand", "found"),
    [
        ("flush ruleset", "nftables: table vpcrouter is missing"),
        ("delete table inet vpcrouter", "nftables: table vpcrouter is missing"),
        ("flush chain inet vpcrouter acl_eth2", "nftables: chain acl_eth2 differs"),
        ("insert rule inet vpcrouter input accept", "nftables: chain input differs"),
        ("add chain inet vpcrouter extra { type filter hook input priority -5; }", "nftables: chain extra is surplus"),
        ('delete element inet vpcrouter serving { "eth3" }', "nftables: set serving differs"),
        ('delete element inet vpcrouter egress { "eth2" }', "nftables: map egress differs"),
        ("add set inet vpcrouter mine { type ipv4_addr; }", "nftables: set mine is surplus"),
        ("add chain inet vpcrouter forward { policy accept; }", "nftables: chain forward differs"),
        ("add table inet vpcrouter { flags dormant; }", "nftables: table differs"),
    ],
)
def test_what_somebody_changed_by_hand_is_repaired_and_reported(table: _Table, by_hand: str, found: str) -> None:
    table.settle(RULESET)
    table.nft(by_hand)
    assert table.verify(RULESET, full=False) == (found,)
    outcome = table.settle(RULESET)
    assert outcome.drift
    assert outcome.changed
    assert outcome.differences == (found,)
    assert table.verify(RULESET) == ()
    assert table.settle(RULESET) == NftOutcome(changed=False)


@pytest.mark.parametrize(
    "by_hand",
    [
        'delete element inet vpcrouter serving { "eth3" }',
        "flush map inet vpcrouter forwards",
        "flush chain inet vpcrouter acl_eth2",
        "add chain inet vpcrouter forward { policy accept; }",
        "add chain inet vpcrouter extra { type filter hook input priority -5; }",
        "add set inet vpcrouter mine { type ipv4_addr; }",
        "flush chain inet vpcrouter input; delete set inet vpcrouter serving",
        "flush map inet vpcrouter egress; flush chain inet vpcrouter acl_eth2; delete chain inet vpcrouter acl_eth2",
    ],
)
def test_who_starts_beside_another_table_keeps_its_chains_hooked(table: _Table, by_hand: str) -> None:
    """A table that is replaced loses packets: its old chains are empty and hooked for a moment, with policy drop."""
    table.nft(ruleset_text(RULESET) + by_hand)
    before = table.network.run("nft", "-a", "list", "tables")
    assert table.settle(RULESET).changed
    assert table.verify(RULESET) == ()
    assert table.network.run("nft", "-a", "list", "tables") == before
    assert table.settle(RULESET) == NftOutcome(changed=False)


@pytest.mark.parametrize(
    "by_hand",
    [
        "flush chain inet vpcrouter input; delete set inet vpcrouter serving\n"
        "add set inet vpcrouter serving { type mark; }",
        "delete chain inet vpcrouter forward\nadd chain inet vpcrouter forward { type filter hook input priority 5; }",
        "add table inet vpcrouter { flags dormant; }",
    ],
)
def test_what_cannot_be_changed_in_place_is_replaced(table: _Table, by_hand: str) -> None:
    table.nft(ruleset_text(RULESET) + by_hand)
    assert table.settle(RULESET).changed
    assert table.verify(RULESET) == ()
    assert table.settle(RULESET) == NftOutcome(changed=False)


def test_damage_to_what_is_not_wanted_any_more_goes_with_it(table: _Table) -> None:
    table.settle(RULESET)
    table.nft('flush chain inet vpcrouter input; add element inet vpcrouter serving { "eth9" }')
    less = evolve(
        RULESET,
        sets=tuple(each for each in RULESET.sets if each != SERVING),
        chains=tuple(each for each in RULESET.chains if each != INPUT),
    )
    assert table.settle(less).drift
    assert table.verify(less) == ()
    assert table.settle(less) == NftOutcome(changed=False)


def test_drift_and_a_change_at_once(table: _Table) -> None:
    table.settle(RULESET)
    table.nft("flush chain inet vpcrouter acl_eth2")
    more = _with_rule(RULESET, "tcp dport 8443 accept")
    assert table.settle(more).drift
    assert table.verify(more) == ()


def test_other_tables_are_left_alone(table: _Table) -> None:
    table.nft("add table ip theirs\nadd chain ip theirs c")
    table.settle(RULESET)
    table.nft("add rule ip theirs c accept")
    assert table.settle(RULESET) == NftOutcome(changed=False)
    table.network.do(lambda: table.applier.remove("vpcrouter"))
    table.network.do(lambda: table.applier.remove("vpcrouter"))
    assert "table ip theirs" in table.listing()
    assert "vpcrouter" not in table.listing()


@BOTH_WAYS
def test_a_refused_ruleset_changes_nothing_and_says_where(table: _Table) -> None:
    table.settle(RULESET)
    before = table.listing()
    broken = _with_rule(RULESET, "tcp dport no-such-service accept")
    with pytest.raises(ApplierError, match="no-such-service"):
        table.settle(broken)
    assert table.listing() == before
    mended = _with_rule(RULESET, "tcp dport 8443 accept")
    outcome = table.settle(mended)
    assert (outcome.changed, outcome.drift) == (True, False)
    assert table.verify(mended) == ()


def test_a_refused_ruleset_at_start_says_where(table: _Table) -> None:
    with pytest.raises(ApplierError, match="no-such-service"):
        table.settle(_with_rule(RULESET, "tcp dport no-such-service accept"))
    assert table.listing() == ""


def test_the_order_of_elements_is_no_difference(table: _Table) -> None:
    first, *rest = FORWARDS.elements
    without = evolve(RULESET, sets=(evolve(FORWARDS, elements=tuple(rest)), SERVING, EGRESS))
    for desired in (RULESET, without, RULESET):
        table.settle(desired)
    key, value = first
    in_order = table.network.run("nft", "list", "map", "inet", "vpcrouter", "forwards")
    assert in_order.index(rest[0][0]) < in_order.index(f"{key} : {value}"), "listed in the order of their coming"
    assert table.verify(RULESET) == ()


@BOTH_WAYS
@pytest.mark.parametrize("moment", ["before", "after"])
def test_somebody_else_s_transaction_beside_ours_is_noticed(
    table: _Table, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    table.settle(RULESET)
    interruptions = ["insert rule inet vpcrouter input accept", "flush chain inet vpcrouter input"]
    run, run_library = _process.run, NftLibrary.run

    @contextmanager
    def interrupting() -> Iterator[None]:
        by_hand = interruptions.pop().encode() if interruptions else b""
        if by_hand and moment == "before":
            run(["nft", "-f", "-"], stdin=by_hand)
        yield
        if by_hand and moment == "after":
            run(["nft", "-f", "-"], stdin=by_hand)

    def interrupted(argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> bytes:
        with interrupting() if argv == ["nft", "-f", "-"] else nullcontext():
            return run(argv, stdin=stdin, timeout=timeout)

    def interrupted_library(self: NftLibrary, script: str) -> None:
        with interrupting():
            run_library(self, script)

    monkeypatch.setattr(_process, "run", interrupted)
    monkeypatch.setattr(NftLibrary, "run", interrupted_library)
    more = _with_rule(RULESET, "tcp dport 8443 accept")
    outcome = table.settle(more)
    assert not interruptions
    assert outcome.changed
    assert set(outcome.differences) == {"nftables: chain input differs"}
    assert table.verify(more) == ()
    assert table.settle(more) == NftOutcome(changed=False)


def test_who_never_stops_writing_is_an_error(table: _Table, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _process.run
    numbers = iter(range(100))

    def interrupted(argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> bytes:
        run(["nft", "add", "table", "inet", f"theirs{next(numbers)}"])
        return run(argv, stdin=stdin, timeout=timeout)

    monkeypatch.setattr(_process, "run", interrupted)
    with pytest.raises(ApplierError, match="somebody else changed nftables"):
        table.settle(RULESET)


def test_the_least_change_starts_no_program_and_leaves_nothing_open(
    table: _Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.settle(RULESET)
    descriptors = _open_descriptors()
    more = _with_rule(RULESET, "tcp dport 8443 accept")
    with monkeypatch.context() as patch:
        patch.setattr(_process, "run", None)
        for desired in (more, RULESET, more):
            assert table.settle(desired).changed
    assert table.verify(more) == ()
    table.network.do(table.applier.close)
    assert _open_descriptors() == descriptors - 1, "that of the generation is closed as well"


def test_a_long_change_is_a_program_s(table: _Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.settle(RULESET)
    table.settle(_with_rule(RULESET, "tcp dport 8443 accept"))
    monkeypatch.setattr(NftLibrary, "run", None)
    long = _with_rule(
        RULESET, f"ip saddr {{ {', '.join(f'10.0.{each >> 8}.{each & 255}' for each in range(8000))} }} drop"
    )
    assert table.settle(long).script_bytes > 64 * 1024
    assert table.verify(long) == ()


def test_who_starts_beside_another_table_mends_it_by_the_program(
    table: _Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A bug of the library would end each agent that starts, else.
    table.nft(ruleset_text(RULESET))
    monkeypatch.setattr(NftLibrary, "run", None)
    more = _with_rule(RULESET, "tcp dport 8443 accept")
    assert table.settle(more).changed
    assert table.verify(more) == ()


def test_the_library_keeps_its_words_to_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with private_network() as network:
        library = network.do(open_library)
        assert library is not None
        with pytest.raises(ApplierError, match="No such file or directory"):
            network.do(partial(library.run, "add rule inet nowhere nothing accept"))
        with pytest.raises(ApplierError, match="syntax error"):
            network.do(partial(library.run, "add nonsense"))
        network.do(partial(library.run, "add table inet x"))
        network.do(partial(library.run, "list ruleset"))
        with pytest.raises(ApplierError, match="zero byte"):
            library.run("add table inet x\0add table inet y")
        network.do(library.close)
    assert capfd.readouterr() == ("", "")


def test_overlapping_intervals_change_in_one_transaction(table: _Table) -> None:
    steps = (
        {"80": "8080"},
        {"80-90": "8080"},
        {"80": "8080", "81-90": "8081"},
        {"80": "9090", "85-86": "8081"},
        {"1-65535": "8081"},
    )
    key = "0.0.0.0/0 . 203.0.113.10 . tcp ."
    for ports in steps:
        elements = tuple(sorted((f"{key} {port}", f"10.1.2.10 . {target}") for port, target in ports.items()))
        desired = evolve(RULESET, sets=(evolve(FORWARDS, elements=elements), SERVING, EGRESS))
        table.settle(desired)
        assert table.verify(desired) == ()


def test_a_table_s_name_is_a_word(table: _Table) -> None:
    for name in ("", "x; flush ruleset", "x\n", "$(id)", "-f", "ä", "x" * 40):
        with pytest.raises(ApplierError, match="not a table's name"):
            table.settle(evolve(RULESET, table=name))
        with pytest.raises(ApplierError, match="not a table's name"):
            table.network.do(partial(table.applier.remove, name))


def test_the_monitor_hears_each_kind_of_change(table: _Table) -> None:
    monitor = table.network.do(LinkMonitor)
    try:
        assert monitor.drain() == frozenset()
        table.settle(RULESET)
        assert monitor.drain() == {"nftables"}
        table.network.add_devices("eth2")
        assert monitor.drain() == {"kernel"}
        # What IPv6 does by itself would be heard at any time.
        table.network.run(
            "sysctl", "-qw", "net.ipv6.conf.eth2.disable_ipv6=1", "net.ipv6.conf.eth2-peer.disable_ipv6=1"
        )
        table.network.run("ip", "link", "set", "eth2", "up")
        table.network.run("ip", "address", "add", "10.1.2.2/24", "dev", "eth2")
        assert monitor.drain() == {"kernel"}
        table.network.run("ip", "route", "add", "10.9.0.0/16", "via", "10.1.2.9")
        assert monitor.drain() == {"kernel"}
        table.network.run("ip", "rule", "add", "fwmark", "7", "lookup", "700")
        assert monitor.drain() == {"kernel"}
        table.network.run("ip", "link", "set", "lo", "up")
        monitor.drain()
        table.network.run("ip", "-6", "route", "add", "2001:db8::/64", "dev", "lo")
        assert monitor.drain() == {"kernel"}
        table.nft("flush ruleset")
        assert monitor.drain() == {"nftables"}
        assert monitor.drain() == frozenset()
    finally:
        monitor.close()


def test_the_monitor_says_when_it_has_lost_something(table: _Table) -> None:
    monitor = table.network.do(LinkMonitor)
    try:
        table.network.add_devices("eth2")
        batch = "".join(f"link set eth2 mtu {1400 + number % 2}\n" for number in range(8000))
        table.network.run("ip", "-batch", "-", text=batch)
        assert "lost" in monitor.drain()
        table.network.run("ip", "link", "set", "eth2", "up")
        assert monitor.drain() == {"kernel"}
    finally:
        monitor.close()


def test_a_large_transaction_is_one_short_notification(table: _Table) -> None:
    monitor = table.network.do(LinkMonitor)
    try:
        rules = tuple(f"ip saddr 10.{number >> 8}.{number & 255}.0/24 accept" for number in range(3000))
        table.settle(evolve(RULESET, chains=(*RULESET.chains, NftChain(name="many", rules=rules))))
        assert monitor.drain() == {"nftables"}
    finally:
        monitor.close()


COUNTING = evolve(
    RULESET,
    counters=("in_lo", "in_eth2"),
    sets=(
        *RULESET.sets,
        NftSet(
            name="usage",
            kind="map",
            spec="type ifname : counter;",
            elements=(('"eth2"', '"in_eth2"'), ('"lo"', '"in_lo"')),
        ),
    ),
    chains=(
        *RULESET.chains[:-1],
        NftChain(
            name="count",
            hook="type filter hook input priority filter - 5; policy accept;",
            rules=("counter name iifname map @usage",),
        ),
        RULESET.chains[-1],
    ),
)


def _counted(table: _Table) -> int:
    return table.network.do(lambda: table.applier.traffic("vpcrouter"))["in_lo"].packets


@BOTH_WAYS
def test_what_was_counted_survives_every_change_of_the_ruleset(table: _Table) -> None:
    table.settle(COUNTING)
    assert table.verify(COUNTING) == ()
    table.network.run("ip", "link", "set", "lo", "up")
    table.network.run("ping", "-c2", "-i0.01", "-q", "127.0.0.1")
    assert _counted(table) == 4

    table.settle(_with_rule(COUNTING, "tcp dport 9 drop"))
    assert _counted(table) == 4, "after a change"
    hook = evolve(INPUT, hook=INPUT.hook.replace("policy drop", "policy accept"))
    replaced = evolve(COUNTING, chains=tuple(hook if each is INPUT else each for each in COUNTING.chains))
    table.settle(replaced)
    assert _counted(table) == 4, "after the table was replaced"
    table.nft("insert rule inet vpcrouter input accept\n")
    assert table.settle(replaced).drift
    assert _counted(table) == 4, "after a repair"
    table.nft("flush ruleset\n")
    assert table.settle(replaced).drift
    assert _counted(table) == 4, "what was last asked for comes back with a deleted table"
    fewer = evolve(
        COUNTING,
        counters=("in_lo",),
        sets=(*RULESET.sets, evolve(COUNTING.sets[-1], elements=(('"lo"', '"in_lo"'),))),
    )
    table.settle(fewer)
    assert table.verify(fewer) == ()
    assert set(table.network.do(lambda: table.applier.traffic("vpcrouter"))) == {"in_lo"}


def test_a_table_that_is_not_there_has_counted_nothing(table: _Table) -> None:
    assert table.network.do(lambda: table.applier.traffic("vpcrouter")) == {}
