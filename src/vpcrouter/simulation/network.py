"""The networks between the machines: delay, loss, copies, cut cables. Datagrams only.

Each device of a router is plugged into the network of its name (`eth2` of one router sees `eth2` of the others). A
cable is whole, cut silently (nobody notices but by silence) or without carrier (the device sees it).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, field

from vpcrouter.simulation.world import MS, World

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine


class Cut(Enum):
    """How a cable is cut."""

    SILENT = "silent"
    CARRIER = "carrier"


@define
class Networks:
    """All of them."""

    world: World
    machines: list[Machine] = field(factory=list)
    cuts: dict[tuple[str, str], Cut] = field(factory=dict)
    """By machine and device."""
    loss: float = 0.0
    """The share of datagrams that is lost."""
    copies: float = 0.0
    """The share that arrives twice."""
    version: int = 0
    """Grows when a cable is cut or mended."""
    delay_ns: int = 0
    """Added to the tenth of a millisecond or two that a datagram takes."""

    def cut(self, machine: Machine, device: str, how: Cut) -> None:
        """Cut a cable."""
        self.cuts[machine.name, device] = how
        self.version += 1
        machine.cable_changed(device)

    def mend(self, machine: Machine, device: str) -> None:
        """Make it whole."""
        if self.cuts.pop((machine.name, device), None) is not None:
            self.version += 1
            machine.cable_changed(device)

    def has_carrier(self, machine: Machine, device: str) -> bool:
        """Whether the device sees that it is plugged in."""
        return self.cuts.get((machine.name, device)) is not Cut.CARRIER

    def is_linked(self, machine: Machine, device: str) -> bool:
        """Whether anything passes by that device."""
        return machine.is_on and machine.kernel.is_up(device) and (machine.name, device) not in self.cuts

    def hear_each_other(self) -> bool:
        """Whether there is a network by which all machines that are on reach each other."""
        on = [machine for machine in self.machines if machine.is_on]
        devices = {device for machine in on for device in machine.kernel.links if device not in ("eth0", "eth1")}
        return any(all(self.is_linked(machine, device) for machine in on) for device in devices)

    def send(self, sender: Machine, device: str, deliver: Callable[[Machine], None]) -> None:
        """Have every other machine on the network get it, with a little luck."""
        if not self.is_linked(sender, device):
            return
        random = self.world.random
        for machine in self.machines:
            if machine is sender:
                continue
            for _ in range(1 + (self.copies > 0 and random.random() < self.copies)):
                delay_ns = 50_000 + int(random.random() * 150_000) + self.delay_ns
                if self.loss == 0 or random.random() >= self.loss:
                    self.world.after(delay_ns, lambda machine=machine: self._arrive(machine, device, deliver))  # type: ignore[misc]

    def _arrive(self, machine: Machine, device: str, deliver: Callable[[Machine], None]) -> None:
        if self.is_linked(machine, device):
            deliver(machine)


LATEST_NS = MS
"""A datagram without added delay has arrived by then."""
