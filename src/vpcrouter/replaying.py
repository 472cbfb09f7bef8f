"""From a journal to the state that it tells: `journal` finds the records, `folding` folds them.

Called by everything that replays: the router when it opens, looks at the past, archiving.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vpcrouter.beginnings import unpack_history
from vpcrouter.errors import MalformedInputError
from vpcrouter.events.sealing import Sealer
from vpcrouter.journal import LASTING, Snapshot, read_batches
from vpcrouter.state import Draft, State
from vpcrouter.state_codec import unpack_state

FEW = 500
"""As long as no more records come in a row than this, they are not worth the 15 ms that `folding` takes to be there."""


def state_of(snapshot: Snapshot) -> State:
    """The state in a snapshot or base. Raises MalformedInputError."""
    return (unpack_history if snapshot.schema == LASTING else unpack_state)(snapshot.body)


@frozen(kw_only=True)
class Replayed:
    """A state, the record that it is the state after, and whether the journal ends there."""

    state: State
    seq: int
    is_end: bool


def replay_journal(
    directory: Path,
    start: State,
    after: int,
    *,
    until: int | None = None,
    sealer: Sealer | None = None,
    few: int = FEW,
) -> Replayed:
    """The state after record `until`, or after the last one; `start` is what it was after record `after`.

    Raises JournalError if the journal is damaged or cannot be read.
    """
    draft, fold = Draft(start), None
    seq, is_end = after, True
    try:
        for batch in read_batches(directory, after, sealer):
            bodies = batch.bodies if until is None else batch.bodies[: until + 1 - batch.first_seq]
            if fold is None and len(bodies) > few:
                from vpcrouter.folding import Fold

                fold = Fold(draft.finish())
            if fold is None:
                for index in range(len(bodies)):
                    draft.apply(batch.event(index))
            else:
                fold.take(bodies, batch.event)
            seq += len(bodies)
            if len(bodies) < len(batch):
                is_end = False
                break
        state = draft.finish() if fold is None else fold.finish()
    except (MalformedInputError, TypeError, ValueError, AttributeError):
        # A record is intact and no such event: which one only a look at each, with all its fields, can tell.
        for batch in read_batches(directory, after, sealer):
            batch.check()
        raise
    return Replayed(state=state, seq=seq, is_end=is_end)
