"""A VPC to try things on: two tiers, a private gateway, every kind of NAT. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from vpcrouter.state import State
from vpcrouter.values.config import (
    Acl,
    AclRule,
    FirewallRule,
    Ipv6FirewallRule,
    PortForward,
    PublicAddress,
    Reservation,
    RouterConfig,
    Secret,
    StaticNat,
    StaticRoute,
    Tier,
)
from vpcrouter.values.vpn import RemoteAccess

ANY = ("0.0.0.0/0", "::/0")
WEB, OTHER, APP = "10.1.2.100", "10.1.2.101", "10.1.3.100"
PARTNER = "192.0.2.50"
"""A host behind the private gateway on eth9."""
REMOTE = "198.18.77.7"
"""A host behind PARTNER."""


def config(*, redundant: bool = True, routed: bool = False, filters: bool = False) -> RouterConfig:
    """Boot parameters."""
    return RouterConfig(
        name="r-21-VM",
        vpc_network="10.1.0.0/16",
        domain="vpc1.example.com",
        resolvers=("203.0.113.53",),
        control_address="169.254.0.21/16",
        redundant=redundant,
        prefers_master=True,
        source_nat_address="203.0.113.10",
        routed=routed,
        parameters=(("vpc_firewall_enabled", "true"),) if filters else (),
    )


def tier(number: int, *, address: int = 2, is_gateway: bool = True, domain: str | None = None) -> Tier:
    """The tier on ethN, 10.1.N.0/24."""
    return Tier(
        device=f"eth{number}",
        network=f"10.1.{number}.0/24",
        gateway=f"10.1.{number}.1",
        address=f"10.1.{number}.{address}",
        domain=domain,
        is_gateway=is_gateway,
    )


def public(last: int) -> PublicAddress:
    """203.0.113.LAST on eth1."""
    return PublicAddress(
        address=f"203.0.113.{last}", network="203.0.113.0/24", gateway="203.0.113.1", device="eth1", source_nat=True
    )


def private_gateway(*, source_nat: bool = False) -> PublicAddress:
    """192.0.2.2 on eth9."""
    return PublicAddress(
        address="192.0.2.2",
        network="192.0.2.0/24",
        gateway="192.0.2.1",
        device="eth9",
        private_gateway=True,
        source_nat=source_nat,
    )


def remote_access() -> RemoteAccess:
    """Single clients, at the first public address; theirs are of no tier."""
    return RemoteAccess(
        address="203.0.113.10",
        first_client="198.51.100.226",
        last_client="198.51.100.238",
        local_address="198.51.100.225",
        local_network="10.1.0.0/16",
        key=Secret(text="not a real key"),
    )


def tcp(first: int, last: int | None = None, *, cidrs: tuple[str, ...] = ANY, allowed: bool = True) -> AclRule:
    """A rule on TCP ports."""
    return AclRule(
        protocol="tcp", first_port=first, last_port=first if last is None else last, networks=cidrs, allowed=allowed
    )


def udp(first: int, last: int | None = None, *, cidrs: tuple[str, ...] = ANY, allowed: bool = True) -> AclRule:
    """A rule on UDP ports."""
    return AclRule(
        protocol="udp", first_port=first, last_port=first if last is None else last, networks=cidrs, allowed=allowed
    )


def forward(
    first: int, target: str, port: int, *, last: int | None = None, sources: tuple[str, ...] = ()
) -> PortForward:
    """A UDP forwarding of 203.0.113.11."""
    return PortForward(
        address="203.0.113.11",
        protocol="udp",
        first_port=first,
        last_port=first if last is None else last,
        target=target,
        target_port=port,
        sources=sources,
    )


def state(
    *,
    router: RouterConfig | None = None,
    tiers: Iterable[Tier] = (),
    addresses: Iterable[PublicAddress] = (),
    acls: Iterable[Acl] = (),
    forwards: Iterable[PortForward] = (),
    static_nats: Iterable[StaticNat] = (),
    routes: Iterable[StaticRoute] = (),
    reservations: Iterable[Reservation] = (),
    firewall_rules: Iterable[FirewallRule] = (),
    ipv6_firewall_rules: Iterable[Ipv6FirewallRule] = (),
) -> State:
    """A state of those parts."""
    by_address: dict[str, tuple[PortForward, ...]] = {}
    for each in forwards:
        by_address[each.address] = (*by_address.get(each.address, ()), each)
    return State(
        router=router or config(),
        tiers={each.device: each for each in tiers},
        public_addresses={each.address: each for each in addresses},
        acls={each.device: each for each in acls},
        forwards=by_address,
        static_nats={each.address: each for each in static_nats},
        routes={each.network: each for each in routes},
        reservations={each.address: each for each in reservations},
        firewall_rules={each.rule_id: each for each in firewall_rules},
        ipv6_firewall_rules={each.rule_id: each for each in ipv6_firewall_rules},
    )
