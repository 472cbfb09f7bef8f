"""What goes through tunnels → nftables sets and rules, and what has to be up. Pure.

    guest → egress ACL of its tier → tunnel             not translated: the far side knows the guest by its own address
    tunnel → ingress ACL of the guest's tier → guest

Whether the kernel does ESP or charon does it in user space, the same rules hold: packets of the kernel's come and go by
the public device with IPsec around them, those of user space by `ipsec0`; clients of L2TP by `ppp*`. What is to go
through a tunnel goes through it or nowhere: without one it is dropped, and so is what claims to come from the far side
and did not come through one.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.materialise.rendering import word
from vpcrouter.projections.effective import Effective
from vpcrouter.values.desired import NftChain, NftSet, SiteTunnel, Tunnels
from vpcrouter.values.networks import is_ipv6
from vpcrouter.values.role import Role
from vpcrouter.values.vpn import SiteVpn

TUNNEL_DEVICE = "ipsec0"
"""The device of user-space ESP: strongSwan numbers them from 0 and makes one."""
LARGEST_SEGMENT = 1360
"""Bytes of TCP in one packet: the device of user-space ESP has an MTU of 1400, and 20 + 20 are headers."""
ACCESS = "remote-ikev2"
"""The name of the connection for single clients by IKEv2."""


def site_name(vpn: SiteVpn) -> str:
    """The name of the connection to a site."""
    return "site-" + word(vpn.peer).replace(".", "-")


def child_names(vpn: SiteVpn) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The tunnels to a site, by name, and the remote networks of each.

    IKEv1 knows one network on each side of a tunnel (RFC 2409, 5.5), so there each has its own.
    """
    if vpn.splits or vpn.ike_version == 1:
        return tuple(
            (f"net-{word(network).replace('.', '-').replace('/', '-')}", (network,)) for network in vpn.remote_networks
        )
    return (("net", vpn.remote_networks),)


def has_tunnels(effective: Effective) -> bool:
    """Whether IPsec is configured at all."""
    return bool(effective.site_vpns) or effective.remote_access is not None


def tunnels(effective: Effective, role: Role) -> Tunnels:
    """What has to be up while this router serves."""
    if role is not Role.MASTER:
        return Tunnels()
    return Tunnels(
        sites=tuple(
            SiteTunnel(
                peer=vpn.peer,
                name=site_name(vpn),
                children=tuple(name for name, _ in child_names(vpn)),
                initiates=not vpn.is_passive,
            )
            for vpn in effective.site_vpns
        ),
        access=None if effective.remote_access is None else ACCESS,
        users=tuple(user.name for user in effective.vpn_users),
    )


def tunnel_sets(effective: Effective) -> Iterator[NftSet]:
    """Who may come with IPsec, and what goes through tunnels; none without."""
    if not has_tunnels(effective):
        return
    yield _set(
        "ipsec_peers",
        "type ipv4_addr . ipv4_addr;",
        {f"{word(vpn.peer)} . {word(vpn.address)}" for vpn in effective.site_vpns},
    )
    access = effective.remote_access
    yield _set("ipsec_servers", "type ipv4_addr;", set() if access is None else {word(access.address)})
    pairs = {
        f"{word(vpn.local_network)} . {word(network)}" for vpn in effective.site_vpns for network in vpn.remote_networks
    }
    if access is not None:
        pairs |= {f"{word(access.local_network)} . {word(network)}" for network in access.clients}
    yield _set("tunnelled", "type ipv4_addr . ipv4_addr; flags interval;", pairs)


def _set(name: str, spec: str, elements: set[str]) -> NftSet:
    return NftSet(name=name, kind="set", spec=spec, elements=tuple((each, "") for each in sorted(elements)))


_IPSEC = (
    "ip saddr . ip daddr @ipsec_peers udp dport { 500, 4500 } accept",
    "ip saddr . ip daddr @ipsec_peers meta l4proto esp accept",
    "ip daddr @ipsec_servers udp dport { 500, 4500 } accept",
    "ip daddr @ipsec_servers meta l4proto esp accept",
    # L2TP. Where the kernel has ESP, this comes by once more when it is decrypted.
    "ip daddr @ipsec_servers udp dport 1701 meta ipsec exists accept",
)
_OUT, _IN = "ip saddr . ip daddr @tunnelled", "ip daddr . ip saddr @tunnelled"


def protected_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `input`, before what is established: a session of L2TP that began inside IPsec goes on there."""
    return ("ip daddr @ipsec_servers udp dport 1701 meta ipsec missing drop",) if has_tunnels(effective) else ()


def sent_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `silence`: a session outlives the keys of its client, and its packets must not leave in clear."""
    return ("ip saddr @ipsec_servers udp sport 1701 rt ipsec missing drop",) if has_tunnels(effective) else ()


def input_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `input`: who may talk to the router itself."""
    if not has_tunnels(effective):
        return ()
    return (
        *_IPSEC,
        f'iifname {{ "{TUNNEL_DEVICE}", "ppp*" }} {_IN} jump from_tunnel',
        f"iifname @outside meta ipsec exists {_IN} jump from_tunnel",
    )


def unguarded_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `guard`: the firewall of a public address is for guests; IPsec is asked for by its own command."""
    return _IPSEC if has_tunnels(effective) else ()


def tunnel_chains(effective: Effective) -> Iterator[NftChain]:
    """What may be asked of the router from the far side: the same as by a guest, but for its address."""
    if has_tunnels(effective):
        yield NftChain(
            name="from_tunnel",
            rules=(
                "icmp type echo-request accept",
                "meta l4proto { tcp, udp } th dport 53 ip daddr @gateways accept",
            ),
        )


def entering_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `entering`, before what is established: only through a tunnel."""
    if not has_tunnels(effective):
        return ()
    return (f"iifname @outside {_IN} meta ipsec missing drop",)


def entered_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `entering`, after what is established."""
    if not has_tunnels(effective):
        return ()
    return (f'iifname {{ "{TUNNEL_DEVICE}", "ppp*" }} {_IN} accept',)


def leaving_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `leaving`, before what is established."""
    if not has_tunnels(effective):
        return ()
    clamp = f"tcp flags syn / syn,rst tcp option maxseg size set {LARGEST_SEGMENT}"
    return (f"{_OUT} {clamp}", f"{_IN} {clamp}", f"oifname @outside {_OUT} rt ipsec missing drop")


def left_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `leaving`, after what is established: the tier's egress ACL has let it pass."""
    if not has_tunnels(effective):
        return ()
    return (f'oifname {{ "{TUNNEL_DEVICE}", "ppp*" }} iifname @tiers {_OUT} accept',)


def untranslated_rules(effective: Effective) -> tuple[str, ...]:
    """Of the chain `postrouting`, before all others."""
    return (f"{_OUT} accept",) if has_tunnels(effective) else ()


def far_networks(effective: Effective) -> tuple[str, ...]:
    """All IPv4 networks behind tunnels."""
    found = [network for vpn in effective.site_vpns for network in vpn.remote_networks]
    if effective.remote_access is not None:
        found += effective.remote_access.clients
    return tuple(each for each in found if not is_ipv6(each))
