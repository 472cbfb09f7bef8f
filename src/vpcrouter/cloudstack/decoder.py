"""One CloudStack command: JSON becomes a command or a CallerError; nothing else leaves.

Every error of a field carries its path in the file. Nothing is corrected or guessed; what is left aside was checked,
and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from vpcrouter.cloudstack import (
    bgppeers,
    cmdline,
    dhcpentry,
    firewallrules,
    forwardrules,
    guestnetwork,
    ips,
    loadbalancer,
    monitorservice,
    names,
    networkacl,
    remoteaccessvpn,
    site2sitevpn,
    staticnatrules,
    staticroutes,
    vmdata,
    vmpassword,
    vpnuserlist,
)
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import Command
from vpcrouter.errors import UnsupportedTypeError
from vpcrouter.strict_json import load
from vpcrouter.values import fields

_DECODERS: dict[str, Callable[[Reader], Command]] = {
    "cmdline": cmdline.decode,
    "ips": ips.decode,
    "guestnetwork": guestnetwork.decode,
    "networkacl": networkacl.decode,
    "forwardrules": forwardrules.decode,
    "staticnatrules": staticnatrules.decode,
    "staticroutes": staticroutes.decode,
    "dhcpentry": dhcpentry.decode,
    "firewallrules": firewallrules.decode,
    "ipv6firewallrules": firewallrules.decode_ipv6,
    "loadbalancer": loadbalancer.decode,
    "monitorservice": monitorservice.decode,
    "vmdata": vmdata.decode,
    "vmpassword": vmpassword.decode,
    "site2sitevpn": site2sitevpn.decode,
    "remoteaccessvpn": remoteaccessvpn.decode,
    "vpnuserlist": vpnuserlist.decode,
    "bgppeers": bgppeers.decode,
}

_NOT_FOR_A_VPC = {
    "ipaliases": "ipaliases are for shared networks with several subnets; a tier of a VPC has one",
    "dhcpconfig": "dhcpconfig is for shared networks; a VPC router knows its tiers by guestnetwork",
}
"""Types that the server never sends to a VPC router, and that have no meaning there."""

LAST_WINS = ("cmd_line",)
"""A word given twice in the boot line stands twice in the cmd_line.json that today's boot script makes of it."""


@frozen(kw_only=True)
class Decoded:
    """What a file comes to."""

    command: Command
    without_effect: Mapping[str, str]
    """What it says beside, by its path, and why nothing is made of it."""


def decode(data: bytes | str, *, name: str = "") -> Command:
    """The command in a file; `name` is the file's, and must agree with the type if CloudStack uses that name."""
    return decode_document(load(data, last_wins=LAST_WINS), name=name).command


def decode_document(document: object, *, name: str = "") -> Decoded:
    """The same for a document that has been parsed, with all that the command does not hold."""
    top = Reader(document)
    type_ = top.needed("type", fields.text)
    names.check(name, type_)
    if type_ not in _DECODERS:
        if type_ in _NOT_FOR_A_VPC:
            raise UnsupportedTypeError(_NOT_FOR_A_VPC[type_], where="type")
        raise UnsupportedTypeError(f"{type_[:40]!a} is not a known type of command", where="type")
    top.sent("delete_from_processed_cache", fields.flag, False)  # as it says: nothing is kept of a file
    command = _DECODERS[type_](top)
    top.done()
    return Decoded(command=command, without_effect=top.without_effect)
