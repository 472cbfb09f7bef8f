"""What is not in the wire format is refused with the path of the field, for every key of every type that is built."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloudstack.documents import ABSENT, DOCUMENTS, changed, leaves
from vpcrouter.cloudstack import decode
from vpcrouter.errors import MalformedInputError, UnsupportedTypeError

A_RULE = {"revoke": False, "source_ip_address": "203.0.113.13", "destination_ip_address": "10.1.4.11"}

# (type, changes, path of the error, a part of what it says)
TABLE: list[tuple[str, dict[str, Any], str, str]] = [
    ("cmdline", {"cmd_line": ABSENT}, "cmd_line", "is missing"),
    ("cmdline", {"cmd_line": []}, "cmd_line", "a list stands where an object belongs"),
    ("cmdline", {"cmd_line.vpccidr": ABSENT}, "cmd_line.vpccidr", "is missing"),
    ("cmdline", {"cmd_line.vpccidr": "null"}, "cmd_line.vpccidr", "is missing"),
    ("cmdline", {"cmd_line.vpccidr": "10.1.2.0/16"}, "cmd_line.vpccidr", "no host bits"),
    ("cmdline", {"cmd_line.vpccidr": "2001:db8::/32"}, "cmd_line.vpccidr", "IPv4"),
    ("cmdline", {"cmd_line.name": ""}, "cmd_line.name", "is missing"),
    ("cmdline", {"cmd_line.name": True}, "cmd_line.name", "not a string"),
    ("cmdline", {"cmd_line.type": "router"}, "cmd_line.type", "not vpcrouter"),
    ("cmdline", {"cmd_line.type": "dhcpsrvr"}, "cmd_line.type", "not vpcrouter"),
    ("cmdline", {"cmd_line.publicMtu": "67"}, "cmd_line.publicMtu", "from 68"),
    ("cmdline", {"cmd_line.publicMtu": 1500}, "cmd_line.publicMtu", "not a string"),
    ("cmdline", {"cmd_line.publicMtu": "9" * 5000}, "cmd_line.publicMtu", "from 68"),
    ("cmdline", {"cmd_line.publicMtu": "１５００"}, "cmd_line.publicMtu", "from 68"),
    ("cmdline", {"cmd_line.dns1": "2001:db8::53"}, "cmd_line.dns1", "IPv4"),
    ("cmdline", {"cmd_line.ip6dns1": "203.0.113.53"}, "cmd_line.ip6dns1", "IPv6"),
    ("cmdline", {"cmd_line.eth0mask": ABSENT}, "cmd_line.eth0mask", "is missing"),
    ("cmdline", {"cmd_line.eth0ip": "null"}, "cmd_line.eth0ip", "is missing"),
    ("cmdline", {"cmd_line.eth0mask": "255.0.255.0"}, "cmd_line.eth0mask", "netmask"),
    ("cmdline", {"cmd_line.redundant_router": "maybe"}, "cmd_line.redundant_router", "none of"),
    ("cmdline", {"cmd_line.redundant_state": "MASTER"}, "cmd_line.redundant_state", "none of PRIMARY"),
    ("cmdline", {"cmd_line.is_routed": "1"}, "cmd_line.is_routed", "none of true, false"),
    ("cmdline", {"cmd_line.has_public_network": "yes"}, "cmd_line.has_public_network", "none of true, false"),
    ("cmdline", {"cmd_line.router_password": "a b"}, "cmd_line.router_password", "one word"),
    ("cmdline", {"cmd_line.router_password": 1029}, "cmd_line.router_password", "one word"),
    ("cmdline", {"cmd_line.logrotatefrequency": "a\nb"}, "cmd_line.logrotatefrequency", "one printable word"),
    ("cmdline", {"cmd_line.publicmtu": "1500"}, "cmd_line.publicmtu", "not a known key"),
    ("cmdline", {"source_nat_ip": "203.0.113.10"}, "source_nat_ip", "not a known key"),
    ("ips", {"ip_address": ABSENT}, "ip_address", "is missing"),
    ("ips", {"ip_address": None}, "ip_address", "null stands where a list belongs"),
    ("ips", {"ip_address": {}}, "ip_address", "an object stands where a list belongs"),
    ("ips", {"ip_address[0]": "203.0.113.10"}, "ip_address[0]", "a string stands where an object belongs"),
    ("ips", {"ip_address[0].public_ip": "203.0.113"}, "ip_address[0].public_ip", "IPv4 address"),
    ("ips", {"ip_address[0].public_ip": "203.0.113.0"}, "ip_address[0].public_ip", "not a host address"),
    ("ips", {"ip_address[0].gateway": "203.0.113.10"}, "ip_address[0].gateway", "its own gateway"),
    ("ips", {"ip_address[0].netmask": "24"}, "ip_address[0].netmask", "dotted netmask"),
    ("ips", {"ip_address[0].nw_type": "Guest"}, "ip_address[0].nw_type", "not Public"),
    ("ips", {"ip_address[0].nw_type": "Control"}, "ip_address[0].nw_type", "not Public"),
    ("ips", {"ip_address[0].nic_dev_id": 0}, "ip_address[0].nic_dev_id", "from 1"),
    ("ips", {"ip_address[0].nic_dev_id": "1"}, "ip_address[0].nic_dev_id", "whole number"),
    ("ips", {"ip_address[0].nic_dev_id": True}, "ip_address[0].nic_dev_id", "whole number"),
    ("ips", {"ip_address[0].nic_dev_id": 1.0}, "ip_address[0].nic_dev_id", "whole number"),
    ("ips", {"ip_address[0].mtu": 67}, "ip_address[0].mtu", "from 68"),
    ("ips", {"ip_address[0].add": "true"}, "ip_address[0].add", "true or false"),
    ("ips", {"ip_address[0].first_i_p": 1}, "ip_address[0].first_i_p", "true or false"),
    ("ips", {"ip_address[0].new_nic": None}, "ip_address[0].new_nic", "not be null"),
    ("ips", {"ip_address[0].vif_mac_address": "01:00:5e:00:00:01"}, "ip_address[0].vif_mac_address", "one machine"),
    ("ips", {"ip_address[0].vlan": 7}, "ip_address[0].vlan", "not a known key"),
    (
        "ips",
        {"ip_address[0].is_private_gateway": True, "ip_address[0].nic_dev_id": ABSENT},
        "ip_address[0].nic_dev_id",
        "needs the number",
    ),
    ("guestnetwork", {"device": "eth1"}, "device", "eth2 or higher"),
    ("guestnetwork", {"device": "eth02"}, "device", "a device like"),
    ("guestnetwork", {"device": "eth2.100"}, "device", "a device like"),
    ("guestnetwork", {"mtu": ABSENT}, "mtu", "is missing"),
    ("guestnetwork", {"mtu": None}, "mtu", "not be null"),
    ("guestnetwork", {"mtu": 67}, "mtu", "from 68"),
    ("guestnetwork", {"cidr": "25"}, "cidr", "does not agree with the netmask, which is a /24"),
    ("guestnetwork", {"cidr": "10.1.2.0/24"}, "cidr", "not a number"),
    ("guestnetwork", {"cidr": 24}, "cidr", "not a string"),
    ("guestnetwork", {"router_guest_ip": "10.1.3.2"}, "router_guest_ip", "not a host address of 10.1.2.0/24"),
    ("guestnetwork", {"router_guest_ip": "10.1.2.255"}, "router_guest_ip", "not a host address"),
    ("guestnetwork", {"router_guest_gateway": "10.1.2.0"}, "router_guest_gateway", "not a host address"),
    ("guestnetwork", {"dns": "203.0.113.53,"}, "dns", "IPv4 address"),
    ("guestnetwork", {"dns": "2001:db8::53"}, "dns", "IPv4 address"),
    ("guestnetwork", {"dns": ["203.0.113.53"]}, "dns", "a list stands where a single value belongs"),
    ("guestnetwork", {"dns6": "203.0.113.53"}, "dns6", "IPv6 address"),
    ("guestnetwork", {"router_guest_ip6": ABSENT}, "router_guest_ip6", "what belongs with it is there"),
    ("guestnetwork", {"router_guest_ip6_gateway": None}, "router_guest_ip6_gateway", "what belongs with it"),
    ("guestnetwork", {"router_ip6_cidr": ABSENT}, "router_ip6_cidr", "what belongs with it is there"),
    ("guestnetwork", {"router_guest_ip6_cidr": "10.1.2.0/24"}, "router_guest_ip6_cidr", "not an IPv6 network"),
    ("guestnetwork", {"router_guest_ip6_cidr": "2001:db8::1/64"}, "router_guest_ip6_cidr", "no host bits"),
    (
        "guestnetwork",
        {"router_guest_ip6": ABSENT, "router_guest_ip6_gateway": ABSENT, "router_guest_ip6_cidr": ABSENT},
        "router_ip6",
        "needs router_guest_ip6",
    ),
    ("guestnetwork", {"cidr6": "65"}, "cidr6", "does not agree with router_guest_ip6_cidr, 2001:db8:1:2::/64"),
    ("guestnetwork", {"network_id": -1}, "network_id", "whole number"),
    ("guestnetwork", {"add": 1}, "add", "true or false"),
    ("guestnetwork", {"add": False, "mtu": ABSENT}, "mtu", "is missing"),
    ("networkacl", {"device": "lo"}, "device", "a device like"),
    ("networkacl", {"nic_ip": ABSENT}, "nic_ip", "is missing"),
    ("networkacl", {"nic_netmask": "255.255.255.0"}, "nic_netmask", "not a number"),
    ("networkacl", {"nic_netmask": "33"}, "nic_netmask", "from 1 to 32"),
    ("networkacl", {"nic_ip6_cidr": "10.1.2.0/24"}, "nic_ip6_cidr", "not an IPv6 network"),
    ("networkacl", {"ingress_rules": ABSENT}, "ingress_rules", "is missing"),
    ("networkacl", {"ingress_rules[3].cidr": "10.1.0.0/33"}, "ingress_rules[3].cidr", "a network like"),
    ("networkacl", {"ingress_rules[3].cidr": ""}, "ingress_rules[3].cidr", "names no network"),
    ("networkacl", {"ingress_rules[3].cidr": "10.1.0.0/16,,::/0"}, "ingress_rules[3].cidr", "a network like"),
    ("networkacl", {"ingress_rules[3].cidr": "::%a b/64"}, "ingress_rules[3].cidr", "a network like"),
    ("networkacl", {"ingress_rules[3].cidr": ABSENT}, "ingress_rules[3].cidr", "is missing"),
    ("networkacl", {"ingress_rules[3].protocol": 256}, "ingress_rules[3].protocol", "from 0 to 255"),
    ("networkacl", {"ingress_rules[3].protocol": "tcp"}, "ingress_rules[3].protocol", "whole number"),
    ("networkacl", {"ingress_rules[3].first_port": 1}, "ingress_rules[3].first_port", "not a known key"),
    ("networkacl", {"ingress_rules[2].icmp_type": -2}, "ingress_rules[2].icmp_type", "from -1"),
    ("networkacl", {"ingress_rules[2].icmp_code": ABSENT}, "ingress_rules[2].icmp_code", "is missing"),
    ("networkacl", {"ingress_rules[1].last_port": 52}, "ingress_rules[1].first_port", "not a port range"),
    ("networkacl", {"ingress_rules[1].first_port": 0}, "ingress_rules[1].first_port", "not a port range"),
    ("networkacl", {"ingress_rules[1].last_port": 65536}, "ingress_rules[1].last_port", "from 0 to 65535"),
    ("networkacl", {"ingress_rules[0].first_port": "22"}, "ingress_rules[0].first_port", "whole number"),
    ("networkacl", {"ingress_rules[0].first_port": [22]}, "ingress_rules[0].first_port", "a list stands"),
    ("networkacl", {"ingress_rules[0].allowed": 1}, "ingress_rules[0].allowed", "true or false"),
    ("networkacl", {"ingress_rules[0].type": "sctp"}, "ingress_rules[0].type", "none of tcp, udp"),
    ("networkacl", {"ingress_rules[0].type": ABSENT}, "ingress_rules[0].type", "is missing"),
    ("networkacl", {"ingress_rules[0]": {}}, "ingress_rules[0].type", "is missing"),
    ("networkacl", {"ingress_rules[0]": None}, "ingress_rules[0]", "null stands where an object belongs"),
    ("networkacl", {"egress_rules[0].cidr": 0}, "egress_rules[0].cidr", "not a string"),
    ("networkacl", {"egress_rules[0].b ad": 0}, "egress_rules[0]['b ad']", "not a known key"),
    ("forwardrules", {"rules": ABSENT}, "rules", "is missing"),
    ("forwardrules", {"rules[0].protocol": "icmp"}, "rules[0].protocol", "tcp or udp"),
    ("forwardrules", {"rules[0].protocol": None}, "rules[0].protocol", "not be null"),
    ("forwardrules", {"rules[0].source_port_range": "8000"}, "rules[0].source_port_range", "a port range"),
    ("forwardrules", {"rules[0].source_port_range": "0:0"}, "rules[0].source_port_range", "a port range"),
    ("forwardrules", {"rules[0].source_port_range": "8009:8000"}, "rules[0].source_port_range", "low to high"),
    (
        "forwardrules",
        {"rules[0].destination_port_range": "9000:9008"},
        "rules[0].destination_port_range",
        "port ranges that do not match",
    ),
    (
        "forwardrules",
        {"rules[0].destination_port_range": "22:22", "rules[0].revoke": True},
        "rules[0].destination_port_range",
        "port ranges that do not match",
    ),
    ("forwardrules", {"rules[0].source_cidr_list": "0.0.0.0/x"}, "rules[0].source_cidr_list", "a network like"),
    ("forwardrules", {"rules[0].source_ip_address": "224.0.0.1"}, "rules[0].source_ip_address", "a host can have"),
    ("forwardrules", {"rules[0].revoked": False}, "rules[0].revoked", "not a known key"),
    ("staticnatrules", {"rules[0].source_port_range": "80:80"}, "rules[0].source_port_range", "some ports"),
    ("staticnatrules", {"rules[0].source_port_range": None}, "rules[0].source_port_range", "not be null"),
    ("staticnatrules", {"rules[0].protocol": "tcp"}, "rules[0].protocol", "one protocol"),
    ("staticnatrules", {"rules": [A_RULE, {}]}, "rules[1].revoke", "is missing"),
    ("staticnatrules", {"rules[0].destination_ip_address": ABSENT}, "rules[0].destination_ip_address", "missing"),
    ("staticroutes", {"routes[0].gateway": ABSENT}, "routes[0].gateway", "is missing"),
    ("staticroutes", {"routes[0].gateway": "198.51.100.1/26"}, "routes[0].gateway", "IPv4 address"),
    ("staticroutes", {"routes[0].network": "198.51.100.129/26"}, "routes[0].network", "no host bits"),
    ("staticroutes", {"routes[0].network": "198.51.100.128"}, "routes[0].network", "a network like"),
    ("staticroutes", {"routes[0].ip_address": "x"}, "routes[0].ip_address", "IPv4 address"),
    ("staticroutes", {"routes[0].revoke": None}, "routes[0].revoke", "not be null"),
    ("firewallrules", {"rules[0].protocol": "all"}, "rules[0].src_port_range", "all has no ports"),
    ("firewallrules", {"rules[0].protocol": "icmp"}, "rules[0].src_port_range", "icmp has no ports"),
    ("firewallrules", {"rules[0].icmp_type": 8}, "rules[0].icmp_type", "tcp has no types and codes"),
    ("firewallrules", {"rules[0].icmp_code": 0}, "rules[0].icmp_type", "tcp has no types and codes"),
    ("ipv6firewallrules", {"rules[0].protocol": "all"}, "rules[0].src_port_range", "all has no ports"),
    ("dhcpentry", {"host_name": "a b"}, "host_name", "a host name"),
    ("dhcpentry", {"host_name": "-a"}, "host_name", "a host name"),
    ("dhcpentry", {"host_name": "a" * 64}, "host_name", "a host name"),
    ("dhcpentry", {"mac_address": "02-02-00-02-00-0b"}, "mac_address", "a MAC address"),
    ("dhcpentry", {"ipv4_address": "10.1.2.011"}, "ipv4_address", "IPv4 address"),
    ("dhcpentry", {"ipv6_address": "10.1.2.11"}, "ipv6_address", "IPv6 address"),
    ("dhcpentry", {"default_gateway": ABSENT}, "default_gateway", "is missing"),
    ("dhcpentry", {"default_entry": ABSENT}, "default_entry", "is missing"),
    ("dhcpentry", {"lease_time": -1}, "lease_time", "whole number"),
    ("dhcpentry", {"lease_time": 1e3}, "lease_time", "whole number"),
    ("dhcpentry", {"lease_time": 10**30}, "lease_time", "whole number"),
    ("dhcpentry", {"add": True}, "add", "not a known key"),
    ("dhcpentry", {"delete_from_processed_cache": "false"}, "delete_from_processed_cache", "true or false"),
    ("dhcpentry", {"type": None}, "type", "not be null"),
    ("dhcpentry", {"type": ["dhcpentry"]}, "type", "a list stands"),
]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_documents_are_sound(kind: str) -> None:
    decode(json.dumps(DOCUMENTS[kind]))


@pytest.mark.parametrize(("kind", "changes", "where", "what"), TABLE)
def test_refused_with_its_path(kind: str, changes: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        decode(json.dumps(changed(kind, changes)))
    assert caught.value.where == where
    assert what in caught.value.what


EVERY_LEAF = [(kind, leaf) for kind, document in DOCUMENTS.items() for leaf in leaves(document)]


@pytest.mark.parametrize(("kind", "leaf"), EVERY_LEAF)
@pytest.mark.parametrize("value", [{}, [], [1], -7, 0.5, 10**400], ids=repr)
def test_no_field_takes_a_value_of_another_kind(kind: str, leaf: str, value: object) -> None:
    with pytest.raises(MalformedInputError) as caught:
        decode(json.dumps(changed(kind, {leaf: value})))
    assert caught.value.where == leaf


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"", "column 1", "is not JSON"),
        (b"{", "column 2", "is not JSON"),
        (b'{\n"type": }', "line 2, column 9", "is not JSON"),
        (b'{"type":"ips"} {}', "column 16", "Extra data"),
        (b"\xff{}", "byte 0", "UTF-8"),
        ("\ufeff{}".encode(), "file", "byte order mark"),
        (b"[]", "", "a list stands where an object belongs"),
        (b'"ips"', "", "a string stands where an object belongs"),
        (b"null", "", "null stands where an object belongs"),
        (b"{}", "type", "is missing"),
        (b'{"type":NaN}', "file", "NaN"),
        (b'{"type":-Infinity}', "file", "-Infinity"),
        (b'{"type":"a\nb"}', "line 1, column 11", "control character"),
        (b'{"type":"ips","type":"ips"}', "type", "stands twice"),
        (b'{"type":"ips","ip_address":[{"add":true,"add":false}]}', "ip_address[0].add", "stands twice"),
        (b'{"a":{"b":1,"b":1},"a":2}', "a", "stands twice"),
        (b'{"type":"cmdline","cmd_line":{"x":{"a":1,"a":2}}}', "cmd_line.x.a", "stands twice"),
        (b'{"type":' + b"9" * 5000 + b"}", "file", "too long"),
        (b"[" * 100_000, "file", "nested too deeply"),
        (b'{"a":' * 100_000, "file", "nested too deeply"),
        (b" " * (16 * 1024 * 1024 + 1), "file", "larger than 16 MiB"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_not_one_json_object(data: bytes, where: str, what: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        decode(data)
    assert caught.value.where == where
    assert what in caught.value.what


def test_deep_nesting_where_a_value_belongs() -> None:
    """The parser takes this; an error that printed it would be one recursion too many."""
    data = '{"type":"dhcpentry","remove":' + "[" * 900 + "]" * 900 + "}"
    with pytest.raises(MalformedInputError, match="a list stands where a single value belongs"):
        decode(data)


@pytest.mark.parametrize("kind", ["", "vpn", "NETWORKACL", "a" * 10_000, "\ud800", "ips\n"])
def test_unknown_type(kind: str) -> None:
    with pytest.raises(UnsupportedTypeError, match="is not a known type of command") as caught:
        decode(json.dumps({"type": kind}))
    assert caught.value.where == "type"
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "agrees"),
    [
        ("static_routes.json", True),
        ("static_routes.json.1b4e28ba-2fa1-41d2-883f-0016d3cca427", True),
        ("/var/cache/cloud/static_routes.json.1b4e28ba-2fa1-41d2-883f-0016d3cca427", True),
        ("burst/rA/055-static_routes.json", True),
        ("static_routes.add.json", True),
        ("anything.json", True),
        ("", True),
        ("-", True),
        ("network_acl.json", False),
        ("003-network_acl.json", False),
        ("/static_routes/network_acl.json.1b4e28ba-2fa1-41d2-883f-0016d3cca427", False),
        ("vm_metadata.json", False),
    ],
)
def test_the_name_of_the_file_agrees_with_the_type(name: str, agrees: bool) -> None:
    data = json.dumps(DOCUMENTS["staticroutes"])
    if agrees:
        decode(data, name=name)
        return
    with pytest.raises(MalformedInputError, match="what a file named") as caught:
        decode(data, name=name)
    assert caught.value.where == "type"
