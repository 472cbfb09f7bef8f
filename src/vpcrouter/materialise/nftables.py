"""State → one nftables table. Pure; `plan.nftables` turns it into text and into changes.

    forwarded packet → entering (by the device it came in: a tier's egress ACL, a private gateway's ingress ACL)
                     → leaving  (by the device it goes out: a tier's ingress ACL, a private gateway's egress ACL)

The two are base chains one after the other, so that `accept` in the first means "on to the second": both ACLs must
agree. What is answered to (established) passes both. Everything else must be named: policy drop, no way between public
devices, nothing to or from the control network.

The role is not asked: a router that has just become master forwards and answers (`asked`) at once, and needs nobody to
tell nftables.

Known hole: see `machines.whereabouts`; what that leaves open is closed by VRRP authentication alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vpcrouter.materialise.acl import egress_chains, ingress_chains
from vpcrouter.materialise.asked import asked_by_guests, asked_chains, asked_first, asked_on_links, asked_sets
from vpcrouter.materialise.bgp import neighbours
from vpcrouter.materialise.conntrackd import GROUP, PORT
from vpcrouter.materialise.election import Election
from vpcrouter.materialise.firewall import guard_chains, guard_sets, ipv6_filter_chains
from vpcrouter.materialise.haproxy import balanced_set
from vpcrouter.materialise.nat import nat_chains, nat_sets
from vpcrouter.materialise.overlay import OVERLAY_PORT
from vpcrouter.materialise.peer_guard import (
    FROM_PEER,
    NOT_THE_PEER,
    TO_US,
    VRRP_GROUP,
    is_vrrp,
    peer_guard_chains,
    peer_guard_sets,
)
from vpcrouter.materialise.placement import ipv6_devices, private_gateways, public_devices
from vpcrouter.materialise.rendering import word
from vpcrouter.materialise.reply import reply_chains, reply_sets
from vpcrouter.materialise.tunnels import (
    entered_rules,
    entering_rules,
    input_rules,
    leaving_rules,
    left_rules,
    protected_rules,
    sent_rules,
    tunnel_chains,
    tunnel_sets,
    unguarded_rules,
    untranslated_rules,
)
from vpcrouter.materialise.usage import usage_chains, usage_counters, usage_sets
from vpcrouter.projections.effective import Effective
from vpcrouter.values.beacon import BEACON_GROUP, BEACON_PORT
from vpcrouter.values.boot_keys import control_ipv6, exposes_dns, management
from vpcrouter.values.config import Acl, RouterConfig
from vpcrouter.values.desired import OVERLAY, NftChain, NftSet, Ruleset
from vpcrouter.values.incremental import Latest
from vpcrouter.values.networks import is_ipv6, network_of, split_prefix

TABLE = "vpcrouter"
_KNOWN_CONNECTIONS = ("ct state established,related accept", "ct state invalid drop")
"""Without a set: in a transaction a rule is there before the elements of its new sets are."""


def ruleset(effective: Effective, election: Election | None = None) -> Ruleset:
    """The whole table; an empty one before the boot parameters came."""
    config = effective.config
    if config is None:
        return Ruleset(table=TABLE)
    lasting = _LASTING.of(effective, config)
    return Ruleset(
        table=TABLE,
        counters=(*lasting.counters, *(() if election is None else (NOT_THE_PEER,))),
        sets=(*_changing_sets(effective, election), *asked_sets(effective, election), *lasting.sets),
        chains=(
            *lasting.chains,
            *_input_chains(effective, config, election),
            *lasting.later_chains,
            *(() if election is None else peer_guard_chains(election)),
        ),
    )


@frozen
class _Lasting:
    """What is the same whoever is elected, and whatever is known of the peers."""

    counters: tuple[str, ...]
    sets: tuple[NftSet, ...]
    chains: tuple[NftChain, ...]
    later_chains: tuple[NftChain, ...]
    """Those that stand behind the input chains."""


def _lasting(effective: Effective, config: RouterConfig) -> _Lasting:
    return _Lasting(
        counters=tuple(usage_counters(effective)),
        sets=(
            *_network_sets(effective),
            *nat_sets(effective),
            *reply_sets(effective),
            *guard_sets(effective),
            balanced_set(effective),
            *_dispatch(effective),
            *usage_sets(effective),
            *tunnel_sets(effective),
            *_neighbour_sets(effective),
        ),
        chains=(*_acl_chains(effective, config), *tunnel_chains(effective)),
        later_chains=(
            *_forward_chains(effective, config),
            *guard_chains(effective, unguarded_rules(effective)),
            *nat_chains(untranslated_rules(effective)),
            *reply_chains(),
            *usage_chains(),
        ),
    )


_LASTING: Latest[Effective, RouterConfig, _Lasting] = Latest(_lasting)
"""A move of the carrier must not wait for ten thousand rules that it does not change."""


def _changing_sets(effective: Effective, election: Election | None) -> Iterator[NftSet]:
    tiers = [tier.device for tier in effective.tiers]
    yield _devices("tiers", tiers)
    yield _devices("outside", public_devices(effective))
    if election is not None:
        yield _devices("held", [each.device for each in election.held])
        yield from peer_guard_sets(election)


def _network_sets(effective: Effective) -> Iterator[NftSet]:
    yield NftSet(
        name="tier_networks",
        kind="set",
        spec="type ipv4_addr; flags interval;",
        elements=tuple(sorted((word(tier.network), "") for tier in effective.tiers)),
    )
    yield NftSet(
        name="guests",
        kind="set",
        spec="type ifname . ipv4_addr; flags interval;",
        elements=tuple(sorted((f'"{word(tier.device)}" . {word(tier.network)}', "") for tier in effective.tiers)),
    )
    with_ipv6 = [tier.ipv6 for tier in effective.tiers if tier.ipv6 is not None]
    yield _devices("with_ipv6", ipv6_devices(effective))
    yield NftSet(
        name="tier_networks6",
        kind="set",
        spec="type ipv6_addr; flags interval;",
        elements=tuple(sorted((word(each.network), "") for each in with_ipv6)),
    )
    yield NftSet(
        name="gateways6",
        kind="set",
        spec="type ipv6_addr;",
        elements=tuple(
            sorted(
                (word(tier.ipv6.gateway), "") for tier in effective.tiers if tier.is_gateway and tier.ipv6 is not None
            )
        ),
    )
    yield NftSet(
        name="gateways",
        kind="set",
        spec="type ipv4_addr;",
        elements=tuple(sorted((word(tier.gateway), "") for tier in effective.tiers if tier.is_gateway)),
    )


def _neighbour_sets(effective: Effective) -> Iterator[NftSet]:
    """BGP's neighbours by family; no set for a family without."""
    for name, kind, found in _neighbours_by_family(effective):
        yield NftSet(name=name, kind="set", spec=f"type {kind};", elements=tuple((each, "") for each in sorted(found)))


