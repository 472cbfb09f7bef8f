"""`remoteaccessvpn` (remote_access_vpn.json): single clients from anywhere, upserted by the public address.

`public_interface` is checked and has no effect: the public address says where it is.
"""

from __future__ import annotations

from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.site2sitevpn import secret
from vpcrouter.commands import PutRemoteAccess, RemoveRemoteAccess
from vpcrouter.values import fields
from vpcrouter.values.vpn import RemoteAccess

_WIRE = {
    "first_client": "ip_range",
    "local_address": "local_ip",
    "key": "preshared_key",
}


def decode(top: Reader) -> PutRemoteAccess | RemoveRemoteAccess:
    """The command of the whole object."""
    create = top.needed("create", fields.flag)
    top.unused("public_interface", top.needed("public_interface", fields.device), "the public address says where it is")
    first, last = top.needed("ip_range", _range)
    access = top.build(
        RemoteAccess,
        _WIRE,
        address=top.needed("vpn_server_ip", fields.ipv4),
        first_client=first,
        last_client=last,
        local_address=top.needed("local_ip", fields.ipv4),
        local_network=top.needed("local_cidr", fields.route_network),
        key=top.needed("preshared_key", secret),
    )
    return PutRemoteAccess(access=access) if create else RemoveRemoteAccess(address=access.address)


def _range(value: object, path: str) -> tuple[str, str]:
    first, dash, last = fields.text(value, path).partition("-")
    if not dash:
        raise fields.malformed(path, value, "a range like 198.51.100.226-198.51.100.238")
    return fields.ipv4(first, path), fields.ipv4(last, path)
