"""rtnetlink messages become values and back, with pyroute2's message classes; nothing else imports pyroute2.

Used by the kernel applier. It knows the kernel's encoding of links, addresses, routes and rules, and nothing of what is
desired. pyroute2 gives the layouts and attributes; `_sockets` carries the bytes (there stands why).

Importing any part of pyroute2 runs its root, which imports all of it: 12.5 MB and 0.1 s for three message classes
that take 2.4 MB and 0.016 s. So its root is put off until somebody asks it for a name. Decoding one message takes
20-50 us; the kernel repeats the same bytes for an object that did not change, so what was decoded once is kept
(1,000 addresses: 22 ms the first time, 4 ms from then on).
"""

from __future__ import annotations

import importlib
import importlib.util
import struct
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from attrs import frozen


def _put_off_root(name: str) -> None:
    """Make the submodules of a package importable without running its root; that runs at the first name asked of it."""
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is None or spec.loader is None:
        return  # somebody imported all of it already, or it is not there: the import below says so
    loader = spec.loader
    root = importlib.util.module_from_spec(spec)

    def complete(attribute: str) -> Any:
        if importlib.util.find_spec(f"{name}.{attribute}") is not None:
            return importlib.import_module(f"{name}.{attribute}")
        root.__dict__.pop("__getattr__", None)
        loader.exec_module(root)
        return getattr(root, attribute)

    root.__dict__["__getattr__"] = complete
    sys.modules[name] = root


_put_off_root("pyroute2")

from pyroute2.netlink.rtnl.fibmsg import fibmsg  # noqa: E402 - after its root was put off
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.ndmsg import ndmsg  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

LinkMessage, NeighbourMessage = ifinfmsg, ndmsg
"""For `_overlay`."""

# linux/rtnetlink.h, linux/if.h, linux/if_addr.h
RTM_SETLINK, RTM_GETLINK = 19, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
_AF_INET, _AF_INET6 = 2, 10
_IFF_UP = 0x1
_IFF_LOWER_UP = 0x10000
_IFA_F_PERMANENT = 0x80
_RT_TABLE_LOCAL = 255
_RT_TABLE_COMPAT = 252  # in the one-byte field, for a number that only the attribute can hold
_RTPROT_KERNEL = 2
_RTN_UNICAST = 1
_FR_ACT_TO_TBL = 1  # linux/fib_rules.h
_ALL_BITS = 0xFFFFFFFF
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE = 0, 253, 255
_RTM_F_CLONED = 0x200
_RTEXT_FILTER_SKIP_STATS = 8
_IPV6_DEFAULT_METRIC = 1024
_HEADER_SIZE = 16
_OF_A_PLAIN_RULE = frozenset(
    {"FRA_PRIORITY", "FRA_FWMARK", "FRA_FWMASK", "FRA_TABLE", "FRA_PROTOCOL", "FRA_SUPPRESS_PREFIXLEN"}
)
_IFINFOMSG_SIZE, _IFLA_IFNAME, _IFLA_MTU = 16, 3, 4
"""linux/rtnetlink.h and if_link.h."""
_REMEMBERED = 16384
"""Decoded messages that are kept, about 0.5 kB each."""


@frozen
class LinkRecord:
    """A link as the kernel lists it."""

    index: int
    name: str
    up: bool
    mtu: int
    has_carrier: bool


@frozen
class AddressRecord:
    """An address with its prefix length, on the link of that index."""

    index: int
    address: str


@frozen
class RouteRecord:
    """A unicast route with one next hop. `gateway` is empty for a directly connected network; metric 0: none given.

    `source` is the preferred source address, where one is to be given.
    """

    index: int
    network: str
    gateway: str
    table: int
    protocol: int
    metric: int = 0
    source: str = ""

    @property
    def is_connected(self) -> bool:
        """Whether the kernel made it for an address."""
        return self.protocol == _RTPROT_KERNEL


@frozen
class RuleRecord:
    """An IPv4 policy rule. `mark` is None where it selects by anything but the whole mark of a packet.

    `payload` is the message that describes it, which also removes it.
    """

    priority: int
    mark: int | None
    table: int
    protocol: int
    payload: bytes


