"""Desired minus observed gives operations, in an order that works. Pure.

    materialise → desired ┐
                          ├→ plan → operations → appliers do them, and look again
    appliers → observed ──┘

One module for each target: `kernel`, `nftables`, `daemons`. An operation says in words what it will do, so that
`vpcrouter plan` can print it without doing it; a target's own kind of operation also carries the values.
"""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Operation:
    """One step on the machine."""

    target: str
    """`kernel`, `nftables`, or the name of a daemon."""
    action: str
    """`add`, `remove`, `set`, `load`, `write`, `start`, `reload`, `restart`, `continue` or `stop`."""
    subject: str
    """What it is done to, in words: `address 10.1.2.2/24 on eth2`."""

    def __str__(self) -> str:
        return f"{self.target}: {self.action} {self.subject}"
