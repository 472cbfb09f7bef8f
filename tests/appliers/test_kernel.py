"""The contract of the kernel's plan and applier, on the model in memory and on Linux."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.appliers.kernels import Kernels, open_kernel, settle
from vpcrouter.errors import ApplierError
from vpcrouter.plan.kernel import (
    KEEPALIVED_PROTOCOL,
    OUR_PROTOCOL,
    KernelOperation,
    RouteEntry,
    RuleEntry,
    plan_kernel,
    repair_virtual,
    rule_words,
)
from vpcrouter.plan.sysctls import Sysctl
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link, PolicyRule, Route


def _address(text: str) -> InterfaceAddress:
    address, _, device = text.partition(" ")
    return InterfaceAddress(device=device, address=address)


def _route(network: str, gateway: str, device: str, table: int = 254) -> Route:
    return Route(network=network, gateway=gateway, device=device, table=table)


OWN = _address("10.1.2.2/24 eth2")
GATEWAY = _address("10.1.2.1/24 eth2")
CONSTANT = _address("169.254.255.51/32 eth2")
DEFAULT = _route("0.0.0.0/0", "10.1.2.254", "eth2")
STATIC = _route("172.16.0.0/16", "10.1.2.100", "eth2")
TIER = Kernel(
    links=(Link(name="eth1", up=False), Link(name="eth2", up=True, mtu=1450)),
    addresses=(OWN,),
    routes=(STATIC,),
    sysctls=(("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/eth2/rp_filter", "1")),
    virtual_addresses=(GATEWAY, CONSTANT),
    virtual_routes=(DEFAULT,),
)
BACKUP = TIER
MASTER = evolve(TIER, serving=True)
BARE = Kernel(links=(Link(name="eth1", up=False), Link(name="eth2", up=False)))


@pytest.fixture(params=["model", pytest.param("linux", marks=pytest.mark.lab)])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernels]:
    """A kernel with three bare devices, the third of which nobody ever owns."""
    with open_kernel(request.param) as opened:
        for name in ("eth1", "eth2", "eth9"):
            opened.plug(name)
        yield opened


def _subjects(operations: tuple[KernelOperation, ...]) -> list[str]:
    return [str(each) for each in operations]


def test_a_plan_reaches_what_is_desired_and_then_plans_nothing(kernel: Kernels) -> None:
    plan = plan_kernel(BACKUP, kernel.observe(BACKUP))
    assert _subjects(plan.early) == [
        "kernel: set sysctl net/ipv4/conf/eth2/promote_secondaries to 1",
        "kernel: set sysctl net/ipv4/ip_forward to 1",
        "kernel: set sysctl net/ipv4/conf/eth2/rp_filter to 1",
        "kernel: set link eth2 up mtu 1450",
        "kernel: add address 10.1.2.2/24 on eth2",
        "kernel: add route 172.16.0.0/16 via 10.1.2.100 dev eth2",
    ]
    assert plan.late == ()
    assert settle(kernel, BACKUP).is_settled
    assert plan_kernel(BACKUP, kernel.observe(BACKUP)).early == ()


def test_everything_is_added_before_anything_is_taken_away(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    moved = Kernel(
        links=TIER.links,
        addresses=(_address("10.1.7.2/24 eth2"),),
        routes=(_route("172.16.0.0/16", "10.1.7.100", "eth2"),),
        sysctls=TIER.sysctls,
    )
    plan = plan_kernel(moved, kernel.observe(moved))
    assert _subjects(plan.early) == [
        "kernel: add address 10.1.7.2/24 on eth2",
        "kernel: set route 172.16.0.0/16 via 10.1.7.100 dev eth2",
    ]
    assert _subjects(plan.late) == ["kernel: remove address 10.1.2.2/24 on eth2"]
    kernel.apply(plan.early)
    assert [each.route.gateway for each in kernel.observe(moved).routes] == ["10.1.7.100"]
    assert settle(kernel, moved).is_settled


def test_a_released_device_becomes_bare_and_goes_down_last(kernel: Kernels) -> None:
    settle(kernel, MASTER)
    kernel.apply(repair_virtual(MASTER, kernel.observe(MASTER)))
    plan = plan_kernel(BARE, kernel.observe(BARE))
    assert plan.early == ()
    assert [each for each in plan.late if not isinstance(each.item, Sysctl)][-1].subject == "link eth2 down"
    assert settle(kernel, BARE).is_settled
    left = kernel.observe(BARE)
    assert (left.addresses, left.routes) == ((), ())


def test_the_own_address_is_the_primary_one_and_the_gateway_survives_its_removal(kernel: Kernels) -> None:
    settle(kernel, MASTER)
    kernel.apply(repair_virtual(MASTER, kernel.observe(MASTER)))
    assert kernel.observe(MASTER).addresses[0] == OWN
    other = Kernel(
        links=MASTER.links,
        addresses=(_address("10.1.2.3/24 eth2"),),
        virtual_addresses=MASTER.virtual_addresses,
        virtual_routes=MASTER.virtual_routes,
        serving=True,
    )
    assert settle(kernel, other).is_settled
    assert set(kernel.observe(other).addresses) == {_address("10.1.2.3/24 eth2"), GATEWAY, CONSTANT}


def test_what_somebody_added_by_hand_is_taken_away(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    kernel.add_address(_address("10.1.2.66/24 eth2"))
    kernel.put_route(RouteEntry(route=_route("192.0.2.0/24", "10.1.2.9", "eth2"), protocol=3))
    kernel.put_route(RouteEntry(route=_route("172.16.0.0/16", "10.1.2.9", "eth2"), protocol=3))
    plan = plan_kernel(BACKUP, kernel.observe(BACKUP))
    assert _subjects(plan.early) == ["kernel: set route 172.16.0.0/16 via 10.1.2.100 dev eth2"]
    assert _subjects(plan.late) == [
        "kernel: remove route 192.0.2.0/24 via 10.1.2.9 dev eth2",
        "kernel: remove address 10.1.2.66/24 on eth2",
    ]
    assert settle(kernel, BACKUP).is_settled


def test_what_somebody_took_away_by_hand_comes_back(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    kernel.remove_address(OWN)
    assert settle(kernel, BACKUP).is_settled
    assert kernel.observe(BACKUP).addresses == (OWN,)


def test_what_is_not_ours_is_left_alone(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    kernel.apply(
        (KernelOperation(target="kernel", action="set", subject="link eth9 up", item=Link(name="eth9", up=True)),)
    )
    kernel.add_address(_address("192.0.2.1/24 eth9"))
    kernel.put_route(RouteEntry(route=_route("198.51.100.0/24", "192.0.2.9", "eth9"), protocol=3))
    for number, protocol in enumerate((2, 9)):
        kernel.put_route(RouteEntry(route=_route(f"10.{50 + number}.0.0/16", "10.1.2.9", "eth2"), protocol=protocol))
    kernel.put_route(RouteEntry(route=_route("10.60.0.0/16", "10.1.2.9", "eth2", table=100), protocol=3))
    assert plan_kernel(BACKUP, kernel.observe(BACKUP)).is_settled


def test_our_own_routes_are_found_on_devices_that_are_not_listed_any_more(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    elsewhere = Kernel(links=(Link(name="eth1", up=False),))
    plan = plan_kernel(elsewhere, kernel.observe(elsewhere))
    assert _subjects(plan.late) == ["kernel: remove route 172.16.0.0/16 via 10.1.2.100 dev eth2"]
    assert settle(kernel, elsewhere).is_settled
    assert kernel.observe(elsewhere).addresses == (OWN,)


def test_routes_live_in_the_table_that_is_asked_for(kernel: Kernels) -> None:
    tables = Kernel(
        links=TIER.links, addresses=(OWN,), routes=(_route("0.0.0.0/0", "10.1.2.9", "eth2", table=1002), STATIC)
    )
    assert settle(kernel, tables).is_settled
    by_hand = RouteEntry(route=_route("10.60.0.0/16", "10.1.2.9", "eth2", table=1002), protocol=4)
    kernel.put_route(by_hand)
    plan = plan_kernel(tables, kernel.observe(tables))
    assert _subjects(plan.late) == ["kernel: remove route 10.60.0.0/16 via 10.1.2.9 dev eth2 table 1002"]
    assert settle(kernel, tables).is_settled


def test_a_device_that_is_not_plugged_in_is_missing_and_stops_nothing(kernel: Kernels) -> None:
    more = Kernel(
        links=(*TIER.links, Link(name="eth3", up=True), Link(name="eth4", up=False)),
        addresses=(OWN, _address("10.1.3.2/24 eth3")),
        routes=(STATIC, _route("172.17.0.0/16", "10.1.3.9", "eth3")),
        sysctls=(("net/ipv4/conf/eth3/rp_filter", "1"),),
        virtual_addresses=(_address("10.1.3.1/24 eth3"),),
        serving=True,
    )
    plan = settle(kernel, more)
    assert plan.is_settled
    assert plan.missing_links == ("eth3",)
    assert plan.missing_sysctls == ()
    kernel.plug("eth3")
    assert not plan_kernel(more, kernel.observe(more)).is_settled
    settle(kernel, more)
    assert _address("10.1.3.2/24 eth3") in kernel.observe(more).addresses


def test_what_keepalived_has_to_do_is_awaited_and_can_be_done_by_hand(kernel: Kernels) -> None:
    waiting = settle(kernel, MASTER)
    assert (waiting.early, waiting.late) == ((), ())
    assert waiting.awaited == (
        "address 10.1.2.1/24 on eth2 is not there yet",
        "address 169.254.255.51/32 on eth2 is not there yet",
        "route 0.0.0.0/0 via 10.1.2.254 dev eth2 is not there yet",
    )
    kernel.apply(repair_virtual(MASTER, kernel.observe(MASTER)))
    assert plan_kernel(MASTER, kernel.observe(MASTER)).is_settled
    assert RouteEntry(route=DEFAULT, protocol=KEEPALIVED_PROTOCOL) in kernel.observe(MASTER).routes


def test_what_a_killed_keepalived_left_is_awaited_to_go_and_can_be_taken_away(kernel: Kernels) -> None:
    settle(kernel, MASTER)
    kernel.apply(repair_virtual(MASTER, kernel.observe(MASTER)))
    waiting = settle(kernel, BACKUP)
    assert (waiting.early, waiting.late) == ((), ())
    assert waiting.awaited == (
        "route 0.0.0.0/0 via 10.1.2.254 dev eth2 is still there",
        "address 10.1.2.1/24 on eth2 is still there",
        "address 169.254.255.51/32 on eth2 is still there",
    )
    kernel.apply(repair_virtual(BACKUP, kernel.observe(BACKUP)))
    assert plan_kernel(BACKUP, kernel.observe(BACKUP)).is_settled


def test_a_copy_of_a_virtual_route_with_another_metric_is_taken_away(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    kernel.put_route(RouteEntry(route=DEFAULT, protocol=3, metric=10))
    plan = plan_kernel(BACKUP, kernel.observe(BACKUP))
    assert _subjects(plan.late) == ["kernel: remove route 0.0.0.0/0 via 10.1.2.254 dev eth2 metric 10"]
    assert settle(kernel, BACKUP).is_settled


@pytest.mark.parametrize("before", [MASTER, BACKUP])
def test_while_nobody_knows_who_serves_what_is_virtual_is_left_as_it_is(kernel: Kernels, before: Kernel) -> None:
    settle(kernel, before)
    kernel.apply(repair_virtual(before, kernel.observe(before)))
    kernel.put_route(RouteEntry(route=_route("10.60.0.0/16", "10.1.2.9", "eth2"), protocol=KEEPALIVED_PROTOCOL))
    unknown = evolve(before, serving=None)
    assert plan_kernel(unknown, kernel.observe(unknown)).is_settled
    assert repair_virtual(unknown, kernel.observe(unknown)) == ()


@pytest.mark.parametrize("desired", [MASTER, BACKUP])
def test_a_route_that_keepalived_forgot_is_awaited_to_go(kernel: Kernels, desired: Kernel) -> None:
    settle(kernel, desired)
    kernel.apply(repair_virtual(desired, kernel.observe(desired)))
    kernel.put_route(RouteEntry(route=_route("10.60.0.0/16", "10.1.2.9", "eth2"), protocol=KEEPALIVED_PROTOCOL))
    waiting = settle(kernel, desired)
    assert waiting.awaited == ("route 10.60.0.0/16 via 10.1.2.9 dev eth2 is still there",)
    kernel.apply(repair_virtual(desired, kernel.observe(desired)))
    assert plan_kernel(desired, kernel.observe(desired)).is_settled


def test_an_own_route_does_not_stand_in_for_keepalived_s(kernel: Kernels) -> None:
    alone = Kernel(links=TIER.links, addresses=(OWN,), routes=(DEFAULT,))
    settle(kernel, alone)
    awaited = plan_kernel(MASTER, kernel.observe(MASTER)).awaited
    assert "route 0.0.0.0/0 via 10.1.2.254 dev eth2 is not there yet" in awaited


def test_an_own_route_that_becomes_keepalived_s_is_taken_away(kernel: Kernels) -> None:
    alone = Kernel(links=TIER.links, addresses=(OWN,), routes=(DEFAULT,))
    assert settle(kernel, alone).is_settled
    plan = plan_kernel(BACKUP, kernel.observe(BACKUP))
    assert "kernel: remove route 0.0.0.0/0 via 10.1.2.254 dev eth2" in _subjects(plan.late)
    settle(kernel, BACKUP)
    assert [each.route for each in kernel.observe(BACKUP).routes] == [STATIC]


def test_what_is_refused_is_named_and_stops_nothing(kernel: Kernels) -> None:
    unreachable = Kernel(
        links=TIER.links,
        addresses=(OWN,),
        routes=(_route("10.70.0.0/16", "10.99.0.1", "eth2"), STATIC),
    )
    plan = plan_kernel(unreachable, kernel.observe(unreachable))
    with pytest.raises(ApplierError, match=r"add route 10\.70\.0\.0/16 via 10\.99\.0\.1 dev eth2: .*gateway") as caught:
        kernel.apply(plan.early)
    assert "172.16.0.0/16" not in str(caught.value)
    assert RouteEntry(route=STATIC, protocol=OUR_PROTOCOL) in kernel.observe(unreachable).routes


def test_operations_that_are_true_already_are_fine(kernel: Kernels) -> None:
    plan = plan_kernel(BACKUP, kernel.observe(BACKUP))
    kernel.apply(plan.early)
    kernel.apply(plan.early)
    away = plan_kernel(BARE, kernel.observe(BARE)).late
    kernel.apply(away)
    kernel.apply(away)
    assert plan_kernel(BARE, kernel.observe(BARE)).is_settled


def test_the_route_to_an_own_network_is_put_back(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    kernel.remove_connected("10.1.2.0/24", "eth2")
    plan = plan_kernel(BACKUP, kernel.observe(BACKUP))
    assert _subjects(plan.early)[0] == "kernel: add route 10.1.2.0/24 dev eth2"
    assert settle(kernel, BACKUP).is_settled


def test_a_route_does_not_take_the_place_of_the_one_that_the_kernel_made(kernel: Kernels) -> None:
    settle(kernel, BACKUP)
    hostile = evolve(BACKUP, routes=(Route(network="10.1.2.0/24", gateway="10.1.2.100", device="eth2"),))
    plan = plan_kernel(hostile, kernel.observe(hostile))
    kernel.apply(plan.early)
    assert ("10.1.2.0/24", "eth2") in kernel.observe(hostile).connected


# Policy rules and the tables that they ask --------------------------------------------------------

WAY = PolicyRule(mark=1002, table=1002, priority=1000)
TWO_WAYS = evolve(
    TIER,
    rules=(WAY, PolicyRule(mark=1001, table=1001, priority=1000)),
    routes=(
        Route(network="192.0.2.0/24", gateway="", device="eth2", table=1002),
        Route(network="0.0.0.0/0", gateway="192.0.2.1", device="eth2", table=1002),
    ),
)


def _entry(rule: PolicyRule, protocol: int) -> RuleEntry:
    return RuleEntry(rule=rule, table=rule.table, protocol=protocol, words=rule_words(rule))


def test_a_table_of_its_own_needs_no_address_to_lead_out_of_a_device(kernel: Kernels) -> None:
    plan = plan_kernel(TWO_WAYS, kernel.observe(TWO_WAYS))
    assert _subjects(plan.early)[-4:] == [
        "kernel: add route 192.0.2.0/24 dev eth2 table 1002",
        "kernel: add route 0.0.0.0/0 via 192.0.2.1 dev eth2 table 1002",
        "kernel: add rule priority 1000 fwmark 1002 lookup 1002",
        "kernel: add rule priority 1000 fwmark 1001 lookup 1001",
    ]
    assert settle(kernel, TWO_WAYS).is_settled
    assert {entry.rule for entry in kernel.observe(TWO_WAYS).rules} == set(TWO_WAYS.rules)


def test_rules_go_when_they_are_not_wanted_any_more(kernel: Kernels) -> None:
    settle(kernel, TWO_WAYS)
    plan = plan_kernel(TIER, kernel.observe(TIER))
    assert _subjects(plan.late)[0] == "kernel: remove rule priority 1000 fwmark 1002 lookup 1002"
    assert settle(kernel, TIER).is_settled
    assert kernel.observe(TIER).rules == ()


def test_rules_of_others_stay_unless_they_ask_a_table_of_ours(kernel: Kernels) -> None:
    settle(kernel, TWO_WAYS)
    theirs = _entry(PolicyRule(mark=7, table=500, priority=220), 3)
    intruder = _entry(PolicyRule(mark=7, table=1001, priority=5), 3)
    twin = _entry(WAY, 3)
    for each in (theirs, intruder, twin):
        kernel.put_rule(each)
    removed = [each.subject for each in plan_kernel(TWO_WAYS, kernel.observe(TWO_WAYS)).late]
    assert removed[0] == "rule priority 5 fwmark 7 lookup 1001"
    assert removed.count("rule priority 1000 fwmark 1002 lookup 1002") == 1
    assert settle(kernel, TWO_WAYS).is_settled
    found = kernel.observe(TWO_WAYS).rules
    assert theirs.rule in {entry.rule for entry in found}
    assert len(found) == 3
