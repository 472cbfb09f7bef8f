"""Reading a journal back: ours from disk to state, beside its peers, with the same events.

The raw msgpack decode is a bound, not a program: it turns the bytes into lists of numbers and strings, checks nothing
and builds no state. The floor is the least that any reader in Python has to do: that decode, a checksum and a hash of
all bytes, and one store into a dictionary for each event; it does not even look for where an event begins.

SQLite holds the same bytes in rows and gives them back unproven; they are folded as ours are. The eventsourcing
library does what we do, an aggregate's events from SQLite; it gets one lease an event, and less of them, for it takes
long to write. The steps are what a replay does, each with those before it.

Each measurement is a process of its own, as an opening is: none has to find room between the objects of another. It is
the least of some turns. By the clock a replay uses more than one processor, if there is one with nothing else to do. In
processor time it is one process; the files are in memory, and what neighbours take is not ours. Between the two stands
the busiest process, in processor time: what the clock would say if each had a processor for itself.
"""

from __future__ import annotations

import hashlib
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from vpcrouter.past import replay
from vpcrouter.replaying import most_hands, replay_journal
from vpcrouter.state import State

_GROUP = 1_000
_CHUNK = 1 << 16
_THINGS = 2_000
"""As many as there are leases in the sample."""
_CLOCK, _BUSIEST, _PROCESSOR = "by the clock", "processor time of the busiest process", "processor time"
_JOURNAL, _PACKED, _ROWS, _AGGREGATE, _IDENTITY = "journal", "packed", "rows", "aggregate", "identity"


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
    count, peer_count = (2_000, 500) if smoke else (1_000_000, 5_000)
    with TemporaryDirectory() as name:
        directory = Path(name)
        history = list(samples.history(count))
        _write(directory / _JOURNAL, history)
        (directory / _PACKED).write_bytes(b"".join(map(encode, history)))
        _write_rows(directory, history)
        _write_aggregate(directory, peer_count)
        rates = side_by_side(
            *(
                _rate(peer_count if name == "eventsourcing" else count, clock, name, directory, turns=1 if smoke else 4)
                for clock, name in _TAKEN
            ),
            rounds=1 if smoke else 3,
        )
    taken = dict(zip(_TAKEN, rates, strict=True))
    for what, clock, ours, reach in (
        (_CLOCK, _CLOCK, "shared", True),
        (_BUSIEST, _PROCESSOR, "shared", False),
        (_PROCESSOR, _PROCESSOR, "fold", False),
    ):
        for peer_name, name, least in (
            ("raw msgpack decode", "raw", 0.5),
            ("the least in Python: decode, CRC, hash, one store", "floor", None),
            ("SQLite (WAL, FULL), the same fold", "sqlite", 1),
            ("eventsourcing, SQLite", "eventsourcing", 1),
        ):
            yield Row(
                what=f"replay of {count:,} events, {what}",
                peer_name=peer_name,
                peer=taken[clock, name],
                ours=taken[what, ours],
                unit="events/s",
                reach=Reach(at_least_times=least) if reach and least is not None else None,
            )
    rate = {name: found for (clock, name), found in taken.items() if clock == _PROCESSOR}
    for step, name in (
        ("read and prove the chain", "prove"),
        ("… and find the events", "step"),
        ("… and load them", "load"),
        ("… and fold them: all", "fold"),
    ):
        yield Row(what=f"replay, an event: {step}", ours=1e9 / rate[name], unit="ns")


def _rate(count: int, clock: str, name: str, directory: Path, *, turns: int) -> Measurement:
    call = f"replay.measure({clock!r}, {name!r}, {str(directory)!r}, {turns})"
    words = [sys.executable, "-c", f"from bench import replay; {call}"]

    def measured() -> float:
        return count / float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    return measured


def measure(clock: str, name: str, directory: str, turns: int) -> None:
    """Print the least time of some turns, in seconds."""
    action, now, least = _MEASURED[name], _CLOCKS[clock], float("inf")
    for _ in range(turns):
        start = now()
        action(Path(directory))
        least = min(least, max(end - begin for begin, end in zip(start, now(), strict=True)))
    print(least)


