"""The electors that the tiers of a state have: one for each, where the router is one of a pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vpcrouter.state import State, StateView
from vpcrouter.values.carriage import Elector
from vpcrouter.values.config import Tier
from vpcrouter.values.fields import device_number
from vpcrouter.values.incremental import Latest
from vpcrouter.values.networks import usable


def electors(view: StateView, unicast_peers: Iterable[str] = ()) -> tuple[Elector, ...]:
    """By number; none without boot parameters, a pair or a tier."""
    if view.router is None or not view.router.redundant:
        return ()
    if isinstance(view, State) and not unicast_peers:
        return _BY_MULTICAST.of(view.tiers)  # the agent asks at every beacon
    return _of_tiers(view.tiers, unicast_peers)


def _of_tiers(tiers: Mapping[str, Tier], unicast_peers: Iterable[str] = ()) -> tuple[Elector, ...]:
    return tuple(elector(tiers[device], unicast_peers) for device in sorted(tiers, key=device_number))


_BY_MULTICAST: Latest[Mapping[str, Tier], tuple[Elector, ...]] = Latest(_of_tiers)


def elector(tier: Tier, unicast_peers: Iterable[str] = ()) -> Elector:
    """The elector of a tier; of the addresses that are listed, those of other routers in its network are its peer's."""
    listed = (each for each in unicast_peers if usable(tier.network, each) and each not in (tier.address, tier.gateway))
    return Elector(device=tier.device, source=tier.address, listed=tuple(listed))
