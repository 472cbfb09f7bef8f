"""What a router finds outside of its own memory: time, chance, the disk, the machine it is on, the peer's voice.

`Router`, `Host`, `Peering` and the agent take all of it from here and import neither clock nor chance themselves (an
import contract holds that), so that another world can be put in the place of this one: `simulation` does, and the
same code runs there. Nothing here decides anything. Each import waits until its part is needed: a client verb must
not pay for what it does not use.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from vpcrouter.values.confirmation import Moment

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from vpcrouter.appliers.arp import ArpSpeaker
    from vpcrouter.appliers.beacons import BeaconSockets
    from vpcrouter.appliers.claims import ClaimListener
    from vpcrouter.appliers.connections import ConnectionTable
    from vpcrouter.appliers.daemons import DaemonApplier
    from vpcrouter.appliers.kernel import KernelApplier
    from vpcrouter.appliers.links import LinkObserver
    from vpcrouter.appliers.machine_facts import MachineFacts
    from vpcrouter.appliers.monitor import LinkMonitor
    from vpcrouter.appliers.nftables import NftablesApplier
    from vpcrouter.appliers.notify import NotifyFifo
    from vpcrouter.appliers.tunnels import TunnelApplier
    from vpcrouter.journal.disk import Disk
    from vpcrouter.values.settings import Settings


class Surroundings:
    """The world as it is."""

    # Time and chance ----------------------------------------------------------------------------

    def monotonic_ns(self) -> int:
        """A clock that never jumps."""
        return time.monotonic_ns()

    def monotonic(self) -> float:
        """The same in seconds."""
        return self.monotonic_ns() / 1e9

    def time_ns(self) -> int:
        """The time of day, since 1970; somebody may set it."""
        return time.time_ns()

    def boot_ns(self) -> int:
        """The time since the machine's boot, which nobody sets, and which goes on while it sleeps."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """The name of this boot, different from that of every other."""
        return _boot_id()

    def moment(self) -> Moment:
        """Now, as a confirmation counts it."""
        return Moment(wall_ms=self.time_ns() // 1_000_000, boot_id=self.boot_id(), boot_ms=self.boot_ns() // 1_000_000)

    def random_bytes(self, count: int) -> bytes:
        """Bytes that nobody can guess."""
        return os.urandom(count)

    def wait_readable(self, descriptors: Sequence[int], seconds: float) -> None:
        """Wait until one of them is readable, `seconds` at most."""
        select.select(descriptors, [], [], seconds)

    def worker(self) -> Executor:
        """A thread for work that waits."""
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="settle")

    def answers(self, condition: str) -> bool:
        """Whether what a condition names (`ping ADDRESS`, `tcp ADDRESS PORT`) answers within a second."""
        from vpcrouter.appliers import _process
        from vpcrouter.errors import HostError

        match condition.split():
            case ["ping", address]:
                try:
                    _process.run(["ping", "-n", "-c", "1", "-W", "1", address], timeout=3)
                except HostError:
                    return False
                return True
            case ["tcp", address, port]:
                try:
                    socket.create_connection((address, int(port)), timeout=1).close()
                except OSError:
                    return False
                return True
        raise ValueError(condition)

    # The machine --------------------------------------------------------------------------------

    def disk(self) -> Disk:
        """What the journal is written with."""
        from vpcrouter.journal.disk import Disk

        return Disk()

    def kernel(self) -> KernelApplier:
        """Links, addresses, routes, sysctls."""
        from vpcrouter.appliers.kernel import KernelApplier

        return KernelApplier()

    def nftables(self) -> NftablesApplier:
        """The ruleset."""
        from vpcrouter.appliers.nftables import NftablesApplier

        return NftablesApplier()

    def daemons(self, settings: Settings) -> DaemonApplier:
        """Files and processes."""
        from vpcrouter.appliers.daemons import DaemonApplier

        return DaemonApplier(settings)

    def connections(self) -> ConnectionTable:
        """The kernel's connection table."""
        from vpcrouter.appliers.connections import ConnectionTable

        return ConnectionTable()

    def tunnels(self, settings: Settings) -> TunnelApplier:
        """IPsec, while charon runs."""
        from vpcrouter.appliers._daemon_kinds import vici_socket
        from vpcrouter.appliers.tunnels import TunnelApplier

        return TunnelApplier(vici_socket(settings))

    def notifications(self, fifo: PurePath) -> NotifyFifo:
        """What keepalived says."""
        from vpcrouter.appliers.notify import NotifyFifo

        return NotifyFifo(fifo)

    def monitor(self) -> LinkMonitor:
        """What changes in the kernel."""
        from vpcrouter.appliers.monitor import LinkMonitor

        return LinkMonitor()

    def beacons(self) -> BeaconSockets:
        """The way to the other router's agent."""
        from vpcrouter.appliers.beacons import BeaconSockets

        return BeaconSockets()

    def links(self) -> LinkObserver:
        """Which devices have a carrier."""
        from vpcrouter.appliers.links import LinkObserver

        return LinkObserver()

    def arp(self) -> ArpSpeaker:
        """Whether a gateway is there; and where virtual addresses are."""
        from vpcrouter.appliers.arp import ArpSpeaker

        return ArpSpeaker()

    def claims(self) -> ClaimListener:
        """Who else has a virtual address."""
        from vpcrouter.appliers.claims import ClaimListener

        return ClaimListener()

    def write_penalty(self, path: Path, penalty: int) -> None:
        """Tell keepalived what to take from its priority."""
        from vpcrouter.appliers.keepalived import write_penalty

        write_penalty(path, penalty)

    def examine(self, directory: Path, gateways: Sequence[str], given_up: Callable[[], bool]) -> MachineFacts:
        """How this machine is: disk (that of a directory), processor, memory, gateways.

        Takes from 0.2 s to some, for gateways that are silent; but not once `given_up`.
        """
        from vpcrouter.appliers import machine_facts

        return machine_facts.examine(directory, gateways, given_up)

    def publish(self, path: Path, text: str) -> None:
        """Write a file for others to read, atomically; root's alone."""
        from vpcrouter.appliers import _files

        _files.make_directory(path.parent)
        _files.write_atomically(path, text.encode(), 0o600)


HERE = Surroundings()
"""The machine, or the network namespace, that this process runs in."""


@cache
def _boot_id() -> str:
    """Read once: a process does not outlive the boot that it was started in."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
