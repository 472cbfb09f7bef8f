"""`forwardrules` (forwarding_rules.json): port forwardings of a public address, a list that grows.

What an entry replaces or takes away is not a key but `forwarding.same_forward`: the same public ports and a client in
common. `decide` takes away first and puts then. So that this is the same as working off the list in order, an
entry that a later one of the list replaces or takes away also counts as taken away itself, where the later one
names other clients.
"""

from __future__ import annotations

from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.wire_values import comma_list
from vpcrouter.commands import ChangePortForwards
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.config import PortForward
from vpcrouter.values.forwarding import same_forward

_WIRE = {
    "address": "source_ip_address",
    "protocol": "protocol",
    "first_port": "source_port_range",
    "last_port": "source_port_range",
    "target": "destination_ip_address",
    "target_port": "destination_port_range",
    "sources": "source_cidr_list",
}


def decode(top: Reader) -> ChangePortForwards:
    """The command of the whole object."""
    put: dict[tuple[str, str, int], list[PortForward]] = {}
    remove: dict[PortForward, None] = {}
    for each in top.objects("rules"):
        revoke = each.needed("revoke", fields.flag)
        forward = _forward(each)
        earlier = put.setdefault((forward.address, forward.protocol, forward.first_port), [])
        superseded = [other for other in earlier if same_forward(other, forward)]
        for other in superseded:
            earlier.remove(other)
        remove.update((other, None) for other in superseded if other.sources != forward.sources)
        if revoke:
            remove[forward] = None
        else:
            earlier.append(forward)
    return ChangePortForwards(put=tuple(each for found in put.values() for each in found), remove=tuple(remove))


def _forward(each: Reader) -> PortForward:
    first, last = each.needed("source_port_range", fields.port_range)
    target_first, target_last = each.needed("destination_port_range", fields.port_range)
    if last - first != target_last - target_first:
        raise MalformedInputError(
            f"port ranges that do not match: {first}:{last} and {target_first}:{target_last}",
            where=each.at("destination_port_range"),
            hint="both must be of the same length",
        )
    forward = each.build(
        PortForward,
        _WIRE,
        address=each.needed("source_ip_address", fields.ipv4),
        protocol=each.needed("protocol", fields.protocol),
        first_port=first,
        last_port=last,
        target=each.needed("destination_ip_address", fields.ipv4),
        target_port=target_first,
        sources=each.optional("source_cidr_list", comma_list(fields.filter_network)) or (),
    )
    each.done()
    return forward
