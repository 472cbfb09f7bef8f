"""What the writer does on opening: find the end of the last segment, and cut a torn tail off it.

The order is: keep the torn bytes in a file of their own, make that durable, then cut. A crash in between only
means that the next opening does it again. Damage is refused, never cut. Called by the writer alone, under its lock.
"""

from __future__ import annotations

import os
from pathlib import Path

from vpcrouter.errors import JournalError
from vpcrouter.journal.disk import Disk, make_durable_directory, write_whole
from vpcrouter.journal.records import TornTail
from vpcrouter.journal.segments import ASIDE, Segment, list_segments
from vpcrouter.journal.tail import is_unfinished, judge
from vpcrouter.journal.walk import Walk, refusal


def recover(disk: Disk, directory: Path) -> tuple[Walk | None, TornTail | None]:
    """The last segment, walked to its end and cut there if it was torn; no walk if there is no record yet."""
    segments = list_segments(directory)
    if not segments:
        return None, None
    data = segments[-1].read()
    if is_unfinished(data):
        before = _walked(segments[-2]) if len(segments) > 1 else None
        if before is not None and not before.is_complete:
            raise refusal(before)
        return before, _set_aside(disk, segments[-1], len(data))
    walk = _walked(segments[-1])
    if walk.is_complete:
        return walk, None
    verdict = judge(walk.data, walk.end, walk.next_seq)
    if not verdict.torn:
        raise refusal(walk)
    return walk, _cut(disk, walk, verdict.reason)


def _walked(segment: Segment) -> Walk:
    walk = Walk(segment, segment.read())
    for _ in walk.groups():
        pass
    return walk


def _cut(disk: Disk, walk: Walk, reason: str) -> TornTail:
    path = walk.segment.path
    torn = walk.data[walk.end :]
    aside = path.parent / ASIDE
    make_durable_directory(disk, aside)
    kept = _free_name(aside / f"{path.stem}-{walk.end}.torn", torn)
    write_whole(disk, kept, torn)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        disk.truncate(fd, walk.end)
        disk.sync_data(fd)
    finally:
        os.close(fd)
    return TornTail(segment=path, offset=walk.end, size=len(torn), kept=kept, reason=reason)


def _set_aside(disk: Disk, segment: Segment, size: int) -> TornTail:
    aside = segment.path.parent / ASIDE
    make_durable_directory(disk, aside)
    kept = _free_name(aside / f"{segment.path.stem}-0.torn", None)
    disk.rename(segment.path, kept)
    disk.sync_directory(aside)
    disk.sync_directory(segment.path.parent)
    return TornTail(segment=segment.path, offset=0, size=size, kept=kept, reason="the segment was never finished")


def _free_name(wanted: Path, data: bytes | None) -> Path:
    """The wanted name, or that with a number if it is taken by other bytes than these."""
    number, path = 1, wanted
    while path.exists() and (data is None or path.read_bytes() != data):
        number += 1
        path = wanted.with_name(f"{wanted.name}.{number}")
        if number > 9999:
            raise JournalError("has no free name for a torn tail", where=str(wanted.parent), hint="clear it out")
    return path