def _write(directory: Path, history: Sequence[Event]) -> None:
    with Journal.open(directory) as journal:
        for start in range(0, len(history), _GROUP):
            group = [Entry(event=each) for each in history[start : start + _GROUP]]
            journal.append(group, time_ns=time.time_ns())


def _write_rows(directory: Path, history: Iterable[Event]) -> None:
    with open_database(directory / _ROWS) as database:
        database.executemany(
            "INSERT INTO events (time, origin, id, event) VALUES (?, ?, ?, ?)",
            ((time.time_ns(), "", "", encode(each)) for each in history),
        )
    database.close()


def open_database(path: Path) -> sqlite3.Connection:
    """A table of events, with what the journal has beside them, as durable as the journal."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, time INTEGER, origin TEXT, id TEXT, event BLOB)"
    )
    return database


def open_application(path: Path) -> Application[UUID]:
    """The peer, on SQLite."""
    return Application[UUID](
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path), "SQLITE_LOCK_TIMEOUT": "10"}
    )


def _write_aggregate(directory: Path, count: int) -> None:
    application, leases = open_application(directory / _AGGREGATE), Leases()
    for each in samples.reservations(count):
        leases.put(each.reservation.address, each.reservation.mac, each.reservation.host_name)
    application.save(leases)
    (directory / _IDENTITY).write_text(str(leases.id))


def _raw_decode(directory: Path) -> int:
    with (directory / _PACKED).open("rb") as packed:
        return sum(1 for _ in msgpack.Unpacker(packed, read_size=_CHUNK))


def _floor(directory: Path) -> dict[int, object]:
    for segment in sorted((directory / _JOURNAL).glob("*.journal")):
        data = segment.read_bytes()
        crc32c(data)
        hashlib.blake2b(data).digest()
    state: dict[int, object] = {}
    with (directory / _PACKED).open("rb") as packed:
        for number, each in enumerate(msgpack.Unpacker(packed, read_size=_CHUNK)):
            state[number % _THINGS] = each
    return state


def _sqlite(directory: Path) -> State:
    fold = Fold(State())
    found = open_database(directory / _ROWS).execute("SELECT seq, time, event FROM events ORDER BY seq")
    while some := [body for _, _, body in found.fetchmany(_GROUP)]:
        fold.take(some, partial(_restored, some))
    return fold.finish()


def _restored(bodies: Sequence[bytes], index: int) -> Event:
    return restore(bodies[index])


def _eventsourcing(directory: Path) -> int:
    application = open_application(directory / _AGGREGATE)
    leases: Leases = application.repository.get(UUID((directory / _IDENTITY).read_text()))
    return len(leases.leases)


def _prove(directory: Path) -> None:
    for segment in sorted((directory / _JOURNAL).glob("*.journal")):
        assert vouched(segment.read_bytes()) is not None


def _step(directory: Path) -> int:
    return sum(len(batch) for batch in read_batches(directory / _JOURNAL))


def _load(directory: Path) -> None:
    for batch in read_batches(directory / _JOURNAL):
        for _ in map(stored.load, batch.bodies):
            pass


_MEASURED: Mapping[str, Callable[[Path], object]] = {
    "raw": _raw_decode,
    "floor": _floor,
    "sqlite": _sqlite,
    "eventsourcing": _eventsourcing,
    "prove": _prove,
    "step": _step,
    "load": _load,
    "fold": lambda directory: replay_journal(directory / _JOURNAL, State(), 0, hands=1),
    "shared": lambda directory: replay(directory / _JOURNAL),
}


def _busiest() -> tuple[float, float]:
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), (helpers.ru_utime + helpers.ru_stime) / max(most_hands() - 1, 1)


_CLOCKS: Mapping[str, Callable[[], tuple[float, ...]]] = {
    _CLOCK: lambda: (time.perf_counter(),),
    _BUSIEST: _busiest,
    _PROCESSOR: lambda: (time.process_time(),),
}
"""Seconds; of several, the one counts that went on most."""
_TAKEN = (
    *((_CLOCK, name) for name in ("raw", "floor", "sqlite", "eventsourcing", "shared")),
    (_BUSIEST, "shared"),
    *((_PROCESSOR, name) for name in _MEASURED if name != "shared"),
)
