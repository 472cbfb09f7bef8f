"""Events about tunnels to other sites, and about clients from anywhere."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import checked, each, many
from vpcrouter.values.vpn import RemoteAccess, SiteVpn, VpnUser, user_name


@frozen(kw_only=True)
class SiteVpnPut:
    """The tunnels to a gateway came, or were changed."""

    vpn: SiteVpn


@frozen(kw_only=True)
class SiteVpnRemoved:
    """The tunnels to a gateway went."""

    peer: str = checked(fields.ipv4)


@frozen(kw_only=True)
class RemoteAccessPut:
    """Clients are let in."""

    access: RemoteAccess


@frozen(kw_only=True)
class RemoteAccessRemoved:
    """Clients are not let in any more."""

    address: str = checked(fields.ipv4)


@frozen(kw_only=True)
class VpnUsersChanged:
    """Users were put, and others removed by name."""

    put: tuple[VpnUser, ...] = many(VpnUser)
    removed: tuple[str, ...] = each(user_name)
