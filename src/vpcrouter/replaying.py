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
from vpcrouter.state import State
from vpcrouter.state_codec import unpack_state


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
    directory: Path, start: State, after: int, *, until: int | None = None, sealer: Sealer | None = None
) -> Replayed:
    """The state after record `until`, or after the last one; `start` is what it was after record `after`.

    Raises JournalError if the journal is damaged or cannot be read.
    """
    from vpcrouter.folding import Fold  # msgspec takes 10 ms, which only who replays has to pay

    fold, seq, is_end = Fold(start), after, True
    try:
        for batch in read_batches(directory, after, sealer):
            bodies = batch.bodies if until is None else batch.bodies[: until + 1 - batch.first_seq]
            fold.take(bodies, batch.event)
            seq += len(bodies)
            if len(bodies) < len(batch):
                is_end = False
                break
        state = fold.finish()
    except (MalformedInputError, TypeError, ValueError, AttributeError):
        # A record is intact and no such event: which one only a look at each, with all its fields, can tell.
        for batch in read_batches(directory, after, sealer):
            batch.check()
        raise
    return Replayed(state=state, seq=seq, is_end=is_end)
