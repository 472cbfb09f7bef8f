"""What a router gives up when its keepalived was killed: all that keepalived may have set, and nothing of its own."""

from __future__ import annotations

from tests.materialise import vpc
from vpcrouter.materialise import materialise
from vpcrouter.plan.kernel import give_up
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


def test_all_of_keepalived_s_addresses_and_routes_go_and_no_other() -> None:
    state = vpc.state(tiers=[vpc.tier(2), vpc.tier(3, is_gateway=False)], addresses=[vpc.public(10)])
    kernel = materialise(state, Role.MASTER, Settings()).kernel
    gone = {str(each) for each in give_up(kernel)}
    assert {each.action for each in give_up(kernel)} == {"remove"}
    assert len(gone) == len(kernel.virtual_addresses) + len(kernel.virtual_routes) + len(kernel.elected_addresses)
    for address in ("10.1.2.1/24", "203.0.113.10/24", "169.254.255.2/32", "169.254.255.3/32"):
        assert any(address in each for each in gone), address
    assert not any(each.address in words for each in kernel.addresses for words in gone)
