"""Arithmetic on networks is what `ipaddress` does, which takes up to a hundred times as long."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

from hypothesis import example, given
from hypothesis import strategies as st

from vpcrouter.values.networks import holds, merged, reserves, usable

# Crowded, so that they touch and overlap; at both ends of the addresses.
_IPV4 = st.builds(
    lambda base, number, length: str(IPv4Network((base + number, length), strict=False)),
    st.sampled_from((0, 0x0A010000, 0xFFFFFF00)),
    st.integers(0, 255),
    st.integers(20, 32) | st.integers(0, 32),
)
_IPV6 = st.builds(
    lambda number, length: str(IPv6Network((0x20010DB8 << 96 | number, length), strict=False)),
    st.integers(0, 63),
    st.integers(120, 128) | st.integers(0, 128),
)


@given(st.lists(_IPV4 | _IPV6, max_size=80).map(tuple))
@example(())
@example(("0.0.0.0/0", "::/0"))
@example(("255.255.255.255/32", "::/128"))
@example(tuple(f"10.1.{each}.0/24" for each in range(200)))
def test_merging_is_what_the_standard_library_does_slowly(cidrs: tuple[str, ...]) -> None:
    parsed = [ip_network(each) for each in cidrs]
    ipv4 = collapse_addresses(each for each in parsed if isinstance(each, IPv4Network))
    ipv6 = collapse_addresses(each for each in parsed if isinstance(each, IPv6Network))
    assert merged(cidrs) == (*map(str, ipv4), *map(str, ipv6))


_NEAR = st.builds(
    lambda cidr, step: (cidr, _address_near(cidr, step)),
    _IPV4 | _IPV6 | st.sampled_from(("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "1.0.0.0/8", "101.0.0.0/8")),
    st.integers(-2, 2) | st.integers(0, 2**26),
)


def _address_near(cidr: str, step: int) -> str:
    """An address at or near an end of the network."""
    network = ip_network(cidr)
    start = network.network_address if step >= 0 else network.broadcast_address
    return str(type(start)((int(start) + step) % (1 << network.max_prefixlen)))


@given(_NEAR)
@example(("10.1.2.0/24", "10.1.20.1"))
@example(("10.1.2.0/24", "10.1.2.255"))
@example(("1.0.0.0/8", "10.0.0.1"))
@example(("172.16.0.0/12", "172.32.0.1"))
@example(("10.0.0.0/8", "10::1"))
@example(("2001:d00::/24", "2001:d00::1"))
def test_an_address_lies_in_a_network_as_the_standard_library_says(place: tuple[str, str]) -> None:
    cidr, address = place
    network, parsed = ip_network(cidr), ip_address(address)
    inside = parsed in network
    assert holds(cidr, address) == inside
    has_ends = network.num_addresses > 2
    ends = (network.network_address, *((network.broadcast_address,) if network.version == 4 else ()))
    assert reserves(cidr, address) == (inside and has_ends and parsed in ends)
    assert usable(cidr, address) == (inside and not reserves(cidr, address))
