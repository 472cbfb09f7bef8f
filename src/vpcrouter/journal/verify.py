"""Is the journal sound, and how far: every checksum, every chain value, every event and secret.

Nothing is modified. Called by whoever wants to know before relying on it, beside an active writer too.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vpcrouter.errors import DamagedJournalError, JournalError, KeyFileError
from vpcrouter.events.sealing import Hidden
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.layout import FIRST_CHAIN
from vpcrouter.journal.manifest import read_archive, readable_after
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.segments import list_segments
from vpcrouter.journal.snapshots import BASE, base_fault, proven_seq, require_records


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
    archived: int
    """The records up to this one are in an archive; 0 if there is none."""
    archive: str
    """Its directory."""
    archive_checked: bool
    """Whether it was there, so that its records were checked as well."""
    fault: JournalError | None
    """Why it is not sound, or why it cannot be read further; None if it is sound to its end.

    A KeyFileError says that it is sound until `sound_until`, and that there is no key for some of the secrets in it.
    """


def verify(directory: Path, after: int = 0) -> Verification:
    """Check the whole journal and its archive, if that is there; or only from the segment of record `after` + 1 on.

    Raises JournalError only if there is no journal to look at.
    """
    segments, archive, proven = list_segments(directory), read_archive(directory), proven_seq(directory)
    chain, torn = FIRST_CHAIN, 0
    if archive is not None and (known := readable_after(directory)) > after:
        after, chain = known, archive.chain
    sound_until = after
    fault: JournalError | None = None
    unread: KeyFileError | None = None
    keys = Keys.beside(directory)
    try:
        for walk, frames in walk_journal(directory, after):
            for frame in frames:
                try:
                    decoded(walk.segment, walk.data, frame, keys)
                except KeyFileError as error:
                    unread = unread or error
                    decoded(walk.segment, walk.data, frame, Hidden())
                sound_until = frame.seq
                chain = frame.chain(walk.data)
            torn = len(walk.data) - walk.end
        require_records(directory, sound_until, proven)
        if archive is not None and (reason := base_fault(directory, archive)):
            fault = JournalError(
                f"the base, with which the journal begins after record {archive.until}, cannot be used: {reason}",
                where=str(directory / BASE),
                hint=f"`vpcrouter journal archive --to {archive.directory}` makes it anew, from the archive",
            )
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
        archived=archive.until if archive is not None else 0,
        archive=str(archive.directory) if archive is not None else "",
        archive_checked=archive is not None and after < archive.until,
        fault=fault or unread,
    )
