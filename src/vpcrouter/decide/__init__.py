"""State + command → at most one event, or a refusal with its reason. Pure.

One module for each subject, with one function for each command. It returns a `Decision`: the event that makes the
command true; none if it is true already; and what a person wants to be told: what the command waits for, what it
takes along, what starts to wait because of it. A contradiction raises RejectedCommandError, whichever of two
contradicting commands comes second. A reference to what is not there yet is no contradiction (see `references`).
"""

from __future__ import annotations

from vpcrouter import commands
from vpcrouter.decide import (
    acls,
    addresses,
    balancing,
    bgp,
    dhcp,
    firewall,
    guests,
    monitoring,
    nat,
    router,
    routes,
    tiers,
    vpn,
)
from vpcrouter.decide.decision import Decision, Rules
from vpcrouter.errors import MalformedInputError
from vpcrouter.state import StateView

__all__ = ["Decision", "decide"]

_DECIDE: Rules = {
    **router.DECIDE,
    **addresses.DECIDE,
    **tiers.DECIDE,
    **acls.DECIDE,
    **nat.DECIDE,
    **routes.DECIDE,
    **dhcp.DECIDE,
    **firewall.DECIDE,
    **guests.DECIDE,
    **vpn.DECIDE,
    **bgp.DECIDE,
    **balancing.DECIDE,
    **monitoring.DECIDE,
}


def decide(view: StateView, command: commands.Command) -> Decision:
    """The decision on one command. Raises RejectedCommandError, and MalformedInputError for what is no command."""
    if (rule := _DECIDE.get(type(command))) is None:
        raise MalformedInputError(f"a {type(command).__name__} is not a command", where="command")
    return rule(view, command)
