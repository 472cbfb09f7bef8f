"""`site2sitevpn` (site_2_site_vpn.json): tunnels to one other site, upserted by its gateway's address.

A proposal on the wire is `cipher-hash`, with `;group` behind it; several are separated by commas.
`local_public_gateway` is checked and has no effect: the public address says where packets leave.
"""

from __future__ import annotations

from collections.abc import Callable

from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.wire_values import comma_list, integer
from vpcrouter.commands import PutSiteVpn, RemoveSiteVpn
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields, networks, vpn
from vpcrouter.values.config import Secret

_VERSIONS = {"ike": 0, "ikev1": 1, "ikev2": 2}
_LIFETIME_S = integer(60, 86400 * 7)
_WIRE = {
    "peer": "peer_gateway_ip",
    "remote_networks": "peer_guest_cidr_list",
    "ike_proposals": "ike_policy",
    "esp_proposals": "esp_policy",
    "key": "ipsec_psk",
}


def decode(top: Reader) -> PutSiteVpn | RemoveSiteVpn:
    """The command of the whole object."""
    create = top.needed("create", fields.flag)
    gateway = top.optional("local_public_gateway", fields.ipv4)
    top.unused("local_public_gateway", gateway, "the public address says where packets leave")
    found = top.build(
        vpn.SiteVpn,
        _WIRE,
        peer=top.needed("peer_gateway_ip", fields.ipv4),
        address=top.needed("local_public_ip", fields.ipv4),
        local_network=top.needed("local_guest_cidr", fields.route_network),
        remote_networks=top.needed("peer_guest_cidr_list", _networks),
        ike_version=top.sent("ike_version", _version, 0),
        ike_proposals=top.needed("ike_policy", _proposals(vpn.ike_proposal)),
        esp_proposals=top.needed("esp_policy", _proposals(vpn.esp_proposal)),
        ike_lifetime_s=top.needed("ike_lifetime", _LIFETIME_S),
        esp_lifetime_s=top.needed("esp_lifetime", _LIFETIME_S),
        key=top.needed("ipsec_psk", secret),
        detects_dead_peer=top.needed("dpd", fields.flag),
        is_passive=top.sent("passive", fields.flag, False),
        forces_encapsulation=top.sent("encap", fields.flag, False),
        splits=top.sent("split_connections", fields.flag, False),
    )
    return PutSiteVpn(vpn=found) if create else RemoveSiteVpn(peer=found.peer)


def secret(value: object, path: str) -> Secret:
    """A text that no error may repeat; its class says what it may hold."""
    if not isinstance(value, str):
        raise MalformedInputError("is not a string", where=path)
    return Secret(text=value)


def _networks(value: object, path: str) -> tuple[str, ...]:
    found = comma_list(fields.route_network)(value, path)
    return tuple(sorted(found, key=networks.parse_network))


def _version(value: object, path: str) -> int:
    if not isinstance(value, str) or value not in _VERSIONS:
        raise fields.malformed(path, value, f"one of {', '.join(_VERSIONS)}")
    return _VERSIONS[value]


def _proposals(check: Callable[[object, str], str]) -> Callable[[object, str], tuple[str, ...]]:
    def read(value: object, path: str) -> str:
        return check(fields.text(value, path).replace(";", "-"), path)

    return comma_list(read)
