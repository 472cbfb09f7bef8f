"""What the laboratory remembers between two invocations: one small JSON file in its directory.

Called by `laboratory`. What can be seen (namespaces, processes, addresses) is never remembered; only what cannot
be seen any more or was decided by the user.
"""

from __future__ import annotations

import json
from pathlib import Path

import cattrs
from attrs import Factory, asdict, evolve, frozen

from vpcrouter.appliers import _files
from vpcrouter.errors import HostError

FILE = "lab.json"


@frozen(kw_only=True)
class Record:
    """The laboratory's memory."""

    prefix: str
    advertisement_ms: int
    inodes: dict[str, int] = Factory(dict)
    """Of each node's namespace: finds its processes when its name is gone."""
    cuts: dict[str, str] = Factory(dict)
    """Cables that are cut, by the switch's port: `silent` or `carrier`."""
    crashed: dict[str, str] = Factory(dict)
    """Routers that a failover crashed, and how: their cables stay cut until a reboot."""

    def with_cuts(self, ports: dict[str, str]) -> Record:
        """More cables are cut."""
        return evolve(self, cuts={**self.cuts, **ports})

    def without_cuts(self, ports: set[str]) -> Record:
        """These cables are whole again."""
        return evolve(self, cuts={port: how for port, how in self.cuts.items() if port not in ports})

    def with_crash(self, router: str, how: str) -> Record:
        """A router has crashed."""
        return evolve(self, crashed={**self.crashed, router: how})

    def recovered(self, router: str) -> Record:
        """A router that had only been cut off is back."""
        return evolve(self, crashed={other: how for other, how in self.crashed.items() if other != router})

    def rebooted(self, router: str, inode: int) -> Record:
        """A router is a new machine: another namespace, all its cables whole."""
        return evolve(
            self.recovered(router),
            inodes={**self.inodes, router: inode},
            cuts={port: how for port, how in self.cuts.items() if not port.startswith(f"{router}-")},
        )


def write(directory: Path, record: Record) -> None:
    """Store it in place of what was there."""
    _files.write_atomically(directory / FILE, json.dumps(asdict(record), indent=1).encode() + b"\n")


def read(directory: Path) -> Record | None:
    """What is stored; None if nothing is. HostError if it cannot be read as that."""
    content = _files.read_file(directory / FILE)
    if content is None:
        return None
    try:
        return cattrs.structure(json.loads(content), Record)
    except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
        raise HostError(
            f"not a laboratory's record: {error}",
            where=str(directory / FILE),
            hint="'vpcrouter lab up' makes a new laboratory",
        ) from None
