"""What must never be so of a pair, checked whenever something changes, and at rest.

    continuously   traffic       a tier that no command touches is served without a gap, but for what a fault excuses
                   one master    two hold a gateway no longer than a master-down time while they hear each other
                   role          an agent says master only while its keepalived does
    at an answer   rejection     what was rejected changed nothing
    at a start     durable       what was acknowledged is there, with its place in the chain
    at rest        settled       both came to rest in time, without faults, and with few reloads
                   machine       each machine equals what its state comes to
                   served        exactly one serves, if one can, and it serves every tier that both have
                   converged     equal commands in equal order gave equal configurations, on the same carrier
                   replay        the journal, read from its first record, gives the state that the router has

`Watch` reads what the real code and the models show; it changes nothing. What a fault may cost stands in `_COSTS_MS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal import read_journal
from vpcrouter.journal.snapshots import chain_at
from vpcrouter.projections.digest import digest
from vpcrouter.simulation.case import Crash, CutCable, DiskFault, Drift, Network, Pause, PowerOff, Step, Submit
from vpcrouter.simulation.keepalived import State as VrrpState
from vpcrouter.simulation.world import MS, World
from vpcrouter.state import Draft, State
from vpcrouter.values.desired import InterfaceAddress
from vpcrouter.values.networks import prefix_length
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.simulation.host import AgentProcess
    from vpcrouter.simulation.machine import Machine
    from vpcrouter.simulation.network import Networks

_TICK_NS = 50 * MS
_ROLE_LATE_NS = 150 * MS
"""How long an agent may take to follow its keepalived; one that is gone is noticed at once."""
_EFFECT_NS = 1_000 * MS
"""A command has its effect within this time, unless a fault delays it."""
_TOUCHED_NS = 3_000 * MS
"""What a command touches may be without service for so long."""
_RELOADS = 6
"""Of one router without any cause; each command and each fault is a cause of one more at most."""


@frozen(kw_only=True)
class Violation:
    """Something that must never be so, and was."""

    rule: str
    at_ms: float
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what} (at {self.at_ms:.1f} ms)"


@frozen(kw_only=True)
class Outage:
    """A tier's guests had no way out."""

    tier: str
    from_ms: float
    length_ms: float
    is_excused: bool


@frozen(kw_only=True)
class Disturbance:
    """A fault, from its beginning to its end."""

    step: Step = field(repr=False)
    from_ns: int
    until_ns: int


def _cost_ms(step: Step) -> int | None:
    """How long traffic may be gone after the end of a fault; None if it must not notice at all."""
    match step:
        case Crash(process=process) if process.startswith("keepalived"):
            return 1_500
        case Pause(process="keepalived" | "all"):
            return 1_500
        case PowerOff() | CutCable() | Network():
            return 2_500
        case Drift(what="own-address" | "virtual-address"):
            return 2_500
        case _:
            return None


def _hinders_repair_ms(step: Step) -> int:
    """By how much a fault delays the repair of another one."""
    match step:
        case Crash(process="agent") | PowerOff() | DiskFault():
            return 2_500
        case Pause(process="agent" | "all"):
            return 500
        case _:
            return 0


