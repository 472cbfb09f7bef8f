"""The journal: events in the order in which they were acknowledged, on disk, for ever. The format is journal/FORMAT.md.

    writer ──► layout ──► disk          append: pack a group, write it, sync it
       │
    recovery ──► tail                   open: find the end, cut a torn tail, refuse damage
       │
    reader ──► walk ──► layout          read: no lock, nothing modified
       │
    verify, repair, stats,              care
    exchange, snapshots
    reserve                             a full disk
    archive, manifest                   older segments go elsewhere
    command_ids                         exactly once
    keys                                secrets: sealed in records and snapshots

`layout` is the format as pure functions; `tail` tells a torn group from a damaged one; `segments` are the files.
"""

from __future__ import annotations

from vpcrouter.journal.archive import Archiving, archive
from vpcrouter.journal.exchange import export_lines, import_lines
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.manifest import read_archive, readable_after
from vpcrouter.journal.reader import Batch, first_at, joints, read_batches, read_events, read_journal
from vpcrouter.journal.records import Entry, JournalRecord, TornTail
from vpcrouter.journal.repair import Repair, repair
from vpcrouter.journal.reserve import reserve_bytes
from vpcrouter.journal.snapshots import (
    LASTING,
    PassedOver,
    Snapshot,
    find_base,
    find_snapshot,
    proven_seq,
    require_records,
    write_snapshot,
)
from vpcrouter.journal.stats import Stats, stats
from vpcrouter.journal.verify import Verification, verify
from vpcrouter.journal.writer import Journal
from vpcrouter.lock import lock_owner

__all__ = [
    "LASTING",
    "Archiving",
    "Batch",
    "Entry",
    "Journal",
    "JournalRecord",
    "Keys",
    "PassedOver",
    "Repair",
    "Snapshot",
    "Stats",
    "TornTail",
    "Verification",
    "archive",
    "export_lines",
    "find_base",
    "find_snapshot",
    "first_at",
    "import_lines",
    "joints",
    "lock_owner",
    "proven_seq",
    "read_archive",
    "read_batches",
    "read_events",
    "read_journal",
    "readable_after",
    "repair",
    "require_records",
    "reserve_bytes",
    "stats",
    "verify",
    "write_snapshot",
]
