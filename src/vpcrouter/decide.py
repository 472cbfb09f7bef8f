"""State + command → at most one event, or a refusal with its reason. Pure.

One function for each command. It returns a `Decision`: the event that makes the command true; none if it is true
already; and what a person wants to be told: what the command waits for, what it takes along, what starts to wait
because of it. A contradiction raises RejectedCommandError, whichever of two contradicting commands comes second.
A reference to what is not there yet is no contradiction (see `references`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve as with_changes
from attrs import frozen

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.errors import RejectedCommandError
from vpcrouter.projections.effective import pending
from vpcrouter.state import Draft, StateView, forward_key, same_forward
from vpcrouter.values import networks
from vpcrouter.values.config import PortForward, PublicAddress, StaticRoute

SHIFTED_PORTS = 1000
"""Such a range takes one element for each port and client in a set of intervals, where 5,000 take a second to load
and 40,000 a minute (measured with nftables 1.0.6)."""


@frozen(kw_only=True)
class Decision:
    """What a command comes to. Without an event the state is already as asked."""

    event: events.Event | None = None
    pending: tuple[str, ...] = ()
    """What of the command, or because of it, is stored and waits for something."""
    removed: tuple[str, ...] = ()
    """What goes along with what the command removes."""


def decide(view: StateView, command: commands.Command) -> Decision:
    """The decision on one command. Raises RejectedCommandError."""
    return _DECIDE[type(command)](view, command)


def _reject(what: str, where: str, hint: str = "") -> RejectedCommandError:
    return RejectedCommandError(what, where=where, hint=hint)


def _refuse(reason: str | None, where: str) -> None:
    if reason is not None:
        raise _reject(reason, where)


def _waiting(view: StateView, things: Iterable[references.Referring]) -> tuple[str, ...]:
    return tuple(
        f"{references.describe(thing)} waits for {waits_for}"
        for thing in things
        if (waits_for := references.missing(view, thing)) is not None
    )


def _left_waiting(view: StateView, event: events.Event) -> tuple[str, ...]:
    """What waits after the event and did not before it."""
    draft = Draft(view)
    draft.apply(event)
    before = frozenset(pending(view))
    return tuple(str(each) for each in pending(draft) if each not in before)


# The router itself --------------------------------------------------------------------------------


def _configure_router(view: StateView, command: commands.ConfigureRouter) -> Decision:
    config = command.config
    if config == view.router:
        return Decision()
    for tier in view.tiers.values():
        _refuse(clash.tier_and_config(tier, config), tier.device)
    for public in view.public_addresses.values():
        _refuse(clash.public_and_config(public, config), public.address)
    for route in view.routes.values():
        _refuse(clash.route_and_config(route, config), references.describe(route))
    for guest in (
        *(each.target for found in view.forwards.values() for each in found),
        *(nat.target for nat in view.static_nats.values()),
        *view.reservations,
    ):
        _refuse(clash.guest_and_config(guest, config), guest)
    return Decision(event=events.RouterConfigured(config=config))


# Tiers --------------------------------------------------------------------------------------------


def _put_tier(view: StateView, command: commands.PutTier) -> Decision:
    tier = command.tier
    old = view.tiers.get(tier.device)
    if old == tier:
        return Decision()
    if old is not None and old.network != tier.network:
        raise _reject(f"{tier.device} already carries the tier {old.network}", tier.device, "remove that tier first")
    where = tier.device
    for other in view.tiers.values():
        if other.device != tier.device:
            _refuse(clash.tier_and_tier(tier, other), where)
    for public in view.public_addresses.values():
        _refuse(clash.tier_and_public(tier, public), where)
    for route in view.routes.values():
        _refuse(clash.tier_and_route(tier, route), where)
    for reservation in view.reservations.values():
        _refuse(clash.tier_and_reservation(tier, reservation), where)
    for forwards in view.forwards.values():
        for forward in forwards:
            _refuse(clash.tier_and_target(tier, forward.target), where)
    for nat in view.static_nats.values():
        _refuse(clash.tier_and_target(tier, nat.target), where)
    if view.router is not None:
        _refuse(clash.tier_and_config(tier, view.router), where)
    return Decision(event=events.TierAdded(tier=tier) if old is None else events.TierChanged(tier=tier))


def _remove_tier(view: StateView, command: commands.RemoveTier) -> Decision:
    device, network = command.device, command.network
    tier = view.tiers.get(device)
    if tier is not None and tier.network != network:
        raise _reject(f"{device} carries the tier {tier.network}, not {network}", device, "name the tier that is there")
    if any(public.device == device for public in view.public_addresses.values()):
        return Decision()
    gone = [each for each in view.reservations.values() if networks.holds(network, each.address)]
    if tier is None and any(networks.overlap(other.network, network) for other in view.tiers.values()):
        gone = []
    acl = view.acls.get(device)
    if tier is None and acl is None and not gone:
        return Decision()
    event = events.TierRemoved(
        device=device, network=network, reservations=tuple(sorted(each.address for each in gone))
    )
    return Decision(
        event=event,
        removed=tuple(references.describe(thing) for thing in (*((acl,) if acl else ()), *gone)),
        pending=_left_waiting(view, event),
    )


# Public addresses ---------------------------------------------------------------------------------


def _change_public_addresses(view: StateView, command: commands.ChangePublicAddresses) -> Decision:
    wanted = {each.address: _with_true_mark(view, each) for each in command.put}
    after = {address: each for address, each in view.public_addresses.items() if address not in command.remove}
    after.update(wanted)
    for each in wanted.values():
        _check_public_address(view, each, after.values())
    put = tuple(
        each
        for address, each in wanted.items()
        if (old := view.public_addresses.get(address)) is None or _with_true_mark(view, old) != each
    )
    removed = tuple(a for a in command.remove if a in view.public_addresses and a not in wanted)
    if not put and not removed:
        return Decision()
    event = events.PublicAddressesChanged(put=put, removed=removed)
    return Decision(event=event, pending=_left_waiting(view, event) if removed else ())


def _with_true_mark(view: StateView, each: PublicAddress) -> PublicAddress:
    """A public address marked as the source NAT address only if it is the one that the boot parameters name."""
    true = view.router.source_nat_address if view.router is not None else None
    if true is None or each.private_gateway:
        return each
    return with_changes(each, source_nat=each.address == true)


def _check_public_address(view: StateView, each: PublicAddress, all_of_them: Iterable[PublicAddress]) -> None:
    where = each.address
    if each.device == "eth0":
        raise _reject("eth0 is the control network's device", where)
    for tier in view.tiers.values():
        _refuse(clash.tier_and_public(tier, each), where)
    for other in all_of_them:
        _refuse(clash.public_and_public(each, other), where)
    for route in view.routes.values():
        _refuse(clash.public_and_route(each, route), where)
    if view.router is not None:
        _refuse(clash.public_and_config(each, view.router), where)


# ACLs ---------------------------------------------------------------------------------------------


def _replace_acl(view: StateView, command: commands.ReplaceAcl) -> Decision:
    acl = command.acl
    empty = not acl.ingress and not acl.egress
    if acl == view.acls.get(acl.device) or (empty and acl.device not in view.acls):
        return Decision()
    return Decision(event=events.AclReplaced(acl=acl), pending=() if empty else _waiting(view, (acl,)))


# NAT ----------------------------------------------------------------------------------------------


def _change_port_forwards(view: StateView, command: commands.ChangePortForwards) -> Decision:
    """What a command puts for a public port replaces all that was there for it: a command repeats what is to stay."""
    addresses = {each.address for each in (*command.put, *command.remove)}
    before = {address: list(view.forwards.get(address, ())) for address in addresses}
    after = {address: list(found) for address, found in before.items()}
    for gone in command.remove:
        after[gone.address] = [each for each in after[gone.address] if not same_forward(each, gone)]
    repeated = {forward_key(each) for each in command.put}
    for address in addresses:
        after[address] = [each for each in after[address] if forward_key(each) not in repeated]
    for new in command.put:
        after[new.address] = [each for each in after[new.address] if not same_forward(each, new)]
        _check_forward(view, new, after[new.address])
        after[new.address].append(new)
    removed = tuple(each for address in addresses for each in before[address] if each not in after[address])
    put = tuple(each for address in addresses for each in after[address] if each not in before[address])
    if not put and not removed:
        return Decision(pending=_waiting(view, command.put))
    return Decision(event=events.PortForwardsChanged(put=put, removed=removed), pending=_waiting(view, put))


def _check_forward(view: StateView, new: PortForward, others: Iterable[PortForward]) -> None:
    where = references.describe(new)
    if (nat := view.static_nats.get(new.address)) is not None:
        raise _reject(f"{new.address} already has a static NAT to {nat.target}", where, "revoke that first")
    if new.sources and new.first_port != new.target_port and new.last_port - new.first_port >= SHIFTED_PORTS:
        raise _reject(
            f"a range that is shifted and limited to some clients may have {SHIFTED_PORTS} ports at most",
            where,
            "use the same ports at the guest, or let the ACL of its tier say who may come",
        )
    _check_target(view, new.target, where)
    for other in others:
        _refuse(clash.forward_and_forward(new, other), where)


def _check_target(view: StateView, target: str, where: str) -> None:
    if view.router is not None:
        _refuse(clash.guest_and_config(target, view.router), where)
    for tier in view.tiers.values():
        _refuse(clash.tier_and_target(tier, target), where)


def _change_static_nats(view: StateView, command: commands.ChangeStaticNats) -> Decision:
    after = {address: nat for address, nat in view.static_nats.items() if address not in command.remove}
    for new in command.put:
        if view.forwards.get(new.address):
            raise _reject(f"{new.address} already has a port forwarding", references.describe(new), "revoke that first")
        _check_target(view, new.target, references.describe(new))
        after[new.address] = new
    for new in command.put:
        for other in after.values():
            _refuse(clash.static_nat_and_static_nat(after[new.address], other), references.describe(new))
    put = tuple(nat for nat in command.put if view.static_nats.get(nat.address) != nat)
    removed = tuple(address for address in command.remove if address in view.static_nats and address not in after)
    if not put and not removed:
        return Decision(pending=_waiting(view, command.put))
    return Decision(event=events.StaticNatsChanged(put=put, removed=removed), pending=_waiting(view, put))


# Routes -------------------------------------------------------------------------------------------


def _change_static_routes(view: StateView, command: commands.ChangeStaticRoutes) -> Decision:
    for route in command.put:
        _check_route(view, route)
    put = tuple(route for route in command.put if view.routes.get(route.network) != route)
    kept = {route.network for route in command.put}
    removed = tuple(network for network in command.remove if network in view.routes and network not in kept)
    if not put and not removed:
        return Decision(pending=_waiting(view, command.put))
    return Decision(event=events.StaticRoutesChanged(put=put, removed=removed), pending=_waiting(view, put))


def _check_route(view: StateView, route: StaticRoute) -> None:
    where = references.describe(route)
    if networks.holds(route.network, route.gateway):
        raise _reject(f"its next hop {route.gateway} lies behind itself", where)
    for tier in view.tiers.values():
        _refuse(clash.tier_and_route(tier, route), where)
    for public in view.public_addresses.values():
        _refuse(clash.public_and_route(public, route), where)
    if view.router is not None:
        _refuse(clash.route_and_config(route, view.router), where)


# DHCP ---------------------------------------------------------------------------------------------


def _put_reservation(view: StateView, command: commands.PutReservation) -> Decision:
    new = command.reservation
    if view.reservations.get(new.address) == new:
        return Decision(pending=_waiting(view, (new,)))
    where = references.describe(new)
    if view.router is not None:
        _refuse(clash.guest_and_config(new.address, view.router), where)
    for tier in view.tiers.values():
        _refuse(clash.tier_and_reservation(tier, new), where)
    elsewhere = view.leases.get(new.mac)
    displaced = (elsewhere,) if elsewhere is not None and elsewhere != new.address else ()
    return Decision(
        event=events.ReservationPut(reservation=new, displaced=displaced),
        removed=tuple(f"reservation {address}" for address in displaced),
        pending=_waiting(view, (new,)),
    )


def _remove_reservation(view: StateView, command: commands.RemoveReservation) -> Decision:
    old = view.reservations.get(command.address)
    if old is None or old.mac != command.mac:
        return Decision()
    return Decision(event=events.ReservationRemoved(address=command.address))


_DECIDE: Mapping[type, Callable[[StateView, Any], Decision]] = {
    commands.ConfigureRouter: _configure_router,
    commands.ChangePublicAddresses: _change_public_addresses,
    commands.PutTier: _put_tier,
    commands.RemoveTier: _remove_tier,
    commands.ReplaceAcl: _replace_acl,
    commands.ChangePortForwards: _change_port_forwards,
    commands.ChangeStaticNats: _change_static_nats,
    commands.ChangeStaticRoutes: _change_static_routes,
    commands.PutReservation: _put_reservation,
    commands.RemoveReservation: _remove_reservation,
}
