"""Where the default route leads when there is no public network."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.materialise import vpc
from vpcrouter.materialise import materialise
from vpcrouter.values.config import Tier
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

INNER, OUTER, FARTHER = vpc.tier(2), vpc.tier(3, is_gateway=False), vpc.tier(4, is_gateway=False)


@pytest.mark.parametrize("role", [Role.MASTER, Role.BACKUP])
@pytest.mark.parametrize(
    ("parameters", "tiers", "ways"),
    [
        ((("has_public_network", "false"),), (INNER, OUTER, FARTHER), [("10.1.3.1", "eth3")]),
        ((("has_public_network", "false"),), (INNER,), []),
        ((), (INNER, OUTER), []),
    ],
)
def test_without_a_public_network_by_the_lowest_tier_with_another_gateway(
    parameters: tuple[tuple[str, str], ...], tiers: tuple[Tier, ...], ways: list[tuple[str, str]], role: Role
) -> None:
    state = vpc.state(router=evolve(vpc.config(), parameters=parameters), tiers=tiers)
    routes = materialise(state, role, Settings()).kernel.routes
    assert [(each.gateway, each.device) for each in routes if each.network == "0.0.0.0/0"] == ways
