"""The state as plain data, for people and scripts; secrets are masked."""

from __future__ import annotations

from typing import Any

from vpcrouter.projections.effective import pending
from vpcrouter.projections.plain import plain
from vpcrouter.state import StateView
from vpcrouter.values.fields import device_number
from vpcrouter.values.networks import parse_address


def listing(view: StateView) -> dict[str, Any]:
    """The whole state: lists in the order of device number or address, and what is pending."""
    return {
        "router": plain(view.router),
        "public_addresses": [plain(view.public_addresses[a]) for a in sorted(view.public_addresses, key=parse_address)],
        "tiers": [plain(view.tiers[device]) for device in sorted(view.tiers, key=device_number)],
        "acls": [plain(view.acls[device]) for device in sorted(view.acls, key=device_number)],
        "port_forwards": [
            plain(each) for address in sorted(view.forwards, key=parse_address) for each in view.forwards[address]
        ],
        "static_nats": [plain(view.static_nats[a]) for a in sorted(view.static_nats, key=parse_address)],
        "static_routes": [plain(view.routes[network]) for network in sorted(view.routes)],
        "reservations": [plain(view.reservations[a]) for a in sorted(view.reservations, key=parse_address)],
        "firewall_rules": [plain(each) for _, each in sorted(view.firewall_rules.items())],
        "ipv6_firewall_rules": [plain(each) for _, each in sorted(view.ipv6_firewall_rules.items())],
        "monitoring": plain(view.monitoring),
        "balancer": plain(view.balancer),
        "guest_pages": [plain(view.guest_pages[a]) for a in sorted(view.guest_pages, key=parse_address)],
        "guest_passwords": [plain(view.guest_passwords[a]) for a in sorted(view.guest_passwords, key=parse_address)],
        "site_vpns": [plain(view.site_vpns[peer]) for peer in sorted(view.site_vpns, key=parse_address)],
        "remote_accesses": [plain(view.remote_accesses[a]) for a in sorted(view.remote_accesses, key=parse_address)],
        "vpn_users": [plain(view.vpn_users[name]) for name in sorted(view.vpn_users)],
        "bgp_peerings": [plain(each) for each in view.bgp_peerings],
        "released_devices": sorted(view.released, key=device_number),
        "unconfirmed": [plain(each) for each in view.confirmations.values()],
        "pending": [plain(each) for each in pending(view)],
    }
