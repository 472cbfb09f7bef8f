"""State and role → links, addresses, routes, policy rules and sysctls. Pure.

Called by `materialise`. What differs between master and backup is keepalived's to set; the role shows in `serving`
alone. The public devices of a redundant pair have the same MAC and are up on both routers, so a router without the
addresses must never send there: no own IPv6 address, and no ARP reply but for an address of that very device.

When the carrier moves, keepalived takes the addresses from one instance and then gives them to the other: for some
tenths of a millisecond (more with many) they are nowhere, and with them go the routes that depend on them. So on a
serving router the two halves of each such network are routed by the router itself meanwhile. The marker address on the
public devices keeps the kernel from dropping all routes of a device whose last address goes.

Known hole: when a public device gets IPv6 for the first time, the kernel may report its multicast groups once before
the ruleset that silences it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.materialise.election import Election, marker
from vpcrouter.materialise.overlay import overlay, overlay_address, overlay_link, overlay_sysctls
from vpcrouter.materialise.placement import Placement, ipv6_devices, private_gateways, public_devices
from vpcrouter.projections.effective import Effective
from vpcrouter.values.boot_keys import control_ipv6, filters_reverse_path
from vpcrouter.values.carriage import Elector
from vpcrouter.values.desired import InterfaceAddress, Kernel, Link, Overlay, Route
from vpcrouter.values.fields import device_number
from vpcrouter.values.networks import halves, is_link_local, network_of, split_prefix
from vpcrouter.values.role import Role

_USUAL_MTU = 1500
"""Of Ethernet, where nobody named another."""


def kernel(effective: Effective, placement: Placement, election: Election | None, role: Role) -> Kernel:
    """The kernel's part."""
    held = () if election is None else election.held
    electors = () if election is None else election.electors
    redundant = effective.config is not None and effective.config.redundant
    markers = (marker(device) for device in public_devices(effective) if redundant)
    over = overlay(election)
    bridges = _bridges(placement) if election is not None and election.is_bridged else ()
    return Kernel(
        links=_with_overlay(sorted(_links(effective, held), key=lambda link: device_number(link.name)), over),
        addresses=(
            *placement.addresses,
            *markers,
            # Alone on its device: VRRP goes on, and there is no way into the network that was removed.
            *(InterfaceAddress(device=each.device, address=f"{each.source}/32") for each in held),
            *(() if over is None else (overlay_address(over),)),
        ),
        routes=(*placement.routes, *bridges),
        rules=placement.rules,
        sysctls=tuple(sorted((*_sysctls(effective, held), *(() if over is None else overlay_sysctls())))),
        overlay=over,
        virtual_addresses=placement.virtual_addresses,
        virtual_routes=placement.virtual_routes,
        elected_addresses=tuple(marker(each.device) for each in electors),
        serving=_is_serving(role, may_serve=election is not None),
    )


def _with_overlay(links: list[Link], over: Overlay | None) -> tuple[Link, ...]:
    if over is None:
        return tuple(links)
    return (*links, overlay_link(next((each.mtu for each in links if each.name == over.device), None)))


def _bridges(placement: Placement) -> Iterator[Route]:
    """The halves of what is reached by way of a virtual address alone: more specific, so they win meanwhile."""
    own = {(each.device, network_of(*split_prefix(each.address))) for each in placement.addresses}
    seen = {}
    for each in placement.virtual_addresses:
        if is_link_local(each.address):
            continue
        network = network_of(*split_prefix(each.address))
        if (each.device, network) not in own:
            seen.update({(half, each.device): "" for half in halves(network)})
    for route in placement.virtual_routes:
        seen.update({(half, route.device): route.gateway for half in halves(route.network)})
    return (Route(network=network, gateway=gateway, device=device) for (network, device), gateway in seen.items())


def _is_serving(role: Role, *, may_serve: bool) -> bool | None:
    # Init beside a tier means that keepalived has not reported yet: it may well be master, and must not be disturbed.
    if role is Role.INIT and may_serve:
        return None
    return role is Role.MASTER and may_serve


def _links(effective: Effective, held: tuple[Elector, ...]) -> Iterator[Link]:
    config = effective.config
    if config is not None and (config.control_address is not None or control_ipv6(config) is not None):
        yield Link(name="eth0", up=True)
    for device in public_devices(effective):
        # A device has one MTU; the smallest that was asked for passes everywhere.
        sizes = [each.mtu for each in effective.public_addresses if each.device == device and each.mtu]
        if config is not None and device not in private_gateways(effective):
            sizes.append(config.public_mtu)
        yield Link(name=device, up=True, mtu=min(sizes, default=_USUAL_MTU))
    for tier in effective.tiers:
        yield Link(name=tier.device, up=True, mtu=tier.mtu)
    for each in held:
        yield Link(name=each.device, up=True)
    for device in sorted({*effective.released} - {each.device for each in held}):
        yield Link(name=device, up=False)


def _sysctls(effective: Effective, held: tuple[Elector, ...]) -> Iterator[tuple[str, str]]:
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
    if config is not None and control_ipv6(config) is not None:
        yield "net/ipv6/conf/eth0/accept_ra", "0"
        yield "net/ipv6/conf/eth0/disable_ipv6", "0"
    with_ipv6 = ipv6_devices(effective)
    # Said in either case, or the last tier with IPv6 would leave it behind.
    yield "net/ipv6/conf/all/forwarding", "1" if with_ipv6 else "0"
    for device in with_ipv6:
        yield f"net/ipv6/conf/{device}/accept_ra", "0"
        yield f"net/ipv6/conf/{device}/disable_ipv6", "0"
    for device in public_devices(effective):
        if device in with_ipv6:
            # No address but those of the router that serves: a backup has nothing to say there.
            yield f"net/ipv6/conf/{device}/addr_gen_mode", "1"
        else:
            yield f"net/ipv6/conf/{device}/disable_ipv6", "1"
        yield f"net/ipv4/conf/{device}/arp_announce", "2"
        # Loose: the source must be reachable at all. A backup, which has no route to it, drops what strays in.
        yield f"net/ipv4/conf/{device}/rp_filter", "2"
        yield from _on_every_device(device)
    strict = "1" if config is None or filters_reverse_path(config) else "0"
    for tier in effective.tiers:
        yield f"net/ipv4/conf/{tier.device}/rp_filter", strict
        yield from _on_every_device(tier.device)
    for each in held:
        # There is no route back to the peer, whose advertisements must be heard; the ruleset lets nothing else in.
        yield f"net/ipv4/conf/{each.device}/rp_filter", "0"
        yield from _on_every_device(each.device)


def _on_every_device(device: str) -> Iterator[tuple[str, str]]:
    yield f"net/ipv4/conf/{device}/arp_ignore", "1"
    # Else the other addresses of the subnet go when the primary one goes.
    yield f"net/ipv4/conf/{device}/promote_secondaries", "1"
    # A hairpin goes out where it came in; a redirect would tell the guest to go where it may not.
    yield f"net/ipv4/conf/{device}/send_redirects", "0"
