"""From a journal to the state that it tells: `journal` finds the records, `folding` folds them.

Called by everything that replays: the router when it opens, looks at the past, archiving.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from vpcrouter.beginnings import unpack_history
from vpcrouter.errors import MalformedInputError
from vpcrouter.events.sealing import Sealer
from vpcrouter.journal import LASTING, Keys, Snapshot, joints, read_batches
from vpcrouter.state import Draft, State
from vpcrouter.state_codec import unpack_state

FEW = 500
"""As long as no more records come in a row than this, they are not worth the 15 ms that `folding` takes to be there."""
MOST_HANDS = 4
LEAST_PART_BYTES = 8 * 1024 * 1024
"""Less is not worth another process: 0.1 s for this one, 0.03 s until another one has begun and has told all."""


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
    hands: int | None = None,
    least_part_bytes: int = LEAST_PART_BYTES,
) -> Replayed:
    """The state after record `until`, or after the last one; `start` is what it was after record `after`.

    A long journal is read by `hands` processes, each a part of it of `least_part_bytes` (None: as many as may be).
    Raises JournalError if the journal is damaged or cannot be read.
    """
    if until is None and (parts := joints(directory, after, hands or most_hands(), least_part_bytes)):
        from vpcrouter.sharing import PartsError, fold_parts

        with suppress(PartsError):
            state, seq = fold_parts(directory, start, after, parts, sealer or Keys.beside(directory))
            return Replayed(state=state, seq=seq, is_end=True)
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


def most_hands() -> int:
    """How many processes may read at once. One beside other threads, whose locks a child would inherit."""
    return 1 if threading.active_count() > 1 else min(len(os.sched_getaffinity(0)), MOST_HANDS)
