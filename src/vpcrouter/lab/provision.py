"""Hands commands to two routers as a management server does: each has a queue; what was not acknowledged comes again.

Called by `soak`. A router that does not answer keeps its queue; one that rejects a command has a defect, which is
remembered and not tried again.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vpcrouter.errors import CallerError, HostError
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.load import Files, burst_of

_ANSWER_S = 2.0
_TIER = "guestnetwork"
_MORE_TIERS = ("eth3", "eth4", "eth5", "eth6")
_COMMANDS_OF_A_TIER = 3

CommandFile = tuple[str, str]
"""Name and text."""


class Provisioner:
    """The queues of both routers."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._queues: dict[str, deque[CommandFile]] = {router: deque() for router in ROUTERS}
        self._turns = {router: threading.Lock() for router in ROUTERS}
        self.rejected: list[str] = []

    @property
    def is_done(self) -> bool:
        """Whether everything was acknowledged."""
        return not any(self._queues.values())

    def put(self, router: str, files: Iterable[CommandFile]) -> None:
        """Hand these in after what waits, and as much of it as the router takes now."""
        self._queues[router].extend(files)
        self.retry(router)

    def put_both(self, files: Files) -> None:
        """The same to both in parallel."""
        with ThreadPoolExecutor(len(ROUTERS)) as pool:
            tuple(pool.map(lambda router: self.put(router, files[router]), ROUTERS))

    def retry(self, router: str) -> None:
        """Go on with what waits, until the router does not answer."""
        queue = self._queues[router]
        with self._turns[router]:
            try:
                with self._laboratory.machines[router].connect(_ANSWER_S) as agent:
                    while queue:
                        for line in agent.submit(*queue[0]):
                            if line["status"] == "rejected":
                                self.rejected.append(f"{router} rejected {queue[0][0]}: {line['error']}")
                        queue.popleft()
            except HostError:
                return


def taken_back(files: Files) -> Files:
    """Commands that undo those of a burst, the last one first."""
    return {
        router: [(name, json.dumps(undone)) for name, text in reversed(part) if (undone := _undone(json.loads(text)))]
        for router, part in files.items()
    }


def tier_of(burst: Path, device: str, *, add: bool, routers: Iterable[str] = ROUTERS) -> Files:
    """A burst's commands that make the tier on `device`, its ACL and its guests, to each router; or that remove it."""
    return {router: _tier(sorted((burst / router).iterdir()), device, add=add) for router in routers}


def five_tiers(burst: Path) -> Files:
    """Fifteen commands for a pair that has the burst's first tier: of five more the network, its ACL and one lease."""
    tiers = [tier_of(burst, device, add=True) for device in _MORE_TIERS]
    last = burst_of(_COMMANDS_OF_A_TIER)
    return {
        router: [
            (f"{number}{name}", text)
            for number, tier in enumerate([*tiers, last])
            for name, text in tier[router][:_COMMANDS_OF_A_TIER]
        ]
        for router in ROUTERS
    }


def _tier(paths: Sequence[Path], device: str, *, add: bool) -> list[CommandFile]:
    commands = [(path.name, json.loads(path.read_text())) for path in paths]
    tier = next(
        ((name, each) for name, each in commands if (each["type"], each.get("device")) == (_TIER, device)), None
    )
    if tier is None:
        raise CallerError(f"no tier on {device}", where=str(paths[0].parent) if paths else "burst")
    name, command = tier
    if not add:
        return [(name, json.dumps({**command, "add": False}))]
    gateway = command["router_guest_gateway"]
    its_own = [
        each for each in commands if each[1].get("device") == device or each[1].get("default_gateway") == gateway
    ]
    return [(name, json.dumps(command)) for name, command in its_own]


def _undone(command: dict[str, Any]) -> dict[str, Any] | None:
    match command["type"]:
        case "guestnetwork":
            return {**command, "add": False}
        case "dhcpentry":
            return {**command, "remove": True}
        case "forwardrules":
            return {**command, "rules": [{**rule, "revoke": True} for rule in command["rules"]]}
        case "ips":
            return {**command, "ip_address": [{**each, "add": False} for each in command["ip_address"]]}
        case _:
            return None  # an ACL goes with its tier
