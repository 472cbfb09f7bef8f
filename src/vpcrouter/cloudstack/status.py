"""What the management server asks of a router every 30 seconds, in the words that it reads."""

from __future__ import annotations

from vpcrouter.values.role import Role

_WORDS = {Role.MASTER: "PRIMARY", Role.BACKUP: "BACKUP", Role.FAULT: "FAULT"}


def router_status(role: Role | None) -> str:
    """The line of `checkrouter`; UNKNOWN before keepalived has reported, and without a running agent (None)."""
    return f"Status: {_WORDS.get(role, 'UNKNOWN') if role else 'UNKNOWN'}"
