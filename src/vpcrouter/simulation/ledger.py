"""What must stay of commands: `rejection`, `durable`, `replay`, `converged`.

A rejected command changes nothing, an acknowledged one is there after every restart, the journal from its first record
gives the state that the router has, and equal commands in equal order give equal configurations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, field

from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal import read_journal
from vpcrouter.journal.snapshots import chain_at
from vpcrouter.projections.digest import digest
from vpcrouter.simulation.case import Ask, Submit
from vpcrouter.simulation.findings import Findings
from vpcrouter.state import Draft, State

if TYPE_CHECKING:
    from vpcrouter.router import Router
    from vpcrouter.simulation.machine import Machine


@define
class Ledger:
    """What was answered, by router."""

    findings: Findings
    order: dict[str, list[str]] = field(factory=dict)
    """The commands that were answered, in their order."""
    _durable: dict[str, tuple[int, bytes | None]] = field(factory=dict)
    _state_then: dict[str, tuple[int, State]] = field(factory=dict)
    """At the last answer: the number of the last record, and the state."""
    _is_timed: bool = False
    """What was configured depends on when: of a change that was not confirmed, others may have come before its end."""

    def answered(self, machine: Machine, step: Submit, results: Sequence[Mapping[str, Any]]) -> None:
        """A router has answered."""
        name = machine.name
        order = self.order.setdefault(name, [])
        if not order or order[-1] != step.name:
            order.append(step.name)
        self._is_timed = self._is_timed or step.within_ms > 0
        router = None if machine.agent is None else machine.agent.router
        stored = [int(line["seq"]) for line in results if line["status"] == "accepted"]
        if stored:
            self._acknowledged(name, max(stored), router)
        if router is None:
            return
        is_rejected = all(line["status"] == "rejected" for line in results)
        if is_rejected and name in self._state_then and self._has_changed(machine, router):
            self.findings.violate("rejection", f"{name}: {step.name} was rejected, and changed something")
        self._state_then[name] = router.journal.seq, router.state

    def _acknowledged(self, name: str, seq: int, router: Router | None) -> None:
        """Everything up to this record is promised; where who promised it is dead by now, what it is is not known."""
        is_there = router is not None and router.journal.seq >= seq
        self._durable[name] = (router.journal.seq, router.journal.chain) if router and is_there else (seq, None)

    def _has_changed(self, machine: Machine, router: Router) -> bool:
        """Whether a command has left something since the last answer; deadlines, peers and guests change things too."""
        seq, state = self._state_then[machine.name]
        since = {record.origin for record in read_journal(machine.directory, seq)}
        return "socket" in since or (state is not router.state and since <= {"role"})

    def asked(self, machine: Machine, step: Ask) -> None:
        """An operator got an answer to something else than a command."""
        if step.what in ("confirm", "take-back", "revert", "guest-password"):
            self._is_timed = True
            self._state_then.pop(machine.name, None)
            router = None if machine.agent is None else machine.agent.router
            if router is not None and machine.name in self._durable:
                self._acknowledged(machine.name, max(router.journal.seq, self._durable[machine.name][0]), router)

    def opened(self, machine: Machine) -> None:
        """An agent has opened its journal."""
        self._state_then.pop(machine.name, None)
        self.check_durable(machine)

    def check_durable(self, machine: Machine) -> None:
        """Whether what was acknowledged last is on the disk."""
        if machine.name not in self._durable:
            return
        seq, chain = self._durable[machine.name]
        try:
            found = chain_at(machine.directory, seq)
        except JournalError as error:
            self.findings.violate("durable", f"{machine.name}: the journal cannot be read: {error.what}")
            return
        if found is None:
            self.findings.violate("durable", f"{machine.name}: record {seq} was acknowledged, and is gone")
        elif chain is not None and found != chain:
            self.findings.violate("durable", f"{machine.name}: record {seq} is another one than was acknowledged")

    def check_replay(self, machine: Machine) -> None:
        """Whether the whole journal tells of the state."""
        draft = Draft(State())
        try:
            for record in read_journal(machine.directory, 0):
                draft.apply(record.event)
        except DamagedJournalError as error:
            self.findings.violate("durable", f"{machine.name}: the journal cannot be read: {error.what}")
            return
        except JournalError:
            return  # of a router that never came to have one
        router = None if machine.agent is None else machine.agent.router
        if router is None:
            return
        told = draft.finish()
        if digest(told) != router.digest or told != router.state:
            self.findings.violate("replay", f"{machine.name}: the journal tells another state than the router has")

    def check_converged(self, statuses: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Whether both came to the same."""
        digests = {status["digest"] for status in statuses.values() if status is not None}
        if self.gave_both_the_same():
            if len(digests) > 1:
                self.findings.violate("converged", "the same commands in the same order gave different configurations")
            carriers = {status["interface"] for status in statuses.values() if status is not None}
            if len(carriers) > 1:
                self.findings.violate("converged", f"the carriers are different: {sorted(map(str, carriers))}")

    def gave_both_the_same(self) -> bool:
        """Whether all routers got the same commands in the same order, and nothing else changed what they came to."""
        first, *others = self.order.values()
        return not self._is_timed and all(other == first for other in others)
