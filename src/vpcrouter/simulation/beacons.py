"""The sockets of the beacons in the simulated world: datagrams by the networks of the two machines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from vpcrouter.appliers.beacons import Arrival, BeaconSockets
from vpcrouter.simulation.machine import Machine
from vpcrouter.simulation.peer_guard import is_peer, place, takes_beacon
from vpcrouter.simulation.world import die_if_dead
from vpcrouter.values.whereabouts import Place


class SimulatedBeacons(BeaconSockets):
    """The sockets of the beacons."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._devices: dict[str, str] = {}
        self._peers: Mapping[str, Sequence[str]] | None = None
        self._heard: list[Arrival] = []
        self._readable = machine.descriptors.open()

    def fileno(self) -> int:
        return self._readable.number

    def follow(self, sources: Mapping[str, str], peers: Mapping[str, Sequence[str]] | None = None) -> None:
        self._devices, self._peers = dict(sources), peers

    def pin(self, places: Iterable[Place]) -> None:
        pass

    def send(self, datagram: bytes, also: Collection[tuple[str, str]] = ()) -> None:
        die_if_dead()
        for each in self.places:
            asked = tuple(address for device, address in also if device == each.device)
            if self._peers is None:
                self._send(each, datagram, None)
            if self._peers is not None or asked:
                known = () if self._peers is None else self._peers.get(each.device, ())
                self._send(each, datagram, (*known, *asked))

    def _send(self, place: Place, datagram: bytes, to: Sequence[str] | None) -> None:
        self._machine.networks.send(self._machine, place.device, lambda other: _deliver(other, place, datagram, to))

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(place(self._machine, *each) for each in sorted(self._devices.items()))

    def take_in(self, sender: Place, datagram: bytes, to: Sequence[str] | None) -> None:
        """A datagram has arrived, for these addresses or the group."""
        if self._peers is not None if to is None else self._devices.get(sender.device) not in to:
            return
        asker = sender.address if to is not None and self._peers is None else ""
        if sender.device in self._devices and takes_beacon(self._machine, sender):
            self._heard.append(Arrival(sender.device, datagram, is_peer(self._machine, sender), asker))
            self._readable.set()

    def read(self) -> list[Arrival]:
        heard, self._heard = self._heard, []
        self._readable.clear()
        return heard

    def close(self) -> None:
        self._devices = {}


def _deliver(machine: Machine, sender: Place, datagram: bytes, to: Sequence[str] | None) -> None:
    if machine.agent is not None and machine.agent.beacons is not None:
        machine.agent.beacons.take_in(sender, datagram, to)
