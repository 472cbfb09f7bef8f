"""What the management server asks of a router again and again, in the words that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vpcrouter.values import networks
from vpcrouter.values.role import Role

_WORDS = {Role.MASTER: "PRIMARY", Role.BACKUP: "BACKUP", Role.FAULT: "FAULT"}


def router_status(role: Role | None) -> str:
    """The line of `checkrouter`; UNKNOWN before keepalived has reported, and without a running agent (None)."""
    return f"Status: {_WORDS.get(role, 'UNKNOWN') if role else 'UNKNOWN'}"


def network_usage(address: str, usage: Sequence[Mapping[str, Any]]) -> str | None:
    """The line of `vpc_netusage.sh -g`: bytes out of the VPC and into it, by the device of a public address.

    `usage` is what the agent lists. None if no public device has the address's network.
    """
    for device in usage:
        if device["kind"] != "tier" and any(networks.holds(each, address) for each in device["networks"]):
            return f"{device['out']['bytes']}:{device['in']['bytes']}:"
    return None
