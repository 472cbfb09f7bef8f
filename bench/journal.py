"""Durable appends beside the bare system calls, in the same directory, with the same bytes.

The peer is what no journal can go below: a write at the end of a file and an fdatasync. One hundred of each make one
measurement, since a single one is at the disk's mercy. The 64 writers are what the agent makes of 64 clients at
once: their entries in one group.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import samples
from bench.row import Reach, Row, side_by_side, timed
from vpcrouter.journal import Entry, Journal, read_journal

_AT_ONCE = 100
_WRITERS = 64


def rows(smoke: bool) -> Iterable[Row]:
    """Milliseconds for one append, and appends in a second."""
    rounds = 1 if smoke else 7
    with TemporaryDirectory(dir=Path.cwd()) as name:
        directory = Path(name)
        with Journal.open(directory / "one") as one, Journal.open(directory / "many") as many:
            single = [
                Entry(event=each, origin="bench", command_id="c") for each in islice(samples.history(900), _AT_ONCE)
            ]
            group = [entry for entry, _ in zip(single * _WRITERS, range(_WRITERS), strict=False)]
            record = _bytes_of_one(one, directory / "one", single[5])
            with (directory / "bare").open("ab", buffering=0) as bare:
                peer, ours, shared = side_by_side(
                    lambda: _each(_AT_ONCE, lambda: _bare(bare.fileno(), record)),
                    lambda: _each(_AT_ONCE, lambda: one.append(single[5:6], time_ns=1)),
                    lambda: _each(_AT_ONCE, lambda: many.append(group, time_ns=1)),
                    rounds=rounds,
                )
        opened = side_by_side(lambda: timed(lambda: Journal.open(directory / "many").close()), rounds=rounds)
    reach = Reach(at_most_times=1.5)
    yield Row(what="durable append, one at a time", peer_name="write + fdatasync", peer=peer, ours=ours, reach=reach)
    yield Row(
        what=f"durable appends, {_WRITERS} writers",
        peer_name="one at a time",
        peer=1000 / ours,
        ours=1000 * _WRITERS / shared,
        unit="appends/s",
        reach=Reach(at_least_times=20),
    )
    yield Row(what="opening a journal for writing", ours=opened[0])


def _each(count: int, action: Callable[[], object]) -> float:
    """The milliseconds of one of `count` calls."""

    def repeat() -> None:
        for _ in range(count):
            action()

    return timed(repeat) / count


def _bare(fd: int, data: bytes) -> None:
    os.write(fd, data)
    os.fdatasync(fd)


def _bytes_of_one(journal: Journal, directory: Path, entry: Entry) -> bytes:
    """As many bytes as the journal writes for this entry."""
    journal.append([entry], time_ns=1)
    size = sum(path.stat().st_size for path in directory.glob("*.journal"))
    journal.append([entry], time_ns=1)
    assert sum(1 for _ in read_journal(directory)) == 2
    return os.urandom(sum(path.stat().st_size for path in directory.glob("*.journal")) - size)
