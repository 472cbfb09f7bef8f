"""By which address the ruleset knows that this router serves a tier: one that is there if it does, and only then."""

from __future__ import annotations

import pytest

from tests.materialise import vpc
from vpcrouter.materialise import materialise
from vpcrouter.values.config import Tier
from vpcrouter.values.desired import Desired
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


def desired(tier: Tier, *, redundant: bool) -> Desired:
    state = vpc.state(tiers=[tier], addresses=[vpc.public(10)], router=vpc.config(redundant=redundant))
    return materialise(state, Role.BACKUP, Settings())


def served_at(found: Desired) -> str:
    (elements,) = (each.elements for each in found.ruleset.sets if each.name == "served_at")
    ((device, address),) = elements
    assert device == '"eth2"'
    return address


@pytest.mark.parametrize("is_gateway", [True, False])
def test_of_a_pair_it_is_one_that_keepalived_sets(is_gateway: bool) -> None:
    found = desired(vpc.tier(2, is_gateway=is_gateway), redundant=True)
    (keepalived,) = (each for each in found.daemons if each.name == "keepalived")
    (config,) = (file.content for file in keepalived.files if file.path.endswith(".conf"))
    own = [each.address for each in found.kernel.addresses]
    assert f"{served_at(found)}/" in config
    assert not any(each.startswith(f"{served_at(found)}/") for each in own)


@pytest.mark.parametrize("is_gateway", [True, False])
def test_alone_it_is_one_that_is_always_there(is_gateway: bool) -> None:
    found = desired(vpc.tier(2, is_gateway=is_gateway), redundant=False)
    assert [each.address for each in found.kernel.addresses if each.address.startswith(f"{served_at(found)}/")] != []


@pytest.mark.parametrize("tier", [vpc.tier(2), vpc.tier(2, is_gateway=False), vpc.tier(2, address=1)])
def test_the_ruleset_is_the_same_whatever_the_role(tier: Tier) -> None:
    state = vpc.state(tiers=[tier], addresses=[vpc.public(10)])
    assert len({materialise(state, role, Settings()).ruleset for role in Role}) == 1