@cache
def link_query() -> bytes:
    """The payload of a dump of all links, without their statistics."""
    return encoded(ifinfmsg, {}, [("IFLA_EXT_MASK", _RTEXT_FILTER_SKIP_STATS)])


@cache
def address_query(version: int) -> bytes:
    """The payload of a dump of all addresses of an IP version."""
    return encoded(ifaddrmsg, {"family": _family(version)}, [])


@cache
def route_query(version: int) -> bytes:
    """The payload of a dump of all routes of an IP version, whatever their table."""
    return encoded(rtmsg, {"family": _family(version)}, [])


@cache
def rule_query() -> bytes:
    """The payload of a dump of all IPv4 rules."""
    return encoded(fibmsg, {"family": _AF_INET}, [])


def link_change(index: int, *, up: bool, mtu: int | None) -> bytes:
    """The payload that sets a link up or down, and its MTU unless that is None."""
    fields = {"index": index, "flags": _IFF_UP if up else 0, "change": _IFF_UP}
    return encoded(ifinfmsg, fields, [] if mtu is None else [("IFLA_MTU", mtu)])


def address_change(record: AddressRecord) -> bytes:
    """The payload that adds or removes an address."""
    address, _, length = record.address.partition("/")
    fields = {"family": _family_of(address), "prefixlen": int(length), "index": record.index}
    return encoded(ifaddrmsg, fields, [("IFA_LOCAL", address), ("IFA_ADDRESS", address)])


def route_change(record: RouteRecord, *, removal: bool = False) -> bytes:
    """The payload that adds, replaces or removes a route."""
    network, _, length = record.network.partition("/")
    scope = _RT_SCOPE_UNIVERSE if record.gateway or ":" in network else _RT_SCOPE_LINK
    fields = {
        "family": _family_of(network),
        "dst_len": int(length),
        "table": record.table if record.table < 256 else _RT_TABLE_COMPAT,
        "proto": record.protocol,
        "scope": _RT_SCOPE_NOWHERE if removal else scope,
        "type": _RTN_UNICAST,
    }
    attributes: list[tuple[str, Any]] = [("RTA_TABLE", record.table), ("RTA_OIF", record.index)]
    if int(length):
        attributes.append(("RTA_DST", network))
    if record.gateway:
        attributes.append(("RTA_GATEWAY", record.gateway))
    if record.source:
        attributes.append(("RTA_PREFSRC", record.source))
    if record.metric:
        attributes.append(("RTA_PRIORITY", record.metric))
    return encoded(rtmsg, fields, attributes)


def rule_change(priority: int, mark: int, table: int, protocol: int) -> bytes:
    """The payload that adds or removes an IPv4 rule for one mark."""
    fields = {
        "family": _AF_INET,
        "table": table if table < 256 else _RT_TABLE_COMPAT,
        "action": _FR_ACT_TO_TBL,
    }
    attributes = [
        ("FRA_PRIORITY", priority),
        ("FRA_FWMARK", mark),
        ("FRA_FWMASK", _ALL_BITS),
        ("FRA_TABLE", table),
        ("FRA_PROTOCOL", protocol),
    ]
    return encoded(fibmsg, fields, attributes)


def links(dump: list[tuple[int, bytes]]) -> Iterator[LinkRecord]:
    """The links of a dump."""
    return (_link(_beginning(payload)) for _, payload in dump)


def addresses(dump: list[tuple[int, bytes]]) -> Iterator[AddressRecord]:
    """The addresses of a dump, in the kernel's order, without those that IPv6 makes and forgets by itself."""
    for _, payload in dump:
        record = _address(payload)
        if record is not None:
            yield record


def route(payload: bytes) -> RouteRecord | None:
    """A unicast route of a dump that has one next hop; of those that the kernel made by itself, IPv4's; else None.

    Remembers nothing: there may be tens of thousands of them, and who asks knows which it will ask about again.
    """
    # A glance at the fixed fields (linux/rtnetlink.h, struct rtmsg) spares most messages the decoding.
    family, tos, table, protocol, kind = payload[0], payload[3], payload[4], payload[5], payload[7]
    if protocol == _RTPROT_KERNEL and family != _AF_INET:
        return None
    return _route(payload) if kind == _RTN_UNICAST and table != _RT_TABLE_LOCAL and tos == 0 else None


