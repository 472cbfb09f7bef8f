"""A router as it was: what a journal tells of any moment, read only.

Called by the router for its own past, and by whoever looks at a journal without a router.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vpcrouter.journal import find_snapshot, first_at, proven_seq, require_records
from vpcrouter.projections.digest import digest
from vpcrouter.replaying import replay_journal, state_of
from vpcrouter.state import State
from vpcrouter.state_codec import SCHEMA


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

    Begins with the newest snapshot before that point. Where the clock went back, a time is looked for in the last
    segment that had begun by then, and found before the first record there that is later.
    Raises DamagedJournalError; needs no lock, so that it works beside an agent and on read-only media.
    """
    proven = proven_seq(directory)
    if until_ns is not None:
        until = first_at(directory, until_ns + 1) - 1
    start = newest_snapshot(directory, until)
    found = replay_journal(directory, start.state, start.seq, until=until)
    if found.is_end:
        require_records(directory, found.seq, proven)
    return Past(seq=found.seq, state=found.state)


def newest_snapshot(directory: Path, until: int | None = None) -> Past:
    """The state that need not be replayed. One that does not count, or whose digest is wrong, costs time, not truth."""
    snapshot, _ = find_snapshot(directory, schema=SCHEMA, until=until)
    if snapshot is not None:
        past = Past(seq=snapshot.seq, state=state_of(snapshot))
        if past.digest == snapshot.digest:
            return past
    return Past(seq=0, state=State())
