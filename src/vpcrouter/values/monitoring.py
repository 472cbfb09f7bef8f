"""What the management server wants to know about a router's health. Shared by commands, events and the state."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import each, flag, within


def check_name(value: object, path: str) -> str:
    """The name of a check or a service: a word of at most 100 characters."""
    return fields.word(value, path, 100)


@frozen(kw_only=True)
class Monitoring:
    """Which checks count, and their limits. `excluded` and `gateways` are this router's own."""

    enabled: bool = flag(True)
    services: tuple[str, ...] = each(check_name)
    """What the server calls them: `dhcp`, `loadbalancing`, `ssh`, `webserver`."""
    excluded: tuple[str, ...] = each(check_name)
    """Names of checks that are not made."""
    gateways: tuple[str, ...] = each(fields.ipv4)
    """Next hops that must answer while this router serves."""
    least_disk_mb: int = within(0, 2**31 - 1, 0)
    most_cpu_percent: int = within(0, 100, 100)
    most_memory_percent: int = within(0, 100, 100)
    basic_interval_min: int = within(0, 100_000, 3)
    advanced_interval_min: int = within(0, 100_000, 0)
