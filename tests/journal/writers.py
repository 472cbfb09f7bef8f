"""Processes that write a journal, to be started, watched and killed by tests: `python -m tests.journal.writers`.

Each prints the number of the last record after every acknowledgement, on a line of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.journal.samples import entries
from vpcrouter.errors import JournalWriteError, LockedJournalError
from vpcrouter.journal import Journal


def write_groups(directory: Path, group: int, segment_bytes: int, count: int) -> None:
    """Append groups of this size until there are `count`, the disk is full, or somebody kills this process."""
    with Journal.open(directory, owner={"socket": "here"}, segment_bytes=segment_bytes) as journal:
        print(journal.seq, flush=True)
        for _ in range(count):
            try:
                seq = journal.append(entries(group, start=journal.seq), time_ns=journal.seq)
            except JournalWriteError as error:
                print("refused:", error, flush=True)
                return
            print(seq, flush=True)


def main() -> None:
    """`writers DIRECTORY GROUP SEGMENT_BYTES COUNT`."""
    try:
        write_groups(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
    except LockedJournalError as error:
        print("locked:", error, flush=True)


if __name__ == "__main__":
    main()
