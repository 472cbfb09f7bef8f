"""Reading a journal back: ours from disk to state, beside two peers, with the same events.

The raw msgpack decode is a bound, not a program: it turns the bytes into lists of numbers and strings, checks nothing
and builds no state. The eventsourcing library does what we do, an aggregate's events from SQLite; it gets one lease
an event, and less of them, for it takes long to write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import msgpack
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench import samples
from bench.row import Measurement, Reach, Row, side_by_side
from vpcrouter.events import Event
from vpcrouter.events.codec import encode
from vpcrouter.journal import Entry, Journal
from vpcrouter.router import replay

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
    """Events read in a second."""
    count, peer_count = (2_000, 500) if smoke else (50_000, 5_000)
    history = list(samples.history(count))
    with TemporaryDirectory() as name:
        directory = Path(name)
        _write(directory / "journal", history)
        (directory / "packed").write_bytes(b"".join(map(encode, history)))
        sqlite = _sqlite(directory / "sqlite", peer_count)
        raw, peer, ours = side_by_side(
            _rate(count, lambda: _raw_decode(directory / "packed")),
            _rate(peer_count, sqlite),
            _rate(count, lambda: replay(directory / "journal")),
            rounds=1 if smoke else 5,
        )
    what = f"replay of {count:,} events"
    reach = Reach(at_least_times=0.5)
    yield Row(what=what, peer_name="raw msgpack decode", peer=raw, ours=ours, unit="events/s", reach=reach)
    reach = Reach(at_least_times=1)
    yield Row(what=what, peer_name="eventsourcing, SQLite", peer=peer, ours=ours, unit="events/s", reach=reach)


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


def _sqlite(path: Path, count: int) -> Callable[[], object]:
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
