"""The ways out of a pair: which gateways both routers have, who answers for each, and whether a packet gets out there.

Reads what the real code and the models show; changes nothing. A guest sends to whoever last said to be its gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import is_
from typing import TYPE_CHECKING

from attrs import define, field

from vpcrouter.plan.kernel import MAIN_TABLE
from vpcrouter.simulation.network import Networks
from vpcrouter.state import State
from vpcrouter.values.desired import InterfaceAddress
from vpcrouter.values.networks import ROUTER_LINK_LOCAL, is_ipv6, prefix_length

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine


IPV6_DEVICE = "eth1"
"""The public device that has IPv6."""


@define
class Ways:
    """Of the tiers that both routers have; a tier with IPv6 has two."""

    networks: Networks
    owners: dict[InterfaceAddress, Machine] = field(factory=dict)
    """Who has last said to be that address."""
    served: Mapping[str, bool] = {}
    """By the way's name: whether a packet got out there at the last look."""
    holders: tuple[Machine, ...] = ()
    """The machines that held a gateway of a tier that both have at the last look."""
    ready: frozenset[str] = frozenset()
    """The machines whose agents said a moment ago that they are ready to take over."""
    fit: frozenset[str] = frozenset()
    """Those, and those that were ready when their agent died or was stopped: a failover needs no agent."""
    _states: dict[str, State] = field(factory=dict)
    """What each machine was last known to have in its journal, whether its agent lives or not."""
    _announcements: int = 0
    _seen: tuple[object, ...] = ()
    _known: tuple[tuple[State | None, ...], Mapping[str, InterfaceAddress]] = ((), {})
    """The gateways, and of which states they are."""

    def announced(self, machine: Machine, addresses: Iterable[InterfaceAddress]) -> bool:
        """A machine says that these addresses are its; whether that is new of one of them."""
        new = [each for each in addresses if self.owners.get(each) is not machine]
        self.owners.update(dict.fromkeys(new, machine))
        self._announcements += bool(new)
        return bool(new)

    def look(self) -> bool:
        """See by which of them a packet gets out now; whether anything is another than at the last look."""
        present = self._present()
        if len(present) == len(self._seen) and all(map(is_, present, self._seen)):
            return False
        self._seen = present
        self.served = {way: self.is_served(gateway) for way, gateway in self.gateways().items()}
        gateways = set(self.gateways().values())
        self.holders = tuple(
            machine
            for machine in self.networks.machines
            if machine.is_on and not gateways.isdisjoint(machine.kernel.addresses)
        )
        return True

    def _present(self) -> tuple[object, ...]:
        """All that decides: other objects as soon as something is another."""
        found: list[object] = [self.networks.version, self._announcements, self.gateways(), *self._states.values()]
        for machine in self.networks.machines:
            found += (machine.is_on, machine.kernel.version, machine.ruleset)
        return tuple(found)

    def ask(self) -> None:
        """Ask the agents whether they are ready."""
        machines = self.networks.machines
        self.ready = frozenset(each.name for each in machines if _is_ready(each))
        mute = {each.name for each in machines if each.is_on and (each.agent is None or each.agent.is_stopped)}
        self.fit = self.ready | (self.fit & mute)

    def gateways(self) -> Mapping[str, InterfaceAddress]:
        """By the way's name, `eth2` or `eth2 IPv6`; those of before while an agent is not there.

        None where a router is not one of a pair.
        """
        states, known = tuple(map(state_of, self.networks.machines)), self._known
        if len(states) == len(known[0]) and all(map(is_, states, known[0])):
            return known[1]
        for machine, state in zip(self.networks.machines, states, strict=True):
            if state is not None:
                self._states[machine.name] = state
        found = [state for state in states if state is not None]
        if len(found) == len(states):
            self._known = states, _shared(found)
        return self._known[1]

    def is_served(self, gateway: InterfaceAddress) -> bool:
        """Whether a guest's packet finds its way: to whoever last said to be the gateway, and out of there."""
        owner = self.owners.get(gateway)
        if owner is None or not self.networks.is_linked(owner, gateway.device):
            return False
        if gateway not in owner.kernel.addresses:
            return False
        state = self._states.get(owner.name)
        if state is None:
            return True
        devices = {each.device for each in state.public_addresses.values() if not each.private_gateway}
        if is_ipv6(gateway.address):
            is_led = any(tier.ipv6 is not None and tier.ipv6.public_gateway for tier in state.tiers.values())
            leads_out, everything = IPV6_DEVICE in devices and is_led, (("::/0",), ("::/1", "8000::/1"))
        else:
            leads_out, everything = bool(devices), (("0.0.0.0/0",), ("0.0.0.0/1", "128.0.0.0/1"))
        if not leads_out:
            return True  # no further than to other tiers
        led: dict[str, set[str]] = {}
        for each in owner.kernel.routes:
            if each.route.table == MAIN_TABLE and each.route.device.startswith("eth"):
                led.setdefault(each.route.device, set()).add(each.route.network)
        return any(
            any(networks.issuperset(each) for each in everything)
            and self.networks.is_linked(owner, device)
            and owner.lets_out(gateway.device, device)
            for device, networks in led.items()
        )

    def lead_out(self) -> bool:
        """Whether all machines have the public address by whose gateway everything goes out."""
        states = [state_of(machine) for machine in self.networks.machines]
        return all(
            state is not None and state.router is not None and state.router.source_nat_address in state.public_addresses
            for state in states
        )

    def hear_each_other(self) -> bool:
        """Whether both keepaliveds are at work, and nothing keeps them from hearing each other on some tier of both."""
        machines, networks = self.networks.machines, self.networks
        if networks.loss or networks.delay_ns:
            return False
        for machine in machines:
            keepalived = machine.keepalived
            if keepalived is None or keepalived.is_stopped or keepalived.is_dead or keepalived.is_ending:
                return False
        devices = {each.device for each in self.gateways().values()}
        return any(all(networks.is_linked(machine, device) for machine in machines) for device in devices)

    def can_agree(self) -> bool:
        """Whether all tiers are whole, or agents that understand each other see to it that both carry on such a one.

        Those with different passwords do not. Then all tiers have to be whole, and both have to carry on the same one:
        otherwise each may serve on its own, since a partition, and be told by nobody.
        """
        machines = self.networks.machines
        devices = {gateway.device for gateway in self.gateways().values()}
        is_whole = not self.networks.cuts and all(each.kernel.is_up(device) for each in machines for device in devices)
        configs = [state.router for machine in machines if (state := state_of(machine)) is not None]
        secrets = {
            None if config is None or config.password is None else config.password.reveal() for config in configs
        }
        if is_whole:
            return len(secrets) <= 1 or len({_carrier_of(machine) for machine in machines}) == 1
        return all(_is_led(machine) for machine in machines) and len(secrets) == 1


