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
from vpcrouter.errors import RejectedCommandError
from vpcrouter.state import StateView, same_forward, sources_meet
from vpcrouter.values import networks
from vpcrouter.values.config import PortForward, PublicAddress, RouterConfig, StaticNat, StaticRoute, Tier


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


def _waiting(view: StateView, things: Iterable[references.Referring]) -> tuple[str, ...]:
    return tuple(
        f"{references.describe(thing)} waits for {waits_for}"
        for thing in things
        if (waits_for := references.missing(view, thing)) is not None
    )


# The router itself --------------------------------------------------------------------------------


def _configure_router(view: StateView, command: commands.ConfigureRouter) -> Decision:
    config = command.config
    if config == view.router:
        return Decision()
    for tier in view.tiers.values():
        _check_tier_fits(tier, config)
    for route in view.routes.values():
        _check_route_fits(route, config)
    for target in (
        *(each.target for found in view.forwards.values() for each in found),
        *(nat.target for nat in view.static_nats.values()),
        *view.reservations,
    ):
        _check_guest_fits(target, config)
    for each in view.public_addresses.values():
        _check_public_fits(each, config)
    return Decision(event=events.RouterConfigured(config=config))


def _check_tier_fits(tier: Tier, config: RouterConfig | None) -> None:
    if config is None:
        return
    if not networks.covers(config.vpc_network, tier.network):
        raise _reject(
            f"the tier {tier.network} on {tier.device} is outside the VPC's network {config.vpc_network}",
            tier.device,
        )
    if config.control_address is not None and networks.overlap(tier.network, _network(config.control_address)):
        raise _reject(f"the tier {tier.network} overlaps the control network", tier.device)
    if config.redundant and tier.address == tier.gateway:
        raise _reject(
            f"{tier.address} is the tier's gateway, which both routers share; a redundant router needs an own address",
            tier.device,
        )


def _check_guest_fits(address: str, config: RouterConfig | None) -> None:
    if config is not None and not networks.holds(config.vpc_network, address):
        raise _reject(f"{address} is outside the VPC's network {config.vpc_network}", address)


def _check_route_fits(route: StaticRoute, config: RouterConfig | None) -> None:
    if config is not None and networks.covers(route.network, config.vpc_network):
        raise _reject(f"the route {route.network} covers the VPC's network {config.vpc_network}", route.network)


def _check_public_fits(each: PublicAddress, config: RouterConfig | None) -> None:
    if config is None or config.control_address is None:
        return
    if networks.overlap(each.network, _network(config.control_address)):
        raise _reject(f"{each.network} overlaps the control network", each.address)


def _network(interface_address: str) -> str:
    host, _, length = interface_address.partition("/")
    return networks.network_of(host, int(length))


# Tiers --------------------------------------------------------------------------------------------


def _put_tier(view: StateView, command: commands.PutTier) -> Decision:
    tier = command.tier
    old = view.tiers.get(tier.device)
    if old == tier:
        return Decision()
    if old is not None and old.network != tier.network:
        raise _reject(f"{tier.device} already carries the tier {old.network}", tier.device, "remove that tier first")
    for other in view.tiers.values():
        if other.device != tier.device and networks.overlap(other.network, tier.network):
            raise _reject(f"the tier {tier.network} overlaps the tier {other.network} on {other.device}", tier.device)
    for public in view.public_addresses.values():
        if public.device == tier.device:
            raise _reject(f"{tier.device} already carries the public address {public.address}", tier.device)
        if networks.overlap(public.network, tier.network):
            raise _reject(f"the tier {tier.network} overlaps the public network {public.network}", tier.device)
    for route in view.routes.values():
        if networks.overlap(route.network, tier.network):
            raise _reject(f"the static route {route.network} covers the tier {tier.network}", tier.device)
    for taken in (tier.gateway, tier.address):
        if taken in view.reservations:
            raise _reject(f"{taken} is reserved for the guest {view.reservations[taken].host_name}", tier.device)
    _check_tier_fits(tier, view.router)
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
        pending=() if tier is None else tuple(_now_waiting_for_tier(view, tier)),
    )


def _now_waiting_for_tier(view: StateView, tier: Tier) -> Iterable[str]:
    targeting: list[PortForward | StaticNat] = [each for found in view.forwards.values() for each in found]
    targeting.extend(view.static_nats.values())
    for each in targeting:
        if networks.holds(tier.network, each.target):
            yield f"{references.describe(each)} waits for a tier that holds {each.target}"
    for route in view.routes.values():
        if networks.holds(tier.network, route.gateway):
            yield f"{references.describe(route)} waits for a network that holds the next hop {route.gateway}"


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
    left_alone: list[PortForward | StaticNat] = []
    for address in removed:
        left_alone.extend(view.forwards.get(address, ()))
        if address in view.static_nats:
            left_alone.append(view.static_nats[address])
    return Decision(
        event=events.PublicAddressesChanged(put=put, removed=removed),
        pending=tuple(
            f"{references.describe(thing)} waits for the public address {thing.address}" for thing in left_alone
        ),
    )


