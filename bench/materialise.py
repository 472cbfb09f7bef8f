"""From a large state to everything a machine should look like, in memory. No peer: it is a bound on every settle."""

from __future__ import annotations

from collections.abc import Iterable

from bench import samples
from bench.row import Measurement, Reach, Row, side_by_side, timed
from vpcrouter.materialise import materialise
from vpcrouter.state import State
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


def rows(smoke: bool) -> Iterable[Row]:
    """A router with many leases, and one with many rules."""
    rounds = 1 if smoke else 7
    leases, rules = side_by_side(
        _of(samples.state(reservation_count=2_000)), _of(samples.state(rule_count=10_000)), rounds=rounds
    )
    yield Row(what="materialise 2,000 DHCP entries", ours=leases, reach=Reach(at_most=100))
    yield Row(what="materialise 10,000 ACL rules", ours=rules, reach=Reach(at_most=300))


def _of(state: State) -> Measurement:
    return lambda: timed(lambda: materialise(state, Role.MASTER, Settings()))
