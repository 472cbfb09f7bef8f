"""A complete, valid document of each type that is built, and ways to change one value of it by its path."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).resolve().parents[1] / "data" / "cloudstack"

ABSENT: Final = object()
"""Put at a path, it takes the key away."""

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")

DOCUMENTS: Final[dict[str, dict[str, Any]]] = {
    "cmdline": {
        "type": "cmdline",
        "cmd_line": {
            "vpccidr": "10.1.0.0/16",
            "domain": "vpc1.example.com",
            "publicMtu": "1500",
            "dns1": "203.0.113.53",
            "ip6dns1": "2001:db8::53",
            "is_routed": "false",
            "name": "r-21-VM",
            "vmpassword": "Example-1",
            "authorized_key": "c3No",
            "eth0ip": "169.254.0.21",
            "eth0mask": "255.255.0.0",
            "redundant_router": "1",
            "router_password": "1029",
            "redundant_state": "PRIMARY",
            "has_public_network": "true",
            "type": "vpcrouter",
            "useextdns": "true",
            "userouteripresolver": "false",
            "logrotatefrequency": "*:00:00",
            "source_nat_ip": "203.0.113.10",
        },
    },
    "ips": {
        "ip_address": [
            {
                "public_ip": "203.0.113.10",
                "source_nat": True,
                "add": True,
                "one_to_one_nat": False,
                "first_i_p": True,
                "gateway": "203.0.113.1",
                "netmask": "255.255.255.0",
                "vif_mac_address": "06:00:00:00:00:01",
                "nic_dev_id": 1,
                "new_nic": False,
                "nw_type": "Public",
                "is_private_gateway": False,
                "mtu": 1500,
            }
        ],
        "type": "ips",
        "delete_from_processed_cache": False,
    },
    "guestnetwork": {
        "add": True,
        "mac_address": "02:01:00:02:00:0a",
        "device": "eth2",
        "router_guest_ip": "10.1.2.2",
        "router_guest_netmask": "255.255.255.0",
        "router_guest_gateway": "10.1.2.1",
        "cidr": "24",
        "cidr6": "64",
        "dns": "203.0.113.53,198.51.100.53",
        "dns6": "2001:db8::53",
        "domain_name": "vpc1.example.com",
        "router_guest_ip6": "2001:db8:1:2::2",
        "router_guest_ip6_gateway": "2001:db8:1:2::1",
        "router_guest_ip6_cidr": "2001:db8:1:2::/64",
        "router_ip6": "2001:db8:0:1::10",
        "router_ip6_gateway": "2001:db8:0:1::1",
        "router_ip6_cidr": "2001:db8:0:1::/64",
        "is_vr_guest_gateway": True,
        "network_id": 202,
        "mtu": 1500,
        "type": "guestnetwork",
        "delete_from_processed_cache": False,
    },
    "networkacl": {
        "device": "eth2",
        "mac_address": "02:01:00:02:00:0a",
        "private_gateway_acl": False,
        "nic_ip": "10.1.2.2",
        "nic_netmask": "24",
        "nic_ip6_cidr": "2001:db8:1:2::/64",
        "ingress_rules": [
            {"type": "tcp", "first_port": 22, "last_port": 22, "cidr": "198.51.100.0/24", "allowed": True},
            {"type": "udp", "first_port": 53, "last_port": 54, "cidr": "10.1.0.0/16", "allowed": True},
            {"type": "icmp", "icmp_type": 8, "icmp_code": 0, "cidr": "0.0.0.0/0", "allowed": True},
            {"type": "protocol", "protocol": 47, "cidr": "203.0.113.64/26", "allowed": False},
        ],
        "egress_rules": [{"type": "all", "cidr": "0.0.0.0/0,::/0", "allowed": True}],
        "type": "networkacl",
        "delete_from_processed_cache": False,
    },
    "forwardrules": {
        "rules": [
            {
                "revoke": False,
                "protocol": "tcp",
                "source_ip_address": "203.0.113.11",
                "source_port_range": "8000:8009",
                "destination_ip_address": "10.1.2.11",
                "destination_port_range": "9000:9009",
                "source_cidr_list": "198.51.100.0/24",
            }
        ],
        "type": "forwardrules",
        "delete_from_processed_cache": False,
    },
    "staticnatrules": {
        "rules": [
            {
                "revoke": False,
                "source_ip_address": "203.0.113.13",
                "source_port_range": "0:0",
                "destination_ip_address": "10.1.4.11",
            }
        ],
        "type": "staticnatrules",
        "delete_from_processed_cache": False,
    },
    "staticroutes": {
        "routes": [
            {
                "revoke": False,
                "ip_address": "198.51.100.2",
                "gateway": "198.51.100.1",
                "network": "198.51.100.128/26",
            }
        ],
        "type": "staticroutes",
        "delete_from_processed_cache": False,
    },
    "firewallrules": {
        "rules": [
            {
                "id": 41,
                "src_ip": "203.0.113.13",
                "protocol": "tcp",
                "src_port_range": [80, 443],
                "revoked": False,
                "already_added": False,
                "source_cidr_list": ["198.51.100.0/24"],
                "dest_cidr_list": [],
                "purpose": "Firewall",
                "icmp_type": -1,
                "icmp_code": -1,
                "traffic_type": "Ingress",
                "default_egress_policy": False,
            }
        ],
        "type": "firewallrules",
        "delete_from_processed_cache": False,
    },
    "ipv6firewallrules": {
        "rules": [
            {
                "id": 51,
                "protocol": "tcp",
                "src_port_range": [443, 443],
                "revoked": False,
                "already_added": False,
                "source_cidr_list": ["2001:db8:9::/48"],
                "dest_cidr_list": ["2001:db8:1:2::11/128"],
                "purpose": "Ipv6Firewall",
                "traffic_type": "Ingress",
                "default_egress_policy": False,
                "guest_ip6_cidr": "2001:db8:1:2::/64",
            }
        ],
        "type": "ipv6firewallrules",
        "delete_from_processed_cache": False,
    },
    "dhcpentry": {
        "host_name": "web-1",
        "mac_address": "02:02:00:02:00:0b",
        "ipv4_address": "10.1.2.11",
        "ipv6_address": "2001:db8:1:2::11",
        "ipv6_duid": "00:03:00:01:02:02:00:02:00:0b",
        "dns_addresses": "203.0.113.53",
        "default_gateway": "10.1.2.1",
        "static_routes": "10.9.0.0/16",
        "default_entry": True,
        "lease_time": 3600,
        "remove": False,
        "type": "dhcpentry",
        "delete_from_processed_cache": False,
    },
    "monitorservice": {
        "config": "[dhcp]:processname=dnsmasq:servicename=dnsmasq:pidfile=/var/run/dnsmasq/dnsmasq.pid:,",
        "disable_monitoring": "false",
        "health_checks_enabled": True,
        "health_checks_basic_run_interval": 3,
        "health_checks_advanced_run_interval": 10,
        "excluded_health_checks": "gateways_check.py",
        "health_checks_config": {
            "gateways": "gatewaysIps=203.0.113.1 ",
            "systemThresholds": "minDiskNeeded=100.0,maxCpuUsage=100.0,maxMemoryUsage=100.0;",
        },
        "type": "monitorservice",
        "delete_from_processed_cache": False,
    },
    "vmdata": {
        "vm_ip_address": "10.1.2.11",
        "vm_metadata": [
            ["userdata", "user-data", "I2Nsb3VkLWNvbmZpZwo="],
            ["metadata", "instance-id", "i-1"],
            ["metadata", "public-keys", "ssh-ed25519 AAAA a@example.com"],
        ],
        "type": "vmdata",
        "delete_from_processed_cache": False,
    },
    "vmpassword": {
        "ip_address": "10.1.2.11",
        "password": "Example-Pw-0001",
        "type": "vmpassword",
        "delete_from_processed_cache": False,
    },
    "site2sitevpn": {
        "local_public_ip": "203.0.113.10",
        "local_guest_cidr": "10.1.0.0/16",
        "local_public_gateway": "203.0.113.1",
        "peer_gateway_ip": "203.0.113.220",
        "peer_guest_cidr_list": "198.51.100.64/27",
        "esp_policy": "aes256-sha256;modp2048",
        "ike_policy": "aes256-sha256;modp2048",
        "ipsec_psk": "example-psk-not-secret",
        "ike_version": "ikev2",
        "ike_lifetime": 86400,
        "esp_lifetime": 3600,
        "create": True,
        "dpd": True,
        "passive": False,
        "encap": False,
        "split_connections": True,
        "type": "site2sitevpn",
        "delete_from_processed_cache": False,
    },
    "remoteaccessvpn": {
        "create": True,
        "ip_range": "198.51.100.226-198.51.100.238",
        "preshared_key": "example-psk-not-secret",
        "vpn_server_ip": "203.0.113.10",
        "local_ip": "198.51.100.225",
        "local_cidr": "10.1.0.0/16",
        "public_interface": "eth1",
        "type": "remoteaccessvpn",
        "delete_from_processed_cache": False,
    },
    "vpnuserlist": {
        "vpn_users": [{"user": "alice", "password": "Example-Pw-A1", "add": True}],
        "type": "vpnuserlist",
        "delete_from_processed_cache": False,
    },
    "bgppeers": {
        "peers": [
            {
                "peer_id": 1,
                "peer_as_number": 64501,
                "ip4_address": "203.0.113.201",
                "ip6_address": "2001:db8:0:1::201",
                "peer_password": "example-md5-key",
                "network_id": 202,
                "network_as_number": 64496,
                "guest_ip4_cidr": "10.1.2.0/24",
                "guest_ip6_cidr": "2001:db8:1:2::/64",
                "details": {"EBGP_MultiHop": "2"},
            }
        ],
        "type": "bgppeers",
        "delete_from_processed_cache": False,
    },
}


def changed(kind: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The document of that type with other values at these paths (`routes[0].gateway`)."""
    document = copy.deepcopy(DOCUMENTS[kind])
    for path, value in changes.items():
        place: Any = document
        *way, last = [int(index) if index else key for index, key in _STEP.findall(path)]
        for step in way:
            place = place[step]
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    return document


def leaves(document: Any, path: str = "") -> dict[str, Any]:
    """All values that are neither objects nor lists, by their paths."""
    if isinstance(document, dict):
        below = [leaves(each, f"{path}.{key}" if path else key) for key, each in document.items()]
    elif isinstance(document, list):
        below = [leaves(each, f"{path}[{index}]") for index, each in enumerate(document)]
    else:
        return {path: document}
    return {leaf: value for each in below for leaf, value in each.items()}
