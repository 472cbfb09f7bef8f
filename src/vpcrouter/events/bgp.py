"""Events about what BGP neighbours are told."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values.bgp import BgpPeering
from vpcrouter.values.checks import many


@frozen(kw_only=True)
class BgpPeeringsReplaced:
    """All peerings were replaced; they are sorted by neighbour and tier."""

    peerings: tuple[BgpPeering, ...] = many(BgpPeering)
