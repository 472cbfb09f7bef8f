"""State and election → keepalived.conf. Pure.

Every tier has an elector; the carrier alone has the virtual addresses and routes. Each advertises one constant
address, so that routers whose configurations differ still obey each other; the real ones are in the excluded list
(finding 2). No script: the kernel and keepalived alone carry a failover.

keepalived decides the role, and the role decides the priority (`values.priority`): whoever serves has the higher one,
so that electors which carry nothing follow it, and a new one is won by it. What a router has lost comes off by way of
a tracked file, so that the better router takes over and nothing moves when both have lost the same. A router that
comes back has no more than who serves, and does not take over; one that the service is handed to has more. Before
there is a carrier nobody preempts, so that the first election has one result.

The real addresses and routes are not tracked: a tracked one that somebody deletes by hand would make the master step
back, and one on a device that is not plugged in yet would keep the router in fault. What must be up for a router to
serve is named instead: the way out.
"""

from __future__ import annotations

from attrs import frozen

from vpcrouter.materialise.election import Election, marker
from vpcrouter.materialise.placement import Placement
from vpcrouter.materialise.rendering import render
from vpcrouter.values.config import RouterConfig
from vpcrouter.values.desired import Daemon, File, InterfaceAddress, Route
from vpcrouter.values.priority import BACKUP_PRIORITY, HANDOVER_PRIORITY, WAITING_PRIORITY, serving_priority
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

VIRTUAL_ROUTER_ID = 51
REFRESH_S = 10
"""Gratuitous ARP is repeated so often by the master: a guest that was told something wrong learns better."""


@frozen(kw_only=True)
class Instance:
    """One VRRP instance."""

    name: str
    device: str
    source: str
    """The own address that advertisements come from. Named in the file, it may change its prefix length unnoticed."""
    peers: tuple[str, ...] | None
    """Where its advertisements go to and come from; None: multicast. Without one it is in fault."""
    virtual_router_id: int
    priority: int
    preempts: bool
    advertised: tuple[InterfaceAddress, ...]
    carried: tuple[InterfaceAddress, ...]
    """The addresses that come and go with the role and are not advertised."""
    routes: tuple[Route, ...]


def keepalived(
    config: RouterConfig,
    placement: Placement,
    election: Election,
    role: Role,
    settings: Settings,
) -> Daemon:
    """The daemon."""
    proof = election.authentication
    content = render(
        "keepalived.conf.j2",
        config=config,
        settings=settings,
        version=3 if proof is None else proof.version,
        authentication=proof,
        # In hundredths of a second: RFC 9568 counts in nothing finer. VRRPv2 in seconds.
        interval=f"{settings.advertisement_interval_ms // 10 / 100:.2f}",
        refresh_s=REFRESH_S,
        instances=instances(config, placement, election, role),
    )
    path = str(settings.config_dir / "keepalived.conf")
    return Daemon(
        name="keepalived", reload_files=(File(path=path, content=content, mode=0o644 if proof is None else 0o600),)
    )


def instances(config: RouterConfig, placement: Placement, election: Election, role: Role) -> tuple[Instance, ...]:
    """The VRRP instances, in the order in which they must stand in the file."""
    return tuple(
        Instance(
            name=each.device,
            device=each.device,
            source=each.source,
            peers=None if election.peers is None else election.peers[each.device],
            virtual_router_id=VIRTUAL_ROUTER_ID,
            priority=HANDOVER_PRIORITY if election.takes_over else _priority(config, role, election),
            preempts=election.carrier is not None,
            advertised=(marker(each.device),),
            carried=placement.virtual_addresses if each.device == election.carrier else (),
            routes=placement.virtual_routes if each.device == election.carrier else (),
        )
        for each in election.electors
    )


def _priority(config: RouterConfig, role: Role, election: Election) -> int:
    if role is Role.MASTER:
        return serving_priority(election.generation)
    return WAITING_PRIORITY if role is Role.INIT and not config.prefers_master else BACKUP_PRIORITY
