"""What is asked for, decided command by command, until it is stored as one group.

Called by the router, which stores the entries and then believes the draft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from vpcrouter.commands import Command
from vpcrouter.decide import decide
from vpcrouter.errors import CallerError, RejectedCommandError
from vpcrouter.events import Event
from vpcrouter.events.codec import event_name
from vpcrouter.journal import Entry, JournalRecord
from vpcrouter.receipt import Receipt
from vpcrouter.state import Draft, State


@frozen(kw_only=True)
class Asked:
    """A command, and what its sender asks beside it."""

    command: Command
    command_id: str = ""
    """Do it once: one that was stored under this id is answered with its first receipt."""
    expected_seq: int | None = None
    """Refuse it unless this is the newest event."""


class Group:
    """Decisions on one state, each upon the ones before, whose events are to be stored together."""

    def __init__(
        self,
        state: State,
        seq: int,
        origin: str,
        *,
        stored: Callable[[str], Sequence[JournalRecord]],
        preceding: int = 0,
    ) -> None:
        """`seq` is the number of the newest event, `stored` finds the records of a command id.

        `preceding` events go before those that are decided here, see `precede`.
        """
        self.draft = Draft(state)
        self.entries: list[Entry] = []
        self._state = state
        self._stored = stored
        self._seq = seq
        self._preceding = preceding
        self._origin = origin
        self._done: dict[str, Receipt] = {}

    def decide(self, asked: Command | Asked) -> Receipt:
        """The receipt that counts once the group is stored. Raises CallerError."""
        if isinstance(asked, Asked):
            command, command_id, expected_seq = asked.command, asked.command_id, asked.expected_seq
        else:
            command, command_id, expected_seq = asked, "", None
        if command_id and (known := self._known(command_id)):
            return known
        seq = self._seq + len(self.entries)
        if expected_seq is not None and expected_seq != seq:
            raise RejectedCommandError(
                f"the newest event is {seq}, not {expected_seq}",
                where="expected_seq",
                hint="look at what came in between, and submit again",
            )
        decision = decide(self.draft, command)
        if decision.event is None:
            unconfirmed = tuple(self.draft.confirmations)
            return Receipt(
                seq=seq + (self._preceding if self.entries else 0),
                status="unchanged",
                pending=decision.pending,
                removed=decision.removed,
                unconfirmed=unconfirmed,
            )
        self.happen(decision.event, command_id)
        receipt = Receipt(
            seq=seq + 1 + self._preceding,
            status="accepted",
            event=event_name(decision.event),
            pending=decision.pending,
            removed=decision.removed,
        )
        if command_id:
            self._done[command_id] = receipt
        return receipt

    def answer(self, asked: Command | Asked) -> Receipt | CallerError:
        """The receipt, or the refusal."""
        try:
            return self.decide(asked)
        except CallerError as error:
            return error

    def happen(self, event: Event, command_id: str = "") -> None:
        """Take in an event."""
        self.draft.apply(event)
        self.entries.append(Entry(event=event, origin=self._origin, command_id=command_id))

    def precede(self, event: Event) -> None:
        """Put an event before the others, which must not depend on it."""
        self.draft.apply(event)
        self.entries.insert(0, Entry(event=event, origin=self._origin))

    def _known(self, command_id: str) -> Receipt | None:
        if command_id in self._done:
            return self._done[command_id]
        stored = self._stored(command_id)
        if not stored:
            return None
        seq = stored[0].seq
        waiting = [each for each in self._state.confirmations.values() if each.before < seq <= each.until]
        return Receipt(
            seq=seq,
            status="accepted",
            event=event_name(stored[0].event),
            confirmation=waiting[0].name if waiting else "",
            confirm_by_ms=waiting[0].deadline_ms if waiting else 0,
        )
