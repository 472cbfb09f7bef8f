"""Moves older records of a journal to an archive: computes what the state was there, the rest is `journal.archive`.

The base is made by folding the records themselves, from the first one or from the base before, never from a snapshot
that happens to be there; what was written is read back and compared. It is in a form that every later version reads
(`beginnings`). Called by the command line.
"""

from __future__ import annotations

from pathlib import Path

from vpcrouter.beginnings import pack_history, unpack_history
from vpcrouter.errors import DamagedJournalError
from vpcrouter.journal import LASTING, Archiving, Snapshot, archive, find_base
from vpcrouter.projections.digest import digest
from vpcrouter.replaying import replay_journal, state_of
from vpcrouter.state import State
from vpcrouter.state_codec import SCHEMA


def archive_records(directory: Path, to: Path, *, before: int, time_ns: int) -> Archiving:
    """Move the segments whose records are all before record `before` to the directory `to`.

    `time_ns` is the time of day. Raises JournalError; see `journal.archive`.
    """

    def base(seq: int, chain: bytes) -> Snapshot:
        state = _state_at(directory, seq)
        body = pack_history(state)
        if unpack_history(body) != state:
            raise DamagedJournalError("the state does not survive being packed", where=str(directory))
        return Snapshot(seq=seq, time_ns=time_ns, chain=chain, schema=LASTING, digest=digest(state), body=body)

    return archive(directory, to, base, schema=LASTING, before=before)


def _state_at(directory: Path, seq: int) -> State:
    """The state after record `seq`."""
    start = find_base(directory, schema=SCHEMA)
    if start is None:
        return replay_journal(directory, State(), 0, until=seq).state
    return replay_journal(directory, state_of(start), start.seq, until=seq).state
