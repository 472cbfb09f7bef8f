"""Processes that write a journal, to be started, watched and killed by tests: `python -m tests.journal.writers`.

Each prints the number of the last record after every acknowledgement, on a line of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.journal.samples import entries
from vpcrouter.errors import JournalWriteError, LockedJournalError
from vpcrouter.journal import Journal


def write_for_ever(directory: Path, group: int, segment_bytes: int) -> None:
    """Append groups until somebody kills this process or the disk is full."""
    with Journal.open(directory, owner={"socket": "here"}, segment_bytes=segment_bytes) as journal:
        print(journal.seq, flush=True)
        while True:
            try:
                seq = journal.append(entries(group, start=journal.seq), time_ns=journal.seq)
            except JournalWriteError as error:
                print("refused:", error, flush=True)
                return
            print(seq, flush=True)


def main() -> None:
    """`writers DIRECTORY GROUP SEGMENT_BYTES`."""
    try:
        write_for_ever(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    except LockedJournalError as error:
        print("locked:", error, flush=True)


if __name__ == "__main__":
    main()
