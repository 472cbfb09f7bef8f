"""Rules of public addresses and of guests' IPv6 networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from vpcrouter import commands, events, references
from vpcrouter.decide.decision import Decision, Rules, refuse_two_in_one_place, waiting
from vpcrouter.state import StateView
from vpcrouter.values.config import FirewallRule, Ipv6FirewallRule

_Rule = TypeVar("_Rule", FirewallRule, Ipv6FirewallRule)


def _change_firewall_rules(view: StateView, command: commands.ChangeFirewallRules) -> Decision:
    put, removed = _changes(view.firewall_rules, command.put, command.remove)
    if not put and not removed:
        return Decision(pending=waiting(view, command.put))
    return Decision(event=events.FirewallRulesChanged(put=put, removed=removed), pending=waiting(view, put))


def _change_ipv6_firewall_rules(view: StateView, command: commands.ChangeIpv6FirewallRules) -> Decision:
    put, removed = _changes(view.ipv6_firewall_rules, command.put, command.remove)
    if not put and not removed:
        return Decision(pending=waiting(view, command.put))
    return Decision(event=events.Ipv6FirewallRulesChanged(put=put, removed=removed), pending=waiting(view, put))


def _changes(
    there: Mapping[int, _Rule], wanted: tuple[_Rule, ...], unwanted: tuple[int, ...]
) -> tuple[tuple[_Rule, ...], tuple[int, ...]]:
    """What is new or different, and the numbers of what goes; a rule that is put is not taken away."""
    refuse_two_in_one_place(wanted, lambda rule: rule.rule_id, references.describe)
    kept = {rule.rule_id for rule in wanted}
    put = tuple(dict.fromkeys(rule for rule in wanted if there.get(rule.rule_id) != rule))
    return put, tuple(dict.fromkeys(number for number in unwanted if number in there and number not in kept))


DECIDE: Rules = {
    commands.ChangeFirewallRules: _change_firewall_rules,
    commands.ChangeIpv6FirewallRules: _change_ipv6_firewall_rules,
}
