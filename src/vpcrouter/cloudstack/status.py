"""What the management server asks of a router again and again, in the words that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vpcrouter.values import networks
from vpcrouter.values.role import Role

_WORDS = {Role.MASTER: "PRIMARY", Role.BACKUP: "BACKUP", Role.FAULT: "FAULT"}


def vpn_status(peers: Iterable[str], tunnels: Iterable[Mapping[str, Any]]) -> str:
    """The answer of `checks2svpn`: `peer:code:text&` for each; 0 is connected, 11 not, 1 that there is no such peer."""
    known = {each["peer"]: each for each in tunnels}
    return "".join(f"{peer}:{_vpn_words(known.get(peer))}&" for peer in peers)


def _vpn_words(tunnel: Mapping[str, Any] | None) -> str:
    if tunnel is None:
        return "1:no VPN to this peer is configured here, or this router does not serve"
    if tunnel["connected"]:
        return "0:every tunnel of this peer is up"
    missing = " ".join(tunnel["missing"])
    return f"11:not connected, down is {missing}" if missing else "11:not connected"


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
