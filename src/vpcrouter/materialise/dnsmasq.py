"""State → the files of dnsmasq: fixed leases, their options, and DNS names, for all tiers in one process. Pure.

dnsmasq.conf holds what only a restart can change: tiers, domains, upstream resolvers, and which guests' NICs are not
their default one. Leases, options and names are in files that a signal makes it read again, so that one more guest
does not restart it. The tag of a secondary NIC would belong into the lease file; but once dnsmasq 2.90 has answered a
client whose line sets a tag, it crashes on that signal (it frees what its list of tags still points to).

It keeps no lease file, since every lease is configured. It still remembers in memory which MAC has an address and
refuses it to another: when a line of the lease file goes or changes, whoever runs it must restart it. It runs on both
routers with the same data; nftables lets only the master be asked.

Known hole: a host name that dnsmasq would read as something else in a lease (`12h`, `ignore`, `_x`) is left out there;
it is still the guest's DNS name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from attrs import frozen

from vpcrouter.materialise.radvd import ipv6_resolvers
from vpcrouter.materialise.rendering import Literal, render, word
from vpcrouter.projections.effective import Effective
from vpcrouter.values.boot_keys import search_domains
from vpcrouter.values.config import Reservation, RouterConfig, Tier, TierIpv6
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.incremental import Sorted
from vpcrouter.values.networks import is_ipv6, parse_address, parse_network
from vpcrouter.values.settings import Settings

_NO_LEASE_NAME = re.compile(r"_.*|[0-9]+[smhdw]?|infinite|ignore", re.ASCII)


@frozen(kw_only=True)
class Lease:
    """What stands in the files for one reservation."""

    number: int
    """Its address."""
    mac: str
    is_default: bool
    line: str
    """Of the lease file."""
    names: str
    """The line with its names."""


@frozen(kw_only=True)
class Scope:
    """One tier, as dnsmasq has it."""

    device: str
    start: str
    netmask: str
    gateway: str | None
    """The gateway address, if it is this router's."""
    router: str
    resolvers: tuple[str, ...]
    domain: str | None
    mtu: int
    leases: Literal
    """The lines of the lease file."""
    names: Literal
    """The lines with the guests' names."""
    secondary: tuple[str, ...]
    """MACs of NICs that are not their guests' default ones."""
    ipv6: ScopeIpv6 | None


@frozen(kw_only=True)
class ScopeIpv6:
    """The IPv6 side of a tier: addresses are the guests' own affair (SLAAC), the rest is told to who asks."""

    network: str
    length: int
    resolvers: tuple[str, ...]


def dnsmasq(effective: Effective, config: RouterConfig, settings: Settings) -> Daemon:
    """The daemon. There must be a tier."""
    scopes = tuple(_scopes(effective, config))
    domains = sorted({domain for domain in (config.domain, *(scope.domain for scope in scopes)) if domain})

    def file(name: str) -> File:
        content = render(
            f"{name}.j2",
            config=config,
            settings=settings,
            scopes=scopes,
            domains=domains,
            search=search_domains(config),
        )
        return File(path=str(settings.config_dir / name), content=content)

    return Daemon(
        name="dnsmasq",
        restart_files=(file("dnsmasq.conf"),),
        reload_files=(file("dnsmasq.dhcp-hosts"), file("dnsmasq.dhcp-options"), file("dnsmasq.hosts")),
    )


def _scopes(effective: Effective, config: RouterConfig) -> Iterator[Scope]:
    for tier in effective.tiers:
        network = parse_network(tier.network)
        domain = tier.domain or config.domain
        leases = _leases_on(tier.device).of(effective.reservations.get(tier.device, ()), domain)
        yield Scope(
            device=tier.device,
            start=str(network.network_address),
            netmask=str(network.netmask),
            gateway=tier.gateway if tier.is_gateway else None,
            router=tier.gateway,
            resolvers=tuple(_resolvers(tier, config)),
            domain=domain,
            mtu=tier.mtu,
            # Put together here: ten thousand turns of a template's loop take ten times as long.
            leases=Literal("".join([each.line for each in leases])),
            names=Literal("".join([each.names for each in leases])),
            secondary=tuple([each.mac for each in leases if not each.is_default]),
            ipv6=None if tier.ipv6 is None else _ipv6(tier, tier.ipv6, config),
        )


def _ipv6(tier: Tier, ipv6: TierIpv6, config: RouterConfig) -> ScopeIpv6:
    network = parse_network(ipv6.network)
    return ScopeIpv6(
        network=str(network.network_address),
        length=network.prefixlen,
        resolvers=ipv6_resolvers(tier, ipv6, config),
    )


def _resolvers(tier: Tier, config: RouterConfig) -> Iterator[str]:
    """What guests are told; the own address is never among it, since it does not survive a failover."""
    resolves = tier.is_gateway and not config.uses_external_resolvers
    if resolves:
        yield tier.gateway
    if resolves and config.uses_only_own_resolver:
        return
    yield from tier.resolvers
    if not resolves and not tier.resolvers:
        yield from (each for each in config.resolvers if not is_ipv6(each))


@cache
def _leases_on(device: str) -> Sorted[Reservation, Lease]:
    """What was made last for the tier on that device; there are a few tens of devices."""
    return Sorted(_lease, key=lambda lease: lease.number)


def _lease(reservation: Reservation, domain: str | None) -> Iterator[Lease]:
    name, address = word(reservation.host_name), word(reservation.address)
    first = name.partition(".")[0]
    lease_name = () if _NO_LEASE_NAME.fullmatch(first) else (word(first),)
    duration = word(reservation.lease_seconds) if reservation.lease_seconds else "infinite"
    names = (name,) if domain is None or "." in name else (f"{name}.{word(domain)}", name)
    yield Lease(
        number=int(parse_address(reservation.address)),
        mac=reservation.mac,
        is_default=reservation.is_default,
        line=f"{','.join((word(reservation.mac), address, *lease_name, duration))}\n",
        names=f"{' '.join((address, *names))}\n",
    )
