"""What bridges a move of keepalived's addresses and routes stays until these are there again."""

from __future__ import annotations

import pytest
from attrs import evolve

from vpcrouter.plan.kernel import KEEPALIVED_PROTOCOL, OUR_PROTOCOL, ObservedKernel, RouteEntry, plan_kernel
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link, Route

DEFAULT = Route(network="0.0.0.0/0", gateway="203.0.113.1", device="eth1")
BRIDGES = tuple(
    RouteEntry(route=evolve(DEFAULT, network=half), protocol=OUR_PROTOCOL) for half in ("0.0.0.0/1", "128.0.0.0/1")
)
PUBLIC = InterfaceAddress(device="eth1", address="203.0.113.10/24")
DESIRED = Kernel(
    links=(Link(name="eth1", up=True),), virtual_addresses=(PUBLIC,), virtual_routes=(DEFAULT,), serving=True
)
THERE = ObservedKernel(
    links=(Link(name="eth1", up=True, mtu=1500),),
    addresses=(PUBLIC,),
    routes=(*BRIDGES, RouteEntry(route=DEFAULT, protocol=KEEPALIVED_PROTOCOL)),
    connected=frozenset({("203.0.113.0/24", "eth1")}),
)


def removed(observed: ObservedKernel) -> set[object]:
    return {each.item for each in plan_kernel(DESIRED, observed).late if each.action == "remove"}


def test_they_go_when_all_of_keepalived_s_is_there() -> None:
    assert removed(THERE) == {*BRIDGES}


@pytest.mark.parametrize("observed", [evolve(THERE, routes=BRIDGES), evolve(THERE, addresses=())])
def test_they_stay_while_some_of_it_is_not_there_yet(observed: ObservedKernel) -> None:
    plan = plan_kernel(DESIRED, observed)
    assert removed(observed) == set()
    assert plan.awaited
    assert not plan.is_settled, "there has to be another pass"
