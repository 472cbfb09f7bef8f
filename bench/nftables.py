"""Ten thousand ACL rules into nftables: ours beside `nft -f` of what a person would write, and one rule more.

In a network namespace of its own. The person writes one flat chain; ours is cut into chunks, so that one rule more
is one small chunk more, and comes with everything else that a router's ruleset has.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from bench import samples
from bench.namespace import in_own_namespace
from bench.row import Reach, Row, side_by_side, timed
from vpcrouter.appliers.nftables import NftablesApplier
from vpcrouter.materialise import materialise
from vpcrouter.state import State
from vpcrouter.values.desired import Ruleset
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

_MANY = 10_000
_FEW = 10


def rows(smoke: bool) -> Iterable[Row]:
    """The whole ruleset from nothing, and the change that is asked for most."""
    rounds = 1 if smoke else 5
    peer, ours = in_own_namespace(lambda: _whole(rounds))
    yield Row(
        what=f"{_MANY:,}-rule ruleset into the kernel",
        peer_name="nft -f, written by hand",
        peer=peer,
        ours=ours,
        reach=Reach(at_most_times=1.5),
    )
    among_few, among_many = in_own_namespace(lambda: _one_more(rounds))
    yield Row(
        what=f"one more ACL rule among {_MANY:,}, from state to kernel",
        peer_name=f"among {_FEW}",
        peer=among_few,
        ours=among_many,
        reach=Reach(at_most=30),
    )


def _whole(rounds: int) -> tuple[float, ...]:
    by_hand = _by_hand(_MANY).encode()
    ruleset = _ruleset(samples.state(rule_count=_MANY))

    def of_peer() -> float:
        _nft(b"flush ruleset\n")
        return timed(lambda: _nft(by_hand))

    def of_ours() -> float:
        _nft(b"flush ruleset\n")
        applier = NftablesApplier()
        try:
            return timed(lambda: applier.settle(ruleset))
        finally:
            applier.close()

    return side_by_side(of_peer, of_ours, rounds=rounds)


def _one_more(rounds: int) -> tuple[float, ...]:
    return tuple(_added_to(count, rounds) for count in (_FEW, _MANY))


def _added_to(count: int, rounds: int) -> float:
    fewer, more = samples.state(rule_count=count), samples.state(rule_count=count + 1)
    applier = NftablesApplier()

    def measure() -> float:
        applier.settle(_ruleset(fewer))
        return timed(lambda: applier.settle(_ruleset(more)))

    try:
        return side_by_side(measure, rounds=rounds)[0]
    finally:
        applier.close()


def _ruleset(state: State) -> Ruleset:
    return materialise(state, Role.MASTER, Settings()).ruleset


def _by_hand(rule_count: int) -> str:
    lines = []
    for rule in samples.rules(rule_count):
        source, verdict = rule.networks[0].removesuffix("/32"), "accept" if rule.allowed else "drop"
        lines.append(f"ip saddr {source} tcp dport {rule.first_port} {verdict}")
    return (
        "table inet router {\n"
        "chain ingress_eth2 {\n" + "\n".join(lines) + "\n}\n"
        "chain forward {\n"
        "type filter hook forward priority filter; policy drop;\n"
        "ct state established,related accept\n"
        'oifname "eth2" jump ingress_eth2\n'
        "}\n}\n"
    )


def _nft(script: bytes) -> None:
    subprocess.run(["nft", "-f", "-"], input=script, check=True)