def rules(dump: list[tuple[int, bytes]]) -> Iterator[RuleRecord]:
    """The rules of a dump, but for the three that the kernel itself made."""
    for _, payload in dump:
        record = _rule(payload)
        if record.protocol != _RTPROT_KERNEL:
            yield record


@lru_cache(maxsize=_REMEMBERED)
def _rule(payload: bytes) -> RuleRecord:
    message = decoded(fibmsg, payload)
    given = {name for name, _ in message["attrs"]}
    mark = message.get("FRA_FWMARK")
    is_plain = given <= _OF_A_PLAIN_RULE and message["action"] == _FR_ACT_TO_TBL and not message["flags"]
    has_lengths = message["src_len"] or message["dst_len"] or message["tos"]
    is_whole = message.get("FRA_FWMASK") == _ALL_BITS
    # Suppression and the like are given with values that mean none.
    suppresses = message.get("FRA_SUPPRESS_PREFIXLEN") not in (None, _ALL_BITS)
    return RuleRecord(
        priority=message.get("FRA_PRIORITY") or 0,
        mark=mark if is_plain and is_whole and not has_lengths and not suppresses else None,
        table=message.get("FRA_TABLE") or message["table"],
        protocol=message.get("FRA_PROTOCOL") or 0,
        payload=payload,
    )


def _beginning(link: bytes) -> bytes:
    """Of a link's message what is read: what comes behind name and MTU has times, and is not the same twice."""
    at, missing = _IFINFOMSG_SIZE, {_IFLA_IFNAME, _IFLA_MTU}
    while missing and at < len(link):
        length, kind = struct.unpack_from("=HH", link, at)
        missing.discard(kind)
        at += max(length + 3 & ~3, 4)
    return link[:at]


@lru_cache(maxsize=_REMEMBERED)
def _link(payload: bytes) -> LinkRecord:
    message = decoded(ifinfmsg, payload)
    return LinkRecord(
        index=message["index"],
        name=message.get("IFLA_IFNAME"),
        up=bool(message["flags"] & _IFF_UP),
        mtu=message.get("IFLA_MTU"),
        has_carrier=bool(message["flags"] & _IFF_LOWER_UP),
    )


@lru_cache(maxsize=_REMEMBERED)
def _address(payload: bytes) -> AddressRecord | None:
    message = decoded(ifaddrmsg, payload)
    address = message.get("IFA_LOCAL") or message.get("IFA_ADDRESS")
    if message["family"] == _AF_INET6 and not message["flags"] & _IFA_F_PERMANENT:
        return None
    return AddressRecord(index=message["index"], address=f"{address}/{message['prefixlen']}")


def _route(payload: bytes) -> RouteRecord | None:
    message = decoded(rtmsg, payload)
    index = message.get("RTA_OIF")
    if index is None or message["flags"] & _RTM_F_CLONED:
        return None
    is_ipv6 = message["family"] == _AF_INET6
    network = message.get("RTA_DST") or ("::" if is_ipv6 else "0.0.0.0")  # noqa: S104 - the default route
    metric = message.get("RTA_PRIORITY") or 0
    return RouteRecord(
        index=index,
        network=f"{network}/{message['dst_len']}",
        gateway=message.get("RTA_GATEWAY") or "",
        table=message.get("RTA_TABLE"),
        protocol=message["proto"],
        metric=0 if is_ipv6 and metric == _IPV6_DEFAULT_METRIC else metric,
    )


def encoded(message_class: Any, fields: dict[str, int], attributes: list[tuple[str, Any]]) -> bytes:
    """The payload of a message."""
    message = message_class()
    message.update(fields)
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[_HEADER_SIZE:])


def decoded(message_class: Any, payload: bytes) -> Any:
    """The message with that payload."""
    message = message_class((_HEADER_SIZE + len(payload)).to_bytes(4, sys.byteorder) + bytes(12) + payload)
    message.decode()
    return message


def _family(version: int) -> int:
    return _AF_INET6 if version == 6 else _AF_INET


def _family_of(address: str) -> int:
    return _AF_INET6 if ":" in address else _AF_INET
