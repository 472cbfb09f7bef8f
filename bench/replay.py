"""Reading a journal back: ours from disk to state, beside its peers, with the same events.

The raw msgpack decode is a bound, not a program: it turns the bytes into lists of numbers and strings, checks nothing
and builds no state. The floor is the least that any reader in Python has to do: that decode, a checksum and a hash of
all bytes, and one store into a dictionary for each event; it does not even look for where an event begins.

SQLite holds the same bytes in rows and gives them back unproven; they are folded as ours are. The eventsourcing
library does what we do, an aggregate's events from SQLite; it gets one lease an event, and less of them, for it takes
long to write. The steps are what a replay does, each with those before it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import msgpack
from crc32c import crc32c
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench import samples
from bench.row import Measurement, Reach, Row, side_by_side
from vpcrouter.events import Event, stored
from vpcrouter.events.codec import encode, restore
from vpcrouter.folding import Fold
from vpcrouter.journal import Entry, Journal, read_batches
from vpcrouter.journal.layout import vouched
from vpcrouter.router import replay
from vpcrouter.state import State

_GROUP = 1_000
_CHUNK = 1 << 16


class Leases(Aggregate):
    """The peer's aggregate: leases by address."""

    def __init__(self) -> None:
        self.leases: dict[str, tuple[str, str]] = {}

    @event("Put")
    def put(self, address: str, mac: str, host_name: str) -> None:
        """A lease was put."""
        self.leases[address] = (mac, host_name)


def rows(smoke: bool) -> Iterable[Row]:
    """Events read in a second, and the nanoseconds of each step."""
    count, peer_count = (2_000, 500) if smoke else (200_000, 5_000)
    history = list(samples.history(count))
    with TemporaryDirectory() as name:
        directory = Path(name)
        journal, packed = directory / "journal", directory / "packed"
        _write(journal, history)
        bodies = [encode(each) for each in history]
        packed.write_bytes(b"".join(bodies))
        rate = side_by_side(
            _rate(count, lambda: _raw_decode(packed)),
            _rate(count, lambda: _floor(journal, packed)),
            _rate(count, _sqlite(directory / "rows", bodies)),
            _rate(peer_count, _eventsourcing(directory / "aggregate", peer_count)),
            _rate(count, lambda: _prove(journal)),
            _rate(count, lambda: _step(journal)),
            _rate(count, lambda: _load(journal)),
            _rate(count, lambda: replay(journal)),
            rounds=1 if smoke else 7,
        )
    raw, floor, sqlite, peer, *steps, ours = rate
    what = f"replay of {count:,} events"
    for peer_name, figure, reach in (
        ("raw msgpack decode", raw, Reach(at_least_times=0.5)),
        ("the least in Python: decode, CRC, hash, one store", floor, None),
        ("SQLite (WAL, FULL), the same fold", sqlite, Reach(at_least_times=1)),
        ("eventsourcing, SQLite", peer, Reach(at_least_times=1)),
    ):
        yield Row(what=what, peer_name=peer_name, peer=figure, ours=ours, unit="events/s", reach=reach)
    names = ("read and prove the chain", "… and find the events", "… and load them", "… and fold them: all")
    for step, figure in zip(names, (*steps, ours), strict=True):
        yield Row(what=f"replay, an event: {step}", ours=1e9 / figure, unit="ns")


def _rate(count: int, action: Callable[[], object]) -> Measurement:
    def measure() -> float:
        start = time.perf_counter()
        action()
        return count / (time.perf_counter() - start)

    return measure


def _write(directory: Path, history: Sequence[Event]) -> None:
    with Journal.open(directory) as journal:
        for start in range(0, len(history), _GROUP):
            group = [Entry(event=each) for each in history[start : start + _GROUP]]
            journal.append(group, time_ns=time.time_ns())


def _raw_decode(path: Path) -> int:
    with path.open("rb") as packed:
        return sum(1 for _ in msgpack.Unpacker(packed, read_size=_CHUNK))


def _floor(journal: Path, packed: Path) -> dict[int, object]:
    for segment in sorted(journal.glob("*.journal")):
        data = segment.read_bytes()
        crc32c(data)
        hashlib.blake2b(data).digest()
    with packed.open("rb") as file:
        return _kept(msgpack.Unpacker(file, read_size=_CHUNK))


def _kept(events: Iterable[object]) -> dict[int, object]:
    """One store for each event, as many things as there are leases."""
    state: dict[int, object] = {}
    for number, each in enumerate(events):
        state[number % 2_000] = each
    return state


def _prove(journal: Path) -> None:
    for segment in sorted(journal.glob("*.journal")):
        assert vouched(segment.read_bytes()) is not None


def _step(journal: Path) -> int:
    return sum(len(batch) for batch in read_batches(journal))


def _load(journal: Path) -> None:
    for batch in read_batches(journal):
        for _ in map(stored.load, batch.bodies):
            pass


def open_database(path: Path) -> sqlite3.Connection:
    """A table of events, with what the journal has beside them, as durable as the journal."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, time INTEGER, origin TEXT, id TEXT, event BLOB)")
    return database


def _sqlite(path: Path, bodies: Sequence[bytes]) -> Callable[[], object]:
    """The same events in rows."""
    database = open_database(path)
    rows = ((time.time_ns(), "", "", body) for body in bodies)
    with database:
        database.executemany("INSERT INTO events (time, origin, id, event) VALUES (?, ?, ?, ?)", rows)

    def read() -> State:
        fold = Fold(State())
        found = database.execute("SELECT seq, time, event FROM events ORDER BY seq")
        while some := [body for _, _, body in found.fetchmany(_GROUP)]:
            fold.take(some, partial(_restored, some))
        return fold.finish()

    return read


def _restored(bodies: Sequence[bytes], index: int) -> Event:
    return restore(bodies[index])


def _eventsourcing(path: Path, count: int) -> Callable[[], object]:
    application = Application[UUID](
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path), "SQLITE_LOCK_TIMEOUT": "10"}
    )
    leases = Leases()
    for each in samples.reservations(count):
        leases.put(each.reservation.address, each.reservation.mac, each.reservation.host_name)
    application.save(leases)
    identity = leases.id

    def read() -> None:
        copy: Leases = application.repository.get(identity)
        assert len(copy.leases) == count

    return read
