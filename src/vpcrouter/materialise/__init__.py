"""State + role + carriage → everything the machine should look like. Pure: same input, same bytes.

    State ── effective ── place ──┬── kernel        links, addresses, routes, sysctls
                                  ├── nftables      one table: acl, nat, and who may talk to the router
                                  ├── conntrackd    connections survive a failover
                                  ├── dnsmasq       leases and names
                                  ├── radvd         IPv6 router advertisements
                                  ├── guestweb      user data, metadata and passwords, over HTTP
                                  ├── ipsec, l2tp   tunnels, on the router that serves
                                  ├── bgp           who is told of the tiers
                                  ├── haproxy       load balancing
                                  └── keepalived    who serves

Called by whoever settles, plans or renders; knows no machine. One file per target, and none knows another's output.
A router without boot parameters has no shape yet: nothing of it takes effect.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.materialise.bgp import bgpd, has_bgp
from vpcrouter.materialise.conntrackd import conntrackd
from vpcrouter.materialise.dnsmasq import dnsmasq
from vpcrouter.materialise.election import Election, elect
from vpcrouter.materialise.guestweb import guestweb
from vpcrouter.materialise.guestweb import is_needed as guest_pages_needed
from vpcrouter.materialise.haproxy import haproxy
from vpcrouter.materialise.haproxy import is_needed as balancer_needed
from vpcrouter.materialise.ipsec import charon
from vpcrouter.materialise.keepalived import keepalived
from vpcrouter.materialise.kernel import kernel
from vpcrouter.materialise.l2tp import xl2tpd
from vpcrouter.materialise.nftables import ruleset
from vpcrouter.materialise.placement import Placement, place
from vpcrouter.materialise.radvd import radvd
from vpcrouter.materialise.tunnels import has_tunnels, tunnels
from vpcrouter.projections.effective import Effective, effective
from vpcrouter.state import State
from vpcrouter.values.carriage import Carriage
from vpcrouter.values.config import RouterConfig
from vpcrouter.values.desired import Daemon, Desired, Kernel, Link
from vpcrouter.values.incremental import Latest
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

# A role or a carriage changes more often than the state that they are materialised with.
_EFFECTIVE: Latest[State, Effective] = Latest(effective)
_PLACED: Latest[Effective, Placement] = Latest(place)


def materialise(state: State, role: Role, settings: Settings, carriage: Carriage | None = None) -> Desired:
    """What a machine with this state, in this role, should look like; by default the lowest tier's elector carries."""
    found = _EFFECTIVE.of(state)
    if found.config is None:
        bare = tuple(Link(name=device, up=False) for device in found.released)
        return Desired(kernel=Kernel(links=bare), ruleset=ruleset(found))
    placement = _PLACED.of(found)
    election = elect(found, carriage, settings)
    return Desired(
        kernel=kernel(found, placement, election, role),
        ruleset=ruleset(found, election),
        daemons=tuple(_daemons(found, placement, election, role, settings)),
        undecided=_undecided(found, election, role),
        tunnels=tunnels(found, role),
        vrrp_interface=None if election is None else election.carrier or election.electors[0].device,
    )


def _daemons(
    found: Effective, placement: Placement, election: Election | None, role: Role, settings: Settings
) -> Iterator[Daemon]:
    config = found.config
    if config is None or not found.tiers:
        return
    if election is not None and (synchronises := conntrackd(election, settings)) is not None:
        yield synchronises
    yield from _OF_EVERY_ROLE.of(found, config, settings)
    if role is Role.MASTER and has_tunnels(found):
        yield charon(found, settings)
        if found.remote_access is not None:
            yield xl2tpd(found, found.remote_access, settings)
    if balancer_needed(found):
        yield _BALANCER.of(found, settings)
    if election is not None:
        yield keepalived(config, placement, election, role, settings)


def _of_every_role(found: Effective, config: RouterConfig, settings: Settings) -> tuple[Daemon, ...]:
    advertiser = radvd(found, config, settings)
    return (
        dnsmasq(found, config, settings),
        *(() if advertiser is None else (advertiser,)),
        *((guestweb(found, settings),) if guest_pages_needed(found) else ()),
        *((bgpd(found, config, settings),) if has_bgp(found) else ()),
    )


_OF_EVERY_ROLE: Latest[Effective, RouterConfig, Settings, tuple[Daemon, ...]] = Latest(_of_every_role)
_BALANCER: Latest[Effective, Settings, Daemon] = Latest(haproxy)
"""A change of the role must not wait for files that it does not change."""


def _undecided(found: Effective, election: Election | None, role: Role) -> tuple[str, ...]:
    """Until keepalived has reported, this may well be the router that serves, and its tunnels must not go."""
    if election is None or role is not Role.INIT or not has_tunnels(found):
        return ()
    return ("charon-systemd", "xl2tpd") if found.remote_access is not None else ("charon-systemd",)