class Watch:
    """The watcher of one pair."""

    def __init__(self, world: World, networks: Networks, settings: Settings) -> None:
        self.violations: list[Violation] = []
        self.outages: list[Outage] = []
        self.double_master_ns = 0
        self.both_served: list[tuple[int, int]] = []
        """From when to when two held a gateway while they could hear each other."""
        self.changed_ns = 0
        """When something last happened that is more than a heartbeat."""
        self._world = world
        self._networks = networks
        self._interval_ns = settings.advertisement_interval_ms * MS
        self._disturbances: list[Disturbance] = []
        self._touched: list[tuple[int, str]] = []
        self._owners: dict[InterfaceAddress, Machine] = {}
        self._up: dict[str, int] = {}
        """Tiers with service, and since when."""
        self._down: dict[str, int] = {}
        """Tiers that had service and have none, and since when."""
        self._double_since: int | None = None
        self._wrong_role_since: dict[str, int] = {}
        self._durable: dict[str, tuple[int, bytes]] = {}
        self._state_then: dict[str, State | None] = {}
        self._order: dict[str, list[str]] = {machine.name: [] for machine in networks.machines}
        self._is_due = False
        self._trace_seen = 0
        for machine in networks.machines:
            machine.on_change = self._note_change
            machine.announced = self._announced
        world.after(_TICK_NS, self._tick)

    # What it is told ----------------------------------------------------------------------------

    def disturbed(self, disturbance: Disturbance) -> None:
        """A fault begins."""
        self._disturbances.append(disturbance)
        self._stir()
        self._world.at(disturbance.until_ns, self._stir)

    def _stir(self) -> None:
        self.changed_ns = self._world.now_ns
        self._note_change()

    def submitted(self, step: Submit) -> None:
        """A command was handed in."""
        self.changed_ns = self._world.now_ns
        self._touched += [(self._world.now_ns, device) for device in touched_by(step.text)]

    def answered(self, machine: Machine, step: Submit, results: Sequence[Mapping[str, Any]]) -> None:
        """A router has answered."""
        name = machine.name
        self.changed_ns = self._world.now_ns
        self._touched += [(self._world.now_ns, device) for device in touched_by(step.text)]
        order = self._order[name]
        if not order or order[-1] != step.name:
            order.append(step.name)
        agent = machine.agent
        if agent is None or agent.router is None:
            return
        router = agent.router
        if all(line["status"] == "rejected" for line in results):
            if name in self._state_then and self._state_then[name] is not router.state:
                self._violate("rejection", f"{name}: {step.name} was rejected, and the state is another one")
        elif any(line["status"] == "accepted" for line in results):
            self._durable[name] = (router.journal.seq, router.journal.chain)
        self._state_then[name] = router.state

    def opened(self, agent: AgentProcess) -> None:
        """An agent has opened its journal."""
        name, router = agent.machine.name, agent.router
        self._state_then.pop(name, None)
        self.changed_ns = self._world.now_ns
        if router is not None:
            self._check_durable(agent.machine)

    def ended(self, agent: AgentProcess) -> None:
        """An agent has ended by itself."""
        self.changed_ns = self._world.now_ns
        if isinstance(agent.error, DamagedJournalError):
            self._violate("durable", f"{agent.machine.name}: the journal is refused: {agent.error.what}")
        elif (error := agent.has_failed) is not None:
            self._violate("agent", f"{agent.machine.name}: the agent ended with {type(error).__name__}: {error}")

    # Continuously -------------------------------------------------------------------------------

    def _note_change(self) -> None:
        """Look when everything of this moment has happened."""
        if not self._is_due:
            self._is_due = True
            self._world.after(0, self._look)

    def _announced(self, machine: Machine, addresses: Iterable[InterfaceAddress]) -> None:
        for address in addresses:
            if self._owners.get(address) is not machine:
                self._owners[address] = machine
                self._note_change()

    def _tick(self) -> None:
        trace = self._world.trace
        if len(trace) != self._trace_seen:
            self._trace_seen = len(trace)
            self.changed_ns = self._world.now_ns
        self._look()
        self._look_at_roles()
        self._world.after(_TICK_NS, self._tick)

    def _look(self) -> None:
        self._is_due = False
        self._look_at_traffic()
        self._look_at_masters()

    def _look_at_traffic(self) -> None:
        now = self._world.now_ns
        gateways = self._shared_gateways()
        for device in [*self._up, *self._down]:
            if device not in gateways:
                self._up.pop(device, None)
                self._down.pop(device, None)
        for device, gateway in gateways.items():
            if self._is_served(gateway):
                since = self._down.pop(device, None)
                if since is not None:
                    self._outage(device, since, now)
                    self._up[device] = now
                self._up.setdefault(device, now)
            elif device in self._up:
                del self._up[device]
                self._down[device] = now

    def _shared_gateways(self) -> dict[str, InterfaceAddress]:
        """The gateway of each tier that both routers have; nothing where a router is not one of a pair."""
        states = [state for machine in self._networks.machines if (state := _state_of(machine)) is not None]
        if len(states) < len(self._networks.machines) or not all(_is_redundant(state) for state in states):
            return dict(self._last_gateways) if len(states) < len(self._networks.machines) else {}
        first, *others = states
        self._last_gateways = {
            device: InterfaceAddress(device=device, address=f"{tier.gateway}/{prefix_length(tier.network)}")
            for device, tier in first.tiers.items()
            if tier.is_gateway and all(_has(other, device, tier.network) for other in others)
        }
        return self._last_gateways

    _last_gateways: Mapping[str, InterfaceAddress] = {}

    def _is_served(self, gateway: InterfaceAddress) -> bool:
        """Whether a guest's packet finds its way: to whoever last said to be the gateway, and out of there."""
        owner = self._owners.get(gateway)
        if owner is None or not self._networks.is_linked(owner, gateway.device):
            return False
        if gateway not in owner.kernel.addresses:
            return False
        state = _state_of(owner)
        if state is not None and state.public_addresses:
            ways = {each.route.network for each in owner.kernel.routes if each.route.device.startswith("eth")}
            if not ("0.0.0.0/0" in ways or {"0.0.0.0/1", "128.0.0.0/1"} <= ways):
                return False
            return self._networks.is_linked(owner, "eth1")
        return True

    def _outage(self, device: str, since_ns: int, until_ns: int) -> None:
        if until_ns == since_ns:
            return
        excused_ns = self._excused_ns(device, since_ns)
        length_ms = round((until_ns - since_ns) / MS, 2)
        is_excused = until_ns - since_ns <= excused_ns
        self.outages.append(
            Outage(tier=device, from_ms=round(since_ns / MS, 2), length_ms=length_ms, is_excused=is_excused)
        )
        if not is_excused:
            what = f"guests of {device} had no way out for {length_ms:g} ms from {since_ns / MS:.1f} ms on"
            if excused_ns:
                what += f", and faults excuse {excused_ns / MS:.0f} ms"
            self._violate("traffic", what)

    def _excused_ns(self, device: str, since_ns: int) -> int:
        """How long an outage that began then may be."""
        hindered_ns = sum(
            (_hinders_repair_ms(each.step) * MS + each.until_ns - each.from_ns)
            for each in self._disturbances
            if _hinders_repair_ms(each.step)
        )
        allowed = 0
        for each in self._disturbances:
            cost_ms = _cost_ms(each.step)
            if cost_ms is None or since_ns < each.from_ns:
                continue
            end = each.until_ns + cost_ms * MS + 10 * self._interval_ns + hindered_ns
            if since_ns <= end:
                allowed = max(allowed, end - each.from_ns)
        for at_ns, touched in self._touched:
            if touched in (device, "all") and at_ns - MS <= since_ns <= at_ns + _EFFECT_NS + hindered_ns:
                allowed = max(allowed, _TOUCHED_NS)
        return allowed

    def _look_at_masters(self) -> None:
        now = self._world.now_ns
        if len(self._holders()) < 2 or not self._hear_each_other():
            self._end_double(now)
        elif self._double_since is None:
            self._double_since = now
        else:
            self._judge_double(now)

    def _judge_double(self, now: int) -> None:
        since = self._double_since
        if since is None:
            return
        self.double_master_ns = max(self.double_master_ns, now - since)
        if now - since > 4 * self._interval_ns + 150 * MS:
            self._violate(
                "one master", f"both routers hold the gateways since {since / MS:.1f} ms, and hear each other"
            )

    def _end_double(self, now: int) -> None:
        self._judge_double(now)
        if self._double_since is not None:
            self.both_served.append((self._double_since, now))
        self._double_since = None

    def _holders(self) -> list[Machine]:
        """The machines that hold a gateway of a tier that both have."""
        gateways = set(self._shared_gateways().values())
        return [
            machine
            for machine in self._networks.machines
            if machine.is_on and any(address in gateways for address in machine.kernel.addresses)
        ]

    def _hear_each_other(self) -> bool:
        """Whether both keepaliveds run, and nothing keeps them from hearing each other on some tier of both."""
        machines, networks = self._networks.machines, self._networks
        if networks.loss or networks.delay_ns:
            return False
        for machine in machines:
            keepalived = machine.keepalived
            if keepalived is None or keepalived.is_stopped or keepalived.is_dead:
                return False
        devices = self._shared_gateways()
        return any(all(networks.is_linked(machine, device) for machine in machines) for device in devices)

    def _look_at_roles(self) -> None:
        for machine in self._networks.machines:
            name, agent, keepalived = machine.name, machine.agent, machine.keepalived
            router = None if agent is None else agent.router
            is_wrong = (
                agent is not None
                and router is not None
                and not agent.is_stopped
                and not agent.is_dead
                and machine.disk.slow_ns == 0
                and _is_redundant(router.state)
                and router.role is Role.MASTER
                and (keepalived is None or keepalived.state_of_carrier() is not VrrpState.MASTER)
            )
            if not is_wrong:
                self._wrong_role_since.pop(name, None)
                continue
            since = self._wrong_role_since.setdefault(name, self._world.now_ns)
            allowed_ns = 0 if keepalived is None else _ROLE_LATE_NS
            if self._world.now_ns - since > allowed_ns:
                self._violate(
                    "role", f"{name} says that it is master since {since / MS:.0f} ms, and keepalived does not"
                )

    # At a start and at rest ---------------------------------------------------------------------

    def _check_durable(self, machine: Machine) -> None:
        if machine.name not in self._durable:
            return
        seq, chain = self._durable[machine.name]
        try:
            found = chain_at(machine.directory, seq)
        except JournalError as error:
            self._violate("durable", f"{machine.name}: the journal cannot be read: {error.what}")
            return
        if found is None:
            self._violate("durable", f"{machine.name}: record {seq} was acknowledged, and is gone")
        elif found != chain:
            self._violate("durable", f"{machine.name}: record {seq} is another one than was acknowledged")

    def at_rest(
        self, statuses: Mapping[str, Mapping[str, Any] | None], differences: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Everything is done and calm."""
        for machine in self._networks.machines:
            self._check_durable(machine)
            self._check_replay(machine)
            self._check_reloads(machine, statuses[machine.name] or {})
        for name, each in differences.items():
            if each:
                self._violate("machine", f"{name} differs from its state: {'; '.join(each[:4])}")
        self._check_served(statuses)
        self._check_converged(statuses)

    def _check_replay(self, machine: Machine) -> None:
        draft = Draft(State())
        try:
            for record in read_journal(machine.directory, 0):
                draft.apply(record.event)
        except DamagedJournalError as error:
            self._violate("durable", f"{machine.name}: the journal cannot be read: {error.what}")
            return
        except JournalError:
            return  # of a router that never came to have one
        router = None if machine.agent is None else machine.agent.router
        if router is None:
            return
        told = draft.finish()
        if digest(told) != router.digest or told != router.state:
            self._violate("replay", f"{machine.name}: the journal tells another state than the router has")

    def _check_reloads(self, machine: Machine, status: Mapping[str, Any]) -> None:
        """A machine that is busy is a machine that is deaf: reloads are bounded by their causes."""
        counters = status.get("counters", {})
        causes = len(self._order[machine.name]) + 4 * len(self._disturbances) + _RELOADS
        if counters.get("keepalived_reloads", 0) > causes:
            self._violate("settled", f"{machine.name}: {counters['keepalived_reloads']} reloads for {causes} causes")

    def _check_served(self, statuses: Mapping[str, Mapping[str, Any] | None]) -> None:
        gateways = self._shared_gateways()
        if not gateways:
            return
        roles = {name: status["role"] for name, status in statuses.items() if status is not None}
        if sorted(roles.values()) != ["backup", "master"]:
            said = ", ".join(f"{name} is {role}" for name, role in roles.items())
            self._violate("served", f"one master and one backup are due: {said}")
        for device, gateway in gateways.items():
            if not self._is_served(gateway):
                self._violate("served", f"guests of {device} have no way out")
        if len(self._holders()) > 1:
            self._violate("one master", "both routers hold the gateways, and everything is at rest")

    def _check_converged(self, statuses: Mapping[str, Mapping[str, Any] | None]) -> None:
        digests = {status["digest"] for status in statuses.values() if status is not None}
        if self.gave_both_the_same():
            if len(digests) > 1:
                self._violate("converged", "the same commands in the same order gave different configurations")
            carriers = {status["interface"] for status in statuses.values() if status is not None}
            if len(carriers) > 1:
                self._violate("converged", f"the carriers are different: {sorted(map(str, carriers))}")

    def gave_both_the_same(self) -> bool:
        """Whether all routers got the same commands in the same order."""
        first, *others = self._order.values()
        return all(other == first for other in others)

    def never_rested(self, statuses: Mapping[str, Mapping[str, Any] | None]) -> None:
        """It does not come to rest."""
        words = []
        for name, status in statuses.items():
            if status is None:
                words.append(f"{name} has no agent")
            elif not status["settled"] or status["held"]:
                why = "; ".join(map(str, status["faults"][:3])) or f"role {status['role']}"
                held = f", held {', '.join(status['held'])}" if status["held"] else ""
                words.append(f"{name}: {why}{held}")
        self._violate("settled", "not at rest in time: " + (", ".join(words) or "it does not calm down"))

    def finish(self) -> None:
        """The end: what goes on now has lasted until now."""
        now = self._world.now_ns
        for device, since in self._down.items():
            self._outage(device, since, now)
        self._end_double(now)

    def serving(self) -> str | None:
        """The only machine that holds the gateways."""
        holders = self._holders()
        return holders[0].name if len(holders) == 1 else None

    def _violate(self, rule: str, what: str) -> None:
        if not any(
            each.rule == rule and each.what.split(" since ")[0] == what.split(" since ")[0] for each in self.violations
        ):
            self.violations.append(Violation(rule=rule, at_ms=round(self._world.now_ns / MS, 1), what=what))


def touched_by(text: str) -> tuple[str, ...]:
    """The devices of the tiers whose traffic a command may interrupt; "all" if it may be any."""
    try:
        document = json.loads(text)
    except ValueError:
        return ()
    if not isinstance(document, dict):
        return ("all",)
    match document.get("command", document.get("type")):
        case "put-tier":
            return (str(document.get("tier", {}).get("device")),)
        case "remove-tier" | "guestnetwork":
            return (str(document.get("device")),)
        case "replace-acl" | "put-reservation" | "remove-reservation" | "networkacl" | "dhcpentry":
            return ()
        case "change-port-forwards" | "change-static-nats" | "change-static-routes":
            return ()
        case "forwardrules" | "staticnatrules" | "staticroutes":
            return ()
        case _:
            return ("all",)


def _state_of(machine: Machine) -> State | None:
    agent = machine.agent
    return None if agent is None or agent.router is None else agent.router.state


def _has(state: State, device: str, network: str) -> bool:
    """The same tier: two that were told of different ones on one device have none in common there."""
    tier = state.tiers.get(device)
    return tier is not None and tier.network == network


def _is_redundant(state: State) -> bool:
    return state.router is not None and state.router.redundant
