"""Where all meet: one router, its journal, its state, its role and its machine.

    submit:  decide → journal.append (durable) → evolve          the one funnel; nothing else changes the state
    settle:  follow keepalived → materialise → Host.settle       until the machine equals the state

A Router is not thread-safe: whoever has threads calls it from one of them (the agent does). The state it hands
out is immutable and may go anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from attrs import frozen

from vpcrouter.commands import Command
from vpcrouter.decide import Decision, decide
from vpcrouter.errors import CallerError, RejectedCommandError, SettleTimeoutError
from vpcrouter.events import Event, RoleChanged
from vpcrouter.events.codec import event_name
from vpcrouter.journal import Entry, Journal, Snapshot, find_snapshot, proven_seq, read_events, require_records
from vpcrouter.machines.carriage import CarriageMachine
from vpcrouter.machines.role import Report, RoleChange, RoleMachine
from vpcrouter.projections.digest import digest
from vpcrouter.projections.electors import electors
from vpcrouter.receipt import Receipt
from vpcrouter.revert import commands_between
from vpcrouter.state import Draft, State
from vpcrouter.state_codec import SCHEMA, pack_state, unpack_state
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.carriage import Carriage, Elector, FoundElector, PeerCarriage
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.host import Host, Outcome


@frozen(kw_only=True)
class Past:
    """A router as it was after the event `seq`."""

    seq: int
    state: State

    @property
    def digest(self) -> str:
        """The hash of the shared configuration, then."""
        return digest(self.state)


def replay(directory: Path, *, until: int | None = None, until_ns: int | None = None) -> Past:
    """The state that a journal tells, read only: all of it, or until a sequence number or a time (both included).

    Raises DamagedJournalError; needs no lock, so that it works beside an agent and on read-only media.
    """
    proven = proven_seq(directory)
    start = _newest_snapshot(directory, until) if until_ns is None else Past(seq=0, state=State())
    draft, seq = Draft(start.state), start.seq
    for number, time_ns, event in read_events(directory, start.seq):
        if (until is not None and number > until) or (until_ns is not None and time_ns > until_ns):
            break
        draft.apply(event)
        seq = number
    else:
        require_records(directory, seq, proven)
    return Past(seq=seq, state=draft.finish())


def _newest_snapshot(directory: Path, until: int | None = None) -> Past:
    """The state that need not be replayed. One that does not count, or whose digest is wrong, costs time, not truth."""
    snapshot, _ = find_snapshot(directory, schema=SCHEMA, until=until)
    if snapshot is not None:
        past = Past(seq=snapshot.seq, state=unpack_state(snapshot.body))
        if past.digest == snapshot.digest:
            return past
    return Past(seq=0, state=State())


def present(state: State, found: Iterable[FoundElector], settings: Settings) -> tuple[Role, Carriage | None]:
    """The role and the carriage of a router with this state whose keepalived runs with these electors."""
    roles, machine = RoleMachine(), CarriageMachine(advertisement_interval_ms=settings.advertisement_interval_ms)
    roles.observe(_configuration_report(state))
    machine.learned(found, 0)
    if machine.carrier is None:
        return roles.role, None
    if (role := machine.role) is not None:
        roles.observe(Report.of_role(role))
    return roles.role, machine.stay(electors(state))


def _configuration_report(state: State) -> Report:
    """Before the boot parameters nobody knows whether there is a peer, and nothing takes effect."""
    if state.router is None:
        return Report.of_configuration(has_tier=False, redundant=False)
    return Report.of_configuration(has_tier=bool(state.tiers), redundant=state.router.redundant)


class Router:
    """One router on one journal, which it alone may write."""

    def __init__(self, journal: Journal, settings: Settings, surroundings: Surroundings = HERE) -> None:
        """For `open`. Folds the whole journal."""
        self.settings = settings
        self.surroundings = surroundings
        self.journal = journal
        self._host: Host | None = None
        self._roles = RoleMachine()
        self.electors = CarriageMachine(advertisement_interval_ms=settings.advertisement_interval_ms)
        """The VRRP instances, and which of them carries."""
        start = _newest_snapshot(journal.directory)
        draft = Draft(start.state)
        for _, _, event in journal.events(start.seq):
            draft.apply(event)
        self._state = draft.finish()
        self._snapshot_seq = start.seq
        self._digest: tuple[State, str] | None = None
        self._tell_configuration()

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        settings: Settings | None = None,
        owner: Mapping[str, str] | None = None,
        surroundings: Surroundings = HERE,
    ) -> Router:
        """Open a journal (a new one is made), replay it and take the single-writer lock.

        `owner` is told to whoever finds the lock taken; `surroundings` is the world that it is a router of.
        Raises LockedJournalError or DamagedJournalError.
        """
        journal = Journal.open(Path(directory), owner=owner, disk=surroundings.disk())
        try:
            return cls(journal, settings or Settings(), surroundings)
        except BaseException:
            journal.close()
            raise

    # Reading ------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Everything that is configured, now."""
        return self._state

    @property
    def seq(self) -> int:
        """The sequence number of the newest event; 0 if there is none."""
        return self.journal.seq

    @property
    def role(self) -> Role:
        """What keepalived says this router is; init until it has said anything."""
        return self._roles.role

    @property
    def role_reason(self) -> str:
        """Why it has that role."""
        return self._roles.reason

    @property
    def digest(self) -> str:
        """The hash of the configuration that both routers of a pair share."""
        if self._digest is None or self._digest[0] is not self._state:
            self._digest = (self._state, digest(self._state))
        return self._digest[1]

    def at(self, seq: int) -> Past:
        """The router as it was after the event `seq`."""
        return replay(self.journal.directory, until=seq)

    # Commands -----------------------------------------------------------------------------------

    def submit(
        self, command: Command, *, origin: str = "library", command_id: str = "", expected_seq: int | None = None
    ) -> Receipt:
        """Decide on a command and make it durable.

        A `command_id` that was stored before is answered with its first receipt and not done again, also after a
        restart (a command that changed nothing leaves no record, and is decided anew). With `expected_seq` the
        command is refused unless that is still the newest event.
        Raises RejectedCommandError (nothing is stored) or JournalWriteError (nothing is acknowledged).
        """
        if command_id and (known := self.journal.find_command(command_id)):
            return Receipt(seq=known[0].seq, status="accepted", event=event_name(known[0].event))
        if expected_seq is not None and expected_seq != self.seq:
            raise RejectedCommandError(
                f"the newest event is {self.seq}, not {expected_seq}",
                where="expected_seq",
                hint="look at what came in between, and submit again",
            )
        (result,) = self.submit_each([command], origin=origin, command_id=command_id)
        if isinstance(result, CallerError):
            raise result
        return result

    def submit_many(self, commands: Iterable[Command], *, origin: str = "library") -> list[Receipt]:
        """All of them as one durable group, or none: the first refusal is raised and nothing is stored."""
        draft, decisions = Draft(self._state), []
        for command in commands:
            decision = decide(draft, command)
            if decision.event is not None:
                draft.apply(decision.event)
            decisions.append(decision)
        return self._store(draft, decisions, origin)

    def revert(self, seq: int, *, origin: str = "revert") -> list[Receipt]:
        """Bring back the state as it was after the event `seq`, by new events, as one group.

        Returns a receipt for each new event. Raises RejectedCommandError if there is no such event, or if there were
        no boot parameters then.
        """
        if not 0 <= seq <= self.seq:
            raise RejectedCommandError(f"there is no event {seq}", where="seq", hint=f"the newest is {self.seq}")
        receipts = self.submit_many(commands_between(self._state, self.at(seq).state), origin=origin)
        return [receipt for receipt in receipts if receipt.event is not None]

    def submit_each(
        self, commands: Sequence[Command], *, origin: str, command_id: str = ""
    ) -> list[Receipt | CallerError]:
        """Each on its own, in order, with one sync for all that are accepted: a refused one does not stop the rest."""
        draft = Draft(self._state)
        results: list[Decision | CallerError] = []
        for command in commands:
            try:
                decision = decide(draft, command)
            except CallerError as error:
                results.append(error)
                continue
            if decision.event is not None:
                draft.apply(decision.event)
            results.append(decision)
        decisions = [each for each in results if isinstance(each, Decision)]
        stored = iter(self._store(draft, decisions, origin, command_id))
        return [each if isinstance(each, CallerError) else next(stored) for each in results]

    def _store(self, draft: Draft, decisions: Sequence[Decision], origin: str, command_id: str = "") -> list[Receipt]:
        seq = self.journal.seq
        happened: list[Event] = [each.event for each in decisions if each.event is not None]
        if happened:
            self._append(happened, origin, command_id)
            self._state = draft.finish()
            self._tell_configuration()
        receipts = []
        for decision in decisions:
            accepted = decision.event is not None
            seq += accepted
            receipts.append(
                Receipt(
                    seq=seq,
                    status="accepted" if accepted else "unchanged",
                    event=event_name(decision.event) if decision.event is not None else None,
                    pending=decision.pending,
                    removed=decision.removed,
                )
            )
        return receipts

    def _append(self, happened: Sequence[Event], origin: str, command_id: str = "") -> None:
        entries = [Entry(event=event, origin=origin, command_id=command_id) for event in happened]
        self.journal.append(entries, time_ns=self.surroundings.time_ns())

    # Snapshots ----------------------------------------------------------------------------------

    @property
    def events_since_snapshot(self) -> int:
        """How many events the next open has to replay."""
        return self.seq - self._snapshot_seq

    def snapshot(self) -> Snapshot:
        """What `write_snapshot` needs to write the state down as it is now; any thread may do that."""
        self._snapshot_seq = self.seq
        return Snapshot(
            seq=self.seq,
            time_ns=self.surroundings.time_ns(),
            chain=self.journal.chain,
            schema=SCHEMA,
            digest=self.digest,
            body=pack_state(self._state),
        )

    # The role -----------------------------------------------------------------------------------

    def observe(self, report: Report, reason: str = "") -> RoleChange:
        """Take in what keepalived reports. The caller carries out the intents of the answer."""
        return self._roles.observe(report, reason)

    def hear(self, device: str, role: Role, reason: str) -> RoleChange | None:
        """Take in what one elector reports: of the carrier, it is the role of the router."""
        self.electors.observe(device, role, self.surroundings.monotonic_ns())
        return self.observe(Report.of_role(role), reason) if device == self.electors.carrier else None

    def learn(self, found: Iterable[FoundElector]) -> RoleChange | None:
        """Take in what a keepalived that runs already says when it is asked."""
        self.electors.learned(found, self.surroundings.monotonic_ns())
        return self._follow_carrier()

    def carriage(self, peer: PeerCarriage | None) -> Carriage:
        """What keepalived is to run with now."""
        return self.electors.next(electors(self._state), peer, self.surroundings.monotonic_ns())

    def loaded(self, carriage: Carriage, tiers: Sequence[Elector]) -> RoleChange | None:
        """Take in that keepalived runs with this now."""
        self.electors.loaded(carriage, tiers)
        return self._follow_carrier()

    def _follow_carrier(self) -> RoleChange | None:
        device, role = self.electors.carrier, self.electors.role
        if device is None or role is None:
            return None
        return self.observe(Report.of_role(role), f"keepalived: instance {device}, which carries, is {role.value}")

    def lose(self) -> RoleChange:
        """Keepalived is gone."""
        self.electors.lost()
        return self.observe(Report.LOST, "keepalived died")

    def record(self, change: RoleChange) -> None:
        """Write a change of the role into the journal, for the audit trail."""
        self._append([RoleChanged(role=change.role, previous=change.previous, reason=change.reason)], "role")

    def _tell_configuration(self) -> None:
        self._roles.observe(_configuration_report(self._state))

    # The machine --------------------------------------------------------------------------------

    @property
    def host(self) -> Host:
        """This machine; opened when it is first needed, since it costs imports and sockets."""
        if self._host is None:
            from vpcrouter.host import Host

            self._host = Host(self.settings, self.surroundings)
        return self._host

    def settle(self, timeout: float = 5.0) -> Outcome:
        """Make the machine equal to the state, and follow keepalived meanwhile; needs root.

        Raises SettleTimeoutError with what still differs after `timeout` seconds.
        """
        from vpcrouter.materialise import materialise

        deadline = self.surroundings.monotonic() + timeout
        self._note(self.learn(self.host.find_electors()))
        while True:
            for each in self.host.reports():
                self._note(self.hear(each.instance, each.role, each.reason))
            carriage, tiers = self.carriage(None), electors(self._state)
            outcome = self.host.settle(materialise(self._state, self.role, self.settings, carriage))
            if outcome.has_loaded:
                self._note(self.loaded(carriage, tiers))
            if outcome.settled and self.carriage(None) == carriage and (carriage.carrier or not tiers):
                return outcome
            left = deadline - self.surroundings.monotonic()
            if left <= 0:
                raise SettleTimeoutError(
                    f"the machine does not equal the state after {timeout:g} s",
                    where="; ".join(outcome.differences),
                    hint="see `vpcrouter status` and `vpcrouter verify`",
                )
            self.host.wait(min(left, 0.05))

    def _note(self, change: RoleChange | None) -> None:
        if change is not None and change.changed:
            self.record(change)

    # The end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Release the journal and the machine's handles. Daemons and the kernel's configuration stay."""
        try:
            if self._host is not None:
                self._host.close()
        finally:
            self.journal.close()

    def __enter__(self) -> Router:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
