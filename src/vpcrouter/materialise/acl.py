"""An ACL → nftables chains. Pure: same rules, same chains; the first match wins, in the order given.

`ingress` and `egress` are seen from the guests of a tier, or from the VPC at a private gateway. A chain ends in
`accept` or `drop` for every packet; `nftables` says who jumps where. A long list becomes a tree of chains (`chunks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from vpcrouter.materialise.chunks import TextsOf, tree
from vpcrouter.materialise.rendering import word
from vpcrouter.values.config import AclRule
from vpcrouter.values.desired import NftChain
from vpcrouter.values.networks import is_ipv6, merged

_ANY_IPV4 = "0.0.0.0/0"
_ANY_IPV6 = "::/0"


def ingress_chains(name: str, rules: Iterable[AclRule], *, first: tuple[str, ...] = ()) -> tuple[NftChain, ...]:
    """What may come in: nothing but what a rule allows. The chain `name` is the last, and begins with `first`."""
    return _chains(name, first, tuple(rules), _source_texts, ("drop",))


def egress_chains(
    name: str, rules: Iterable[AclRule], *, routed: bool, first: tuple[str, ...] = ()
) -> tuple[NftChain, ...]:
    """What may go out: IPv4 without a match passes, unless the VPC is routed; IPv6 does not."""
    end = ("drop",) if routed else ("meta nfproto ipv6 drop", "accept")
    return _chains(name, first, tuple(rules), _destination_texts, end)


@lru_cache(maxsize=65536)
def rule_texts(rule: AclRule, side: str) -> tuple[str, ...]:
    """The nftables rules of one ACL rule: at most one for each family; `side` is `saddr` or `daddr`."""
    return tuple(_rule_texts(rule, side))


def _rule_texts(rule: AclRule, side: str) -> Iterator[str]:
    verdict = "accept" if rule.allowed else "drop"
    ipv4 = [each for each in rule.networks if not is_ipv6(each)]
    ipv6 = [each for each in rule.networks if is_ipv6(each)]
    if _ANY_IPV4 in ipv4 and _ANY_IPV6 in ipv6 and rule.protocol != "icmp":
        yield " ".join((*protocol_text(rule, ""), verdict))
        return
    if ipv4:
        yield " ".join((address_text("ip", "ipv4", side, ipv4), *protocol_text(rule, "icmp"), verdict))
    if ipv6:
        yield " ".join((address_text("ip6", "ipv6", side, ipv6), *protocol_text(rule, "icmpv6"), verdict))


def address_text(keyword: str, family: str, side: str, cidrs: list[str]) -> str:
    """What matches packets whose address on that side lies in one of these networks of one family."""
    if _ANY_IPV4 in cidrs or _ANY_IPV6 in cidrs:
        return f"meta nfproto {family}"
    # A set refuses networks that overlap.
    words = tuple(map(word, cidrs))
    apart = words if len(words) == 1 else merged(words)
    return f"{keyword} {side} {apart[0]}" if len(apart) == 1 else f"{keyword} {side} {{ {', '.join(apart)} }}"


def protocol_text(rule: AclRule, icmp: str) -> Iterator[str]:
    """What matches packets of the rule's protocol; `icmp` is what ICMP is called in the family at hand."""
    match rule.protocol:
        case "all":
            return
        case "tcp" | "udp" as protocol if rule.last_port == 0:
            yield f"meta l4proto {protocol}"
        case "tcp" | "udp" as protocol if rule.first_port == rule.last_port:
            yield f"{protocol} dport {rule.first_port}"
        case "tcp" | "udp" as protocol:
            yield f"{protocol} dport {rule.first_port}-{rule.last_port}"
        case "icmp" if rule.icmp_type < 0 and rule.icmp_code < 0:
            yield f"meta l4proto {icmp}"
        case "icmp":
            if rule.icmp_type >= 0:
                yield f"{icmp} type {rule.icmp_type}"
            if rule.icmp_code >= 0:
                yield f"{icmp} code {rule.icmp_code}"
        case number:
            yield f"meta l4proto {word(number)}"


def _source_texts(rule: AclRule) -> tuple[str, ...]:
    return rule_texts(rule, "saddr")


def _destination_texts(rule: AclRule) -> tuple[str, ...]:
    return rule_texts(rule, "daddr")


def _chains(
    name: str, first: tuple[str, ...], rules: tuple[AclRule, ...], texts_of: TextsOf, end: tuple[str, ...]
) -> tuple[NftChain, ...]:
    below, walked = tree(name, rules, texts_of)
    return (*below, NftChain(name=name, rules=(*first, *walked, *end)))
