"""What must never be so of a pair, checked whenever something changes, and at rest.

    continuously   traffic       a tier that no command touches is served without a gap, but for what a fault excuses
                   one master    two hold a gateway no longer than a master-down time while they hear each other
                   role          an agent says master only while its keepalived does
                   connections   what was established goes on with a router that said it was ready
    at an answer   rejection     what was rejected changed nothing
    at a start     durable       what was acknowledged is there, with its place in the chain
                   machine       a machine equals what it was to be after a pass, and what differs is repaired in time
    at rest        settled       both came to rest in time, without faults, and with few reloads
                   machine       each machine equals what its state comes to
                   served        exactly one serves, if one can, and it serves every tier that both have
                   converged     equal commands in equal order gave equal configurations, on the same carrier
                   replay        the journal, read from its first record, gives the state that the router has

`Watch` is told what happens and hands it to those who judge; all of them read what the real code and the models show,
and change nothing:

    findings ◀── traffic, masters, guests ──▶ ways (who serves)
        ▲           └──▶ excuses (faults and commands)
        └─────── ledger (answers and journals)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vpcrouter.errors import DamagedJournalError
from vpcrouter.host import Outcome
from vpcrouter.simulation.case import Ask, Submit
from vpcrouter.simulation.equality import Equality
from vpcrouter.simulation.excuses import Disturbance, Excuses
from vpcrouter.simulation.findings import Findings, Outage, Violation
from vpcrouter.simulation.guests import Guests
from vpcrouter.simulation.ledger import Ledger
from vpcrouter.simulation.masters import Masters
from vpcrouter.simulation.traffic import Traffic
from vpcrouter.simulation.ways import Ways, state_of
from vpcrouter.simulation.world import MS, World
from vpcrouter.state import State
from vpcrouter.values.desired import Desired, InterfaceAddress
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.simulation.host import AgentProcess
    from vpcrouter.simulation.machine import Machine
    from vpcrouter.simulation.network import Networks

_TICK_NS = 50 * MS
_RELOADS = 6
"""Of one router without any cause; each command and each fault is a cause of one more at most."""


class Watch:
    """The watcher of one pair."""

    def __init__(self, world: World, networks: Networks, settings: Settings) -> None:
        interval_ns = settings.advertisement_interval_ms * MS
        self.changed_ns = 0
        """When something last happened that is more than a heartbeat."""
        self.ways = Ways(networks)
        self.findings = Findings(world)
        self.excuses = Excuses(interval_ns)
        self.traffic = Traffic(world, self.ways, self.excuses, self.findings)
        self.masters = Masters(world, self.ways, self.findings, interval_ns)
        self.guests = Guests(world, self.ways, self.excuses, self.findings)
        self.equality = Equality(world, self.findings)
        self.ledger = Ledger(self.findings, {machine.name: [] for machine in networks.machines})
        self._world = world
        self._networks = networks
        self._is_due = False
        self._trace_seen = 0
        self._states: list[State | None] = []
        self._served_last = networks.machines[0].name
        for machine in networks.machines:
            machine.on_change = self._note_change
            machine.announced = self._announced
        world.after(_TICK_NS, self._tick)

    @property
    def violations(self) -> list[Violation]:
        """All so far."""
        return self.findings.violations

    @property
    def outages(self) -> list[Outage]:
        """All so far, also those that a fault excuses."""
        return self.traffic.outages

    # What it is told ----------------------------------------------------------------------------

    def disturbed(self, disturbance: Disturbance) -> None:
        """A fault begins."""
        self.excuses.disturbances.append(disturbance)
        self._stir()
        self._world.at(disturbance.until_ns, self._stir)

    def _stir(self) -> None:
        self.changed_ns = self.equality.calm_since_ns = self._world.now_ns
        for machine in self._networks.machines:
            machine.touched += 1
        self._note_change()

    def submitted(self, step: Submit) -> None:
        """A command was handed in."""
        self.changed_ns = self.equality.calm_since_ns = self._world.now_ns
        self.excuses.touch(step.text, self._world.now_ns, has_way_out=self.ways.lead_out())

    def answered(self, machine: Machine, step: Submit, results: Sequence[Mapping[str, Any]]) -> None:
        """A router has answered."""
        self.submitted(step)
        self.ledger.answered(machine, step, results)

        if step.within_ms:
            self._world.after(
                step.within_ms * MS,
                lambda: self.excuses.touch(step.text, self._world.now_ns, has_way_out=self.ways.lead_out()),
            )

    def asked(self, machine: Machine, step: Ask) -> None:
        """An operator got an answer."""
        self.changed_ns = self.equality.calm_since_ns = self._world.now_ns
        self.ledger.asked(machine, step)
        if step.what in ("take-back", "revert"):
            self.excuses.touch("{}", self._world.now_ns)

    def opened(self, agent: AgentProcess) -> None:
        """An agent has opened its journal."""
        self.changed_ns = self.equality.calm_since_ns = self._world.now_ns
        self.equality.forget(agent.machine)
        self.ledger.opened(agent.machine)

    def passed(self, agent: AgentProcess, desired: Desired, outcome: Outcome, was_alone: bool) -> None:
        """An agent has made a pass over its machine."""
        self.equality.passed(agent.machine, desired, outcome, was_alone=was_alone)

    def ended(self, agent: AgentProcess) -> None:
        """An agent has ended by itself."""
        self.changed_ns = self._world.now_ns
        if isinstance(agent.error, DamagedJournalError):
            self.findings.violate("durable", f"{agent.machine.name}: the journal is refused: {agent.error.what}")
        elif (error := agent.has_failed) is not None:
            words = f"{agent.machine.name}: the agent ended with {type(error).__name__}: {error}"
            self.findings.violate("agent", words)

    # Continuously -------------------------------------------------------------------------------

    def _note_change(self) -> None:
        """Look when everything of this moment has happened."""
        if not self._is_due:
            self._is_due = True
            self._world.after(0, self._look)

    def _announced(self, machine: Machine, addresses: Iterable[InterfaceAddress]) -> None:
        if self.ways.announced(machine, addresses):
            self._note_change()

    def _tick(self) -> None:
        trace = self._world.trace
        if len(trace) != self._trace_seen:
            self._trace_seen = len(trace)
            self.changed_ns = self._world.now_ns
        states = [state_of(machine) for machine in self._networks.machines]
        if any(one is not other for one, other in zip(states, self._states, strict=False)):
            self.changed_ns = self.equality.calm_since_ns = self._world.now_ns  # by a deadline, perhaps
        self._states = states
        self._look()
        self.masters.look_at_roles()
        self.ways.ask()
        self.guests.tick()
        self.equality.look(self._networks.machines)
        self._world.after(_TICK_NS, self._tick)

    def _look(self) -> None:
        self._is_due = False
        if self.ways.look():
            self._served_last = self.serving() or self._served_last
            self.traffic.look()
            self.guests.look()
        else:
            self.guests.note_synchronisers()
        self.masters.look()

    # At rest ------------------------------------------------------------------------------------

    def at_rest(
        self, statuses: Mapping[str, Mapping[str, Any] | None], differences: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Everything is done and calm."""
        for machine in self._networks.machines:
            self.ledger.check_durable(machine)
            self.ledger.check_replay(machine)
            self._check_reloads(machine, statuses[machine.name] or {})
        for name, each in differences.items():
            if each:
                self.findings.violate("machine", f"{name} differs from its state: {'; '.join(each[:4])}")
        self._check_served(statuses)
        self.ledger.check_converged(statuses)

    def _check_reloads(self, machine: Machine, status: Mapping[str, Any]) -> None:
        """A machine that is busy is a machine that is deaf: reloads are bounded by their causes."""
        counters = status.get("counters", {})
        causes = len(self.ledger.order[machine.name]) + 4 * len(self.excuses.disturbances) + _RELOADS
        if counters.get("keepalived_reloads", 0) > causes:
            self.findings.violate(
                "settled", f"{machine.name}: {counters['keepalived_reloads']} reloads for {causes} causes"
            )

    def _check_served(self, statuses: Mapping[str, Mapping[str, Any] | None]) -> None:
        gateways = self.ways.gateways()
        if not gateways:
            return
        if len(self.ways.holders) > 1 and not self.ways.can_agree():
            return  # they have different passwords; see `Ways.can_agree`
        roles = {name: status["role"] for name, status in statuses.items() if status is not None}
        if sorted(roles.values()) != ["backup", "master"]:
            said = ", ".join(f"{name} is {role}" for name, role in roles.items())
            self.findings.violate("served", f"one master and one backup are due: {said}")
        for way, gateway in gateways.items():
            if not self.ways.is_served(gateway):
                self.findings.violate("served", f"guests of {way} have no way out")
        if len(self.ways.holders) > 1:
            self.findings.violate("one master", "both routers hold the gateways, and everything is at rest")

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
        self.findings.violate("settled", "not at rest in time: " + (", ".join(words) or "it does not calm down"))

    def finish(self) -> None:
        """The end: what goes on now has lasted until now."""
        self.traffic.finish()
        self.masters.finish()

    @property
    def served_last(self) -> str:
        """The machine that serves, or was the last to do so alone; the first one while nobody has."""
        return self.serving() or self._served_last

    def serving(self) -> str | None:
        """The only machine that holds the gateways."""
        holders = self.ways.holders
        return holders[0].name if len(holders) == 1 else None
