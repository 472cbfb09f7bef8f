"""Arithmetic on canonical address strings: is it inside, do they overlap, what is the prefix. Pure, cached.

The strings passed the checks of `fields`, so nothing here can fail on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
    summarize_address_range,
)

ROUTER_LINK_LOCAL = "fe80::1"
"""The link-local address of whichever router serves, on every tier with IPv6: the next hop of its guests."""

_FEW = 64
"""Networks whose merging is remembered."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@lru_cache(maxsize=65536)
def parse_network(cidr: str) -> Network:
    """The network of a canonical CIDR string."""
    return ip_network(cidr)


@lru_cache(maxsize=65536)
def parse_address(address: str) -> Address:
    """The address of a canonical address string; its order is numeric, not alphabetic."""
    return ip_address(address)


@lru_cache(maxsize=65536)
def network_of(address: str, prefix_length: int) -> str:
    """The network that `address/prefix_length` lies in, in CIDR form."""
    return str(ip_interface(f"{address}/{prefix_length}").network)


def merged(cidrs: tuple[str, ...]) -> tuple[str, ...]:
    """Networks that together hold the same addresses, without overlaps and neighbours; IPv4's come first."""
    # What is long changes often, a little at a time, and is not worth its memory.
    return _merged_once(cidrs) if len(cidrs) <= _FEW else tuple(_merged(cidrs))


@lru_cache(maxsize=4096)
def _merged_once(cidrs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_merged(cidrs))


def _merged(cidrs: tuple[str, ...]) -> Iterator[str]:
    """As `collapse_addresses` has it, in a hundredth of its time: 10,000 networks take it half a second."""
    words = {_span(each): each for each in cidrs}
    end = 0, 0, -1  # below every address
    for span in (*sorted(words), (7, 0, 0)):
        version, first, last = span
        if version == end[0] and first <= end[2] + 1:
            end = version, end[1], max(last, end[2])
            continue
        if end[0]:
            yield from (words[end],) if end in words else _blocks(*end)
        end = span


@lru_cache(maxsize=16384)
def _blocks(version: int, first: int, last: int) -> tuple[str, ...]:
    """The networks that make up a range of addresses."""
    if version == 4:
        return tuple(map(str, summarize_address_range(IPv4Address(first), IPv4Address(last))))
    return tuple(map(str, summarize_address_range(IPv6Address(first), IPv6Address(last))))


def halves(cidr: str) -> tuple[str, ...]:
    """The two halves of a network; none of a single address."""
    network = parse_network(cidr)
    if network.prefixlen == network.max_prefixlen:
        return ()
    return tuple(str(half) for half in network.subnets())


def split_prefix(address: str) -> tuple[str, int]:
    """Address and prefix length of `10.1.2.2/24`."""
    host, _, length = address.partition("/")
    return host, int(length)


def prefix_length(cidr: str) -> int:
    """The part behind the slash."""
    return int(cidr.rpartition("/")[2])


def holds(cidr: str, address: str) -> bool:
    """Whether the address lies in the network; of different families it never does."""
    if beginning := _beginning(cidr):
        return address.startswith(beginning)
    version, first, last = _span(cidr)
    found, number = _number(address)
    return version == found and first <= number <= last


@lru_cache(maxsize=65536)
def _span(cidr: str) -> tuple[int, int, int]:
    """IP version, first and last address as numbers."""
    network = parse_network(cidr)
    return network.version, int(network.network_address), int(network.broadcast_address)


@lru_cache(maxsize=65536)
def _beginning(cidr: str) -> str:
    """What the addresses of an IPv4 network /8, /16 or /24 begin with, and no other; empty for other networks.

    A burst names each of its addresses for the first time: to look at the text takes a tenth of what its number takes.
    """
    address, _, length = cidr.partition("/")
    octets = {"8": 1, "16": 2, "24": 3}.get(length)
    return "".join(f"{each}." for each in address.split(".")[:octets]) if octets and ":" not in address else ""


@lru_cache(maxsize=65536)
def _ends(cidr: str) -> tuple[str, str]:
    """The first and the last address of a network."""
    network = parse_network(cidr)
    return str(network.network_address), str(network.broadcast_address)


@lru_cache(maxsize=65536)
def _number(address: str) -> tuple[int, int]:
    """IP version and the address as a number."""
    parts = address.split(".")
    if len(parts) == 4 and ":" not in address:
        # In canonical form, so `ip_address` would find nothing to object to, in four times as long.
        return 4, int.from_bytes(bytes(map(int, parts)))
    parsed = ip_address(address)
    return parsed.version, int(parsed)


def held_by_any(cidrs: Iterable[str], address: str) -> bool:
    """Whether the address lies in one of the networks."""
    return any(holds(cidr, address) for cidr in cidrs)


def covers(outer: str, inner: str) -> bool:
    """Whether every address of `inner` lies in `outer`."""
    version, first, last = _span(outer)
    found, low, high = _span(inner)
    return version == found and first <= low and high <= last


def overlap(one: str, other: str) -> bool:
    """Whether the two networks have an address in common."""
    return covers(one, other) or covers(other, one)


def usable(cidr: str, address: str) -> bool:
    """Whether a host may have the address in that network: inside, and neither its number nor its broadcast."""
    return holds(cidr, address) and not reserves(cidr, address)


def reserves(cidr: str, address: str) -> bool:
    """Whether the address lies in the network, and no host may have it there."""
    if _beginning(cidr):
        return address in _ends(cidr)
    version, first, last = _span(cidr)
    found, number = _number(address)
    if version != found or not first <= number <= last or last - first <= 1:
        return False
    return number == first or (version == 4 and number == last)


def is_link_local(text: str) -> bool:
    """Whether an address, with or without its prefix length, is an IPv6 link-local one."""
    return is_ipv6(text) and parse_address(text.partition("/")[0]).is_link_local


def link_local_of(address: str) -> str:
    """The link-local address with the same last 64 bits as an IPv6 address."""
    return str(IPv6Address((0xFE80 << 112) | int(IPv6Address(address)) & (1 << 64) - 1))


def range_networks(first: str, last: str) -> tuple[str, ...]:
    """The fewest networks that hold all addresses from the first to the last and no other."""
    low, high = parse_address(first), parse_address(last)
    return tuple(str(each) for each in summarize_address_range(low, high))


def is_ipv6(text: str) -> bool:
    """Whether a canonical address or network is IPv6."""
    return ":" in text