def _neighbours_by_family(effective: Effective) -> Iterator[tuple[str, str, list[str]]]:
    words = [word(each) for each in neighbours(effective)]
    for name, kind, found in (
        ("bgp_neighbours", "ipv4_addr", [each for each in words if not is_ipv6(each)]),
        ("bgp_neighbours6", "ipv6_addr", [each for each in words if is_ipv6(each)]),
    ):
        if found:
            yield name, kind, found


def _devices(name: str, devices: tuple[str, ...] | list[str]) -> NftSet:
    elements = tuple(sorted((f'"{word(device)}"', "") for device in devices))
    return NftSet(name=name, kind="set", spec="type ifname;", elements=elements)


def _dispatch(effective: Effective) -> Iterator[NftSet]:
    entering, leaving = {}, {}
    for tier in effective.tiers:
        entering[tier.device], leaving[tier.device] = f"jump egress_{tier.device}", f"jump ingress_{tier.device}"
    private = private_gateways(effective)
    for device in public_devices(effective):
        if device in private:
            entering[device], leaving[device] = f"jump ingress_{device}", f"jump egress_{device}"
        else:
            entering[device], leaving[device] = "accept", "jump to_public"
    for name, verdicts in (("entering", entering), ("leaving", leaving)):
        yield NftSet(
            name=name,
            kind="map",
            spec="type ifname : verdict;",
            elements=tuple(sorted((f'"{word(device)}"', verdict) for device, verdict in verdicts.items())),
        )


def _acl_chains(effective: Effective, config: RouterConfig) -> Iterator[NftChain]:
    before = {tier.device: ipv6_filter_chains(effective, tier) for tier in effective.tiers}
    for device in (*(tier.device for tier in effective.tiers), *private_gateways(effective)):
        acl = effective.acls.get(device) or Acl(device=device)
        filters = before.get(device, ())
        yield from filters
        jumps = {each.name: (f"meta nfproto ipv6 jump {each.name}",) for each in filters}
        ingress, egress = f"ingress_{word(device)}", f"egress_{word(device)}"
        yield from ingress_chains(ingress, acl.ingress, first=jumps.get(f"ingress6_{device}", ()))
        yield from egress_chains(egress, acl.egress, routed=config.routed, first=jumps.get(f"egress6_{device}", ()))


