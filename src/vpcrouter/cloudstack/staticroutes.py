"""`staticroutes` (static_routes.json): routes by next hop, a list that grows, upserted by network.

The router's own address on a private gateway is checked and has no effect: the next hop says where a route leaves.
"""

from __future__ import annotations

from vpcrouter.cloudstack.growing import put_and_remove
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import ChangeStaticRoutes
from vpcrouter.values import fields
from vpcrouter.values.config import StaticRoute


def decode(top: Reader) -> ChangeStaticRoutes:
    """The command of the whole object."""
    put, remove = put_and_remove(_entry(each) for each in top.objects("routes"))
    return ChangeStaticRoutes(put=put, remove=remove)


def _entry(each: Reader) -> tuple[str, StaticRoute | None]:
    revoke = each.needed("revoke", fields.flag)
    each.unused("ip_address", each.optional("ip_address", fields.ipv4), "the next hop says where the route leaves")
    route = each.build(
        StaticRoute,
        {"network": "network", "gateway": "gateway"},
        network=each.needed("network", fields.ipv4_network),
        gateway=each.needed("gateway", fields.ipv4),
    )
    each.done()
    return route.network, None if revoke else route
