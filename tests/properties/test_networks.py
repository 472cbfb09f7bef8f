"""Networks are merged as `ipaddress` does it, which takes a hundred times as long."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from hypothesis import example, given
from hypothesis import strategies as st

from vpcrouter.values.networks import merged

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
