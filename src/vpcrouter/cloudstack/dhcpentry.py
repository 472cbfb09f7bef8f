"""`dhcpentry` (vm_dhcp_entry.json): the fixed lease and name of one guest NIC, put or removed.

Gateway, resolvers and routes of the guest come with its tier, and IPv6 addresses are not leased: those keys are
checked and have no effect.
"""

from __future__ import annotations

from vpcrouter.cloudstack import wire_values
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.wire_values import comma_list, or_empty
from vpcrouter.commands import PutReservation, RemoveReservation
from vpcrouter.values import fields
from vpcrouter.values.config import Reservation

_SLAAC = "guests choose their IPv6 addresses themselves"
_WIRE = {
    "address": "ipv4_address",
    "mac": "mac_address",
    "host_name": "host_name",
    "is_default": "default_entry",
    "lease_seconds": "lease_time",
}


def decode(top: Reader) -> PutReservation | RemoveReservation:
    """The command of the whole object."""
    remove = top.needed("remove", fields.flag)
    top.unused("default_gateway", top.needed("default_gateway", fields.ipv4), "guests are offered their tier's")
    top.unused("ipv6_address", top.optional("ipv6_address", or_empty(fields.ipv6)), _SLAAC)
    top.unused("ipv6_duid", top.sent("ipv6_duid", or_empty(fields.word), None), _SLAAC)
    resolvers = top.optional("dns_addresses", comma_list(fields.address))
    top.unused("dns_addresses", resolvers, "guests are told their tier's resolvers")
    top.unused("static_routes", top.optional("static_routes", or_empty(fields.word)), "guests have one route")
    reservation = top.build(
        Reservation,
        _WIRE,
        address=top.needed("ipv4_address", fields.ipv4),
        mac=top.needed("mac_address", fields.mac),
        host_name=top.needed("host_name", fields.host_name),
        is_default=top.needed("default_entry", fields.flag),
        lease_seconds=top.optional("lease_time", wire_values.integer(0, 2**31 - 1)) or 0,
    )
    if remove:
        return RemoveReservation(address=reservation.address, mac=reservation.mac)
    return PutReservation(reservation=reservation)
