"""From one state to another: the commands that bring back what was, as new commands like any others. Pure.

What is not in the target goes first, so that nothing that comes back meets what contradicts it; then everything
comes in the order in which it refers to each other. Applied as one group they are accepted whole: the target was
free of contradictions, and so is what is common to both states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from vpcrouter import commands
from vpcrouter.commands import Command
from vpcrouter.errors import RejectedCommandError
from vpcrouter.state import StateView
from vpcrouter.values.balancing import Balancer
from vpcrouter.values.config import Acl
from vpcrouter.values.monitoring import Monitoring

_Key = TypeVar("_Key", str, int)


def commands_between(current: StateView, target: StateView) -> list[Command]:
    """The commands that make `current` equal to `target`; none if it is.

    Raises RejectedCommandError if the target had no boot parameters yet: no command takes those away.
    """
    if target.router is None and current.router is not None:
        raise RejectedCommandError(
            "the router had no boot parameters then", where="revert", hint="revert to a later point"
        )
    return [*_removals(current, target), *_additions(current, target)]


def _removals(current: StateView, target: StateView) -> Iterator[Command]:
    kept = {each for found in target.forwards.values() for each in found}
    forwards = tuple(each for found in current.forwards.values() for each in found if each not in kept)
    if forwards:
        yield commands.ChangePortForwards(remove=forwards)
    if nats := _changed(current.static_nats, target.static_nats):
        yield commands.ChangeStaticNats(remove=nats)
    if routes := _changed(current.routes, target.routes):
        yield commands.ChangeStaticRoutes(remove=routes)
    if current.balancer is not None and current.balancer != target.balancer:
        yield commands.ReplaceBalancer(balancer=Balancer())
    for address in current.guest_pages.keys() - target.guest_pages.keys():
        yield commands.RemoveGuestPages(address=address)
    for address in current.guest_passwords.keys() - target.guest_passwords.keys():
        yield commands.RemoveGuestPassword(address=address)
    yield from (commands.RemoveSiteVpn(peer=peer) for peer in _changed(current.site_vpns, target.site_vpns))
    for address in _changed(current.remote_accesses, target.remote_accesses):
        yield commands.RemoveRemoteAccess(address=address)
    if users := _changed(current.vpn_users, target.vpn_users):
        yield commands.ChangeVpnUsers(remove=users)
    for address in _changed(current.reservations, target.reservations):
        yield commands.RemoveReservation(address=address, mac=current.reservations[address].mac)
    for device in current.acls.keys() - target.acls.keys():
        yield commands.ReplaceAcl(acl=Acl(device=device))
    for device, tier in current.tiers.items():
        if device not in target.tiers or target.tiers[device].network != tier.network:
            yield commands.RemoveTier(device=device, network=tier.network)
    if rules := _changed(current.firewall_rules, target.firewall_rules):
        yield commands.ChangeFirewallRules(remove=rules)
    if rules := _changed(current.ipv6_firewall_rules, target.ipv6_firewall_rules):
        yield commands.ChangeIpv6FirewallRules(remove=rules)
    if addresses := _changed(current.public_addresses, target.public_addresses):
        yield commands.ChangePublicAddresses(remove=addresses)


def _additions(current: StateView, target: StateView) -> Iterator[Command]:
    if target.router is not None and target.router != current.router:
        yield commands.ConfigureRouter(config=target.router)
    if target.public_addresses:
        yield commands.ChangePublicAddresses(put=tuple(target.public_addresses.values()))
    yield from (commands.PutTier(tier=tier) for tier in target.tiers.values())
    yield from (commands.ReplaceAcl(acl=acl) for acl in target.acls.values())
    if target.forwards:
        yield commands.ChangePortForwards(put=tuple(each for found in target.forwards.values() for each in found))
    if target.static_nats:
        yield commands.ChangeStaticNats(put=tuple(target.static_nats.values()))
    if target.routes:
        yield commands.ChangeStaticRoutes(put=tuple(target.routes.values()))
    yield from (commands.PutReservation(reservation=each) for each in target.reservations.values())
    if target.firewall_rules:
        yield commands.ChangeFirewallRules(put=tuple(target.firewall_rules.values()))
    if target.ipv6_firewall_rules:
        yield commands.ChangeIpv6FirewallRules(put=tuple(target.ipv6_firewall_rules.values()))
    if target.monitoring != current.monitoring:
        yield commands.ChangeMonitoring(monitoring=target.monitoring or Monitoring())
    if target.balancer is not None:
        yield commands.ReplaceBalancer(balancer=target.balancer)
    yield from (commands.PutGuestPages(pages=each) for each in target.guest_pages.values())
    for address, wanted in target.guest_passwords.items():
        yield commands.PutGuestPassword(address=address, password=wanted.password)
        # What a guest has fetched since is not handed out again.
        now = current.guest_passwords.get(address)
        if wanted.fetched or (now is not None and now.fetched and now.password == wanted.password):
            yield commands.ConfirmGuestPassword(address=address)
    yield from (commands.PutSiteVpn(vpn=vpn) for vpn in target.site_vpns.values())
    yield from (commands.PutRemoteAccess(access=access) for access in target.remote_accesses.values())
    if target.vpn_users:
        yield commands.ChangeVpnUsers(put=tuple(target.vpn_users.values()))
    if target.bgp_peerings != current.bgp_peerings:
        yield commands.ReplaceBgpPeerings(peerings=target.bgp_peerings)


def _changed(current: Mapping[_Key, object], target: Mapping[_Key, object]) -> tuple[_Key, ...]:
    """The keys of what is not in the target, or is something else there."""
    return tuple(key for key, thing in current.items() if target.get(key) != thing)
