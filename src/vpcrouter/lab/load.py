"""Bursts of any size for a laboratory that has the example burst already: tiers, ACLs, forwardings and DHCP entries.

Called by tests and measurements. Commands come in an order as the management server sends them: a tier, its
ACL, its guests; now and then a public address with its forwardings. The same arguments give the same commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vpcrouter.lab.layout import PUBLIC_MAC, ROUTERS

NEW_TIERS = (7, 8, 9)
"""The tiers of the laboratory that the example burst leaves free."""
_OWN_HOST = {"rA": 2, "rB": 3}
_LAST_OF_MAC = {"rA": "0a", "rB": "0b"}
_FIRST_GUEST = 10
_GUESTS = 190
"""Of one tier: from .10 to .199, without .100, which the laboratory's own guest has."""
_FORWARDS_OF_ADDRESS = 4

Files = Mapping[str, list[tuple[str, str]]]
"""By router: names and texts of command files, in order."""


def burst_of(count: int) -> Files:
    """So many commands to each router that add to what is there."""
    return {router: _named(router, list(_commands(router, count))) for router in ROUTERS}


def write_files(files: Files, directory: Path) -> dict[str, list[Path]]:
    """The same as files below `directory`, as `run_burst` takes them."""
    written: dict[str, list[Path]] = {}
    for router, part in files.items():
        (directory / router).mkdir()
        written[router] = [directory / router / name for name, _ in part]
        for path, (_, text) in zip(written[router], part, strict=True):
            path.write_text(text)
    return written


def _commands(router: str, count: int) -> Iterator[dict[str, Any]]:
    made = 0
    guests = [host for host in range(_FIRST_GUEST, _FIRST_GUEST + _GUESTS) if host != 100]
    places = [(tier, host) for tier in NEW_TIERS for host in guests]
    places += [(tier, host) for tier in (3, 4, 5, 6) for host in guests if host >= 110]
    address = 20
    before = None
    for tier, host in places:
        batch = [*([_tier(router, tier), _acl(router, tier)] if tier in NEW_TIERS and tier != before else [])]
        batch.append(_lease(tier, host))
        if host % 20 == 0 and tier in NEW_TIERS and address < 250:
            batch.append(_public(address))
            batch += [_forward(address, 8000 + number, tier, host) for number in range(_FORWARDS_OF_ADDRESS)]
            address += 1
        for command in batch:
            if made == count:
                return
            made += 1
            yield command
        before = tier
    raise ValueError(f"there is no room for {count} commands, {made} at most")


def _named(router: str, commands: list[dict[str, Any]]) -> list[tuple[str, str]]:
    names = {"guestnetwork": "guest_network", "networkacl": "network_acl", "dhcpentry": "vm_dhcp_entry"}
    names |= {"ips": "ip_associations", "forwardrules": "forwarding_rules"}
    return [(f"{number:04}-{names[each['type']]}.json", json.dumps(each)) for number, each in enumerate(commands)]


def _tier(router: str, tier: int) -> dict[str, Any]:
    return {
        "type": "guestnetwork",
        "add": True,
        "device": f"eth{tier}",
        "mac_address": f"02:01:00:{tier:02x}:00:{_LAST_OF_MAC[router]}",
        "router_guest_ip": f"10.1.{tier}.{_OWN_HOST[router]}",
        "router_guest_netmask": "255.255.255.0",
        "router_guest_gateway": f"10.1.{tier}.1",
        "cidr": "24",
        "dns": "203.0.113.53",
        "domain_name": "shop.example.com",
        "is_vr_guest_gateway": True,
        "network_id": 300 + tier,
        "mtu": 1500,
    }


def _acl(router: str, tier: int) -> dict[str, Any]:
    rule = {"type": "tcp", "first_port": 8000, "last_port": 8100, "cidr": "0.0.0.0/0", "allowed": True}
    return {
        "type": "networkacl",
        "device": f"eth{tier}",
        "mac_address": f"02:01:00:{tier:02x}:00:{_LAST_OF_MAC[router]}",
        "private_gateway_acl": False,
        "nic_ip": f"10.1.{tier}.{_OWN_HOST[router]}",
        "nic_netmask": "24",
        "ingress_rules": [rule],
        "egress_rules": [{"type": "all", "cidr": "0.0.0.0/0", "allowed": True}],
    }


def _lease(tier: int, host: int) -> dict[str, Any]:
    return {
        "type": "dhcpentry",
        "host_name": f"guest-{tier}-{host}",
        "mac_address": f"02:0e:00:00:{tier:02x}:{host:02x}",
        "ipv4_address": f"10.1.{tier}.{host}",
        "default_gateway": f"10.1.{tier}.1",
        "default_entry": True,
        "remove": False,
    }


def _public(host: int) -> dict[str, Any]:
    address = {
        "public_ip": f"203.0.113.{host}",
        "source_nat": True,
        "add": True,
        "one_to_one_nat": False,
        "first_i_p": False,
        "gateway": "203.0.113.1",
        "netmask": "255.255.255.0",
        "vif_mac_address": PUBLIC_MAC,
        "nic_dev_id": 1,
        "new_nic": False,
        "nw_type": "Public",
        "is_private_gateway": False,
        "mtu": 1500,
    }
    return {"type": "ips", "ip_address": [address]}


def _forward(public: int, port: int, tier: int, host: int) -> dict[str, Any]:
    rule = {
        "revoke": False,
        "protocol": "tcp",
        "source_ip_address": f"203.0.113.{public}",
        "source_port_range": f"{port}:{port}",
        "destination_ip_address": f"10.1.{tier}.{host}",
        "destination_port_range": "80:80",
        "source_cidr_list": "",
    }
    return {"type": "forwardrules", "rules": [rule]}
