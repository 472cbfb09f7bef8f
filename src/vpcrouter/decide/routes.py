"""Static routes."""

from __future__ import annotations

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse, refuse_two_in_one_place, reject, waiting
from vpcrouter.state import StateView
from vpcrouter.values import networks
from vpcrouter.values.config import StaticRoute


def _change_static_routes(view: StateView, command: commands.ChangeStaticRoutes) -> Decision:
    refuse_two_in_one_place(command.put, lambda route: route.network, references.describe)
    for route in command.put:
        _check_route(view, route)
    put = tuple(route for route in command.put if view.routes.get(route.network) != route)
    kept = {route.network for route in command.put}
    removed = tuple(network for network in command.remove if network in view.routes and network not in kept)
    if not put and not removed:
        return Decision(pending=waiting(view, command.put))
    return Decision(event=events.StaticRoutesChanged(put=put, removed=removed), pending=waiting(view, put))


def _check_route(view: StateView, route: StaticRoute) -> None:
    where = references.describe(route)
    if networks.holds(route.network, route.gateway):
        raise reject(f"its next hop {route.gateway} lies behind itself", where)
    for tier in view.tiers.values():
        refuse(clash.tier_and_route(tier, route), where)
    for public in view.public_addresses.values():
        refuse(clash.public_and_route(public, route), where)
    for far in references.far_networks(view):
        refuse(clash.route_and_far(route, far), where)
    if view.router is not None:
        refuse(clash.route_and_config(route, view.router), where)


DECIDE: Rules = {
    commands.ChangeStaticRoutes: _change_static_routes,
}
