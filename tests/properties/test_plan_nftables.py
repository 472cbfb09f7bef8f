"""The least change leads to the same table as loading all of it, judged by what a real kernel lists."""

from __future__ import annotations

import subprocess
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.appliers.private_network import PrivateNetwork, private_network
from vpcrouter.appliers.nftables import NftablesApplier
from vpcrouter.plan.nftables import change_script, replace_script
from vpcrouter.values.desired import NftChain, NftSet, Ruleset

_PORTS = "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; flags interval;"
_VERDICTS = "type ifname : verdict;"
_CHAINS = ("a", "b", "c", "d")
_MAPS = ("m", "n")


@st.composite
def _rulesets(draw: st.DrawFn) -> Ruleset:
    """Chains that jump to each other, verdict maps that jump to chains, chains that look up maps: all may come and go.

    A chain jumps only to later ones in a drawn order, since the kernel refuses loops.
    """
    order = draw(st.permutations(draw(st.lists(st.sampled_from(_CHAINS), unique=True))))
    maps = draw(st.lists(st.sampled_from(_MAPS), unique=True))
    # A map jumps to the last chains only, and no chain after the first looks one up: no loops through maps.
    leaves = order[1:]
    chains = []
    for place, name in enumerate(order):
        lookups = [f"iifname vmap @{each}" for each in maps] if place == 0 else []
        rules = st.sampled_from(
            [f"jump {other}" for other in order[place + 1 :]]
            + lookups
            + [f"tcp dport {port} accept" for port in (22, 80)]
            + ["ip saddr { 10.0.0.0/8, 192.0.2.1 } drop", "counter drop"]
        )
        chains.append(NftChain(name=name, rules=tuple(draw(st.lists(rules, max_size=4)))))
    base = st.sampled_from([f"jump {name}" for name in order] + [f"iifname vmap @{each}" for each in maps] + ["accept"])
    policy = draw(st.sampled_from(["drop", "drop", "drop", "accept"]))
    chains.append(
        NftChain(
            name="forward",
            hook=f"type filter hook forward priority filter; policy {policy};",
            rules=tuple(draw(st.lists(base, max_size=3))),
        )
    )
    sets = [
        NftSet(name=name, kind="map", spec=_VERDICTS, elements=_elements(draw, [f"jump {each}" for each in leaves]))
        for name in maps
    ]
    if draw(st.booleans()):
        sets.append(NftSet(name="ports", kind="map", spec=_PORTS, elements=_port_elements(draw)))
        chains.append(NftChain(name="use", rules=("ip daddr . meta l4proto . th dport @known accept",)))
        known = "type ipv4_addr . inet_proto . inet_service; flags interval;"
        sets.append(
            NftSet(
                name="known",
                kind="set",
                spec=known,
                elements=tuple((key, "") for key, _ in _port_elements(draw)),
            )
        )
    if draw(st.booleans()):
        names = draw(st.sets(st.sampled_from(["eth2", "eth3", "eth10"])))
        sets.append(
            NftSet(name="serving", kind="set", spec="type ifname;", elements=tuple((n, "") for n in sorted(names)))
        )
    return Ruleset(table="t", sets=tuple(draw(st.permutations(sets))), chains=tuple(draw(st.permutations(chains))))


def _elements(draw: st.DrawFn, verdicts: list[str]) -> tuple[tuple[str, str], ...]:
    values = st.sampled_from([*verdicts, "accept", "drop"])
    return tuple(sorted(draw(st.dictionaries(st.sampled_from(["eth2", "eth3", "eth4"]), values)).items()))


def _port_elements(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    """Port ranges that touch and do not overlap, so that any two rulesets overlap each other in every way."""
    cuts = sorted(draw(st.sets(st.integers(1, 60), max_size=6)))
    kept = [(low, high - 1) for low, high in pairwise(cuts) if draw(st.sampled_from([True, True, False]))]
    return tuple(
        (
            f"203.0.113.1 . tcp . {low}-{high}" if low < high else f"203.0.113.1 . tcp . {low}",
            f"10.1.2.3 . {8000 + low}",
        )
        for low, high in kept
    )


_EMPTY = Ruleset(table="t")
_CROSSED = (
    Ruleset(
        table="t",
        sets=(NftSet(name="m", kind="map", spec=_VERDICTS, elements=(("eth2", "jump a"),)),),
        chains=(
            NftChain(name="b", rules=("iifname vmap @m",)),
            NftChain(name="a", rules=("jump c",)),
            NftChain(name="c"),
        ),
    ),
    Ruleset(
        table="t",
        sets=(NftSet(name="m", kind="map", spec=_VERDICTS, elements=(("eth2", "jump b"),)),),
        chains=(
            NftChain(name="c", rules=("jump a",)),
            NftChain(name="a", rules=("iifname vmap @m",)),
            NftChain(name="b"),
        ),
    ),
)


@given(ruleset=_rulesets())
@settings(max_examples=50, deadline=None)
def test_nothing_changes_into_itself(ruleset: Ruleset) -> None:
    assert change_script(ruleset, ruleset) == ""


@pytest.mark.lab
@pytest.mark.slow
@example(steps=list(_CROSSED))
@example(steps=[*_CROSSED, _EMPTY, *_CROSSED])
@given(steps=st.lists(_rulesets(), min_size=2, max_size=4))
@settings(max_examples=25, deadline=None)
def test_least_change_whole_table_and_a_start_beside_another_table_give_one_result(steps: list[Ruleset]) -> None:
    with private_network() as network:
        _load(network, replace_script(steps[0]))
        applier = network.do(NftablesApplier)
        for old, new in pairwise(steps):
            script = change_script(old, new)
            if script:
                _load(network, script)
            assert network.do(partial(applier.verify, new, full=True)) == (), script
        handle = network.run("nft", "-a", "list", "tables")
        assert network.do(partial(applier.settle, steps[0])).differences == ()  # it starts, so nothing is drift
        assert network.do(partial(applier.verify, steps[0], full=True)) == ()
        assert network.run("nft", "-a", "list", "tables") == handle
        applier.close()


def _load(network: PrivateNetwork, script: str) -> None:
    done = network.do(
        lambda: subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True, check=False)
    )
    assert done.returncode == 0, done.stderr + script
