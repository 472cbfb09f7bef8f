"""Durable appends beside the bare system calls, SQLite and eventsourcing, in one directory and of the same bytes.

The bare calls are what no journal can go below: a write at the end of a file and an fdatasync. SQLite inserts the same
bytes as a row and commits (WAL, synchronous=FULL: its log is synced at each commit); eventsourcing saves an aggregate's
event the same way. One hundred of each make one measurement, since a single one is at the disk's mercy. The 64 writers
are what the agent makes of 64 clients at once: their entries in one group, in SQLite one transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import samples
from bench.replay import Leases, open_application, open_database
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
            database = open_database(directory / "rows")
            save = _eventsourcing(directory / "aggregate")
            with (directory / "bare").open("ab", buffering=0) as bare:
                peer, row, saved, ours, shared, rows_shared = side_by_side(
                    lambda: _each(_AT_ONCE, lambda: _bare(bare.fileno(), record)),
                    lambda: _each(_AT_ONCE, lambda: _insert(database, [record])),
                    lambda: _each(_AT_ONCE, save),
                    lambda: _each(_AT_ONCE, lambda: one.append(single[5:6], time_ns=1)),
                    lambda: _each(_AT_ONCE, lambda: many.append(group, time_ns=1)),
                    lambda: _each(_AT_ONCE, lambda: _insert(database, [record] * _WRITERS)),
                    rounds=rounds,
                )
        opened = side_by_side(lambda: timed(lambda: Journal.open(directory / "many").close()), rounds=rounds)
    for peer_name, figure, reach in (
        ("write + fdatasync", peer, Reach(at_most_times=1.5)),
        ("SQLite (WAL, FULL)", row, None),
        ("eventsourcing, SQLite", saved, None),
    ):
        yield Row(what="durable append, one at a time", peer_name=peer_name, peer=figure, ours=ours, reach=reach)
    for peer_name, figure, reach in (
        ("one at a time", 1000 / ours, Reach(at_least_times=20)),
        ("SQLite (WAL, FULL), one transaction", 1000 * _WRITERS / rows_shared, None),
    ):
        what, rate = f"durable appends, {_WRITERS} writers", 1000 * _WRITERS / shared
        yield Row(what=what, peer_name=peer_name, peer=figure, ours=rate, unit="appends/s", reach=reach)
    yield Row(what="opening a journal for writing", ours=opened[0])


def _insert(database: sqlite3.Connection, bodies: list[bytes]) -> None:
    with database:
        database.executemany(
            "INSERT INTO events (time, origin, id, event) VALUES (?, ?, ?, ?)",
            [(1, "bench", "c", body) for body in bodies],
        )


def _eventsourcing(path: Path) -> Callable[[], object]:
    """Saves one more lease."""
    application = open_application(path)
    leases, numbers = Leases(), count()

    def save() -> None:
        leases.put("10.1.2.10", "02:00:00:00:00:01", f"vm-{next(numbers)}")
        application.save(leases)

    return save


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
