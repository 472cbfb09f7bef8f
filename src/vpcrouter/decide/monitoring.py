"""The watch over a router's health."""

from __future__ import annotations

from attrs import evolve

from vpcrouter import commands, events
from vpcrouter.decide.decision import Decision, Rules
from vpcrouter.state import StateView
from vpcrouter.values.monitoring import Monitoring


def _change_monitoring(view: StateView, command: commands.ChangeMonitoring) -> Decision:
    """The periodic form of the server's command names no services, and leaves them as they are."""
    old = view.monitoring or Monitoring()
    new = command.monitoring if command.names_services else evolve(command.monitoring, services=old.services)
    if new == old:
        return Decision()
    return Decision(event=events.MonitoringReplaced(monitoring=new))


DECIDE: Rules = {commands.ChangeMonitoring: _change_monitoring}
