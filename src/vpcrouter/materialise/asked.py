"""What guests ask of the router that serves: DHCP, DNS and its pages. nftables asks the kernel whether it serves. Pure.

Both routers have their own addresses on a tier, both hear what is broadcast there, and the daemons run on both. Who
serves is who has the virtual addresses, and keepalived alone moves those: so the ruleset is the same on both routers, a
change of role changes nothing in it, and DHCP and DNS follow the addresses in the same instant, without any agent.

The kernel tells whether an address is local (`fib … type local`, nft(8)) only of an address that is in the packet. So
a packet that was sent to all, or to the router's own address, is for a moment one to the address that who serves has on
that tier; if that is here, the packet gets back what it had, and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.materialise.election import Election, marker
from vpcrouter.materialise.guestweb import PAGES_PORT, PASSWORD_PORT
from vpcrouter.materialise.rendering import word
from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import Tier
from vpcrouter.values.desired import NftChain, NftSet
from vpcrouter.values.networks import ROUTER_LINK_LOCAL

_SERVED_AT, _OWN_ADDRESS, _OWN = "served_at", "own_address", "own"
_IF_SERVING = "if_serving"
_DNS = "meta l4proto { tcp, udp } th dport 53"
_TO_OWN = f"iifname . ip daddr @{_OWN}"
_PAGES = f"tcp dport {{ {PAGES_PORT}, {PASSWORD_PORT} }}"
_TO_ALL = "255.255.255.255"
_TO_ALL_IPV6 = "ff02::1:2"
"""All servers of DHCPv6 on the link (RFC 8415, section 7.1)."""
_SERVES = f"ip daddr set iifname map @{_SERVED_AT} fib daddr type local ip daddr set"


def asked_sets(effective: Effective, election: Election | None) -> Iterator[NftSet]:
    """By tier: the address that who serves has there, and this router's own one."""
    own = {tier.device: word(tier.address) for tier in effective.tiers}
    yield _by_device(_SERVED_AT, {tier.device: word(_served_at(tier, election)) for tier in effective.tiers})
    yield _by_device(_OWN_ADDRESS, own)
    yield NftSet(
        name=_OWN,
        kind="set",
        spec="type ifname . ipv4_addr;",
        elements=tuple(sorted((f'"{word(device)}" . {address}', "") for device, address in own.items())),
    )


def _served_at(tier: Tier, election: Election | None) -> str:
    if tier.is_gateway and tier.gateway != tier.address:
        return tier.gateway
    # Where somebody else is the gateway there is but the elector's constant address; it comes and goes with the role.
    return tier.address if election is None else marker(tier.device).address.partition("/")[0]


def _by_device(name: str, addresses: dict[str, str]) -> NftSet:
    elements = tuple(sorted((f'"{word(device)}"', address) for device, address in addresses.items()))
    return NftSet(name=name, kind="map", spec="type ifname : ipv4_addr;", elements=elements)


def asked_chains() -> Iterator[NftChain]:
    """`if_serving` returns where this router serves, and drops what comes by it otherwise."""
    yield NftChain(
        name=_IF_SERVING,
        rules=(
            f"ip daddr {_TO_ALL} {_SERVES} {_TO_ALL} return",
            f"{_TO_OWN} {_SERVES} iifname map @{_OWN_ADDRESS} return",
            f"ip6 daddr {_TO_ALL_IPV6} ip6 daddr set {ROUTER_LINK_LOCAL} fib daddr . iif type local"
            f" ip6 daddr set {_TO_ALL_IPV6} return",
            "drop",
        ),
    )


def asked_first() -> tuple[str, ...]:
    """Before what is known: who asked this router while it served, by the same port, would be answered for ever."""
    return (
        f"iifname @tiers udp dport 67 ip daddr != @gateways jump {_IF_SERVING}",
        f"{_DNS} {_TO_OWN} jump {_IF_SERVING}",
        f"iifname @tiers meta nfproto ipv6 udp dport 547 jump {_IF_SERVING}",
    )


def asked_on_links(*, exposes_dns: bool) -> tuple[str, ...]:
    """Of who has no address yet; and of whoever is there, where it is exposed. It has passed `asked_first`."""
    exposed = (
        f"iifname @tiers {_DNS} ip daddr @gateways accept",
        f"{_DNS} {_TO_OWN} accept",
        "iifname @tiers udp dport 67 accept",
    )
    return (
        *(exposed if exposes_dns else ()),
        "iifname @tiers udp sport 68 udp dport 67 accept",
        "iifname @tiers ip6 saddr fe80::/10 udp sport 546 udp dport 547 accept",
    )


def asked_by_guests() -> tuple[str, ...]:
    """Of who has an address. Where there are no pages, a guest is refused at once and does not wait."""
    return (
        f"{_DNS} ip daddr @gateways accept",
        f"{_DNS} {_TO_OWN} accept",
        f"{_PAGES} ip daddr @gateways accept",
        f"{_PAGES} {_TO_OWN} jump {_IF_SERVING}",
        f"{_PAGES} {_TO_OWN} accept",
    )