def _with_true_mark(view: StateView, each: PublicAddress) -> PublicAddress:
    """A public address marked as the source NAT address only if it is the one that the boot parameters name."""
    true = view.router.source_nat_address if view.router is not None else None
    if true is None or each.private_gateway:
        return each
    return with_changes(each, source_nat=each.address == true)


def _check_public_address(view: StateView, each: PublicAddress, all_of_them: Iterable[PublicAddress]) -> None:
    if each.device == "eth0":
        raise _reject("eth0 is the control network's device", each.address)
    if each.device in view.tiers:
        raise _reject(f"{each.device} already carries the tier {view.tiers[each.device].network}", each.address)
    for tier in view.tiers.values():
        if networks.overlap(tier.network, each.network):
            raise _reject(f"{each.network} overlaps the tier {tier.network} on {tier.device}", each.address)
    for other in all_of_them:
        if other.device == each.device and other.private_gateway != each.private_gateway:
            raise _reject(f"{each.device} cannot be a public device and a private gateway's at once", each.address)
        if other.device != each.device and networks.overlap(other.network, each.network):
            raise _reject(f"{each.network} overlaps {other.network} on {other.device}", each.address)
    for route in view.routes.values():
        if networks.covers(route.network, each.network):
            raise _reject(f"the static route {route.network} covers {each.network}", each.address)
    _check_public_fits(each, view.router)


# ACLs ---------------------------------------------------------------------------------------------


def _replace_acl(view: StateView, command: commands.ReplaceAcl) -> Decision:
    acl = command.acl
    empty = not acl.ingress and not acl.egress
    if acl == view.acls.get(acl.device) or (empty and acl.device not in view.acls):
        return Decision()
    return Decision(event=events.AclReplaced(acl=acl), pending=() if empty else _waiting(view, (acl,)))


# NAT ----------------------------------------------------------------------------------------------


def _change_port_forwards(view: StateView, command: commands.ChangePortForwards) -> Decision:
    addresses = {each.address for each in (*command.put, *command.remove)}
    before = {address: list(view.forwards.get(address, ())) for address in addresses}
    after = {address: list(found) for address, found in before.items()}
    for gone in command.remove:
        after[gone.address] = [each for each in after[gone.address] if not same_forward(each, gone)]
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
    if new.address in view.static_nats:
        raise _reject(f"{new.address} already has a static NAT to {view.static_nats[new.address].target}", where)
    _check_guest_fits(new.target, view.router)
    for other in others:
        if (
            other.protocol == new.protocol
            and other.first_port <= new.last_port
            and new.first_port <= other.last_port
            and sources_meet(other, new)
        ):
            raise _reject(f"its ports overlap those of {references.describe(other)}", where)


def _change_static_nats(view: StateView, command: commands.ChangeStaticNats) -> Decision:
    after = {address: nat for address, nat in view.static_nats.items() if address not in command.remove}
    for new in command.put:
        if view.forwards.get(new.address):
            raise _reject(f"{new.address} already has a port forwarding", references.describe(new), "revoke that first")
        _check_guest_fits(new.target, view.router)
        after[new.address] = new
    by_target: dict[str, str] = {}
    for nat in after.values():
        if (other := by_target.setdefault(nat.target, nat.address)) != nat.address:
            raise _reject(f"the guest {nat.target} already has the static NAT {other}", f"static NAT {nat.address}")
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
    for tier in view.tiers.values():
        if networks.overlap(route.network, tier.network):
            raise _reject(f"it covers the tier {tier.network} on {tier.device}", where)
        if route.gateway in (tier.gateway, tier.address):
            raise _reject(f"its next hop {route.gateway} is the router itself", where)
    for public in view.public_addresses.values():
        if networks.covers(route.network, public.network):
            raise _reject(f"it covers the public network {public.network}", where)
        if route.gateway == public.address:
            raise _reject(f"its next hop {route.gateway} is the router itself", where)
    if networks.holds(route.network, route.gateway):
        raise _reject(f"its next hop {route.gateway} lies behind itself", where)
    _check_route_fits(route, view.router)


# DHCP ---------------------------------------------------------------------------------------------


def _put_reservation(view: StateView, command: commands.PutReservation) -> Decision:
    new = command.reservation
    if view.reservations.get(new.address) == new:
        return Decision(pending=_waiting(view, (new,)))
    where = references.describe(new)
    _check_guest_fits(new.address, view.router)
    tier = references.tier_of(view, new.address)
    if tier is not None:
        if new.address in (tier.gateway, tier.address):
            raise _reject(f"{new.address} is the router's own address in the tier", where)
        if not networks.usable(tier.network, new.address):
            raise _reject(f"{new.address} is not a host address of {tier.network}", where)
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
