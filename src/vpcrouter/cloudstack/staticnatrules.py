"""`staticnatrules` (staticnat_rules.json): one public address for one guest, upserted by the public address.

Today's router ignores protocol and ports, so a rule meant for one port opens the whole address, and revoking it
takes the whole static NAT away. Such a rule is refused here: only a whole address can be translated.
"""

from __future__ import annotations

from vpcrouter.cloudstack.growing import put_and_remove
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import ChangeStaticNats
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.config import StaticNat


def decode(top: Reader) -> ChangeStaticNats:
    """The command of the whole object."""
    put, remove = put_and_remove(_entry(each) for each in top.objects("rules"))
    return ChangeStaticNats(put=put, remove=remove)


def _entry(each: Reader) -> tuple[str, StaticNat | None]:
    revoke = each.needed("revoke", fields.flag)
    each.optional("protocol", _any_protocol)
    each.sent("source_port_range", _no_ports, None)
    nat = each.build(
        StaticNat,
        {"address": "source_ip_address", "target": "destination_ip_address"},
        address=each.needed("source_ip_address", fields.ipv4),
        target=each.needed("destination_ip_address", fields.ipv4),
    )
    each.done()
    return nat.address, None if revoke else nat


def _any_protocol(value: object, path: str) -> None:
    if value not in ("", "all", "any"):
        raise MalformedInputError("a static NAT cannot be for one protocol", where=path, hint="use port forwarding")


def _no_ports(value: object, path: str) -> None:
    if value != "0:0":
        raise MalformedInputError("a static NAT cannot be for some ports", where=path, hint="use port forwarding")
