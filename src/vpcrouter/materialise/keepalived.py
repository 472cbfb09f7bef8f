"""State → keepalived.conf. Pure; the role is not asked, since keepalived is who decides it.

One instance on the lowest tier's device carries everything. It advertises one constant address, so that routers whose
configurations differ still obey each other, and has all real ones in the excluded list (finding 2). No script: the
kernel and keepalived alone carry a failover.

The real addresses and routes are not tracked: a tracked one that somebody deletes by hand would make the master step
back, and one on a device that is not plugged in yet would keep the router in fault. What must be up for a router to
serve is named instead: the way out.
"""

from __future__ import annotations

from attrs import frozen

from vpcrouter.materialise.kernel import MARKER_ADDRESS
from vpcrouter.materialise.placement import Placement, way_out
from vpcrouter.materialise.rendering import render
from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import RouterConfig
from vpcrouter.values.desired import Daemon, File, InterfaceAddress, Route
from vpcrouter.values.settings import Settings

VIRTUAL_ROUTER_ID = 51
PREFERRED_PRIORITY = 110
PRIORITY = 100
REFRESH_S = 10
"""Gratuitous ARP is repeated so often by the master: a guest that was told something wrong learns better."""


@frozen(kw_only=True)
class Instance:
    """One VRRP instance."""

    name: str
    device: str
    source: str
    """The own address that advertisements come from."""
    virtual_router_id: int
    priority: int
    advertised: tuple[InterfaceAddress, ...]
    carried: tuple[InterfaceAddress, ...]
    """The addresses that come and go with the role and are not advertised."""
    routes: tuple[Route, ...]
    tracked: tuple[str, ...]
    """The devices without which this router is of no use as a master, beside its own."""


def keepalived(effective: Effective, config: RouterConfig, placement: Placement, settings: Settings) -> Daemon:
    """The daemon. There must be a tier."""
    content = render(
        "keepalived.conf.j2",
        config=config,
        settings=settings,
        # In hundredths of a second: RFC 9568 counts in nothing finer.
        interval=f"{settings.advertisement_interval_ms // 10 / 100:.2f}",
        refresh_s=REFRESH_S,
        instances=instances(effective, config, placement),
    )
    path = str(settings.config_dir / "keepalived.conf")
    return Daemon(name="keepalived", reload_files=(File(path=path, content=content),))


def instances(effective: Effective, config: RouterConfig, placement: Placement) -> tuple[Instance, ...]:
    """The VRRP instances, in the order in which they must stand in the file."""
    lowest, uplink = effective.tiers[0], way_out(effective)
    return (
        Instance(
            name="vpc",
            device=lowest.device,
            source=lowest.address,
            virtual_router_id=VIRTUAL_ROUTER_ID,
            priority=PREFERRED_PRIORITY if config.prefers_master else PRIORITY,
            advertised=(InterfaceAddress(device=lowest.device, address=MARKER_ADDRESS),),
            carried=placement.virtual_addresses,
            routes=placement.virtual_routes,
            tracked=() if uplink is None else (uplink.device,),
        ),
    )
