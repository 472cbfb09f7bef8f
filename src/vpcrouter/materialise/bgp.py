"""State → the file of bgpd, FRR's BGP daemon: the neighbours are told which tiers are behind this router. Pure.

It runs on both routers with the same file, since a failover must not wait for anybody: neighbours know the router by
its source NAT address (by IPv6: by the lowest public address of its tiers), and only where that is can a session
stand. The backup's bgpd tries once a second and fails; a
moment after it has the address, it does not. Neighbours keep the routes meanwhile (graceful restart, RFC 4724): the
next hop is the address that moved. So there is one speaker at a time, and nothing to prefer.

Nothing is learned: the router's way out is its gateway. bgpd runs without zebra, and what neighbours say is denied.

Known hole: an IPv6 neighbour of a router whose tiers have no public IPv6 address is spoken to from whichever address
the kernel takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from vpcrouter.materialise.rendering import Literal, render, unbroken
from vpcrouter.projections.effective import Effective
from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.config import RouterConfig, Tier
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.networks import is_ipv6, parse_address, parse_network
from vpcrouter.values.settings import Settings

KEEPALIVE_S = 3
HOLD_S = 9
"""Of a neighbour that died; the longer it is, the longer is sent to nobody. RFC 4271 allows 3 and more."""
CONNECT_S = 1


@frozen(kw_only=True)
class Neighbour:
    """One session."""

    address: str
    as_number: int
    password: Literal | None
    hops: int
    source: str | None


@frozen(kw_only=True)
class Family:
    """What is told to whom."""

    name: str
    neighbours: tuple[Neighbour, ...]
    networks: tuple[str, ...]


def bgpd(effective: Effective, config: RouterConfig, settings: Settings) -> Daemon:
    """The daemon. There must be a peering and a source NAT address."""
    peerings = effective.bgp_peerings
    found = [*_neighbours(peerings, effective.source_nat_address, _public_ipv6(effective.tiers))]
    content = render(
        "bgpd.conf.j2",
        name=config.name,
        own_as_number=peerings[0].own_as_number,
        router_id=effective.source_nat_address,
        neighbours=found,
        families=(
            Family(
                name="ipv4",
                neighbours=tuple(each for each in found if not is_ipv6(each.address)),
                networks=_networks(each.network4 for each in peerings),
            ),
            Family(
                name="ipv6",
                neighbours=tuple(each for each in found if is_ipv6(each.address)),
                networks=_networks(each.network6 for each in peerings),
            ),
        ),
        keepalive_s=KEEPALIVE_S,
        hold_s=HOLD_S,
        connect_s=CONNECT_S,
    )
    path = str(settings.config_dir / "bgpd.conf")
    return Daemon(name="bgpd", reload_files=(File(path=path, content=content, mode=0o600),))


def neighbours(effective: Effective) -> tuple[str, ...]:
    """The addresses of all neighbours."""
    return tuple(each.address for each in _neighbours(effective.bgp_peerings, None, None))


def has_bgp(effective: Effective) -> bool:
    """Whether there is somebody to talk to, and an address to do it from."""
    return bool(effective.bgp_peerings) and effective.source_nat_address is not None


def _public_ipv6(tiers: Iterable[Tier]) -> str | None:
    """Does not depend on which tier came first."""
    found = (each.ipv6.public_address for each in tiers if each.ipv6 is not None)
    return min((each for each in found if each is not None), key=parse_address, default=None)


def _neighbours(peerings: Iterable[BgpPeering], source: str | None, source6: str | None) -> Iterator[Neighbour]:
    seen = set()
    for each in peerings:
        for address in (each.ipv4, each.ipv6):
            if address is None or address in seen:
                continue
            seen.add(address)
            yield Neighbour(
                address=address,
                as_number=each.as_number,
                password=None if each.password is None else unbroken(each.password.reveal()),
                hops=each.hops,
                source=source6 if is_ipv6(address) else source,
            )


def _networks(found: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({each for each in found if each is not None}, key=parse_network))
