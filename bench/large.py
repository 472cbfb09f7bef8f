"""A router of a million events: taken in at once, opened with and without a snapshot, and what memory that takes.

Opening is measured in a process of its own, which tells the time of the call and the most memory it ever had, with
that of the processes that helped it, as if all had it at once; a
snapshot is written as the agent writes one. The peer of a large burst is what a caller pays to make the commands.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import samples
from bench.row import Reach, Row, side_by_side, timed
from vpcrouter import Router
from vpcrouter.agent import SNAPSHOT_EVENTS
from vpcrouter.commands import Command, ConfigureRouter, PutReservation, PutTier
from vpcrouter.journal import Entry, Journal, Snapshot, read_journal, write_snapshot
from vpcrouter.journal.snapshots import chain_at
from vpcrouter.past import replay
from vpcrouter.projections.digest import digest
from vpcrouter.state import Draft, State
from vpcrouter.state_codec import SCHEMA, pack_state
from vpcrouter.values.config import Reservation, RouterConfig, Tier

_GROUP = 10_000
_OPEN = """
import resource, sys, time
from pathlib import Path
from vpcrouter import Router
from vpcrouter.replaying import most_hands
helpers = most_hands() - 1
started = time.perf_counter()
with Router.open(sys.argv[1]) as router:
    opened = time.perf_counter() - started
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
others = helpers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(opened * 1000, (int(peak.split()[1]) + others) / 1024)
"""


def rows(smoke: bool) -> Iterable[Row]:
    """Commands a second; milliseconds and megabytes of an open."""
    commands, events = (2_000, 20_000) if smoke else (100_000, 1_000_000)
    rounds = 1 if smoke else 3
    with TemporaryDirectory(dir=Path.cwd()) as name:
        directory = Path(name)
        made, taken = side_by_side(
            lambda: timed(lambda: list(_burst(commands))), lambda: _take(directory, commands), rounds=rounds
        )
        yield Row(
            what=f"submit_many of {commands:,} commands, durable",
            peer_name="making the command objects",
            peer=1000 * commands / made,
            ours=1000 * commands / taken,
            unit="commands/s",
            reach=Reach(at_least=50_000),
        )
        journal = directory / "million"
        _write(journal, events)
        replayed_ms, replayed_mb = _open(journal, rounds)
        whole = timed(lambda: replay(journal))
        with Router.open(journal) as router:
            write_snapshot(journal, router.snapshot())
        opened_ms, opened_mb = _open(journal, rounds)
        at_seq, at_time = _look_back(journal, events // 2, rounds)
    for how, ours in (("number", at_seq), ("time", at_time)):
        yield Row(
            what=f"the state in the middle of {events:,} events, by {how}",
            peer_name="replaying them all",
            peer=whole,
            ours=ours,
            reach=None if smoke else Reach(at_most_times=0.1),
        )
    what = f"opening a journal of {events:,} events"
    reach = Reach(at_most=400)
    yield Row(what=f"{what}, no snapshot", ours=replayed_ms)
    yield Row(what=f"{what}, no snapshot, most memory", ours=replayed_mb, unit="MB", reach=reach)
    yield Row(what=f"{what}, with a snapshot", ours=opened_ms, reach=Reach(at_most=150))
    yield Row(what=f"{what}, with a snapshot, most memory", ours=opened_mb, unit="MB", reach=reach)


def _burst(count: int) -> Iterator[Command]:
    """A router, a wide tier, and then one lease after the other, no two alike."""
    yield ConfigureRouter(config=RouterConfig(name="r-1-VM", vpc_network="10.0.0.0/8", redundant=True))
    yield PutTier(tier=Tier(device="eth2", network="10.0.0.0/8", gateway="10.0.0.1", address="10.0.0.2"))
    for number in range(256, 254 + count):
        low = number.to_bytes(3, "big")
        address, mac = ".".join(map(str, low)), low.hex(":")
        yield PutReservation(
            reservation=Reservation(address=f"10.{address}", mac=f"02:00:00:{mac}", host_name=f"vm-{number}")
        )


def _take(directory: Path, count: int) -> float:
    commands = list(_burst(count))
    with TemporaryDirectory(dir=directory) as journal, Router.open(journal) as router:
        return timed(lambda: router.submit_many(commands))


def _write(directory: Path, count: int) -> None:
    with Journal.open(directory) as journal:
        events = samples.history(count)
        while group := list(islice(events, _GROUP)):
            journal.append([Entry(event=each) for each in group], time_ns=time.time_ns())


def _look_back(directory: Path, seq: int, rounds: int) -> tuple[float, ...]:
    """The milliseconds of a look at this record, by its number and by its time, with the snapshots of a live agent."""
    draft, moments = Draft(State()), {}
    for record in read_journal(directory):
        number, time_ns = record.seq, record.time_ns
        draft.apply(record.event)
        if number == seq:
            moments[seq] = time_ns
        if number % SNAPSHOT_EVENTS == 0:
            state, chain = draft.finish(), chain_at(directory, number)
            assert chain is not None
            body, name = pack_state(state), digest(state)
            taken = Snapshot(seq=number, time_ns=time_ns, chain=chain, schema=SCHEMA, digest=name, body=body)
            write_snapshot(directory, taken)
    return side_by_side(
        lambda: timed(lambda: replay(directory, until=seq)),
        lambda: timed(lambda: replay(directory, until_ns=moments[seq])),
        rounds=rounds,
    )


def _open(journal: Path, rounds: int) -> tuple[float, float]:
    """Milliseconds and megabytes, the best of some rounds: what is measured is the program, not its neighbours."""
    outputs = [
        subprocess.run([sys.executable, "-c", _OPEN, str(journal)], check=True, capture_output=True, text=True).stdout
        for _ in range(rounds)
    ]
    return min((float(ms), float(mb)) for ms, mb in (output.split() for output in outputs))
