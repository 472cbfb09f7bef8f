"""Which resolvers guests are told by IPv6: by the same rules as by IPv4."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.materialise import vpc
from vpcrouter.materialise import materialise
from vpcrouter.values.config import TierIpv6
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

GATEWAY, OF_TIER, OF_ROUTER = "2001:db8:1:2::1", "2001:db8:53::1", "2001:db8:53::2"


@pytest.mark.parametrize(
    ("external", "own_only", "of_tier", "told"),
    [
        (False, False, (), [GATEWAY]),
        (False, False, (OF_TIER,), [GATEWAY, OF_TIER]),
        (False, True, (OF_TIER,), [GATEWAY]),
        (True, False, (OF_TIER,), [OF_TIER]),
        (True, True, (OF_TIER,), [OF_TIER]),
        (True, False, (), [OF_ROUTER]),
    ],
)
def test_resolvers(external: bool, own_only: bool, of_tier: tuple[str, ...], told: list[str]) -> None:
    router = evolve(
        vpc.config(),
        resolvers=("203.0.113.53", OF_ROUTER),
        uses_external_resolvers=external,
        uses_only_own_resolver=own_only,
    )
    ipv6 = TierIpv6(network="2001:db8:1:2::/64", gateway=GATEWAY, address="2001:db8:1:2::2", resolvers=of_tier)
    state = vpc.state(router=router, tiers=[evolve(vpc.tier(2), ipv6=ipv6)])
    (text,) = (
        each.files[0].content for each in materialise(state, Role.MASTER, Settings()).daemons if each.name == "radvd"
    )
    (line,) = (line for line in text.splitlines() if "RDNSS " in line)
    assert line.split() == ["RDNSS", *told, "{"]
