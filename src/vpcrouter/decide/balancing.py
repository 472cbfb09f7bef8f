"""The load balancer."""

from __future__ import annotations

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse, waiting
from vpcrouter.state import StateView
from vpcrouter.values.balancing import Balancer, BalancerRule


def _replace_balancer(view: StateView, command: commands.ReplaceBalancer) -> Decision:
    new, old = command.balancer, view.balancer or Balancer()
    things = new.listeners
    if new == old or (new.is_empty and old.is_empty):
        return Decision(pending=waiting(view, things))
    for rule in new.rules:
        _check_rule(view, rule)
    for thing in things:
        where = references.describe(thing)
        if (nat := view.static_nats.get(thing.address)) is not None:
            refuse(clash.static_nat_and_listener(nat, thing), where)
        for forward in view.forwards.get(thing.address, ()):
            refuse(clash.forward_and_listener(forward, thing), where)
    return Decision(event=events.BalancerReplaced(balancer=new), pending=waiting(view, things))


def _check_rule(view: StateView, rule: BalancerRule) -> None:
    for server in rule.servers:
        where = f"{references.describe(rule)}, server {server.address}"
        if view.router is not None:
            refuse(clash.guest_and_config(server.address, view.router), where)
        for tier in view.tiers.values():
            refuse(clash.tier_and_target(tier, server.address), where)


DECIDE: Rules = {commands.ReplaceBalancer: _replace_balancer}
