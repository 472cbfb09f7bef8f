"""The overlay that connections are synchronised by where networks carry no multicast: the model's and Linux's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.appliers.kernels import Kernels, RealKernel, open_kernel, settle
from vpcrouter.plan.kernel import KernelOperation, KernelPlan, Remote, plan_kernel
from vpcrouter.values.desired import OVERLAY, InterfaceAddress, Kernel, Link, Overlay

TIERS = (Link(name="eth2", up=True), Link(name="eth3", up=True))
ADDRESSES = tuple(InterfaceAddress(device=f"eth{tier}", address=f"10.1.{tier}.2/24") for tier in (2, 3))
WITHOUT = Kernel(links=TIERS, addresses=ADDRESSES)
FOUND = Overlay(number=7, device="eth2", source="10.1.2.2", port=4790, remotes=("10.1.2.3", "10.1.2.4"))
WITH = Kernel(
    links=(*TIERS, Link(name=OVERLAY, up=True, mtu=1400)),
    addresses=(*ADDRESSES, InterfaceAddress(device=OVERLAY, address="250.1.2.2/32")),
    sysctls=((f"net/ipv4/conf/{OVERLAY}/rp_filter", "0"),),
    overlay=FOUND,
)


@pytest.fixture(params=["model", pytest.param("linux", marks=pytest.mark.lab)])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernels]:
    with open_kernel(request.param) as opened:
        for name in ("eth2", "eth3"):
            opened.plug(name)
        settle(opened, WITHOUT)
        yield opened


def planned(kernel: Kernels, desired: Kernel) -> KernelPlan:
    return plan_kernel(desired, kernel.observe(desired))


def words(operations: tuple[KernelOperation, ...]) -> list[str]:
    return [f"{each.action} {each.subject}" for each in operations]


def test_it_is_made_first_and_then_what_is_on_it(kernel: Kernels) -> None:
    assert words(planned(kernel, WITH).first) == ["add link vpcsync type vxlan id 7 dev eth2 local 10.1.2.2"]
    assert settle(kernel, WITH).is_settled
    seen = kernel.observe(WITH)
    assert seen.overlay == FOUND
    assert Link(name=OVERLAY, up=True, mtu=1400) in seen.links


def test_remotes_come_before_others_go_and_the_device_stays(kernel: Kernels) -> None:
    settle(kernel, WITH)
    other = evolve(WITH, overlay=evolve(FOUND, remotes=("10.1.2.4", "10.1.2.5")))
    plan = planned(kernel, other)
    assert plan.first == ()
    assert words(plan.early) == ["add remote 10.1.2.5 of vpcsync"]
    assert words(plan.late) == ["remove remote 10.1.2.3 of vpcsync"]
    assert settle(kernel, other).is_settled
    assert kernel.observe(other).unannounced[1] == ("10.1.2.4", "10.1.2.5")


def test_by_another_tier_it_is_another_one(kernel: Kernels) -> None:
    settle(kernel, WITH)
    moved = evolve(WITH, overlay=Overlay(number=7, device="eth3", source="10.1.3.2", port=4790, remotes=("10.1.3.3",)))
    assert words(planned(kernel, moved).first) == [
        "remove link vpcsync type vxlan id 7 dev eth2 local 10.1.2.2",
        "add link vpcsync type vxlan id 7 dev eth3 local 10.1.3.2",
    ]
    assert settle(kernel, moved).is_settled
    assert kernel.observe(moved).overlay == moved.overlay


def test_it_goes_when_it_is_not_wanted(kernel: Kernels) -> None:
    settle(kernel, WITH)
    assert words(planned(kernel, WITHOUT).late)[:1] == ["remove link vpcsync type vxlan id 7 dev eth2 local 10.1.2.2"]
    assert settle(kernel, WITHOUT).is_settled
    assert OVERLAY not in {each.name for each in kernel.observe(WITHOUT).links}


def test_without_its_tier_s_device_it_is_awaited_like_that(kernel: Kernels) -> None:
    elsewhere = evolve(WITH, overlay=evolve(FOUND, device="eth7"))
    plan = planned(kernel, elsewhere)
    assert plan.first == ()
    assert OVERLAY in plan.missing_links


def test_a_remote_that_somebody_took_away_or_put_there_is_seen(kernel: Kernels) -> None:
    """The kernel tells nobody who does not listen to all of ARP as well."""
    settle(kernel, WITH)
    for action, address in (("remove", "10.1.2.3"), ("add", "192.0.2.66")):
        item = Remote(address=address)
        kernel.apply([KernelOperation(target="kernel", action=action, subject=address, item=item)])
    plan = planned(kernel, WITH)
    assert words(plan.early) == ["add remote 10.1.2.3 of vpcsync"]
    assert words(plan.late) == ["remove remote 192.0.2.66 of vpcsync"]
    assert settle(kernel, WITH).is_settled


@pytest.mark.lab
def test_a_device_of_that_name_and_another_kind_makes_way() -> None:
    with open_kernel("linux") as kernel:
        assert isinstance(kernel, RealKernel)
        kernel.plug("eth2")
        kernel.plug(OVERLAY)
        desired = evolve(WITH, links=(TIERS[0], WITH.links[-1]), addresses=(ADDRESSES[0],))
        assert settle(kernel, desired).is_settled
        assert "vxlan id 7" in kernel.network.run("ip", "-d", "link", "show", OVERLAY)


@pytest.mark.lab
def test_its_device_is_taken_away_and_it_goes_along() -> None:
    with open_kernel("linux") as kernel:
        assert isinstance(kernel, RealKernel)
        kernel.plug("eth2")
        desired = evolve(WITH, links=(TIERS[0], WITH.links[-1]), addresses=(ADDRESSES[0],))
        settle(kernel, desired)
        kernel.network.run("ip", "link", "delete", "eth2")
        assert kernel.observe(desired).overlay is None
        kernel.plug("eth2")
        assert settle(kernel, desired).is_settled
