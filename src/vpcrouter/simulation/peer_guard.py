"""What other routers' packets meet first: `materialise.peer_guard`, as a machine has it loaded."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from vpcrouter.materialise.peer_guard import ATTENDED, CLOSED, PEERS
from vpcrouter.values.fields import device_number
from vpcrouter.values.whereabouts import Place

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine


def place(machine: Machine, device: str, source: str) -> Place:
    """Where a packet of this machine comes from; its MAC is as good as any that no other machine has."""
    return _place(machine.networks.machines.index(machine), device, source)


@lru_cache(maxsize=256)
def _place(number: int, device: str, source: str) -> Place:
    return Place(device=device, address=source, mac=f"02:00:00:00:{number:02x}:{device_number(device) % 256:02x}")


def is_peer(machine: Machine, sender: Place) -> bool:
    """Whether packets from there are marked."""
    return f'"{sender.device}" . {sender.address} . {sender.mac}' in machine.elements(PEERS)


def takes_vrrp(machine: Machine, sender: Place) -> bool:
    """Whether keepalived gets an advertisement from there."""
    return f'"{sender.device}"' not in machine.elements(CLOSED) or is_peer(machine, sender)


def takes_beacon(machine: Machine, sender: Place) -> bool:
    """Whether the agent gets a beacon from there."""
    return f'"{sender.device}"' not in machine.elements(ATTENDED) or is_peer(machine, sender)
