"""How much went by way of each tier and each public device: named counters, and what they say. Pure.

Each device has two counters, of what came in by it and of what left by it, for packets that were forwarded, so both
ACLs have let them through; and two for what this router itself got and sent, so also what it balances for its guests. A
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

_WAYS = ("in", "out")
_CHAINS = (
    ("usage", "forward", (("in", "iifname"), ("out", "oifname"))),
    ("own_usage_in", "input", (("own_in", "iifname"),)),
    ("own_usage_out", "output", (("own_out", "oifname"),)),
)
"""Chain, hook, and the counters with the side of the packet that chooses one."""
_COUNTED = tuple(way for _, _, counted in _CHAINS for way, _ in counted)


def usage_counters(effective: Effective) -> tuple[str, ...]:
    """Their names."""
    return tuple(f"{way}_{word(device)}" for device in _devices(effective) for way in _COUNTED)


def usage_sets(effective: Effective) -> Iterator[NftSet]:
    """The maps from devices to counters."""
    for way in _COUNTED:
        names = ((word(device), f'"{way}_{word(device)}"') for device in _devices(effective))
        yield NftSet(
            name=f"usage_{way}",
            kind="map",
            spec="type ifname : counter;",
            elements=tuple(sorted((f'"{device}"', counter) for device, counter in names)),
        )


def usage_chains() -> tuple[NftChain, ...]:
    """The chains that count; they never change."""
    return tuple(
        NftChain(
            name=name,
            hook=f"type filter hook {hook} priority filter + 10; policy accept;",
            rules=tuple(f"counter name {side} map @usage_{way}" for way, side in counted),
        )
        for name, hook, counted in _CHAINS
    )


def describe_usage(effective: Effective, counted: Mapping[str, Traffic]) -> list[dict[str, Any]]:
    """What the counters say, as plain data, by device: what it is to the VPC, and what came in and left by it.

    `own` is what this router itself got and sent, and is not part of the rest.
    """
    nothing = Traffic()
    return [
        {
            "device": device,
            "kind": kind,
            "networks": list(networks),
            **{way: asdict(counted.get(f"{way}_{device}", nothing)) for way in _WAYS},
            "own": {way: asdict(counted.get(f"own_{way}_{device}", nothing)) for way in _WAYS},
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
