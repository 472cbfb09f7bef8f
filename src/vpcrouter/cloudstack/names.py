"""The command types that CloudStack knows, and the file name of each.

On the wire a file is called `network_acl.json.UUID`; in a folder of numbered commands `003-network_acl.json`. What
stands before the first dot, behind folder and number, is the name. The server's names and types always agree, and
a router would act by the one on what it stored by the other, so a known name with another's type is refused.
"""

from __future__ import annotations

import re

from vpcrouter.errors import MalformedInputError

FILE_NAMES = {
    "cmdline": "cmd_line",
    "ips": "ip_associations",
    "guestnetwork": "guest_network",
    "networkacl": "network_acl",
    "firewallrules": "firewall_rules",
    "ipv6firewallrules": "ipv6_firewall_rules",
    "forwardrules": "forwarding_rules",
    "staticnatrules": "staticnat_rules",
    "ipaliases": "ip_aliases",
    "vmpassword": "vm_password",
    "vmdata": "vm_metadata",
    "dhcpentry": "vm_dhcp_entry",
    "dhcpconfig": "dhcp",
    "loadbalancer": "load_balancer",
    "monitorservice": "monitor_service",
    "site2sitevpn": "site_2_site_vpn",
    "remoteaccessvpn": "remote_access_vpn",
    "vpnuserlist": "vpn_user_list",
    "staticroutes": "static_routes",
    "bgppeers": "bgp_peers",
}
"""The base name of the file for each type."""

_NUMBER = re.compile(r"^[0-9]+[-_]", re.ASCII)
_TYPE_OF = {name: type_ for type_, name in FILE_NAMES.items()}


def type_of_file(name: str) -> str | None:
    """The type that a file's name stands for; None for a name that CloudStack does not use."""
    base = name.rpartition("/")[2]
    return _TYPE_OF.get(_NUMBER.sub("", base, count=1).partition(".")[0])


def check(name: str, type_: str) -> None:
    """Refuse a command whose type is not the one that its file is named for."""
    expected = type_of_file(name)
    if expected is not None and expected != type_:
        raise MalformedInputError(
            f"is not {expected}, which is what a file named {FILE_NAMES[expected]} holds", where="type"
        )
