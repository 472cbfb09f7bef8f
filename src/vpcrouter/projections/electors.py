"""The electors that the tiers of a state have: one for each, where the router is one of a pair."""

from __future__ import annotations

from vpcrouter.state import StateView
from vpcrouter.values.carriage import Elector
from vpcrouter.values.fields import device_number


def electors(view: StateView) -> tuple[Elector, ...]:
    """By number; none without boot parameters, a pair or a tier."""
    if view.router is None or not view.router.redundant:
        return ()
    return tuple(
        Elector(device=device, source=view.tiers[device].address) for device in sorted(view.tiers, key=device_number)
    )
