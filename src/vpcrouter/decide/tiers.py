"""Tiers."""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, left_waiting, refuse, reject
from vpcrouter.state import StateView
from vpcrouter.values import networks
from vpcrouter.values.guests import GuestPages, GuestPassword


def _put_tier(view: StateView, command: commands.PutTier) -> Decision:
    tier = command.tier
    old = view.tiers.get(tier.device)
    if old == tier:
        return Decision()
    if old is not None and old.network != tier.network:
        raise reject(f"{tier.device} already carries the tier {old.network}", tier.device, "remove that tier first")
    where = tier.device
    for other in view.tiers.values():
        if other.device != tier.device:
            refuse(clash.tier_and_tier(tier, other), where)
    for public in view.public_addresses.values():
        refuse(clash.tier_and_public(tier, public), where)
    for route in view.routes.values():
        refuse(clash.tier_and_route(tier, route), where)
    for reservation in view.reservations.values():
        refuse(clash.tier_and_reservation(tier, reservation), where)
    for forwards in view.forwards.values():
        for forward in forwards:
            refuse(clash.tier_and_target(tier, forward.target), where)
    for nat in view.static_nats.values():
        refuse(clash.tier_and_target(tier, nat.target), where)
    for told in _told(view):
        refuse(clash.tier_and_target(tier, told.address), where)
    for far in references.far_networks(view):
        refuse(clash.tier_and_far(tier, far), where)
    for rule in view.balancer.rules if view.balancer is not None else ():
        for server in rule.servers:
            refuse(clash.tier_and_target(tier, server.address), where)
    if view.router is not None:
        refuse(clash.tier_and_config(tier, view.router), where)
    return Decision(event=events.TierAdded(tier=tier) if old is None else events.TierChanged(tier=tier))


def _remove_tier(view: StateView, command: commands.RemoveTier) -> Decision:
    device, network = command.device, command.network
    tier = view.tiers.get(device)
    if tier is not None and tier.network != network:
        raise reject(f"{device} carries the tier {tier.network}, not {network}", device, "name the tier that is there")
    if any(public.device == device for public in view.public_addresses.values()):
        return Decision()
    gone = [each for each in view.reservations.values() if networks.holds(network, each.address)]
    if tier is None and any(networks.overlap(other.network, network) for other in view.tiers.values()):
        gone = []
    # Metadata and passwords go without a word of their own in the event: `state` takes those of its network.
    others = [other.network for other in view.tiers.values() if other.device != device]
    told = [
        each
        for each in _told(view)
        if networks.holds(network, each.address) and not networks.held_by_any(others, each.address)
    ]
    acl = view.acls.get(device)
    if tier is None and acl is None and not gone:
        return Decision()
    event = events.TierRemoved(
        device=device, network=network, reservations=tuple(sorted(each.address for each in gone))
    )
    return Decision(
        event=event,
        removed=tuple(references.describe(thing) for thing in (*((acl,) if acl else ()), *gone, *told)),
        pending=left_waiting(view, event),
    )


def _told(view: StateView) -> Iterator[GuestPages | GuestPassword]:
    yield from view.guest_pages.values()
    yield from view.guest_passwords.values()


DECIDE: Rules = {
    commands.PutTier: _put_tier,
    commands.RemoveTier: _remove_tier,
}
