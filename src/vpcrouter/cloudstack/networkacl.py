"""`networkacl` (network_acl.json): all rules of one tier or private gateway, in order.

A list of ten thousand rules comes whole with every change. So a rule that came before, word for word, becomes the
same object again: it costs one look-up here, and whoever compares two lists compares mostly identities.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from vpcrouter.cloudstack import wire_values
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.wire_values import comma_list, integer
from vpcrouter.commands import ReplaceAcl
from vpcrouter.errors import MalformedInputError
from vpcrouter.strict_json import below, child
from vpcrouter.values import fields
from vpcrouter.values.config import Acl, AclRule

_PORT = integer(0, 65535)
_ICMP = integer(-1, 255)
_NETWORKS = comma_list(fields.filter_network)
_WIRE = {"first_port": "first_port", "networks": "cidr"}


def decode(top: Reader) -> ReplaceAcl:
    """The command of the whole object. What it says of the device itself came with its tier."""
    known = {
        "mac_address": top.sent("mac_address", fields.mac, ""),
        "nic_ip": top.needed("nic_ip", fields.ipv4),
        "nic_netmask": top.needed("nic_netmask", wire_values.number_text(1, 32)),
        "nic_ip6_cidr": top.optional("nic_ip6_cidr", _ipv6_subnet),
    }
    for key, value in known.items():
        top.unused(key, value, "known from the tier or private gateway")
    acl = top.build(
        Acl,
        {"device": "device"},
        device=top.needed("device", fields.device),
        ingress=_rules(top, "ingress_rules"),
        egress=_rules(top, "egress_rules"),
        private_gateway=top.sent("private_gateway_acl", fields.flag, False),
    )
    top.unused("private_gateway_acl", acl.private_gateway, "stored: the device says whose rules they are")
    return ReplaceAcl(acl=acl)


def _ipv6_subnet(value: object, path: str) -> str:
    """The router's IPv6 subnet on the device, with or without the host part."""
    network = fields.filter_network(value, path)
    if ":" not in network:
        raise MalformedInputError(f"{network} is not an IPv6 network", where=path)
    return network


def _rules(top: Reader, key: str) -> tuple[AclRule, ...]:
    path = top.at(key)
    return tuple([_rule(raw, path, index) for index, raw in enumerate(top.items(key))])


def _rule(raw: Any, path: str, index: int) -> AclRule:
    try:
        kinds = tuple(map(type, raw.values())) if isinstance(raw, dict) else ()
        if not kinds or dict in kinds or list in kinds:  # wrong, and nothing to remember
            return _read_rule(Reader(raw))
        return _rule_of((*raw, *raw.values(), *kinds))
    except MalformedInputError as error:
        where = below(child(path, index), error.where)
        raise MalformedInputError(error.what, where=where, hint=error.hint) from None


@lru_cache(maxsize=16384)
def _rule_of(words: tuple[Any, ...]) -> AclRule:
    """The rule of all keys, all values, and the values' types: True and 1 are equal, but only one is a flag."""
    count = len(words) // 3
    return _read_rule(Reader(dict(zip(words[:count], words[count : 2 * count], strict=True))))


def _read_rule(rule: Reader) -> AclRule:
    read_match = _MATCHES[rule.needed("type", _type)]
    read = rule.build(
        AclRule,
        _WIRE,
        **read_match(rule),
        networks=rule.needed("cidr", _some_networks),
        allowed=rule.needed("allowed", fields.flag),
    )
    rule.done()
    return read


def _type(value: object, path: str) -> str:
    if not isinstance(value, str) or value not in _MATCHES:
        raise MalformedInputError(f"is none of {', '.join(_MATCHES)}", where=path)
    return value


def _some_networks(value: object, path: str) -> tuple[str, ...]:
    """A rule without any network would never match; the server writes 0.0.0.0/0,::/0 for everybody."""
    networks = _NETWORKS(value, path)
    if not networks:
        raise MalformedInputError("names no network", where=path)
    return networks


def _tcp(rule: Reader) -> dict[str, Any]:
    return {"protocol": "tcp", **_ports(rule)}


def _udp(rule: Reader) -> dict[str, Any]:
    return {"protocol": "udp", **_ports(rule)}


def _ports(rule: Reader) -> dict[str, Any]:
    """0 and 0 mean any port, as in `AclRule`."""
    return {"first_port": rule.needed("first_port", _PORT), "last_port": rule.needed("last_port", _PORT)}


def _icmp(rule: Reader) -> dict[str, Any]:
    return {
        "protocol": "icmp",
        "icmp_type": rule.needed("icmp_type", _ICMP),
        "icmp_code": rule.needed("icmp_code", _ICMP),
    }


def _protocol(rule: Reader) -> dict[str, Any]:
    return {"protocol": str(rule.needed("protocol", integer(0, 255)))}


def _all(_: Reader) -> dict[str, Any]:
    return {"protocol": "all"}


_MATCHES: dict[str, Callable[[Reader], dict[str, Any]]] = {
    "tcp": _tcp,
    "udp": _udp,
    "icmp": _icmp,
    "protocol": _protocol,
    "all": _all,
}
