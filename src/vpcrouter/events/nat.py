"""Events about port forwarding and static NAT."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import each, many
from vpcrouter.values.config import PortForward, StaticNat


@frozen(kw_only=True)
class PortForwardsChanged:
    """Forwardings were put, and others (as they were stored) removed; a replaced one stands in both lists."""

    put: tuple[PortForward, ...] = many(PortForward)
    removed: tuple[PortForward, ...] = many(PortForward)


@frozen(kw_only=True)
class StaticNatsChanged:
    """Static NATs were put, and others removed by public address."""

    put: tuple[StaticNat, ...] = many(StaticNat)
    removed: tuple[str, ...] = each(fields.ipv4)
