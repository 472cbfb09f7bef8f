"""A model of conntrackd 1.4.7 in FTFW mode, external cache off: what one kernel knows of connections, the other learns.

    a new connection ──▶ cache ──▶ the peer's conntrackd ──▶ the peer's kernel
    -n: send me your cache    -f internal: forget the cache    -R: the kernel is the cache    -B: send the cache

As docs/daemons.md has it: what came from the peer goes into the kernel and not into the cache; one that starts takes
all of its kernel for its own; the kernel's entries survive its end. What is not acknowledged is sent again. It does not
model that a connection ends, expectations, or the moment in which one that is sent twice is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from vpcrouter.simulation.peer_guard import place, takes_vrrp
from vpcrouter.simulation.world import MS, Process, SimulationError
from vpcrouter.values.desired import OVERLAY
from vpcrouter.values.whereabouts import Place

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine

READY_NS = 25 * MS
AGAIN_NS = 100 * MS
"""Until what was not acknowledged is sent again."""
_LINK = re.compile(r"Multicast \{[^}]*?IPv4_interface (?P<source>\S+)\s+Interface (?P<device>\S+)")


class Conntrackd(Process):
    """The running program on one machine."""

    def __init__(self, machine: Machine, read: Callable[[], str]) -> None:
        super().__init__(machine.world, f"{machine.name}/conntrackd")
        self._machine = machine
        found = _LINK.search(read())
        if found is None:
            raise SimulationError("names no link", where="conntrackd.conf")
        self._source, self._device = found["source"], found["device"]
        self._plugged = machine.kernel.plugged.get(self._device)
        """The device as it was then: one that comes later by the same name is dead for this process."""
        self._cache: set[int] = set()
        self._unacknowledged: set[int] = set()
        self._is_repeating = False
        self._is_ready = False
        self.world.after(READY_NS, lambda: self.enter(self._start))

    def _start(self) -> None:
        self._cache |= self._machine.connections
        self._is_ready = True

    # What it sees and is told -------------------------------------------------------------------

    def see(self, connection: int) -> None:
        """The kernel has a new one."""
        self.enter(lambda: self._take([connection]))

    def tell(self, request: tuple[str, ...]) -> None:
        """A command of its client, as its words."""
        self.enter(lambda: self._obey(request))

    def _take(self, connections: Iterable[int]) -> None:
        if self._is_ready:
            self._cache.update(connections)
            self._share(connections)

    def _obey(self, request: tuple[str, ...]) -> None:
        match request:
            case ("-n",):
                self._send(lambda peer: peer.enter(lambda: peer._share(peer._cache)))
            case ("-f", "internal"):
                self._cache.clear()
            case ("-R",):
                self._cache |= self._machine.connections
            case ("-B",):
                self._share(self._cache)

    # On the wire --------------------------------------------------------------------------------

    def _share(self, connections: Iterable[int]) -> None:
        told = frozenset(connections)
        self._unacknowledged |= told
        self._tell(told)
        if not self._is_repeating:
            self._is_repeating = True
            self._later()

    def _repeat(self) -> None:
        self._is_repeating = bool(self._unacknowledged)
        if self._is_repeating:
            self._tell(frozenset(self._unacknowledged))
            self._later()

    def _later(self) -> None:
        self.world.after(AGAIN_NS, lambda: self.enter(self._repeat))

    def _tell(self, told: frozenset[int]) -> None:
        def arrived(peer: Conntrackd) -> None:
            peer._machine.connections.update(told)
            self._unacknowledged -= told

        self._send(lambda peer: peer.enter(lambda: arrived(peer)))

    def _send(self, deliver: Callable[[Conntrackd], None]) -> None:
        over = self._machine.kernel.overlay if self._device == OVERLAY else None
        if (self._device == OVERLAY and over is None) or not self._has_device():
            return
        device, source = (self._device, self._source) if over is None else (over.device, over.source)
        sender = place(self._machine, device, source)
        to = None if over is None else over.remotes
        self._machine.networks.send(self._machine, device, lambda other: _deliver(other, sender, to, deliver))

    def _has_device(self) -> bool:
        return self._machine.kernel.plugged.get(self._device) == self._plugged


def _deliver(machine: Machine, sender: Place, to: Sequence[str] | None, deliver: Callable[[Conntrackd], None]) -> None:
    peer, over = machine.conntrackd, machine.kernel.overlay
    if peer is None or not peer._is_ready or not peer._has_device() or not takes_vrrp(machine, sender):
        return
    if peer._device == OVERLAY:
        hears = to is not None and over is not None and over.device == sender.device and over.source in to
    else:
        hears = to is None and peer._device == sender.device
    if hears:
        deliver(peer)
