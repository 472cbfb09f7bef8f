"""State + role → everything the machine should look like. Pure: same input, same bytes.

    State ── effective ── place ──┬── kernel        links, addresses, routes, sysctls
                                  ├── nftables      one table: acl, nat, and who may talk to the router
                                  ├── conntrackd    connections survive a failover
                                  ├── dnsmasq       leases and names
                                  └── keepalived    who serves

Called by whoever settles, plans or renders; knows no machine. One file per target, and none knows another's output.
A router without boot parameters has no shape yet: nothing of it takes effect.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.materialise.conntrackd import conntrackd
from vpcrouter.materialise.dnsmasq import dnsmasq
from vpcrouter.materialise.keepalived import keepalived
from vpcrouter.materialise.kernel import kernel
from vpcrouter.materialise.nftables import ruleset
from vpcrouter.materialise.placement import Placement, place
from vpcrouter.projections.effective import Effective, effective
from vpcrouter.state import State
from vpcrouter.values.desired import Daemon, Desired, Kernel, Link
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


def materialise(state: State, role: Role, settings: Settings) -> Desired:
    """What a machine with this state, in this role, should look like."""
    found = effective(state)
    if found.config is None:
        bare = tuple(Link(name=device, up=False) for device in found.released)
        return Desired(kernel=Kernel(links=bare), ruleset=ruleset(found, role))
    placement = place(found)
    return Desired(
        kernel=kernel(found, placement, role),
        ruleset=ruleset(found, role),
        daemons=tuple(_daemons(found, placement, settings)),
        vrrp_interface=found.tiers[0].device if found.config.redundant and found.tiers else None,
    )


def _daemons(found: Effective, placement: Placement, settings: Settings) -> Iterator[Daemon]:
    config = found.config
    if config is None or not found.tiers:
        return
    if config.redundant:
        yield conntrackd(found, settings)
    yield dnsmasq(found, config, settings)
    if config.redundant:
        yield keepalived(found, config, placement, settings)
