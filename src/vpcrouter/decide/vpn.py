"""Tunnels to other sites, clients from anywhere, and the users among them."""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse, refuse_two_in_one_place, reject, waiting
from vpcrouter.state import StateView
from vpcrouter.values.config import PortForward
from vpcrouter.values.vpn import Far, RemoteAccess, SiteVpn


def _put_site_vpn(view: StateView, command: commands.PutSiteVpn) -> Decision:
    vpn = command.vpn
    if view.site_vpns.get(vpn.peer) == vpn:
        return Decision(pending=waiting(view, (vpn,)))
    where = references.describe(vpn)
    _check_end(view, vpn, where)
    if view.router is not None:
        refuse(clash.site_vpn_and_config(vpn, view.router), where)
    return Decision(event=events.SiteVpnPut(vpn=vpn), pending=waiting(view, (vpn,)))


def _remove_site_vpn(view: StateView, command: commands.RemoveSiteVpn) -> Decision:
    if command.peer not in view.site_vpns:
        return Decision()
    return Decision(event=events.SiteVpnRemoved(peer=command.peer))


def _put_remote_access(view: StateView, command: commands.PutRemoteAccess) -> Decision:
    access = command.access
    if view.remote_accesses.get(access.address) == access:
        return Decision(pending=waiting(view, (access,)))
    where = references.describe(access)
    for other in view.remote_accesses.values():
        if other.address != access.address:
            raise reject(f"clients are already let in at {other.address}", where, "a router has one such service")
    _check_end(view, access, where)
    if view.router is not None:
        refuse(clash.remote_access_and_config(access, view.router), where)
    return Decision(event=events.RemoteAccessPut(access=access), pending=waiting(view, (access,)))


def _remove_remote_access(view: StateView, command: commands.RemoveRemoteAccess) -> Decision:
    if command.address not in view.remote_accesses:
        return Decision()
    return Decision(event=events.RemoteAccessRemoved(address=command.address))


def _change_vpn_users(view: StateView, command: commands.ChangeVpnUsers) -> Decision:
    refuse_two_in_one_place(command.put, lambda user: user.name, lambda user: f"VPN user {user.name}")
    put = tuple(user for user in command.put if view.vpn_users.get(user.name) != user)
    kept = {user.name for user in command.put}
    removed = tuple(name for name in command.remove if name in view.vpn_users and name not in kept)
    if not put and not removed:
        return Decision()
    return Decision(event=events.VpnUsersChanged(put=put, removed=removed))


def _check_end(view: StateView, new: SiteVpn | RemoteAccess, where: str) -> None:
    """What is reached through a tunnel is reached in no other way, and IPsec comes to the router itself."""
    if view.static_nats.get(new.address) is not None:
        raise reject(f"{new.address} is a guest's, by its static NAT", where, "use an address of the router's own")
    for forward in view.forwards.get(new.address, ()):
        refuse(clash.forward_and_ipsec(forward, where), where)
    others = [far for far in references.far_networks(view) if far.what != where]
    for mine in references.far_of(new):
        refuse_far(view, mine, where)
        for other in others:
            refuse(clash.far_and_far(mine, other), where)


def refuse_far(view: StateView, far: Far, where: str) -> None:
    """Raise RejectedCommandError if what lies behind a tunnel is reached without it too."""
    for tier in view.tiers.values():
        refuse(clash.tier_and_far(tier, far), where)
    for public in view.public_addresses.values():
        refuse(clash.public_and_far(public, far), where)
    for route in view.routes.values():
        refuse(clash.route_and_far(route, far), where)


def refuse_forward(view: StateView, forward: PortForward, where: str) -> None:
    """Raise RejectedCommandError if IPsec comes to these ports."""
    for thing in _ends(view):
        if thing.address == forward.address:
            refuse(clash.forward_and_ipsec(forward, references.describe(thing)), where)


def refuse_static_nat(view: StateView, address: str, where: str) -> None:
    """Raise RejectedCommandError if IPsec comes to this address."""
    for thing in _ends(view):
        if thing.address == address:
            raise reject(f"{address} is the router's end of the {references.describe(thing)}", where)


def _ends(view: StateView) -> Iterator[SiteVpn | RemoteAccess]:
    yield from view.site_vpns.values()
    yield from view.remote_accesses.values()


DECIDE: Rules = {
    commands.PutSiteVpn: _put_site_vpn,
    commands.RemoveSiteVpn: _remove_site_vpn,
    commands.PutRemoteAccess: _put_remote_access,
    commands.RemoveRemoteAccess: _remove_remote_access,
    commands.ChangeVpnUsers: _change_vpn_users,
}
