"""Firewall rules → nftables chains. Pure.

A public address that has a rule, a translation or a load balancer is *guarded*: of what is new, only what a rule names
gets to it, whoever sends it, before anything is translated. Every guarded address has its own chain, found by a map, so
that the rules of one address cost nothing for another. On a VPC without this firewall no address is guarded.

The rules of guests' IPv6 networks stand before the tier's ACL: what passes them is accepted where the tier has no ACL,
and asked the ACL otherwise. A server that follows its own documentation sends a tier one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from vpcrouter.materialise.acl import address_text, ingress_chains, protocol_text
from vpcrouter.materialise.rendering import word
from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import AclRule, FirewallRule, Ipv6FirewallRule, Tier
from vpcrouter.values.desired import NftChain, NftSet
from vpcrouter.values.incremental import Sorted
from vpcrouter.values.networks import is_ipv6


def guarded_addresses(effective: Effective) -> tuple[str, ...]:
    """The public addresses that only rules open."""
    config = effective.config
    if config is None or not config.filters_public_addresses:
        return ()
    return tuple(
        sorted(
            {
                *(rule.address for rule in effective.firewall_rules),
                *(each.address for each in effective.forwards),
                *(nat.address for nat in effective.static_nats),
                *(each.address for each in effective.balancer_rules),
            }
        )
    )


def guard_sets(effective: Effective) -> Iterator[NftSet]:
    """The map from guarded addresses to their chains."""
    addresses = guarded_addresses(effective)
    yield NftSet(
        name="guarded",
        kind="map",
        spec="type ipv4_addr : verdict;",
        elements=tuple((word(address), f"jump {_guard(address)}") for address in addresses),
    )


def guard_chains(effective: Effective, unguarded: tuple[str, ...] = ()) -> Iterator[NftChain]:
    """The chains of the addresses, then the one that leads to them, but for what comes to the router itself."""
    rules: dict[str, list[AclRule]] = {address: [] for address in guarded_addresses(effective)}
    for _, address, found_rule in _AS_ACL_RULES.of(effective.firewall_rules) if rules else ():
        rules[address].append(found_rule)
    for address, found in rules.items():
        yield from ingress_chains(_guard(address), found)
    yield NftChain(
        name="guard",
        hook="type filter hook prerouting priority mangle; policy accept;",
        rules=(*unguarded, "ct state new ip daddr vmap @guarded"),
    )


def _guard(address: str) -> str:
    return f"guard_{word(address).replace('.', '_')}"


def _as_acl_rule(rule: FirewallRule) -> Iterator[tuple[int, str, AclRule]]:
    found = AclRule(
        protocol=rule.protocol,
        first_port=rule.first_port,
        last_port=rule.last_port,
        icmp_type=rule.icmp_type,
        icmp_code=rule.icmp_code,
        # IPv6 clients cannot come to an IPv4 address.
        networks=tuple(each for each in rule.sources if not is_ipv6(each)),
    )
    yield rule.rule_id, rule.address, found


_AS_ACL_RULES: Sorted[FirewallRule, tuple[int, str, AclRule]] = Sorted(_as_acl_rule, key=itemgetter(0))


# Guests' IPv6 networks ----------------------------------------------------------------------------


def ipv6_filter_chains(effective: Effective, tier: Tier) -> tuple[NftChain, ...]:
    """The chains that come before a tier's ACL, named after it: none, one or both directions."""
    if tier.ipv6 is None:
        return ()
    rules = [rule for rule in effective.ipv6_firewall_rules if rule.network == tier.ipv6.network]
    passes = "return" if tier.device in effective.acls else "accept"
    chains = []
    for name, ingress in (("ingress", True), ("egress", False)):
        found = [rule for rule in rules if rule.ingress is ingress]
        if not found:
            continue
        is_open = not any(rule.opens for rule in found)
        texts = [text for rule in found for text in _ipv6_texts(rule, passes if rule.opens else "drop")]
        chains.append(NftChain(name=f"{name}6_{word(tier.device)}", rules=(*texts, passes if is_open else "drop")))
    return tuple(chains)


def _ipv6_texts(rule: Ipv6FirewallRule, verdict: str) -> Iterator[str]:
    sources, destinations = ([each for each in side if is_ipv6(each)] for side in (rule.sources, rule.destinations))
    if (rule.sources and not sources) or (rule.destinations and not destinations):
        return  # it is about IPv4 alone
    as_acl_rule = AclRule(
        protocol=rule.protocol,
        first_port=rule.first_port,
        last_port=rule.last_port,
        icmp_type=rule.icmp_type,
        icmp_code=rule.icmp_code,
    )
    words = [
        address_text("ip6", "ipv6", "saddr", sources or ["::/0"]),
        address_text("ip6", "ipv6", "daddr", destinations or ["::/0"]),
        *protocol_text(as_acl_rule, "icmpv6"),
        verdict,
    ]
    yield " ".join(dict.fromkeys(words))
