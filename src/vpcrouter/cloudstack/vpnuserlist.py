"""`vpnuserlist` (vpn_user_list.json): the users of remote access, a list that grows, upserted by name."""

from __future__ import annotations

from vpcrouter.cloudstack.growing import put_and_remove
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.site2sitevpn import secret
from vpcrouter.commands import ChangeVpnUsers
from vpcrouter.values import fields
from vpcrouter.values.vpn import VpnUser, user_name


def decode(top: Reader) -> ChangeVpnUsers:
    """The command of the whole object."""
    put, remove = put_and_remove(_entry(each) for each in top.objects("vpn_users"))
    return ChangeVpnUsers(put=put, remove=remove)


def _entry(each: Reader) -> tuple[str, VpnUser | None]:
    add = each.needed("add", fields.flag)
    user = each.build(
        VpnUser,
        {"name": "user", "password": "password"},
        name=each.needed("user", user_name),
        password=each.needed("password", secret),
    )
    each.done()
    return user.name, user if add else None
