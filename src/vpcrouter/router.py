"""Where all meet: one router, its journal, its state, its role and its machine.

    submit:  decide → journal.append (durable) → evolve          the one funnel; nothing else changes the state
    settle:  follow keepalived → materialise → Host.settle       until the machine equals the state

A Router is not thread-safe: whoever has threads calls it from one of them (the agent does). The state it hands
out is immutable and may go anywhere.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from vpcrouter import events
from vpcrouter.commands import Command
from vpcrouter.deciding import Asked, Group
from vpcrouter.errors import (
    CallerError,
    FullDiskError,
    JournalError,
    JournalWriteError,
    RejectedCommandError,
    SettleTimeoutError,
)
from vpcrouter.events import Event
from vpcrouter.events.codec import event_name
from vpcrouter.journal import Entry, Journal, Snapshot
from vpcrouter.machines.carriage import CarriageMachine
from vpcrouter.machines.role import Report, RoleChange, RoleMachine, Standing
from vpcrouter.past import Past, newest_snapshot, replay
from vpcrouter.projections.digest import digest
from vpcrouter.projections.electors import electors
from vpcrouter.projections.essential import is_essential
from vpcrouter.receipt import Receipt
from vpcrouter.replaying import replay_journal
from vpcrouter.revert import commands_between
from vpcrouter.state import State, StateView
from vpcrouter.state_codec import SCHEMA, pack_state
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.undo import undo
from vpcrouter.values.carriage import Carriage, Elector, FoundElector, PeerCarriage
from vpcrouter.values.confirmation import Confirmation, Terms, milliseconds
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

if TYPE_CHECKING:
    from vpcrouter.host import Host, Outcome


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


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """For a burst: it makes objects by the hundred thousand, all of which stay, and Python would search them again
    and again for cycles to collect, a fifth of all the time that it takes."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _for_the_others_sake() -> RejectedCommandError:
    return RejectedCommandError(
        "another command of the same change is refused", where="confirmation", hint="mend that one; nothing was stored"
    )


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
        self._unfit = ""
        start = newest_snapshot(journal.directory)
        self._state = replay_journal(journal.directory, start.state, start.seq, sealer=journal.keys).state
        self._snapshot_seq = start.seq
        self._digest: tuple[State, str] | None = None
        now = surroundings.moment()
        self._due_ms = {name: each.due_ms(now) for name, each in self._state.confirmations.items()}
        """When the time of each change that waits is up, by the clock of this boot."""
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
        self,
        command: Command,
        *,
        origin: str = "library",
        command_id: str = "",
        expected_seq: int | None = None,
        confirm_within_s: float | None = None,
        confirm_if: Sequence[str] = (),
    ) -> Receipt:
        """Decide on a command and make it durable.

        A `command_id` that was stored before is answered with its first receipt and not done again, also after a
        restart (a command that changed nothing leaves no record, and is decided anew). With `expected_seq` the
        command is refused unless that is still the newest event. With `confirm_within_s` the change is taken back
        unless `confirm` comes in time: see `submit_change`, and `Terms` for `confirm_if`.
        Raises RejectedCommandError or MalformedInputError (nothing is stored) or JournalWriteError (nothing is
        acknowledged).
        """
        asked = [Asked(command=command, command_id=command_id, expected_seq=expected_seq)]
        if confirm_within_s is None:
            (result,) = self.submit_each(asked, origin=origin)
        else:
            within_ms = milliseconds(confirm_within_s, "confirm_within_s")
            terms = Terms(within_ms=within_ms, conditions=tuple(confirm_if))
            (result,) = self.submit_change(asked, terms, origin=origin)
        if isinstance(result, CallerError):
            raise result
        return result

    def submit_many(
        self, commands: Iterable[Command | Asked], *, origin: str = "library", essential: bool = False
    ) -> list[Receipt]:
        """All of them as one durable group, or none: the first refusal is raised and nothing is stored.

        `essential`: they may use the reserve of a full disk.
        """
        self._expire_if_it_can_be()
        with _no_search_for_cycles():
            group = self._begin(origin)
            receipts = [group.decide(each) for each in commands]
            self._store(group, essential=essential)
        return receipts

    def submit_each(self, commands: Iterable[Command | Asked], *, origin: str) -> list[Receipt | CallerError]:
        """Each on its own, in order, with one sync for all that are accepted: a refused one does not stop the rest."""
        self._expire_if_it_can_be()
        group = self._begin(origin)
        results = [group.answer(each) for each in commands]
        self._store(group)
        return results

    def revert(self, seq: int, *, origin: str = "revert") -> list[Receipt]:
        """Bring back the state as it was after the event `seq`, by new events, as one group.

        Returns a receipt for each new event. Raises RejectedCommandError if there is no such event, or if there were
        no boot parameters then.
        """
        if not 0 <= seq <= self.seq:
            raise RejectedCommandError(f"there is no event {seq}", where="seq", hint=f"the newest is {self.seq}")
        receipts = self.submit_many(commands_between(self._state, self.at(seq).state), origin=origin, essential=True)
        return [receipt for receipt in receipts if receipt.event is not None]

    def _begin(self, origin: str, *, preceding: int = 0) -> Group:
        """Decisions upon what is believed now."""
        return Group(self._state, self.seq, origin, stored=self.journal.find_command, preceding=preceding)

    def _store(self, group: Group, *, essential: bool = False) -> None:
        """Make the group's events durable, then believe them."""
        if group.entries:
            self._append(group.entries, essential=essential)
            self._state = group.draft.finish()
            self._tell_configuration()

    def _append(self, entries: Sequence[Entry], *, essential: bool = False) -> None:
        essential = essential or all(is_essential(each.event) for each in entries)
        self.journal.append(entries, time_ns=self.surroundings.time_ns(), essential=essential)

    # Confirmation -------------------------------------------------------------------------------

    def submit_change(
        self, commands: Sequence[Command | Asked], terms: Terms, *, origin: str = "library"
    ) -> list[Receipt | CallerError]:
        """All of them as one change that is taken back unless it is confirmed in time; all, or none at all.

        If one is refused, nothing is stored, and the others are refused for its sake. If nothing has to change, there
        is nothing to confirm. The duty to take it back is stored with the change, and is done by `expire`: before any
        later command, before every settle, and by the agent when the time is up, also after a crash or a reboot. A
        program without the agent must call `expire` itself.
        """
        self._expire_if_it_can_be()
        group = self._begin(origin, preceding=1)
        results = [group.answer(each) for each in commands]
        if any(isinstance(each, CallerError) for each in results):
            return [each if isinstance(each, CallerError) else _for_the_others_sake() for each in results]
        if not group.entries:
            return results
        if refusal := self._refusal(group.draft, terms):
            return [refusal for _ in results]
        now, until = self.surroundings.moment(), self.seq + 1 + len(group.entries)
        confirmation = Confirmation(
            name=terms.name or str(until),
            before=self.seq,
            until=until,
            within_ms=terms.within_ms,
            deadline_ms=now.wall_ms + terms.within_ms,
            boot_id=now.boot_id,
            boot_deadline_ms=now.boot_ms + terms.within_ms,
            conditions=terms.conditions,
        )
        group.precede(events.ConfirmationRequired(confirmation=confirmation))
        self._store(group)
        self._due_ms[confirmation.name] = confirmation.boot_deadline_ms
        return [
            each._replace(confirmation=confirmation.name, confirm_by_ms=confirmation.deadline_ms)
            if isinstance(each, Receipt) and each.event is not None and each.seq > confirmation.before
            else each
            for each in results
        ]

    def _refusal(self, after: StateView, terms: Terms) -> RejectedCommandError | None:
        """Why this change cannot be one that waits for a confirmation."""
        if terms.name in self._state.confirmations:
            what, hint = f"another change waits under the name {terms.name!r}", "choose another name"
        elif self._state.router is None and after.router is not None:
            what, hint = "the first boot parameters cannot be taken back", "submit them without a deadline"
        else:
            return None
        return RejectedCommandError(what, where="confirmation", hint=hint)

    @property
    def unconfirmed(self) -> tuple[tuple[Confirmation, float], ...]:
        """The changes that wait for their confirmation, oldest first, each with the seconds that it has left."""
        if not self._state.confirmations:
            return ()
        now = self.surroundings.moment().boot_ms
        waiting = self._state.confirmations.values()
        return tuple((each, max(0, self._due_ms[each.name] - now) / 1000) for each in waiting)

    def confirm(self, name: str, *, by: str = "somebody", origin: str = "library") -> Receipt:
        """Keep the change of this name. Raises RejectedCommandError if none waits under it (any more)."""
        self._expire_if_it_can_be()
        self._waiting(name)
        return self._record(events.ChangeConfirmed(name=name, by=by), origin=origin)

    def take_back(self, name: str, *, reason: str = "it was asked for", origin: str = "library") -> Receipt:
        """Take the change of this name back now, by new events, without what others did since; see `undo`.

        Raises RejectedCommandError if none waits under it (any more).
        """
        self.expire()
        return self._take_back(self._waiting(name), reason, origin)

    def expire(self) -> list[Receipt]:
        """Take back the changes whose time is up, the newest first; a receipt for each.

        Raises JournalError if the past of one cannot be read (any more): it stays, and stays overdue.
        """
        if not self._state.confirmations:
            return []
        overdue = [each for each, left_s in self.unconfirmed if left_s <= 0]
        return [self._take_back(each, "it was not confirmed in time", "deadline") for each in reversed(overdue)]

    def _expire_if_it_can_be(self) -> None:
        """A past that cannot be read, or a full disk, must not stop what is asked now; the agent says so itself."""
        try:
            self.expire()
        except JournalError as error:
            if isinstance(error, JournalWriteError) and not isinstance(error, FullDiskError):
                raise

    def _waiting(self, name: str) -> Confirmation:
        found = self._state.confirmations.get(name)
        if found is None:
            others = ", ".join(self._state.confirmations) or "none does"
            raise RejectedCommandError(
                f"no change waits for confirmation under the name {name!r}",
                where="confirmation",
                hint=f"waiting: {others}; `vpcrouter log --type change-reverted` tells what was taken back",
            )
        return found

    def _take_back(self, change: Confirmation, reason: str, origin: str) -> Receipt:
        def edges(before: int, until: int) -> tuple[State, State]:
            return self.at(before).state, self.at(until).state

        before, after = edges(change.before, change.until)
        undone = undo(self._state, before=before, after=after, beneath=[edges(*each) for each in change.beneath])
        return self._record(
            *undone.events, events.ChangeReverted(name=change.name, reason=reason, kept=undone.kept), origin=origin
        )

    def _record(self, *happened: Event, origin: str) -> Receipt:
        """Events that need no decision, as one group; a receipt for the last."""
        group = self._begin(origin)
        for each in happened:
            group.happen(each)
        self._store(group, essential=True)
        return Receipt(seq=self.seq, status="accepted", event=event_name(happened[-1]))

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
        return self._hear_carrier(role, reason) if device == self.electors.carrier else None

    def learn(self, found: Iterable[FoundElector]) -> RoleChange | None:
        """Take in what a keepalived that runs already says when it is asked."""
        self.electors.learned(found, self.surroundings.monotonic_ns())
        return self._follow_carrier()

    def carriage(self, peers: Sequence[PeerCarriage] = (), *, knows_all: bool = True) -> Carriage:
        """What keepalived is to run with now; see `CarriageMachine.next`."""
        now_ns = self.surroundings.monotonic_ns()
        return self.electors.next(electors(self._state), peers, now_ns, knows_all=knows_all)

    def loaded(self, carriage: Carriage, tiers: Sequence[Elector]) -> RoleChange | None:
        """Take in that keepalived runs with this now."""
        self.electors.loaded(carriage, tiers)
        return self._follow_carrier()

    def _follow_carrier(self) -> RoleChange | None:
        device, role = self.electors.carrier, self.electors.role
        if device is None or role is None:
            return None
        return self._hear_carrier(role, f"keepalived: instance {device}, which carries, is {role.value}")

    def _hear_carrier(self, role: Role, reason: str) -> RoleChange:
        """A backup that has lost something serves only if there is nobody better: that is a fault, with its reason."""
        if role in (Role.BACKUP, Role.FAULT) and self._unfit:
            return self.observe(Report.FAULT, self._unfit)
        return self.observe(Report.of_role(role), reason)

    def judge(self, unfit: str) -> RoleChange | None:
        """Take in why this router is not fit to serve; nothing if it is."""
        self._unfit = unfit
        return self._follow_carrier()

    def lose(self) -> RoleChange:
        """Keepalived is gone."""
        self.electors.lost()
        return self.observe(Report.LOST, "keepalived died")

    def record(self, change: RoleChange) -> None:
        """Write a change of the role into the journal, for the audit trail."""
        happened = events.RoleChanged(role=change.role, previous=change.previous, reason=change.reason)
        self._append([Entry(event=happened, origin="role")])

    def _tell_configuration(self) -> None:
        report = _configuration_report(self._state)
        if report is Report.PAIRED and self._roles.standing in (Standing.NO_TIER, Standing.ALONE):
            # What the electors of an earlier tier were says nothing of this one: their keepalived may be ending.
            self.electors.lost()
        self._roles.observe(report)

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

        A change whose time is up is taken back first: it must not take effect once more.
        Raises SettleTimeoutError with what still differs after `timeout` seconds, and MalformedInputError, before
        anything is touched, where the settings' root leaves no room for the daemons' sockets.
        """
        from vpcrouter.materialise import materialise

        self.settings.require_room_for_sockets()
        self._expire_if_it_can_be()
        deadline = self.surroundings.monotonic() + timeout
        self._note(self.learn(self.host.find_electors()))
        while True:
            for each in self.host.reports():
                self._note(self.hear(each.instance, each.role, each.reason))
            carriage, tiers = self.carriage(), electors(self._state)
            outcome = self.host.settle(materialise(self._state, self.role, self.settings, carriage))
            if outcome.has_loaded:
                self._note(self.loaded(carriage, tiers))
            if outcome.settled and self.carriage() == carriage and (carriage.carrier or not tiers):
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
