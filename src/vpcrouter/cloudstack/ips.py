"""`ips` (ip_associations.json): addresses of public devices and private gateways, upserted by address.

The marks are taken as they come: on a redundant pair the server marks the first address of every command as the
source NAT address, and only the state knows better. Without `nic_dev_id` (KVM) a public address belongs to eth1.
"""

from __future__ import annotations

from vpcrouter.cloudstack import wire_values
from vpcrouter.cloudstack.growing import put_and_remove
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import ChangePublicAddresses
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields, networks
from vpcrouter.values.config import PublicAddress

_WIRE = {
    "address": "public_ip",
    "network": "netmask",
    "gateway": "gateway",
    "device": "nic_dev_id",
    "mac": "vif_mac_address",
    "mtu": "mtu",
}
_UNUSED = {
    "one_to_one_nat": "static NAT has a command of its own",
    "first_i_p": "which address is the first follows from what is there",
    "new_nic": "a device is used as soon as it has an address",
}
_DEVICE_NUMBER = wire_values.integer(1, 999)


def decode(top: Reader) -> ChangePublicAddresses:
    """The command of the whole object."""
    put, remove = put_and_remove(_entry(each) for each in top.objects("ip_address"))
    return ChangePublicAddresses(put=put, remove=remove)


def _entry(each: Reader) -> tuple[str, PublicAddress | None]:
    address = each.needed("public_ip", fields.ipv4)
    add = each.needed("add", fields.flag)
    private_gateway = each.needed("is_private_gateway", fields.flag)
    number = each.optional("nic_dev_id", _DEVICE_NUMBER)
    if number is None and private_gateway and add:
        raise MalformedInputError("a private gateway needs the number of its device", where=each.at("nic_dev_id"))
    each.needed("nw_type", _public)
    for key, reason in _UNUSED.items():
        each.unused(key, each.sent(key, fields.flag, False), reason)
    entry = each.build(
        PublicAddress,
        _WIRE,
        address=address,
        network=networks.network_of(address, each.needed("netmask", fields.prefix_length)),
        gateway=each.needed("gateway", fields.ipv4),
        device=f"eth{1 if number is None else number}",
        mac=each.optional("vif_mac_address", fields.mac),
        mtu=each.optional("mtu", wire_values.MTU) or 0,
        private_gateway=private_gateway,
        source_nat=each.needed("source_nat", fields.flag),
    )
    each.unused("vif_mac_address", entry.mac, "stored, and names no device: nic_dev_id does")
    each.done()
    return address, entry if add else None


def _public(value: object, path: str) -> None:
    if not isinstance(value, str) or value.lower() != "public":
        raise MalformedInputError("is not Public, the only type a VPC router has here", where=path)
