"""A plan reaches what is desired, whatever was there, and then plans nothing; and it never takes away too early."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.appliers.kernels import Kernels, open_kernel
from vpcrouter.errors import ApplierError
from vpcrouter.plan.kernel import (
    FOREIGN_PROTOCOLS,
    KEEPALIVED_PROTOCOL,
    OUR_PROTOCOL,
    KernelOperation,
    RouteEntry,
    plan_kernel,
    repair_virtual,
)
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link, Route

_DEVICES = ("eth1", "eth2", "eth3")
_UNPLUGGED = "eth4"
_NETWORKS = ("10.1.{}.0/24", "10.2.{}.0/24")


def _address(device: str, network: int, host: int) -> InterfaceAddress:
    prefix = _NETWORKS[network].format(device[3:]).removesuffix("0/24")
    return InterfaceAddress(device=device, address=f"{prefix}{host}/24")


@st.composite
def _kernels(draw: st.DrawFn) -> Kernel:
    """A desired kernel whose routes can be reached by the addresses of its devices, own ones and virtual ones."""
    links, addresses, virtual_addresses = [], [], []
    routes: list[Route] = []
    virtual_routes: list[Route] = []
    targets = iter(draw(st.permutations([f"172.{number}.0.0/16" for number in range(16, 24)])))
    for device in draw(st.sets(st.sampled_from((*_DEVICES, _UNPLUGGED)))):
        up = draw(st.booleans())
        links.append(Link(name=device, up=up, mtu=draw(st.sampled_from([None, 1400, 1500]))))
        if not up:
            continue
        network = draw(st.integers(0, 1))
        if own := draw(st.lists(st.integers(2, 4), unique=True, max_size=2)):
            addresses += [_address(device, network, host) for host in own]
            gateway = _NETWORKS[network].format(device[3:]).replace("0/24", "254")
            for kind in (routes, virtual_routes):
                if draw(st.booleans()):
                    table = draw(st.sampled_from([254, 1000]))
                    kind.append(Route(network=next(targets), gateway=gateway, device=device, table=table))
        if draw(st.booleans()):
            virtual_addresses.append(_address(device, network, 1))
    return Kernel(
        links=tuple(sorted(links)),
        addresses=tuple(addresses),
        routes=tuple(routes),
        virtual_addresses=tuple(virtual_addresses),
        virtual_routes=tuple(virtual_routes),
        serving=draw(st.sampled_from([True, False, None])),
    )


_BY_HAND = st.one_of(
    st.builds(_address, st.sampled_from(_DEVICES), st.integers(0, 1), st.integers(1, 9)),
    st.builds(
        RouteEntry,
        route=st.builds(
            Route,
            network=st.integers(16, 24).map("172.{}.0.0/16".format),
            gateway=st.sampled_from(["10.1.2.9", "10.2.2.9"]),
            device=st.just("eth2"),
            table=st.sampled_from([254, 1000]),
        ),
        protocol=st.sampled_from([3, 4, OUR_PROTOCOL, KEEPALIVED_PROTOCOL, 200]),
    ),
)


def _apply(kernel: Kernels, operations: tuple[KernelOperation, ...]) -> None:
    """Do them; a hand-made mess may refuse some, only the end counts."""
    with suppress(ApplierError):
        kernel.apply(operations)


def _disturb(kernel: Kernels, item: InterfaceAddress | RouteEntry) -> None:
    operation = KernelOperation(target="kernel", action="add", subject="by hand", item=item)
    _apply(kernel, (operation,))


def _check(kernel: Kernels, states: list[Kernel], mess: list[InterfaceAddress | RouteEntry]) -> None:
    for device in _DEVICES:
        kernel.plug(device)
    for desired in states:
        for item in mess:
            _disturb(kernel, item)
        plan = plan_kernel(desired, kernel.observe(desired))
        wanted = {(each.device, each.address) for each in desired.addresses}
        assert all(each.action != "remove" for each in plan.early)
        assert not any(
            isinstance(each.item, InterfaceAddress) and (each.item.device, each.item.address) in wanted
            for each in plan.late
        )
        kernel.apply(plan.early)
        kernel.apply(plan_kernel(desired, kernel.observe(desired)).late)
        kernel.apply(repair_virtual(desired, kernel.observe(desired)))
        kernel.apply(plan_kernel(desired, kernel.observe(desired)).late)  # what waited for keepalived's part
        _assert_equal(kernel, desired)


def _assert_equal(kernel: Kernels, desired: Kernel) -> None:
    """Plans nothing; and, said without the planner, has exactly the addresses and own routes that it should."""
    seen = kernel.observe(desired)
    plan = plan_kernel(desired, seen)
    assert (plan.early, plan.late, plan.awaited) == ((), (), ())
    there = {link.name for link in desired.links if link.up} & set(_DEVICES)
    virtual = desired.virtual_addresses if desired.serving else ()
    ignored = desired.virtual_addresses if desired.serving is None else ()
    owned = {link.name for link in desired.links}
    assert {each for each in seen.addresses if each.device in owned and each not in ignored} == {
        each for each in (*desired.addresses, *virtual) if each.device in there
    }
    assert {each.route for each in seen.routes if each.protocol == OUR_PROTOCOL} == {
        each for each in desired.routes if each.device in there
    }
    assert {link.name: link.up for link in seen.links if link.name in owned} == {
        link.name: link.up for link in desired.links if link.name in _DEVICES
    }
    tables = {254} | {route.table for route in (*desired.routes, *desired.virtual_routes)}
    theirs = FOREIGN_PROTOCOLS if desired.serving is None else FOREIGN_PROTOCOLS - {KEEPALIVED_PROTOCOL}
    strangers = [
        each
        for each in seen.routes
        if each.route.device in owned and each.route.table in tables and each.protocol not in theirs
    ]
    assert all(each.protocol == OUR_PROTOCOL or each.route in desired.virtual_routes for each in strangers)


@settings(max_examples=200, deadline=None)
@given(states=st.lists(_kernels(), min_size=1, max_size=3), mess=st.lists(_BY_HAND, max_size=6))
def test_a_plan_reaches_what_is_desired_and_then_plans_nothing(
    states: list[Kernel], mess: list[InterfaceAddress | RouteEntry]
) -> None:
    with open_kernel("model") as kernel:
        _check(kernel, states, mess)


@pytest.mark.lab
@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(states=st.lists(_kernels(), min_size=1, max_size=3), mess=st.lists(_BY_HAND, max_size=6))
def test_the_same_on_linux(states: list[Kernel], mess: list[InterfaceAddress | RouteEntry]) -> None:
    with open_kernel("linux") as kernel:
        _check(kernel, states, mess)
