"""Events about static routes."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import each, many
from vpcrouter.values.config import StaticRoute


@frozen(kw_only=True)
class StaticRoutesChanged:
    """Routes were put, and others removed by network."""

    put: tuple[StaticRoute, ...] = many(StaticRoute)
    removed: tuple[str, ...] = each(fields.ipv4_network)
