"""Events about the firewall of public addresses and that of guests' IPv6 networks."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values.checks import each, many
from vpcrouter.values.config import FirewallRule, Ipv6FirewallRule, rule_id


@frozen(kw_only=True)
class FirewallRulesChanged:
    """Rules of public addresses were put (each with all its fields), others taken away by number."""

    put: tuple[FirewallRule, ...] = many(FirewallRule)
    removed: tuple[int, ...] = each(rule_id)


@frozen(kw_only=True)
class Ipv6FirewallRulesChanged:
    """Rules of guests' IPv6 networks were put, others taken away by number."""

    put: tuple[Ipv6FirewallRule, ...] = many(Ipv6FirewallRule)
    removed: tuple[int, ...] = each(rule_id)
