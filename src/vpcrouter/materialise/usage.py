"""How much was forwarded by way of each tier and each public device: named counters, and what they say. Pure.

Each device has two counters, of what came in by it and of what left by it, for packets that both ACLs let through. A
counter goes with its device; nothing else resets it, so whoever bills adds up differences (a router that booted begins
at 0). On a pair each router counts what it has forwarded itself: the sum is the VPC's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import asdict

from vpcrouter.materialise.placement import private_gateways, public_devices
from vpcrouter.materialise.rendering import word
from vpcrouter.projections.effective import Effective
from vpcrouter.values.desired import NftChain, NftSet
from vpcrouter.values.traffic import Traffic

_WAYS = (("in", "iifname"), ("out", "oifname"))


def usage_counters(effective: Effective) -> tuple[str, ...]:
    """Their names."""
    return tuple(f"{way}_{word(device)}" for device in _devices(effective) for way, _ in _WAYS)


def usage_sets(effective: Effective) -> Iterator[NftSet]:
    """The maps from devices to counters."""
    for way, _ in _WAYS:
        names = ((word(device), f'"{way}_{word(device)}"') for device in _devices(effective))
        yield NftSet(
            name=f"usage_{way}",
            kind="map",
            spec="type ifname : counter;",
            elements=tuple(sorted((f'"{device}"', counter) for device, counter in names)),
        )


def usage_chain() -> NftChain:
    """The chain that counts; it never changes."""
    return NftChain(
        name="usage",
        hook="type filter hook forward priority filter + 10; policy accept;",
        rules=tuple(f"counter name {side} map @usage_{way}" for way, side in _WAYS),
    )


def describe_usage(effective: Effective, counted: Mapping[str, Traffic]) -> list[dict[str, Any]]:
    """What the counters say, as plain data, by device: what it is to the VPC, and what came in and left by it."""
    nothing = Traffic()
    return [
        {
            "device": device,
            "kind": kind,
            "networks": list(networks),
            **{way: asdict(counted.get(f"{way}_{device}", nothing)) for way, _ in _WAYS},
        }
        for device, (kind, networks) in _devices(effective).items()
    ]


def _devices(effective: Effective) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What each counted device is to the VPC, and its networks."""
    if effective.config is None:
        return {}
    private = private_gateways(effective)
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for device in public_devices(effective):
        networks = {each.network for each in effective.public_addresses if each.device == device}
        found[device] = ("private-gateway" if device in private else "public", tuple(sorted(networks)))
    for tier in effective.tiers:
        found[tier.device] = ("tier", (tier.network, *(() if tier.ipv6 is None else (tier.ipv6.network,))))
    return found
