"""Which public addresses are guarded: those that are used for something, where the VPC has the firewall."""

from __future__ import annotations

from attrs import evolve

from tests.materialise import vpc
from vpcrouter.materialise.firewall import guarded_addresses
from vpcrouter.projections.effective import effective
from vpcrouter.values.balancing import BalancedServer, Balancer, BalancerRule
from vpcrouter.values.config import FirewallRule, StaticNat

STATE = evolve(
    vpc.state(
        router=vpc.config(filters=True),
        tiers=[vpc.tier(2)],
        addresses=[vpc.public(last) for last in (10, 11, 12, 13, 14)],
        forwards=[vpc.forward(5000, vpc.WEB, 5000)],
        static_nats=[StaticNat(address="203.0.113.12", target=vpc.OTHER)],
        firewall_rules=[FirewallRule(rule_id=1, address="203.0.113.13", protocol="all", sources=("0.0.0.0/0",))],
    ),
    balancer=Balancer(
        rules=(
            BalancerRule(
                address="203.0.113.14",
                port=80,
                servers=(BalancedServer(address=vpc.WEB, port=80),),
            ),
        )
    ),
)


def test_every_use_of_an_address_guards_it() -> None:
    assert guarded_addresses(effective(STATE)) == tuple(f"203.0.113.{last}" for last in (11, 12, 13, 14))


def test_without_the_firewall_nothing_is_guarded() -> None:
    assert guarded_addresses(effective(evolve(STATE, router=vpc.config()))) == ()


def test_a_private_gateway_is_a_matter_of_its_acl() -> None:
    rule = FirewallRule(rule_id=2, address="192.0.2.2", protocol="all", sources=("0.0.0.0/0",))
    state = evolve(STATE, public_addresses={"192.0.2.2": vpc.private_gateway()}, firewall_rules={2: rule})
    assert guarded_addresses(effective(state)) == ()
