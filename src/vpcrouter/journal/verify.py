"""Is the journal sound, and how far: every checksum, every chain value, every event, nothing modified.

Called by whoever wants to know before relying on it, beside an active writer too.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal.layout import FIRST_CHAIN
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.segments import list_segments


@frozen(kw_only=True)
class Verification:
    """What was found. Up to record `sound_until` everything is as it was written."""

    sound_until: int
    first_seq: int
    """The oldest record that is there; 0 if there is none. Records before it have been taken elsewhere."""
    chain: str
    """The chain value of record `sound_until`: noted elsewhere, it later proves that nothing before was changed."""
    segments: int
    size: int
    """Bytes of all segments."""
    torn: int
    """Bytes of an unfinished last group; the next writer cuts them, nothing in them was acknowledged."""
    fault: JournalError | None
    """Why it is not sound, or why it cannot be read further; None if it is sound to its end."""


def verify(directory: Path) -> Verification:
    """Check all that is there. Raises JournalError only if there is no journal to look at."""
    segments = list_segments(directory)
    first_seq = segments[0].first_seq if segments else 0
    sound_until = max(first_seq - 1, 0)
    chain, torn, fault = FIRST_CHAIN, 0, None
    try:
        for walk, frames in walk_journal(directory, sound_until):
            for frame in frames:
                decoded(walk.segment, walk.data, frame)
                sound_until = frame.seq
                chain = frame.chain(walk.data)
            torn = len(walk.data) - walk.end
    except JournalError as error:
        fault = error
        if isinstance(error, DamagedJournalError):
            sound_until = min(sound_until, error.sound_until)
    return Verification(
        sound_until=sound_until,
        first_seq=first_seq,
        chain=chain.hex(),
        segments=len(segments),
        size=sum(segment.path.stat().st_size for segment in segments),
        torn=torn,
        fault=fault,
    )
