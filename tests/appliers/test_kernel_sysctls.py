"""Which settings of the kernel are set, and when a device that is given back gets which; on the model and on Linux."""

from __future__ import annotations

import pytest

from tests.appliers.kernels import open_kernel, settle
from vpcrouter.plan.kernel import plan_kernel, repair_virtual
from vpcrouter.plan.sysctls import Sysctl, changed_sysctls, given_back_sysctls, sysctl_paths, wanted_sysctls
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link

FORWARD, FILTER = "net/ipv4/ip_forward", "net/ipv4/conf/eth2/rp_filter"
PROMOTE, MODE = "net/ipv4/conf/{}/promote_secondaries", "net/ipv6/conf/{}/addr_gen_mode"
OFF = "net/ipv6/conf/{}/disable_ipv6"
UP, DOWN = Link(name="eth2", up=True), Link(name="eth2", up=False)
TIER = Kernel(links=(UP,), sysctls=((FORWARD, "1"), (FILTER, "1")))
BARE = Kernel(links=(DOWN,))
OWN = InterfaceAddress(device="eth2", address="10.1.2.2/24")


def found(**values: str) -> tuple[Sysctl, ...]:
    return tuple(Sysctl(path=path, value=value) for path, value in values.items())


def test_what_is_as_wanted_is_not_set() -> None:
    assert wanted_sysctls(TIER) == found(**{PROMOTE.format("eth2"): "1", FORWARD: "1", FILTER: "1"})
    there = found(**{PROMOTE.format("eth2"): "1", FORWARD: "0", FILTER: "1"})
    assert changed_sysctls(TIER, there, [UP], ()) == (found(**{FORWARD: "1"}), ())


def test_values_are_compared_by_words() -> None:
    ports = Kernel(links=(), sysctls=(("net/ipv4/ip_local_port_range", "32768\t60999"),))
    assert changed_sysctls(ports, found(**{"net/ipv4/ip_local_port_range": "32768 60999"}), (), ()) == ((), ())


@pytest.mark.parametrize(("links", "missing"), [([UP], (PROMOTE.format("eth2"), FILTER)), ([], ())])
def test_a_setting_is_missing_only_where_its_device_is_there(links: list[Link], missing: tuple[str, ...]) -> None:
    assert changed_sysctls(TIER, found(**{FORWARD: "1"}), links, ()) == ((), missing)


def test_secondaries_are_promoted_until_the_last_address_of_a_device_is_gone() -> None:
    there = found(**{PROMOTE.format("eth2"): "0"})
    assert changed_sysctls(BARE, there, [DOWN], [OWN]) == (found(**{PROMOTE.format("eth2"): "1"}), ())
    assert changed_sysctls(BARE, there, [DOWN], ()) == ((), ())


def test_a_device_that_is_given_back_becomes_as_one_that_was_just_plugged_in() -> None:
    there = found(**{FILTER: "1", FILTER.replace("eth2", "default"): "2", PROMOTE.format("eth2"): "0"})
    assert tuple(given_back_sysctls(BARE, there)) == found(**{FILTER: "2"})
    assert tuple(given_back_sysctls(TIER, there)) == ()
    assert {FILTER, FILTER.replace("eth2", "default")} <= {*sysctl_paths(BARE)}
    assert not [path for path in sysctl_paths(TIER) if "default" in path]


def test_ipv6_is_off_while_its_way_to_make_addresses_changes() -> None:
    there = found(
        **{MODE.format("eth2"): "1", MODE.format("default"): "0", OFF.format("eth2"): "0", OFF.format("default"): "0"}
    )
    done = tuple(given_back_sysctls(BARE, there))
    assert done == (
        Sysctl(path=OFF.format("eth2"), value="1"),
        Sysctl(path=MODE.format("eth2"), value="0"),
        Sysctl(path=OFF.format("eth2"), value="0"),
    )


@pytest.mark.parametrize("kind", ["model", pytest.param("linux", marks=pytest.mark.lab)])
def test_a_setting_without_a_file_is_named(kind: str) -> None:
    odd = Kernel(links=(UP,), sysctls=(("net/ipv4/no_such_setting", "1"),))
    with open_kernel(kind) as kernel:
        kernel.plug("eth2")
        assert settle(kernel, odd).missing_sysctls == ("net/ipv4/no_such_setting",)


@pytest.mark.lab
def test_a_released_device_has_the_settings_of_one_that_was_just_plugged_in() -> None:
    settings = {FILTER: "1", PROMOTE.format("eth2"): "1", MODE.format("eth2"): "1"}
    gateway = InterfaceAddress(device="eth2", address="10.1.2.1/24")
    owned = Kernel(
        links=(UP,), addresses=(OWN,), virtual_addresses=(gateway,), serving=True, sysctls=tuple(settings.items())
    )
    with open_kernel("linux") as kernel:
        kernel.plug("eth2")
        fresh = kernel.observe(BARE).sysctls
        settle(kernel, owned)
        assert {each.path: each.value for each in kernel.observe(owned).sysctls}.items() >= settings.items()
        kernel.apply(repair_virtual(owned, kernel.observe(owned)))
        assert settle(kernel, BARE).is_settled
        left = kernel.observe(BARE)
        assert (left.sysctls, left.addresses) == (fresh, ())
        assert plan_kernel(BARE, left).is_settled
