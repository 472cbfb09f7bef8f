"""Access control lists."""

from __future__ import annotations

from vpcrouter import commands, events
from vpcrouter.decide.decision import Decision, Rules, waiting
from vpcrouter.state import StateView


def _replace_acl(view: StateView, command: commands.ReplaceAcl) -> Decision:
    acl = command.acl
    empty = not acl.ingress and not acl.egress
    if acl == view.acls.get(acl.device) or (empty and acl.device not in view.acls):
        return Decision()
    return Decision(event=events.AclReplaced(acl=acl), pending=() if empty else waiting(view, (acl,)))


DECIDE: Rules = {
    commands.ReplaceAcl: _replace_acl,
}
