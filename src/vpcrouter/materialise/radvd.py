"""State → radvd.conf: router advertisements in the tiers with IPv6. Pure; the role is not asked.

It runs on both routers with the same file. It sends only where it has the link-local address of the router that serves
(AdvRASrcAddress), which keepalived brings and takes away, so a failover needs nothing of it; and guests keep their
default route, since the next hop stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vpcrouter.materialise.rendering import render
from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import RouterConfig, Tier, TierIpv6
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.networks import ROUTER_LINK_LOCAL, is_ipv6
from vpcrouter.values.settings import Settings


@frozen(kw_only=True)
class Advertised:
    """What the guests of one tier are told."""

    device: str
    network: str
    mtu: int
    resolvers: tuple[str, ...]
    domain: str | None


def radvd(effective: Effective, config: RouterConfig, settings: Settings) -> Daemon | None:
    """The daemon; None if no tier has IPv6 with this router as its gateway."""
    tiers = tuple(_advertised(effective, config))
    if not tiers:
        return None
    content = render("radvd.conf.j2", tiers=tiers, source=ROUTER_LINK_LOCAL)
    return Daemon(name="radvd", reload_files=(File(path=str(settings.config_dir / "radvd.conf"), content=content),))


def _advertised(effective: Effective, config: RouterConfig) -> Iterator[Advertised]:
    for tier in effective.tiers:
        if tier.ipv6 is not None and tier.is_gateway:
            yield Advertised(
                device=tier.device,
                network=tier.ipv6.network,
                mtu=tier.mtu,
                resolvers=ipv6_resolvers(tier, tier.ipv6, config),
                domain=tier.domain or config.domain,
            )


def ipv6_resolvers(tier: Tier, ipv6: TierIpv6, config: RouterConfig) -> tuple[str, ...]:
    """What guests are told by IPv6, by the same rules as by IPv4."""
    resolves = tier.is_gateway and not config.uses_external_resolvers
    own = (ipv6.gateway,) if resolves else ()
    if resolves and config.uses_only_own_resolver:
        return own
    external = ipv6.resolvers
    if not resolves and not external:
        external = tuple(each for each in config.resolvers if is_ipv6(each))
    return tuple(dict.fromkeys((*own, *external)))
