"""Events about the watch over a router's health."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values.monitoring import Monitoring


@frozen(kw_only=True)
class MonitoringReplaced:
    """What is watched, and its limits, were replaced."""

    monitoring: Monitoring
