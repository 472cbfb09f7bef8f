"""The MTU of a public device: the smallest that was named for it, by an address or by the boot parameters. Pure."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.materialise import vpc
from vpcrouter import MalformedInputError
from vpcrouter.materialise import materialise
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


@pytest.mark.parametrize(
    ("of_addresses", "of_boot", "mtu"),
    [((0,), 9000, 9000), ((0, 1400), 9000, 1400), ((9000, 0), 1500, 1500), ((1500,), 9000, 1500), ((0,), 1300, 1300)],
)
def test_an_address_without_one_leaves_it_to_the_others(of_addresses: tuple[int, ...], of_boot: int, mtu: int) -> None:
    state = vpc.state(addresses=[evolve(vpc.public(10 + number), mtu=each) for number, each in enumerate(of_addresses)])
    assert state.router is not None
    state = evolve(state, router=evolve(state.router, public_mtu=of_boot))
    links = {each.name: each.mtu for each in materialise(state, Role.MASTER, Settings()).kernel.links}
    assert links["eth1"] == mtu


def test_a_private_gateway_without_one_has_that_of_ethernet() -> None:
    state = vpc.state(addresses=[vpc.public(10), evolve(vpc.private_gateway(), mtu=0)])
    links = {each.name: each.mtu for each in materialise(state, Role.MASTER, Settings()).kernel.links}
    assert links["eth9"] == 1500


def test_an_mtu_that_is_too_small_for_ipv4() -> None:
    with pytest.raises(MalformedInputError, match=r"^mtu: IPv4 needs an MTU of 68 at least"):
        evolve(vpc.public(10), mtu=67)
