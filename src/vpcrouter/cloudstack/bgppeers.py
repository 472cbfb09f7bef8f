"""`bgppeers` (bgp_peers.json): all BGP neighbours, each once for each tier that it is told of; replaces the whole set.

An entry without `peer_id` names a tier without any neighbour: it is checked and dropped. Of `details`, the wire knows
one key, in a spelling of its own; others are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.site2sitevpn import secret
from vpcrouter.cloudstack.wire_values import integer, number_text
from vpcrouter.commands import ReplaceBgpPeerings
from vpcrouter.values import bgp, fields

_NUMBER = integer(0, 2**63 - 1)
_WIRE = {
    "ipv4": "ip4_address",
    "ipv6": "ip6_address",
    "password": "peer_password",
}


def decode(top: Reader) -> ReplaceBgpPeerings:
    """The command of the whole object."""
    return ReplaceBgpPeerings(peerings=tuple(_peerings(top.objects("peers"))))


def _peerings(entries: list[Reader]) -> Iterator[bgp.BgpPeering]:
    for each in entries:
        peer_id = each.optional("peer_id", _NUMBER)
        network = {
            "network_id": each.needed("network_id", _NUMBER),
            "own_as_number": each.needed("network_as_number", bgp.autonomous_system),
            "network4": each.optional("guest_ip4_cidr", fields.route_network),
            "network6": each.optional("guest_ip6_cidr", fields.ipv6_network),
        }
        neighbour = {
            "ipv4": each.optional("ip4_address", fields.ipv4),
            "ipv6": each.optional("ip6_address", fields.ipv6),
            "password": each.optional("peer_password", secret),
            "hops": _hops(each),
        }
        if peer_id is None:
            each.optional("peer_as_number", bgp.autonomous_system)
            each.unused("peer_id", True, "without it the entry names no neighbour")
        else:
            as_number = each.needed("peer_as_number", bgp.autonomous_system)
            yield each.build(bgp.BgpPeering, _WIRE, peer_id=peer_id, as_number=as_number, **network, **neighbour)
        each.done()


def _hops(each: Reader) -> int:
    details = each.optional_inner("details")
    if details is None:
        return 1
    hops = details.optional("EBGP_MultiHop", number_text(1, 255))
    details.done()
    return 1 if hops is None else hops
