"""The boot parameters."""

from __future__ import annotations

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse
from vpcrouter.state import StateView


def _configure_router(view: StateView, command: commands.ConfigureRouter) -> Decision:
    config = command.config
    if config == view.router:
        return Decision()
    for tier in view.tiers.values():
        refuse(clash.tier_and_config(tier, config), tier.device)
    for public in view.public_addresses.values():
        refuse(clash.public_and_config(public, config), public.address)
    for route in view.routes.values():
        refuse(clash.route_and_config(route, config), references.describe(route))
    for vpn in view.site_vpns.values():
        refuse(clash.site_vpn_and_config(vpn, config), references.describe(vpn))
    for access in view.remote_accesses.values():
        refuse(clash.remote_access_and_config(access, config), references.describe(access))
    for guest in (
        *(each.target for found in view.forwards.values() for each in found),
        *(nat.target for nat in view.static_nats.values()),
        *view.reservations,
        *view.guest_pages,
        *view.guest_passwords,
        *(each.address for rule in (view.balancer.rules if view.balancer is not None else ()) for each in rule.servers),
    ):
        refuse(clash.guest_and_config(guest, config), guest)
    return Decision(event=events.RouterConfigured(config=config))


DECIDE: Rules = {
    commands.ConfigureRouter: _configure_router,
}
