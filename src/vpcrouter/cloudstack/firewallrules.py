"""`firewallrules` and `ipv6firewallrules`: rules of public addresses and of guests' IPv6 networks, known by number.

Both hold the same objects. A VPC router is sent ingress rules of its public addresses only: what its guests may send is
a matter of their tier's ACL, so an egress rule of a public address is refused. A rule with a known number and another
content replaces the old one.
"""

from __future__ import annotations

from typing import Any

from vpcrouter.cloudstack import wire_values
from vpcrouter.cloudstack.growing import put_and_remove
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.wire_values import or_empty
from vpcrouter.commands import ChangeFirewallRules, ChangeIpv6FirewallRules
from vpcrouter.errors import MalformedInputError
from vpcrouter.strict_json import child
from vpcrouter.values import fields
from vpcrouter.values.config import FirewallRule, Ipv6FirewallRule, rule_id

_WIRE = {
    "rule_id": "id",
    "address": "src_ip",
    "network": "guest_ip6_cidr",
    "protocol": "protocol",
    "first_port": "src_port_range",
    "last_port": "src_port_range",
    "icmp_type": "icmp_type",
    "icmp_code": "icmp_code",
    "sources": "source_cidr_list",
    "destinations": "dest_cidr_list",
    "opens": "default_egress_policy",
}
_OF_AN_ADDRESS = "the rule is for whoever comes to a public address"
_OF_A_NETWORK = "the rule is for a guests' IPv6 network"
_PORT = wire_values.integer(1, 65535)
_ICMP = wire_values.integer(-1, 255)


def decode(top: Reader) -> ChangeFirewallRules:
    """The command of the whole object."""
    put, remove = put_and_remove(_entry(each) for each in top.objects("rules"))
    return ChangeFirewallRules(put=put, remove=remove)


def decode_ipv6(top: Reader) -> ChangeIpv6FirewallRules:
    """The command of the whole object."""
    put, remove = put_and_remove(_ipv6_entry(each) for each in top.objects("rules"))
    return ChangeIpv6FirewallRules(put=put, remove=remove)


def _entry(each: Reader) -> tuple[int, FirewallRule | None]:
    number, revoked, match = _common(each, "Firewall")
    if not each.needed("traffic_type", _is_ingress):
        raise MalformedInputError(
            "is Egress, which a VPC router does not filter by public address",
            where=each.at("traffic_type"),
            hint="the ACL of the guests' tier says what they may send",
        )
    each.unused("guest_cidr", each.optional("guest_cidr", fields.filter_network), _OF_AN_ADDRESS)
    each.unused("guest_ip6_cidr", each.optional("guest_ip6_cidr", fields.ipv6_network), _OF_AN_ADDRESS)
    each.unused("dest_cidr_list", _networks(each, "dest_cidr_list"), _OF_AN_ADDRESS)
    rule = each.build(
        FirewallRule,
        _WIRE,
        rule_id=number,
        address=each.needed("src_ip", fields.ipv4),
        sources=_some(each, "source_cidr_list", _networks(each, "source_cidr_list")),
        **match,
    )
    each.unused("default_egress_policy", each.sent("default_egress_policy", fields.flag, False), _OF_AN_ADDRESS)
    each.done()
    return number, None if revoked else rule


def _ipv6_entry(each: Reader) -> tuple[int, Ipv6FirewallRule | None]:
    number, revoked, match = _common(each, "Ipv6Firewall")
    ingress = each.needed("traffic_type", _is_ingress)
    is_open = each.sent("default_egress_policy", fields.flag, False)
    each.unused("src_ip", each.optional("src_ip", or_empty(fields.ipv6)), _OF_A_NETWORK)
    each.unused("guest_cidr", each.optional("guest_cidr", fields.filter_network), _OF_A_NETWORK)
    if ingress:
        each.unused("default_egress_policy", is_open, "the rule is for what comes in, which is closed otherwise")
    rule = each.build(
        Ipv6FirewallRule,
        _WIRE,
        rule_id=number,
        network=each.needed("guest_ip6_cidr", fields.ipv6_network),
        ingress=ingress,
        opens=ingress or not is_open,
        sources=_networks(each, "source_cidr_list"),
        destinations=_networks(each, "dest_cidr_list"),
        **match,
    )
    each.done()
    return number, None if revoked else rule


def _common(each: Reader, purpose: str) -> tuple[int, bool, dict[str, Any]]:
    """The number, whether it is revoked, and what both kinds of rule match by."""
    number = each.needed("id", rule_id)
    revoked = each.needed("revoked", fields.flag)
    each.unused("already_added", each.sent("already_added", fields.flag, False), "the journal knows what is there")
    each.unused("src_vlan_tag", each.optional("src_vlan_tag", _word), "the address says where it is")
    said = each.needed("purpose", fields.text)
    if said != purpose:
        raise MalformedInputError(f"is not {purpose}, the only purpose of these rules", where=each.at("purpose"))
    protocol = each.needed("protocol", fields.text).lower()
    # The router writes the protocol there itself.
    each.unused("type", each.optional("type", _word), "the protocol says it")
    icmp = [each.optional(key, _ICMP) for key in ("icmp_type", "icmp_code")]
    icmp_type, icmp_code = (-1 if value is None else value for value in icmp)
    first, last = _ports(each)
    _refuse_what_does_not_belong(each, protocol, has_ports=last > 0, has_icmp=(icmp_type, icmp_code) != (-1, -1))
    return (
        number,
        revoked,
        {
            "protocol": protocol,
            "first_port": first,
            "last_port": last,
            "icmp_type": icmp_type,
            "icmp_code": icmp_code,
        },
    )


def _refuse_what_does_not_belong(each: Reader, protocol: str, *, has_ports: bool, has_icmp: bool) -> None:
    """Ports of a rule for all protocols, left aside, would open far more than was meant."""
    if has_ports and protocol in ("icmp", "all"):
        raise MalformedInputError(f"{protocol} has no ports", where=each.at("src_port_range"), hint="use tcp or udp")
    if has_icmp and protocol in ("tcp", "udp", "all"):
        raise MalformedInputError(f"{protocol} has no types and codes", where=each.at("icmp_type"), hint="use icmp")


def _word(value: object, path: str) -> str:
    return fields.word(value, path)


def _ports(each: Reader) -> tuple[int, int]:
    """A list of two ports; absent: any, which is 0 and 0."""
    if not each.has("src_port_range"):
        return 0, 0
    path = each.at("src_port_range")
    items = each.items("src_port_range")
    if len(items) != 2:
        raise MalformedInputError(f"holds {len(items)} values where a first and a last port belong", where=path)
    return _PORT(items[0], child(path, 0)), _PORT(items[1], child(path, 1))


def _networks(each: Reader, key: str) -> tuple[str, ...]:
    """A list of networks; absent: none."""
    if not each.has(key):
        return ()
    path = each.at(key)
    return tuple(
        dict.fromkeys(fields.filter_network(value, child(path, index)) for index, value in enumerate(each.items(key)))
    )


def _some(each: Reader, key: str, networks: tuple[str, ...]) -> tuple[str, ...]:
    """A rule without any client would never match; the server writes 0.0.0.0/0 for everybody."""
    if not networks:
        raise MalformedInputError("names no network", where=each.at(key))
    return networks


def _is_ingress(value: object, path: str) -> bool:
    if value not in ("Ingress", "Egress"):
        raise MalformedInputError("is neither Ingress nor Egress", where=path)
    return value == "Ingress"