def _input_chains(effective: Effective, config: RouterConfig, election: Election | None) -> Iterator[NftChain]:
    yield NftChain(
        name="from_control",
        rules=("tcp dport { 22, 3922 } accept", "meta l4proto icmp accept"),
    )
    from_guest = [
        "icmp type echo-request accept",
        *asked_by_guests(),
        "meta l4proto tcp ip saddr . ip daddr . tcp dport @balanced accept",
    ]
    if election is not None:
        from_guest += (f"{each} jump from_peer" for each in _to_peers(election))
        yield NftChain(name="from_peer", rules=_from_peer(election))
    yield from asked_chains()
    yield NftChain(name="from_guest", rules=tuple(from_guest))
    rules = [
        'iifname "lo" accept',
        *asked_first(),
        *protected_rules(effective),
        *_KNOWN_CONNECTIONS,
    ]
    if config.control_address is not None:
        host, _, length = config.control_address.partition("/")
        control = word(network_of(host, int(length)))
        rules.append(f'iifname "eth0" ip saddr {control} jump from_control')
        if (there := management(config)) is not None:
            rules += (f'iifname "eth0" ip saddr {word(each)} jump from_control' for each in there.networks)
    if (address := control_ipv6(config)) is not None:
        rules += [
            'iifname "eth0" ip6 hoplimit 255 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept',
            'iifname "eth0" icmpv6 type echo-request accept',
            f'iifname "eth0" ip6 saddr {word(network_of(*split_prefix(address)))} jump from_control',
        ]
    rules += [
        *asked_on_links(exposes_dns=exposes_dns(config)),
        "iifname . ip saddr @guests jump from_guest",
        "iifname @outside icmp type echo-request accept",
        "iifname @outside meta l4proto tcp ip saddr . ip daddr . tcp dport @balanced accept",
        # Neighbour discovery is what ARP is to IPv4; its hop limit says that it comes from the link itself (RFC 4861).
        "iifname @with_ipv6 ip6 hoplimit 255 icmpv6 type"
        " { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept",
        "iifname @with_ipv6 icmpv6 type echo-request accept",
        "iifname @tiers ip6 saddr @tier_networks6 ip6 daddr @gateways6 meta l4proto { tcp, udp } th dport 53 accept",
        *input_rules(effective),
        *(
            f"iifname @outside {'ip6' if kind == 'ipv6_addr' else 'ip'} saddr @{name} tcp dport 179 accept"
            for name, kind, _ in _neighbours_by_family(effective)
        ),
    ]
    if election is not None and election.peers is not None:
        rules.append(f'iifname "{OVERLAY}" ip daddr {GROUP} udp dport {PORT} accept')
    if election is not None:
        # Of a tier that is gone, the network is not known any more.
        rules += (f"iifname @held {each} jump from_peer" for each in _to_peers(election))
    yield NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=tuple(rules))


def _to_peers(election: Election) -> tuple[str, ...]:
    """What may be from a peer."""
    return (TO_US,) if election.peers is not None else ("ip daddr 224.0.0.0/4", TO_US)


def _from_peer(election: Election) -> tuple[str, ...]:
    link = f'iifname "{word(election.link.device)}"'
    beacon = f"{TO_US} udp dport {BEACON_PORT} accept"
    if election.peers is None:
        return (
            f"ip daddr {VRRP_GROUP} {is_vrrp(election)} accept",
            f"ip daddr {BEACON_GROUP} udp dport {BEACON_PORT} accept",
            beacon,
            f"{link} ip daddr {GROUP} udp dport {PORT} accept",
        )
    return (
        f"{TO_US} {is_vrrp(election)} {FROM_PEER} accept",
        beacon,
        f"{link} {TO_US} udp dport {OVERLAY_PORT} {FROM_PEER} accept",
    )


def _forward_chains(effective: Effective, config: RouterConfig) -> Iterator[NftChain]:
    yield NftChain(
        name="to_public", rules=(f"ip saddr {word(config.vpc_network)} accept", "ip6 saddr @tier_networks6 accept")
    )
    yield NftChain(
        name="entering",
        hook="type filter hook forward priority filter - 1; policy drop;",
        rules=(
            # What the reverse path filter of the kernel is to IPv4. A backup, which has no route back, drops what it
            # gets a copy of.
            "meta nfproto ipv6 fib saddr . iif oif missing drop",
            *entering_rules(effective),
            *_KNOWN_CONNECTIONS,
            *entered_rules(effective),
            # On the tiers' devices the kernel's strict reverse path filter sees to it; here it is a loose one.
            "iifname @outside ip saddr @tier_networks drop",
            "iifname vmap @entering",
        ),
    )
    yield NftChain(
        name="leaving",
        hook="type filter hook forward priority filter; policy drop;",
        rules=(
            *leaving_rules(effective),
            "ct state established,related accept",
            *left_rules(effective),
            "oifname @outside iifname != @tiers drop",
            "oifname vmap @leaving",
        ),
    )
    yield NftChain(
        name="silence",
        hook="type filter hook output priority filter; policy accept;",
        rules=(
            # What IPv6 says by itself on a device without an address; both routers have the same MAC there.
            "oifname @outside ip6 saddr :: drop",
            *sent_rules(effective),
        ),
    )
