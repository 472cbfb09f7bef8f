"""Answers leave where the question came in: marks → nftables maps and two chains. Pure.

A connection that comes in from outside keeps the mark of its device; its answers carry that mark, and a policy rule
has them routed by the device's own table (`placement`). conntrackd tells the peer marks too, so that a new master
answers the same way. So does what a guest with a static NAT sends by itself, and what the router sends from a public
address: by the device of that address, unless it goes to a tier, a private gateway's network, or where a static route
leads.

Both chains come after the translation of destinations, so that they see where a packet really goes. Only what comes
from inside is ever routed by a mark: the other direction knows its way.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.materialise.placement import public_devices, way_mark
from vpcrouter.materialise.rendering import word
from vpcrouter.materialise.tunnels import far_networks
from vpcrouter.projections.effective import Effective, RoutedVia
from vpcrouter.values.desired import NftChain, NftSet
from vpcrouter.values.incremental import Sorted
from vpcrouter.values.networks import is_ipv6, merged


def reply_sets(effective: Effective) -> Iterator[NftSet]:
    """The maps from devices and addresses to marks, and where those of addresses do not count."""
    devices = {each.address: each.device for each in effective.public_addresses}
    yield NftSet(
        name="ways",
        kind="map",
        spec="type ifname : mark;",
        elements=tuple(sorted((f'"{word(each)}"', str(way_mark(each))) for each in public_devices(effective))),
    )
    own = [(word(address), device) for address, device in devices.items()]
    translated = [(word(nat.target), devices[nat.address]) for nat in effective.static_nats]
    yield NftSet(
        name="ways_of_sources",
        kind="map",
        spec="type ipv4_addr : mark;",
        elements=tuple(sorted((address, str(way_mark(device))) for address, device in (*own, *translated))),
    )
    yield NftSet(
        name="inside",
        kind="set",
        spec="type ipv4_addr; flags interval;",
        elements=_ELEMENTS.of(merged(tuple(_inside(effective)))),
    )


def reply_chains() -> tuple[NftChain, ...]:
    """The chains; they never change."""
    return (
        NftChain(
            name="ways_in",
            hook="type filter hook prerouting priority dstnat + 1; policy accept;",
            rules=(
                "ct state new ct mark set iifname map @ways",
                "iifname @outside return",
                "ct direction reply ct mark != 0 meta mark set ct mark return",
                "ct direction original ip daddr != @inside meta mark set ip saddr map @ways_of_sources",
            ),
        ),
        NftChain(
            name="ways_out",
            # After the NAT of output, at -100.
            hook="type route hook output priority -99; policy accept;",
            rules=(
                "ct direction reply ct mark != 0 meta mark set ct mark return",
                "ct direction original ip daddr != @inside meta mark set ip saddr map @ways_of_sources",
            ),
        ),
    )


def _inside(effective: Effective) -> Iterator[str]:
    networks = [
        *(tier.network for tier in effective.tiers),
        *(each.network for each in effective.public_addresses if each.private_gateway),
        *far_networks(effective),
    ]
    yield from (word(each) for each in networks if not is_ipv6(each))
    yield from _ROUTED.of(effective.routes)


# Of routes there may be thousands: only what is new is made.
_ROUTED: Sorted[RoutedVia, str] = Sorted(lambda via: () if is_ipv6(via.network) else (word(via.network),))
_ELEMENTS: Sorted[str, tuple[str, str]] = Sorted(lambda network: ((network, ""),))
