"""A vxlan device and whom its multicasts go to, as rtnetlink has them: head-end replication (RFC 7348, section 4.2).

Used by the kernel applier. The device learns nothing. Each remote is an entry of its forwarding database for the MAC of
zeros, which the kernel takes for every MAC that has no entry of its own (drivers/net/vxlan).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from vpcrouter.appliers._netlink import LinkMessage, NeighbourMessage, decoded, encoded
from vpcrouter.values.desired import OVERLAY, Overlay

# linux/rtnetlink.h, linux/neighbour.h
RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
_AF_BRIDGE = 7
_NUD_NOARP, _NUD_PERMANENT = 0x40, 0x80
_NTF_SELF = 0x02
_EVERY_MAC = "00:00:00:00:00:00"
_ONE_HOP = 1


def addition(overlay: Overlay, index: int) -> bytes:
    """The payload that makes the device; `index` is that of the one that it goes by."""
    data = [
        ("IFLA_VXLAN_ID", overlay.number),
        ("IFLA_VXLAN_LINK", index),
        ("IFLA_VXLAN_LOCAL", overlay.source),
        ("IFLA_VXLAN_PORT", overlay.port),
        ("IFLA_VXLAN_LEARNING", 0),
        ("IFLA_VXLAN_TTL", _ONE_HOP),
    ]
    kind = [("IFLA_INFO_KIND", "vxlan"), ("IFLA_INFO_DATA", {"attrs": data})]
    return encoded(LinkMessage, {}, [("IFLA_IFNAME", OVERLAY), ("IFLA_LINKINFO", {"attrs": kind})])


def removal() -> bytes:
    """The payload that removes the device."""
    return encoded(LinkMessage, {}, [("IFLA_IFNAME", OVERLAY)])


def overlay(payload: bytes, names: Mapping[int, str]) -> Overlay:
    """What a link's message says of it, without its remotes. `names`: those of the devices, by their index."""
    information = decoded(LinkMessage, payload).get("IFLA_LINKINFO")
    data = None
    if information is not None and information.get("IFLA_INFO_KIND") == "vxlan":
        data = information.get("IFLA_INFO_DATA")
    if data is None:
        return Overlay(number=0, device="", source="", port=0)
    return Overlay(
        number=data.get("IFLA_VXLAN_ID"),
        device=names.get(data.get("IFLA_VXLAN_LINK") or 0, ""),
        source=data.get("IFLA_VXLAN_LOCAL") or "",
        port=data.get("IFLA_VXLAN_PORT"),
    )


def remote_change(index: int, address: str) -> bytes:
    """The payload that adds or removes a remote of the device with that index."""
    fields = {
        "family": _AF_BRIDGE,
        "ifindex": index,
        "state": _NUD_NOARP | _NUD_PERMANENT,
        "flags": _NTF_SELF,
    }
    return encoded(NeighbourMessage, fields, [("NDA_LLADDR", _EVERY_MAC), ("NDA_DST", address)])


def remote_query() -> bytes:
    """The payload of a dump of all forwarding databases."""
    return encoded(NeighbourMessage, {"family": _AF_BRIDGE}, [])


def remotes(dump: list[tuple[int, bytes]], index: int) -> Iterator[str]:
    """The remotes of the device with that index."""
    for _, payload in dump:
        if int.from_bytes(payload[4:8], sys.byteorder) == index:
            message = decoded(NeighbourMessage, payload)
            if message.get("NDA_LLADDR") == _EVERY_MAC and (address := message.get("NDA_DST")):
                yield address
