"""From a large state to everything a machine should look like, in memory. No peer: it is a bound on every settle."""

from __future__ import annotations

from collections.abc import Iterable

from bench import samples
from bench.row import Measurement, Reach, Row, side_by_side, timed
from vpcrouter.materialise import chunks, materialise
from vpcrouter.state import State
from vpcrouter.values import incremental
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


def rows(smoke: bool) -> Iterable[Row]:
    """A router with many leases, one with many rules, and what a change of the role costs that one."""
    rounds = 1 if smoke else 7
    many_rules = samples.state(rule_count=10_000)
    leases, rules, role = side_by_side(
        _from_scratch(samples.state(reservation_count=2_000)),
        _from_scratch(many_rules),
        _after_a_change_of_role(many_rules),
        rounds=rounds,
    )
    yield Row(what="materialise 2,000 DHCP entries", ours=leases, reach=Reach(at_most=100))
    yield Row(what="materialise 10,000 ACL rules", ours=rules, reach=Reach(at_most=300))
    yield Row(what="materialise 10,000 ACL rules again, for another role", ours=role)


def _from_scratch(state: State) -> Measurement:
    def measure() -> float:
        incremental.forget()
        chunks._cuts.clear()
        return timed(lambda: materialise(state, Role.MASTER, Settings()))

    return measure


def _after_a_change_of_role(state: State) -> Measurement:
    def measure() -> float:
        settings = Settings()
        materialise(state, Role.BACKUP, settings)
        return timed(lambda: materialise(state, Role.MASTER, settings))

    return measure
