"""`machine`: an applied machine equals what it was to be, from the pass that says so until somebody else touches it.

Two forms, both cheap: the comparison runs where a pass has ended or something of the machine is another thing than
before, and reads the models themselves, not what an applier believes of them.

    after a pass      it left nothing undone, and nobody but the agent touched the machine meanwhile: then it is equal
    at any time       what differs is repaired within `REPAIRED_NS`, as long as no fault and no command comes in between
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import is_
from typing import TYPE_CHECKING

from attrs import define, field

from vpcrouter.host import Outcome
from vpcrouter.plan.kernel import plan_kernel
from vpcrouter.simulation.findings import Findings
from vpcrouter.simulation.world import MS, SECOND, World
from vpcrouter.values.desired import Daemon, Desired

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine

REPAIRED_NS = 2 * SECOND
"""What the agent promises of drift."""


@define
class Equality:
    """Of both machines."""

    world: World
    findings: Findings
    calm_since_ns: int = 0
    """When the last command came or the last fault began or ended."""
    longest_ns: int = 0
    """How long a machine has differed without a cause."""
    _desired: dict[str, Desired] = field(factory=dict)
    """What each machine was to be at the end of the last pass."""
    _compared: dict[str, tuple[object, ...]] = field(factory=dict)
    _differs_since_ns: dict[str, int] = field(factory=dict)

    def passed(self, machine: Machine, desired: Desired, outcome: Outcome, *, was_alone: bool) -> None:
        """An agent has made one pass over its machine; `was_alone`: nobody else touched it meanwhile."""
        self._desired[machine.name] = desired
        found = self._compare(machine, desired)
        if found and outcome.settled and was_alone:
            self.findings.violate("machine", f"{machine.name} is settled, and differs: {'; '.join(found[:4])}")

    def forget(self, machine: Machine) -> None:
        """Its agent is gone, and the next one may want something else."""
        self._desired.pop(machine.name, None)

    def look(self, machines: list[Machine]) -> None:
        """Time has passed."""
        for machine in machines:
            agent, desired = machine.agent, self._desired.get(machine.name)
            if desired is None or agent is None or agent.is_stopped or not machine.is_on:
                self._differs_since_ns.pop(machine.name, None)
                self._compared.pop(machine.name, None)
                continue
            present, before = (desired, *machine.fingerprint()), self._compared.get(machine.name, ())
            if len(before) != len(present) or not all(map(is_, before, present)):
                self._compare(machine, desired)
            if (since_ns := self._differs_since_ns.get(machine.name)) is not None:
                self._judge(machine, desired, max(since_ns, self.calm_since_ns))

    def _compare(self, machine: Machine, desired: Desired) -> tuple[str, ...]:
        self._compared[machine.name] = desired, *machine.fingerprint()
        found = tuple(differences(machine, desired))
        if found:
            self._differs_since_ns.setdefault(machine.name, self.world.now_ns)
        else:
            self._differs_since_ns.pop(machine.name, None)
        return found

    def _judge(self, machine: Machine, desired: Desired, since_ns: int) -> None:
        lasted_ns = self.world.now_ns - since_ns
        self.longest_ns = max(self.longest_ns, lasted_ns)
        if lasted_ns > REPAIRED_NS:
            found = "; ".join(list(differences(machine, desired))[:4])
            self.findings.violate("machine", f"{machine.name} differs since {since_ns / MS:.0f} ms: {found}")


def differences(machine: Machine, desired: Desired) -> Iterator[str]:
    """What of a machine is not as desired, in words."""
    plan = plan_kernel(desired.kernel, machine.kernel.observe(desired.kernel))
    yield from map(str, (*plan.first, *plan.early, *plan.late))
    yield from (f"kernel: {each}" for each in (*plan.awaited, *plan.missing_links, *plan.missing_sysctls))
    if machine.ruleset != desired.ruleset:
        yield "nftables: another ruleset"
    for daemon in desired.daemons:
        yield from _of_daemon(machine, daemon)
    wanted = {*desired.undecided, *(each.name for each in desired.daemons)}
    yield from (f"{name} runs" for name in machine.daemons if name not in wanted)


def _of_daemon(machine: Machine, daemon: Daemon) -> Iterator[str]:
    if daemon.name not in machine.daemons:
        yield f"{daemon.name} does not run"
    for file in daemon.files:
        if (found := machine.files.look(file.path)) is None or (found.digest, found.mode) != (file.digest, file.mode):
            yield f"{daemon.name}: {file.path} is another file"
    keepalived = machine.keepalived if daemon.name == "keepalived" else None
    if keepalived is not None and not any(keepalived.runs_with(file.content) for file in daemon.files):
        yield "keepalived runs with another file"
