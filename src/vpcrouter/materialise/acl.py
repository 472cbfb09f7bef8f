"""An ACL → nftables chains. Pure: same rules, same chains; the first match wins, in the order given.

`ingress` and `egress` are seen from the guests of a tier, or from the VPC at a private gateway. A chain ends in
`accept` or `drop` for every packet; `nftables` says who jumps where. A long list is cut into chains of its own, after
each rule whose text hashes to a certain value, and each is named by its content: one more rule among 10,000 makes one
new small chain and one changed list of jumps. All verdicts end the walk, and a chain without a match returns, so the
cut never changes which rule is first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from zlib import crc32

from vpcrouter.materialise.rendering import word
from vpcrouter.values.config import AclRule
from vpcrouter.values.desired import NftChain
from vpcrouter.values.networks import is_ipv6, parse_network

CUT_ABOVE = 64
"""A list of at most so many rules stays in one chain."""
_CUT_MASK = 31
"""One rule in 32 ends a chunk."""
_LONGEST_CHUNK = 128
_ANY_IPV4 = "0.0.0.0/0"
_ANY_IPV6 = "::/0"


def ingress_chains(name: str, rules: Iterable[AclRule], *, first: tuple[str, ...] = ()) -> tuple[NftChain, ...]:
    """What may come in: nothing but what a rule allows. The chain `name` is the last, and begins with `first`."""
    return _chains(name, first, [text for rule in rules for text in rule_texts(rule, "saddr")], ["drop"])


def egress_chains(
    name: str, rules: Iterable[AclRule], *, routed: bool, first: tuple[str, ...] = ()
) -> tuple[NftChain, ...]:
    """What may go out: IPv4 without a match passes, unless the VPC is routed; IPv6 does not."""
    end = ["drop"] if routed else ["meta nfproto ipv6 drop", "accept"]
    return _chains(name, first, [text for rule in rules for text in rule_texts(rule, "daddr")], end)


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
    merged = [word(cidrs[0])] if len(cidrs) == 1 else _merge(cidrs)
    return f"{keyword} {side} {merged[0]}" if len(merged) == 1 else f"{keyword} {side} {{ {', '.join(merged)} }}"


def _merge(cidrs: list[str]) -> list[str]:
    parsed = [parse_network(word(each)) for each in cidrs]
    ipv4 = collapse_addresses(each for each in parsed if isinstance(each, IPv4Network))
    ipv6 = collapse_addresses(each for each in parsed if isinstance(each, IPv6Network))
    return [str(each) for each in (*ipv4, *ipv6)]


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
        case "icmp" if rule.icmp_type < 0:
            yield f"meta l4proto {icmp}"
        case "icmp":
            yield f"{icmp} type {rule.icmp_type}"
            if rule.icmp_code >= 0:
                yield f"{icmp} code {rule.icmp_code}"
        case number:
            yield f"meta l4proto {word(number)}"


def _chains(name: str, first: tuple[str, ...], rules: list[str], end: list[str]) -> tuple[NftChain, ...]:
    if len(rules) <= CUT_ABOVE:
        return (NftChain(name=name, rules=(*first, *rules, *end)),)
    # Two chunks with the same content are one chain, tried once: the second try could match nothing new.
    chunks = {f"{name}_{_digest(chunk)}": chunk for chunk in _cut(rules)}
    return (
        *(NftChain(name=chunk, rules=tuple(content)) for chunk, content in chunks.items()),
        NftChain(name=name, rules=(*first, *(f"jump {chunk}" for chunk in chunks), *end)),
    )


def _cut(rules: list[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for rule in rules:
        chunk.append(rule)
        if crc32(rule.encode()) & _CUT_MASK == 0 or len(chunk) == _LONGEST_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _digest(rules: list[str]) -> str:
    return blake2b("\n".join(rules).encode(), digest_size=8).hexdigest()
