"""Is the journal sound, and how far: every checksum, every chain value, every event and secret.

Nothing is modified. Called by whoever wants to know before relying on it, beside an active writer too.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.layout import FIRST_CHAIN
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.segments import list_segments
from vpcrouter.journal.snapshots import proven_seq, require_records


@frozen(kw_only=True)
class Verification:
    """What was found. Up to record `sound_until` everything is as it was written."""

    sound_until: int
    chain: str
    """The chain value of record `sound_until`: noted elsewhere, it later proves that nothing before was changed."""
    segments: int
    size: int
    """Bytes of all segments."""
    torn: int
    """Bytes of an unfinished last group; the next writer cuts them, nothing in them was acknowledged."""
    fault: JournalError | None
    """Why it is not sound, or why it cannot be read further; None if it is sound to its end."""


def verify(directory: Path, after: int = 0) -> Verification:
    """Check the whole journal, or from the segment of record `after` + 1 on if what is before has been archived.

    Raises JournalError only if there is no journal to look at.
    """
    segments, proven = list_segments(directory), proven_seq(directory)
    sound_until, chain, torn = after, FIRST_CHAIN, 0
    fault: JournalError | None = None
    keys = Keys.beside(directory)
    try:
        for walk, frames in walk_journal(directory, after):
            for frame in frames:
                decoded(walk.segment, walk.data, frame, keys)
                sound_until = frame.seq
                chain = frame.chain(walk.data)
            torn = len(walk.data) - walk.end
        require_records(directory, sound_until, proven)
    except JournalError as error:
        fault = error
        if isinstance(error, DamagedJournalError):
            sound_until = min(sound_until, error.sound_until)
    return Verification(
        sound_until=sound_until,
        chain=chain.hex(),
        segments=len(segments),
        size=sum(segment.path.stat().st_size for segment in segments),
        torn=torn,
        fault=fault,
    )
