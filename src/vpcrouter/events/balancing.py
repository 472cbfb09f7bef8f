"""Events about the load balancer."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values.balancing import Balancer


@frozen(kw_only=True)
class BalancerReplaced:
    """All of the load balancer was replaced; an empty one is none."""

    balancer: Balancer
