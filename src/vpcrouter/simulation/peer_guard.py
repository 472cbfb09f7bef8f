"""What other routers' packets meet first: `materialise.peer_guard`, as a machine has it loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vpcrouter.materialise.peer_guard import ATTENDED, CLOSED, PEERS
from vpcrouter.values.fields import device_number
from vpcrouter.values.whereabouts import Place

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine


def place(machine: Machine, device: str, source: str) -> Place:
    """Where a packet of this machine comes from; its MAC is as good as any that no other machine has."""
    number = machine.networks.machines.index(machine)
    return Place(device=device, address=source, mac=f"02:00:00:00:{number:02x}:{device_number(device) % 256:02x}")


def is_peer(machine: Machine, sender: Place) -> bool:
    """Whether packets from there are marked."""
    return f'"{sender.device}" . {sender.address} . {sender.mac}' in _elements(machine, PEERS)


def takes_vrrp(machine: Machine, sender: Place) -> bool:
    """Whether keepalived gets an advertisement from there."""
    return f'"{sender.device}"' not in _elements(machine, CLOSED) or is_peer(machine, sender)


def takes_beacon(machine: Machine, sender: Place) -> bool:
    """Whether the agent gets a beacon from there."""
    return f'"{sender.device}"' not in _elements(machine, ATTENDED) or is_peer(machine, sender)


def _elements(machine: Machine, name: str) -> set[str]:
    sets = () if machine.ruleset is None else machine.ruleset.sets
    return {key for each in sets if each.name == name for key, _ in each.elements}
