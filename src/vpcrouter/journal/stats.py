"""What a journal consists of, counted; and the kinds of events in it. Read only, beside an active writer too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from vpcrouter.events.codec import event_name, holds_secrets
from vpcrouter.events.sealing import Hidden, sealed_forms
from vpcrouter.journal.aside import ASIDE
from vpcrouter.journal.keys import ID_BYTES
from vpcrouter.journal.manifest import readable_after
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.segments import list_segments

HIDDEN = Hidden()


@frozen(kw_only=True)
class Stats:
    """Sizes are in bytes, times in nanoseconds since 1970 (0 if there is no record)."""

    records: int
    groups: int
    first_seq: int
    last_seq: int
    first_time_ns: int
    last_time_ns: int
    kinds: Mapping[str, int]
    """How many records of each kind of event, the most frequent first."""
    kind_sizes: Mapping[str, int]
    """How much of the size each kind takes, in the same order."""
    sealed: Mapping[str, int]
    """How many records have secrets sealed with each key, by its id."""
    in_clear: int
    """How many records have secrets in clear."""
    segments: int
    size: int
    largest_record: int
    torn: int
    aside_files: int
    aside_size: int


def stats(directory: Path, after: int = 0) -> Stats:
    """Count everything after record `after`, and after the archive if that is not there. Raises what reading raises."""
    after = max(after, readable_after(directory))
    segments = list_segments(directory)
    kinds: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    seqs: list[int] = []
    times: list[int] = []
    keys: Counter[str] = Counter()
    groups = largest = torn = in_clear = 0
    for walk, frames in walk_journal(directory, after):
        for frame in frames:
            if frame.seq <= after:
                continue
            size = frame.stop - frame.start
            event = decoded(walk.segment, walk.data, frame, HIDDEN).event
            kind = event_name(event)
            if found := sealed_forms(frame.payload(walk.data)):
                keys[found[0][:ID_BYTES].hex()] += 1
            elif holds_secrets(event):
                in_clear += 1
            kinds[kind] += 1
            sizes[kind] += size
            largest = max(largest, size)
            groups += frame.position == 0
            seqs = [seqs[0] if seqs else frame.seq, frame.seq]
            times = [times[0] if times else frame.time_ns, frame.time_ns]
        torn = len(walk.data) - walk.end
    kept = [path.stat().st_size for path in (directory / ASIDE).glob("*")]
    order = [kind for kind, _ in kinds.most_common()]
    return Stats(
        records=kinds.total(),
        groups=groups,
        first_seq=seqs[0] if seqs else 0,
        last_seq=seqs[-1] if seqs else 0,
        first_time_ns=times[0] if times else 0,
        last_time_ns=times[-1] if times else 0,
        kinds={kind: kinds[kind] for kind in order},
        kind_sizes={kind: sizes[kind] for kind in order},
        sealed=dict(sorted(keys.items())),
        in_clear=in_clear,
        segments=len(segments),
        size=sum(segment.path.stat().st_size for segment in segments),
        largest_record=largest,
        torn=torn,
        aside_files=len(kept),
        aside_size=sum(kept),
    )
