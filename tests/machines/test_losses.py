"""What counts as lost, from when and until when; and when a gateway that does not answer is one's own fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.losses import (
    FAULTS_AFTER_MS,
    GatewayMachine,
    LossMachine,
    gateway_loss,
    link_losses,
    own_losses,
    way_out,
)
from vpcrouter.values.desired import Kernel, Link, Route
from vpcrouter.values.losses import GATEWAY, Fault, Loss
from vpcrouter.values.priority import (
    BACKUP_PRIORITY,
    FAULT_PENALTY,
    MAX_POINTS,
    SERVING_PRIORITY,
    generation_of,
    penalty,
    serving_priority,
)

MS = 1_000_000
DARK = Loss(subject="eth3", points=1, reason="eth3 has no carrier", after_ms=100)
DEFAULT = Route(network="0.0.0.0/0", gateway="203.0.113.1", device="eth1")
KERNEL = Kernel(
    links=(*(Link(name=f"eth{number}", up=True) for number in range(5)), Link(name="eth9", up=False)),
    virtual_routes=(Route(network="10.9.0.0/16", gateway="203.0.113.9", device="eth1"), DEFAULT),
)
WELL = {f"eth{number}": True for number in range(10)}


def test_a_loss_counts_when_it_has_lasted_and_until_it_has_been_gone_for_long() -> None:
    machine = LossMachine(found_after_ms=5_000)
    machine.observe([DARK], 0)
    assert (machine.counting, machine.next_ns) == ((), 100 * MS)
    machine.observe([DARK], 100 * MS)
    assert (machine.counting, machine.next_ns) == ((DARK,), None)
    machine.observe([], 200 * MS)
    assert (machine.counting, machine.next_ns) == ((DARK,), 5_200 * MS)
    machine.observe([DARK], 5_000 * MS)
    machine.observe([], 5_100 * MS)
    machine.observe([], 10_099 * MS)
    assert machine.counting == (DARK,), "its time begins again with each return"
    machine.observe([], 10_100 * MS)
    assert not machine.counting
    assert machine.next_ns is None


def test_what_is_over_before_it_counts_is_forgotten() -> None:
    machine = LossMachine(found_after_ms=5_000)
    for start in range(0, 1_000, 200):
        machine.observe([DARK], start * MS)
        machine.observe([DARK], (start + 99) * MS)
        machine.observe([], (start + 100) * MS)
    assert machine.counting == ()


@given(st.lists(st.tuples(st.integers(1, 3_000), st.booleans()), max_size=60))
def test_the_service_moves_at_most_once_in_the_time_that_a_loss_is_remembered(steps: list[tuple[int, bool]]) -> None:
    machine, now_ms, changes, before = LossMachine(found_after_ms=5_000), 0, [], False
    for wait_ms, is_lost in steps:
        now_ms += wait_ms
        machine.observe([DARK] if is_lost else [], now_ms * MS)
        if bool(machine.counting) is not before:
            before = not before
            changes.append(now_ms)
    gone = [later - earlier for earlier, later in zip(changes[::2], changes[1::2], strict=False)]
    assert all(length >= 5_000 for length in gone)


def test_the_way_out_weighs_more_than_a_tier_and_a_device_that_is_to_be_down_nothing() -> None:
    assert way_out(KERNEL) == DEFAULT
    assert not list(link_losses(KERNEL, {**WELL, "eth9": False, "eth0": False}, after_ms=100))
    dark = list(link_losses(KERNEL, {**WELL, "eth1": False, "eth3": False}, after_ms=100))
    assert [(each.subject, each.reason) for each in dark] == [
        ("eth1", "eth1 has no carrier"),
        ("eth3", "eth3 has no carrier"),
    ]
    assert dark[0].points > 3 * dark[1].points
    gone = {name: well for name, well in WELL.items() if name != "eth4"}
    assert [each.reason for each in link_losses(KERNEL, gone, after_ms=100)] == ["eth4 is not there"]


def test_faults_count_after_a_while_and_the_journal_at_once() -> None:
    assert not list(own_losses([], None))
    fault, journal = own_losses([Fault(what="nftables: refused"), Fault(what="dnsmasq: dies")], "the disk is full")
    assert (fault.reason, fault.after_ms) == ("nftables: refused; dnsmasq: dies", FAULTS_AFTER_MS)
    assert (journal.reason, journal.after_ms) == ("the disk is full", 0)


def test_a_gateway_is_lost_after_three_unanswered_questions() -> None:
    machine, now = GatewayMachine(), 0
    assert machine.due_ns(now) == now
    asked = 0
    while machine.reaches is None:
        machine.asked(now)
        now, asked = machine.due_ns(now), asked + 1
    assert (machine.reaches, asked, now < 1_100 * MS) == (False, 4, True)
    machine.answered()
    assert machine.reaches is True
    calm = machine.due_ns(now) - now
    machine.asked(now)
    assert machine.due_ns(now) - now == 1_000 * MS >= calm
    machine.asked(now)
    assert machine.due_ns(now) - now < 1_000 * MS, "one answer is missing"
    machine.forget()
    assert machine.reaches is None


@pytest.mark.parametrize(
    ("reaches", "peer_reaches", "heard", "lost"),
    [
        (True, True, True, False),
        (None, True, True, False),
        (False, True, True, True),
        (False, False, True, False),
        (False, None, True, False),
        (False, None, False, True),
    ],
)
def test_a_gateway_that_answers_nobody_is_nobody_s_fault(
    reaches: bool | None, peer_reaches: bool | None, heard: bool, lost: bool
) -> None:
    found = list(gateway_loss("203.0.113.1", reaches, peer_reaches, peer_is_heard=heard))
    assert [each.subject for each in found] == [GATEWAY] * lost


# Priorities -------------------------------------------------------------------------------------


def test_who_has_lost_more_hands_over_and_of_equals_the_serving_one_stays() -> None:
    serving = [serving_priority(each) for each in range(20)]
    for points in range(MAX_POINTS):
        assert min(serving) - penalty(points) > BACKUP_PRIORITY - penalty(points)
        assert max(serving) - penalty(points + 1) < BACKUP_PRIORITY - penalty(points)
    assert BACKUP_PRIORITY - penalty(1_000) >= 1
    assert max(serving) <= 254
    assert max(serving) - FAULT_PENALTY < 1


def test_a_generation_is_read_from_the_priority() -> None:
    assert [generation_of(serving_priority(each)) for each in range(8)] == [0, 1, 2, 3, 4, 5, 6, 0]
    assert generation_of(BACKUP_PRIORITY) is None
    assert generation_of(SERVING_PRIORITY + 20) is None


def test_what_no_machine_of_the_kind_can_do_is_no_reason_to_hand_over() -> None:
    """A router without PPP that was asked for L2TP gave the service to its peer, which gave it back, and so on."""
    no_ppp, dnsmasq = Fault(what="xl2tpd: no PPP", is_of_kind=True), Fault(what="dnsmasq: the kernel has no memory")
    assert list(own_losses([no_ppp], None)) == []
    (loss,) = own_losses([no_ppp, dnsmasq], None)
    assert loss.reason == "dnsmasq: the kernel has no memory"
