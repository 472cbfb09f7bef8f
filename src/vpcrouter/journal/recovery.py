"""What the writer does on opening: find the end of the last segment, and cut a torn tail off it.

The order is: keep the torn bytes in a file of their own, make that durable, then cut. A crash in between only
means that the next opening does it again. Damage is refused, never cut; and so is what looks like a torn tail, but was
acknowledged, since a snapshot tells of it. Called by the writer and by repair, under the lock.
"""

from __future__ import annotations

from pathlib import Path

from vpcrouter.journal.aside import cut_tail, move_whole
from vpcrouter.journal.disk import Disk
from vpcrouter.journal.records import TornTail
from vpcrouter.journal.segments import Segment, list_segments
from vpcrouter.journal.snapshots import require_records
from vpcrouter.journal.tail import is_unfinished, judge
from vpcrouter.journal.walk import Walk, refusal


def recover(disk: Disk, directory: Path, proven: int = 0) -> tuple[Walk | None, TornTail | None]:
    """The last segment, walked to its end and cut there if it was torn; no walk if there is no record yet.

    Raises DamagedJournalError, having changed nothing, also where record `proven` would have to be cut.
    """
    segments = list_segments(directory)
    if not segments:
        return None, None
    data = segments[-1].read()
    if is_unfinished(data):
        before = _walked(segments[-2]) if len(segments) > 1 else None
        if before is not None and not before.is_complete:
            raise refusal(before)
        require_records(directory, segments[-1].first_seq - 1, proven)
        path = segments[-1].path
        kept, reason = move_whole(disk, path, "torn"), "the segment was never finished"
        return before, TornTail(segment=path, offset=0, size=len(data), kept=kept, reason=reason)
    walk = _walked(segments[-1])
    if walk.is_complete:
        return walk, None
    verdict = judge(walk.data, walk.end, walk.next_seq)
    if not verdict.torn:
        raise refusal(walk)
    require_records(directory, walk.next_seq - 1, proven)
    path, size = walk.segment.path, len(walk.data) - walk.end
    kept = cut_tail(disk, path, walk.data, walk.end, "torn")
    return walk, TornTail(segment=path, offset=walk.end, size=size, kept=kept, reason=verdict.reason)


def _walked(segment: Segment) -> Walk:
    walk = Walk(segment, segment.read())
    for _ in walk.groups():
        pass
    return walk
