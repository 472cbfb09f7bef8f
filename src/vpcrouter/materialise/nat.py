"""Port forwarding, static NAT and source NAT → nftables maps, and the few chains that look them up. Pure.

All that changes with the configuration stands in maps, so one rule more is one element more. Translation towards a
guest happens only where the public address is (`fib daddr type local`): a backup, which gets stray copies of frames
for the MAC that both routers have, translates none of them. A hairpin (a guest that reaches a guest of its own tier
by a public address) is hidden behind the tier's gateway address, which survives a failover; the own one would not.

Known holes: a forwarding whose ports are shifted takes one element for each port (and source, so `decide` bounds the
range where there are sources); one more forwarding with sources, or of a range, costs as much as there are of them; a
guest whose gateway is somebody else is translated to, but answers past this router.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vpcrouter.materialise.placement import ANYWHERE, way_out
from vpcrouter.materialise.rendering import word
from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import PortForward, StaticNat
from vpcrouter.values.desired import NftChain, NftSet
from vpcrouter.values.incremental import Sorted
from vpcrouter.values.networks import is_ipv6, merged, parse_address

_PORT = "ipv4_addr . inet_proto . inet_service"
_CLIENT_AND_PORT = f"ipv4_addr . {_PORT}"


def nat_sets(effective: Effective) -> tuple[NftSet, ...]:
    """The sets and maps of NAT. Which public address has which translation was decided; none meets another."""
    natted = [tier.network for tier in effective.tiers if tier.is_gateway]
    return (
        _map("forwards", f"type {_CLIENT_AND_PORT} : ipv4_addr; flags interval;", _SAME_PORTS.of(effective.forwards)),
        # A hash takes 40,000 ports in a moment, a map of intervals a minute; and one more among 10,000 costs a hash
        # nothing, while of a map of intervals nft reads all that is there.
        _map("forwards_by_port", f"type {_PORT} : ipv4_addr . inet_service;", _BY_PORT.of(effective.forwards)),
        _map(
            "forwards_restricted",
            f"type {_CLIENT_AND_PORT} : ipv4_addr . inet_service; flags interval;",
            _RESTRICTED.of(effective.forwards),
        ),
        _map("static_nat_in", "type ipv4_addr : ipv4_addr;", _NAT_IN.of(effective.static_nats)),
        _map("static_nat_out", "type ifname . ipv4_addr : ipv4_addr;", _NAT_OUT.of(_with_devices(effective))),
        _map("hairpin", "type ipv4_addr . ipv4_addr : ipv4_addr; flags interval;", sorted(_hairpins(effective))),
        NftSet(
            name="source_natted",
            kind="set",
            spec="type ipv4_addr; flags interval;",
            elements=tuple(sorted((word(network), "") for network in natted)),
        ),
        _map("source_nat", "type ifname : ipv4_addr;", sorted(_source_nat(effective))),
    )


def nat_chains(untranslated: tuple[str, ...] = ()) -> tuple[NftChain, ...]:
    """The chains of NAT; nothing in them changes but what is not translated at all."""
    port = "ip daddr . meta l4proto . th dport"
    return (
        NftChain(
            name="translate",
            rules=(
                f"meta l4proto {{ tcp, udp }} dnat ip to ip saddr . {port} map @forwards",
                f"meta l4proto {{ tcp, udp }} dnat ip to {port} map @forwards_by_port",
                f"meta l4proto {{ tcp, udp }} dnat ip to ip saddr . {port} map @forwards_restricted",
                "dnat ip to ip daddr map @static_nat_in",
            ),
        ),
        NftChain(
            name="prerouting",
            hook="type nat hook prerouting priority dstnat; policy accept;",
            rules=("fib daddr type local jump translate",),
        ),
        NftChain(
            name="output",
            hook="type nat hook output priority -100; policy accept;",
            rules=("fib daddr type local jump translate",),
        ),
        NftChain(
            name="postrouting",
            hook="type nat hook postrouting priority srcnat; policy accept;",
            rules=(
                *untranslated,
                "ct status dnat snat ip to ip saddr . ip daddr map @hairpin",
                "snat ip to oifname . ip saddr map @static_nat_out",
                "ip saddr @source_natted snat ip to oifname map @source_nat",
            ),
        ),
    )


def _map(name: str, spec: str, elements: Iterable[tuple[str, str]]) -> NftSet:
    return NftSet(name=name, kind="map", spec=spec, elements=tuple(elements))


def _sources(forward: PortForward) -> tuple[str, ...]:
    """The IPv4 clients, without overlaps; IPv6 ones cannot come to an IPv4 address."""
    if not forward.sources:
        return (ANYWHERE,)
    return merged(tuple(word(each) for each in forward.sources if not is_ipv6(each)))


def _is_port_by_port(forward: PortForward) -> bool:
    """Whether it takes one element for each port: single ports and shifted ranges, for everybody."""
    is_one_port, is_shifted = forward.first_port == forward.last_port, forward.first_port != forward.target_port
    return not forward.sources and (is_one_port or is_shifted)


def _same_ports(each: PortForward) -> Iterator[tuple[str, str]]:
    if _is_port_by_port(each) or each.target_port != each.first_port:
        return
    ports = str(each.first_port)
    if each.last_port != each.first_port:
        ports = f"{ports}-{each.last_port}"
    for source in _sources(each):
        yield f"{source} . {word(each.address)} . {word(each.protocol)} . {ports}", word(each.target)


def _port_by_port(each: PortForward) -> Iterator[tuple[str, str]]:
    return _ports(each) if _is_port_by_port(each) else iter(())


def _restricted_ports(each: PortForward) -> Iterator[tuple[str, str]]:
    if _is_port_by_port(each) or each.target_port == each.first_port:
        return
    for source in _sources(each):
        for public, target in _ports(each):
            yield f"{source} . {public}", target


def _ports(each: PortForward) -> Iterator[tuple[str, str]]:
    shift = each.target_port - each.first_port
    public, target = f"{word(each.address)} . {word(each.protocol)}", word(each.target)
    for port in range(each.first_port, each.last_port + 1):
        yield f"{public} . {port}", f"{target} . {port + shift}"


_Elements = Sorted[PortForward, tuple[str, str]]
_SAME_PORTS: _Elements = Sorted(_same_ports)
_BY_PORT: _Elements = Sorted(_port_by_port)
_RESTRICTED: _Elements = Sorted(_restricted_ports)
_NAT_IN: Sorted[StaticNat, tuple[str, str]] = Sorted(lambda nat: ((word(nat.address), word(nat.target)),))
_NAT_OUT: Sorted[tuple[str, StaticNat], tuple[str, str]] = Sorted(
    lambda pair: ((f'"{word(pair[0])}" . {word(pair[1].target)}', word(pair[1].address)),)
)


def _with_devices(effective: Effective) -> Iterator[tuple[str, StaticNat]]:
    """Static NATs with the devices of their public addresses."""
    if effective.static_nats:
        devices = {each.address: each.device for each in effective.public_addresses}
        for nat in effective.static_nats:
            yield devices[nat.address], nat


def _hairpins(effective: Effective) -> Iterator[tuple[str, str]]:
    for tier in effective.tiers:
        # Where somebody else is the gateway, only the own address is there to answer to.
        yield f"{word(tier.network)} . {word(tier.network)}", word(tier.gateway if tier.is_gateway else tier.address)


def _source_nat(effective: Effective) -> Iterator[tuple[str, str]]:
    """By device: the address that hides the tiers there."""
    routed = effective.config is not None and effective.config.routed
    uplink = way_out(effective)
    hiding: dict[str, list[str]] = {}
    for each in effective.public_addresses:
        if each.private_gateway:
            hides = each.source_nat
        elif uplink is not None and each.device == uplink.device:
            hides = each.address == effective.source_nat_address and not routed
        else:
            hides = not routed
        if hides:
            hiding.setdefault(each.device, []).append(each.address)
    for device, addresses in hiding.items():
        yield f'"{word(device)}"', word(min(addresses, key=parse_address))