def _carrier_of(machine: Machine) -> str | None:
    agent = machine.agent
    return None if agent is None or agent.router is None else agent.router.electors.carrier


def _is_led(machine: Machine) -> bool:
    agent = machine.agent
    return agent is not None and agent.router is not None and not agent.is_stopped and not agent.is_dead


def _is_ready(machine: Machine) -> bool:
    agent = machine.agent
    return agent is not None and agent.agent is not None and agent.agent.lacks() == ()


def state_of(machine: Machine) -> State | None:
    """What its agent has in its journal; None while there is none."""
    agent = machine.agent
    return None if agent is None or agent.router is None else agent.router.state


def is_redundant(state: State) -> bool:
    """Whether it is one of a pair's."""
    return state.router is not None and state.router.redundant


def _shared(states: list[State]) -> dict[str, InterfaceAddress]:
    if not all(is_redundant(state) for state in states):
        return {}
    first, *others = states
    found = {}
    for device, tier in first.tiers.items():
        if not (tier.is_gateway and all(_has(other, device, tier.network) for other in others)):
            continue
        found[device] = InterfaceAddress(device=device, address=f"{tier.gateway}/{prefix_length(tier.network)}")
        if all(state.tiers[device].ipv6 is not None for state in states):
            found[f"{device} IPv6"] = InterfaceAddress(device=device, address=f"{ROUTER_LINK_LOCAL}/64")
    return found


def _has(state: State, device: str, network: str) -> bool:
    """The same tier, as its gateway: two that were told of different ones on one device have none in common there."""
    tier = state.tiers.get(device)
    return tier is not None and tier.network == network and tier.is_gateway
