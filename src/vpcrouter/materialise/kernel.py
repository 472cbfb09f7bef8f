"""State and role → links, addresses, routes and sysctls. Pure.

Called by `materialise`. What differs between master and backup is keepalived's to set; the role shows in `serving`
alone. The public devices of a redundant pair have the same MAC and are up on both routers, so a router without the
addresses must never send there: no IPv6, and no ARP reply but for an address of that very device.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.materialise.placement import Placement, private_gateways, public_devices
from vpcrouter.projections.effective import Effective
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link
from vpcrouter.values.fields import device_number
from vpcrouter.values.role import Role

MARKER_ADDRESS = "169.254.255.51/32"
"""The one address that keepalived advertises, the same on both routers for ever (finding 2)."""


def kernel(effective: Effective, placement: Placement, role: Role) -> Kernel:
    """The kernel's part."""
    config = effective.config
    redundant = config is not None and config.redundant
    marker: tuple[InterfaceAddress, ...] = ()
    if redundant and effective.tiers:
        marker = (InterfaceAddress(device=effective.tiers[0].device, address=MARKER_ADDRESS),)
    return Kernel(
        links=tuple(sorted(_links(effective), key=lambda link: device_number(link.name))),
        addresses=placement.addresses,
        routes=placement.routes,
        sysctls=tuple(sorted(_sysctls(effective))),
        virtual_addresses=(*marker, *placement.virtual_addresses),
        virtual_routes=placement.virtual_routes,
        serving=_is_serving(role, may_serve=redundant and bool(effective.tiers)),
    )


def _is_serving(role: Role, *, may_serve: bool) -> bool | None:
    # Init beside a tier means that keepalived has not reported yet: it may well be master, and must not be disturbed.
    if role is Role.INIT and may_serve:
        return None
    return role is Role.MASTER and may_serve


def _links(effective: Effective) -> Iterator[Link]:
    config = effective.config
    if config is not None and config.control_address is not None:
        yield Link(name="eth0", up=True)
    for device in public_devices(effective):
        # A device has one MTU; the smallest that was asked for passes everywhere.
        sizes = [each.mtu for each in effective.public_addresses if each.device == device]
        if config is not None and device not in private_gateways(effective):
            sizes.append(config.public_mtu)
        yield Link(name=device, up=True, mtu=min(sizes))
    for tier in effective.tiers:
        yield Link(name=tier.device, up=True, mtu=tier.mtu)
    for device in effective.released:
        yield Link(name=device, up=False)


def _sysctls(effective: Effective) -> Iterator[tuple[str, str]]:
    config = effective.config
    yield "net/ipv4/ip_forward", "1"
    # Of these two the kernel takes the greater of `all` and the device's own: the device shall decide.
    yield "net/ipv4/conf/all/rp_filter", "0"
    yield "net/ipv4/conf/all/send_redirects", "0"
    if config is not None and config.redundant:
        # A connection taken over in its middle has a window that this kernel never saw; one that was not taken over
        # must not be picked up as if it were new, without its translation (finding 10).
        yield "net/netfilter/nf_conntrack_tcp_be_liberal", "1"
        yield "net/netfilter/nf_conntrack_tcp_loose", "0"
    if config is not None and config.control_address is not None:
        # The marker address is of the same range as the control network, and is not for its ears.
        yield "net/ipv4/conf/eth0/arp_ignore", "1"
    for device in public_devices(effective):
        yield f"net/ipv6/conf/{device}/disable_ipv6", "1"
        yield f"net/ipv4/conf/{device}/arp_announce", "2"
        # Loose: the source must be reachable at all. A backup, which has no route to it, drops what strays in.
        yield f"net/ipv4/conf/{device}/rp_filter", "2"
        yield from _on_every_device(device)
    for tier in effective.tiers:
        yield f"net/ipv4/conf/{tier.device}/rp_filter", "1"
        yield from _on_every_device(tier.device)


def _on_every_device(device: str) -> Iterator[tuple[str, str]]:
    yield f"net/ipv4/conf/{device}/arp_ignore", "1"
    # Else the other addresses of the subnet go when the primary one goes.
    yield f"net/ipv4/conf/{device}/promote_secondaries", "1"
    # A hairpin goes out where it came in; a redirect would tell the guest to go where it may not.
    yield f"net/ipv4/conf/{device}/send_redirects", "0"
