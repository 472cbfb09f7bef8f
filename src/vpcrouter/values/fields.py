"""Checks of single fields: text from outside becomes a canonical string, or a MalformedInputError.

Canonical strings are what events, state and generated files are made of. A value that passed here holds no
character that could end a line, a word, a quotation or a block in any generated file or command line. Every
function takes the raw value and the path of its field, and returns the canonical form; networks are cut to
their network address only where the function's name says so. No I/O.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from vpcrouter.errors import MalformedInputError

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", re.ASCII)
_DEVICE = re.compile(r"eth(0|[1-9][0-9]{0,2})", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_PHRASE = re.compile(r"[\x20-\x7e]+", re.ASCII)
_WORD = re.compile(r"[\x21-\x7e]+", re.ASCII)
_NOT_ROUTED = tuple(map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))
_NOT_OF_HOSTS = tuple(
    map(ipaddress.ip_network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/8", "fe80::/10", "ff00::/8"))
)
_PORT_RANGE = re.compile(r"([0-9]{1,5}):([0-9]{1,5})", re.ASCII)


def malformed(path: str, value: object, expected: str) -> MalformedInputError:
    """The error of a value that is not what is expected; a long one is shown shortened."""
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return MalformedInputError(f"{shown} is not {expected}", where=path)


def text(value: object, path: str) -> str:
    """A string, as it is. Callers narrow it further before it may reach a file."""
    if not isinstance(value, str):
        raise malformed(path, value, "a string")
    return value


def flag(value: object, path: str) -> bool:
    """A JSON boolean; a number or the text "true" is refused."""
    if not isinstance(value, bool):
        raise malformed(path, value, "true or false")
    return value


def integer(value: object, path: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise malformed(path, value, f"a whole number from {low} to {high}")
    return value


@lru_cache(maxsize=65536)
def _ipv4(value: str) -> tuple[str, bool] | None:
    """The canonical form, and whether a host can have it; None if it is no address."""
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return None
    number = int(address)
    return str(address), 0 < number < 0xE0000000 and number >> 24 != 127


def ipv4(value: object, path: str) -> str:
    """An IPv4 host address in dotted form (no leading zeros, not 0.0.0.0, multicast or broadcast)."""
    found = _ipv4(value) if isinstance(value, str) else None
    if found is None:
        raise malformed(path, value, "an IPv4 address")
    canonical, is_of_host = found
    if not is_of_host:
        raise malformed(path, value, "an IPv4 address that a host can have")
    return canonical


def ipv6(value: object, path: str) -> str:
    """An IPv6 host address without a zone."""
    try:
        address = ipaddress.IPv6Address(value if isinstance(value, str) else "")
    except ValueError:
        raise malformed(path, value, "an IPv6 address") from None
    if address.scope_id is not None or address.is_multicast or address.is_unspecified or address.is_loopback:
        raise malformed(path, value, "an IPv6 address that a host can have")
    return str(address)


def address(value: object, path: str) -> str:
    """An IPv4 or IPv6 host address."""
    return ipv6(value, path) if isinstance(value, str) and ":" in value else ipv4(value, path)


@lru_cache(maxsize=65536)
def _network(value: str, *, strict: bool) -> str | None:
    try:
        return str(ipaddress.ip_network(value, strict=strict))
    except ValueError:
        return None


def network(value: object, path: str) -> str:
    """A network in CIDR form, IPv4 or IPv6, whose host bits are zero."""
    canonical = None
    if isinstance(value, str) and "/" in value and "%" not in value:  # a zone may hold any character
        canonical = _network(value, strict=True)
    if canonical is None:
        raise malformed(path, value, "a network like 10.1.0.0/16 with no host bits set")
    return canonical


def ipv4_network(value: object, path: str) -> str:
    """An IPv4 network in CIDR form whose host bits are zero."""
    canonical = network(value, path)
    if ":" in canonical:
        raise malformed(path, value, "an IPv4 network")
    return canonical


@lru_cache(maxsize=65536)
def _is_routed(canonical: str) -> bool:
    return not any(ipaddress.IPv4Network(canonical).overlaps(each) for each in _NOT_ROUTED)


def route_network(value: object, path: str) -> str:
    """An IPv4 network that packets can be routed to: not the default route, loopback, link-local or multicast."""
    canonical = ipv4_network(value, path)
    if not _is_routed(canonical):
        raise malformed(path, value, "a network of other hosts (0.0.0.0/8, 127, 169.254, 224 and above are not)")
    return canonical


def host_network(value: object, path: str) -> str:
    """An IPv4 network that hosts can be in, as a tier or a public network is: apart from loopback and multicast."""
    canonical = ipv4_network(value, path)
    if not _is_of_hosts(canonical):
        raise malformed(path, value, "a network that hosts can be in (0.0.0.0/8, 127, 224 and above are not)")
    return canonical


def host_ipv6_network(value: object, path: str) -> str:
    """The same of IPv6; link-local addresses are on every link already."""
    canonical = ipv6_network(value, path)
    if not _is_of_hosts(canonical):
        raise malformed(path, value, "a network that hosts can be in (::/8, fe80::/10 and ff00::/8 are not)")
    return canonical


@lru_cache(maxsize=4096)
def _is_of_hosts(canonical: str) -> bool:
    found = ipaddress.ip_network(canonical)
    return not any(found.version == each.version and found.overlaps(each) for each in _NOT_OF_HOSTS)


def ipv6_network(value: object, path: str) -> str:
    """An IPv6 network in CIDR form whose host bits are zero."""
    canonical = network(value, path)
    if ":" not in canonical:
        raise malformed(path, value, "an IPv6 network")
    return canonical


def filter_network(value: object, path: str) -> str:
    """A CIDR of a filter rule: host bits are cut off (10.1.2.3/24 is 10.1.2.0/24), a bare address is one host."""
    # A zone may hold any character.
    canonical = _network(value, strict=False) if isinstance(value, str) and "%" not in value else None
    if canonical is None:
        raise malformed(path, value, "a network like 10.1.0.0/16 or ::/0")
    return canonical


def prefix_length(value: object, path: str) -> int:
    """The prefix length of a dotted IPv4 netmask such as 255.255.255.0."""
    try:
        if not isinstance(value, str) or value.count(".") != 3:
            raise ValueError  # noqa: TRY301
        mask = int(ipaddress.IPv4Address(value))
    except ValueError:
        raise malformed(path, value, "a dotted netmask like 255.255.255.0") from None
    length = mask.bit_count()
    if mask != (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF or length == 0:
        raise malformed(path, value, "a dotted netmask like 255.255.255.0")
    return length


def mac(value: object, path: str) -> str:
    """A unicast MAC address, lower case, colons."""
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        raise malformed(path, value, "a MAC address like 02:00:0a:01:02:64")
    canonical = value.lower()
    if int(canonical[:2], 16) & 1 or canonical == "00:00:00:00:00:00":
        raise malformed(path, value, "the MAC address of one machine")
    return canonical


def device(value: object, path: str) -> str:
    """A network device of the router: ethN, N from 0 to 999."""
    if not isinstance(value, str) or not _DEVICE.fullmatch(value):
        raise malformed(path, value, "a device like eth2")
    return value


def tier_device(value: object, path: str) -> str:
    """A device that can carry a tier: eth0 is the control network and eth1 the public one."""
    name = device(value, path)
    if name in ("eth0", "eth1"):
        raise malformed(path, value, "a device for a tier: eth2 or higher")
    return name


def device_number(name: str) -> int:
    """The N of ethN: devices are ordered by it, so that eth10 comes after eth9."""
    return int(name[3:])


def host_name(value: object, path: str) -> str:
    """One DNS label (RFC 1123, underscore tolerated), kept in the case given, or a dotted name of such labels."""
    name = text(value, path)
    if not 1 <= len(name) <= 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise malformed(path, value, "a host name (letters, digits, hyphens and dots)")
    return name


def domain(value: object, path: str) -> str:
    """A DNS domain, lower case."""
    return host_name(value, path).lower()


def port(value: object, path: str) -> int:
    """A TCP or UDP port from 1 to 65535."""
    return integer(value, path, 1, 65535)


def port_range(value: object, path: str) -> tuple[int, int]:
    """`first:last`, both ports from 1 to 65535, first not above last."""
    match = _PORT_RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise malformed(path, value, "a port range like 8000:8009")
    first, last = int(match[1]), int(match[2])
    if not 1 <= first <= last <= 65535:
        raise malformed(path, value, "a port range from low to high within 1 to 65535")
    return first, last


def protocol(value: object, path: str) -> str:
    """tcp or udp, lower case."""
    if not isinstance(value, str) or value.lower() not in ("tcp", "udp"):
        raise malformed(path, value, "tcp or udp")
    return value.lower()


def word(value: object, path: str, longest: int = 4096) -> str:
    """Printable ASCII without blanks. Only stored, listed and compared; it never reaches a generated file."""
    if not isinstance(value, str) or len(value) > longest or not _WORD.fullmatch(value):
        raise malformed(path, value, f"one printable word of at most {longest} characters")
    return value


def phrase(value: object, path: str, longest: int = 4096) -> str:
    """Printable ASCII, blanks included: a key that a person thought of. Never as it is in a generated file."""
    if not isinstance(value, str) or len(value) > longest or not _PHRASE.fullmatch(value):
        raise malformed(path, value, f"printable text of at most {longest} characters")
    return value
