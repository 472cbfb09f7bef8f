"""The model of nft, and that the simulator judges what `plan.nftables` writes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.test_pair import ROUTERS, case, sound
from vpcrouter.command_json import loads
from vpcrouter.decide import decide
from vpcrouter.errors import ApplierError, CallerError
from vpcrouter.materialise import materialise
from vpcrouter.plan import nftables
from vpcrouter.plan.nftables import change_script, replace_script, ruleset_text
from vpcrouter.simulation import nft
from vpcrouter.simulation.case import Drift
from vpcrouter.simulation.pair import run
from vpcrouter.simulation.services import forward, static_nat
from vpcrouter.simulation.strategies import Command, add_tier, boot, for_both, public, remove_tier, vpc_commands
from vpcrouter.state import State
from vpcrouter.state import evolve as after
from vpcrouter.values.desired import NftChain, NftSet, Ruleset
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


def rulesets(commands: list[Command]) -> list[Ruleset]:
    """What each command makes of the ruleset."""
    state, found = State(), []
    for each in commands:
        try:
            decision = decide(state, loads(each.texts["rA"]))
        except CallerError:
            continue
        if decision.event is not None:
            state = after(state, decision.event)
            found.append(materialise(state, Role.MASTER, Settings()).ruleset)
    return found


@given(st.lists(vpc_commands(), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_change_makes_of_the_old_ruleset_the_new_one(burst: list[Command]) -> None:
    steps = rulesets([boot(), public(10), add_tier(2), *burst])
    loaded = nft.load(ruleset_text(steps[0]), None)
    assert loaded is not None
    assert nft.same(loaded, steps[0])
    for old, new in pairwise(steps):
        loaded = nft.load(change_script(old, new), loaded)
        assert loaded is not None
        assert nft.same(loaded, new)
        assert not nft.same(loaded, old) or nft.same(old, new)
    replaced = nft.load(replace_script(steps[0]), loaded)
    assert replaced is not None
    assert nft.same(replaced, steps[0])


RULES = Ruleset(
    table="t",
    counters=("seen",),
    sets=(NftSet(name="who", kind="map", spec="type ifname : verdict;", elements=(('"eth2"', "jump there"),)),),
    chains=(NftChain(name="there", rules=("counter name seen accept",)),),
)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("delete chain inet t there\n", "chain there is in use"),
        ("delete counter inet t seen\n", "counter seen is in use"),
        ("delete map inet t nobody\n", "no map nobody"),
        ("delete set inet t who\n", "no set who"),
        ("flush chain inet t nowhere\n", "no chain nowhere"),
        ('delete element inet t who { "eth3" }\n', "is not in who"),
        ('add element inet t who { "eth2" : accept }\n', "another value"),
        ('add element inet t who { "eth4" : jump nowhere }\n', "nowhere is referred to"),
        ("table inet t {\n\tchain there {\n\t\tip saddr @nobody drop\n\t}\n}\n", "nobody is referred to"),
        ("delete table inet other\n", "no table other"),
        ("flush ruleset\n", "no table for"),
    ],
)
def test_what_the_kernel_refuses(script: str, words: str) -> None:
    loaded = nft.load(ruleset_text(RULES), None)
    with pytest.raises(ApplierError, match=words):
        nft.load(script, loaded)


def test_the_order_of_things_says_nothing_but_that_of_rules() -> None:
    more = evolve(RULES, chains=(*RULES.chains, NftChain(name="b", rules=("drop", "accept"))))
    assert nft.same(more, evolve(more, chains=more.chains[::-1]))
    assert not nft.same(more, evolve(more, chains=(RULES.chains[0], NftChain(name="b", rules=("accept", "drop")))))


def test_drift_of_the_ruleset_is_mended_by_the_plan() -> None:
    report = sound(run(case(Drift(at_ms=3_000, router="rA", what="ruleset"))))
    assert report.master is not None


@pytest.mark.parametrize("broken", ["_delete_elements", "_add_elements"])
def test_a_plan_that_leaves_something_out_is_found(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nftables, broken, lambda *_: "")
    commands = [
        for_both("nat", lambda own: static_nat(2, 0, own)),
        for_both("forward", lambda own: forward(2, 0, own)),
        remove_tier(2),
    ]
    steps = [each.to(name, 2_500 + 700 * number) for name in ROUTERS for number, each in enumerate(commands)]
    assert "machine" in {each.rule for each in run(case(*steps)).violations}
