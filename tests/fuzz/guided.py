"""Coverage-guided fuzzing: `python -m tests.fuzz.guided TARGET [--seconds S] [--corpus DIR]`, one target a process.

A target takes any bytes and may raise nothing but our own errors; libFuzzer (by way of atheris) looks for bytes that
reach new branches of it, and stops at anything else: another exception, a second on one input, a gigabyte of memory.
The input that did it is written beside the corpus; it becomes an `@example` or a damaged journal with its own test.

Checksums would keep random bytes from getting anywhere, so the targets for stored things put good ones around them.
"""

from __future__ import annotations

import argparse
import hmac
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris
import msgpack

with atheris.instrument_imports(include=["vpcrouter"]):
    from tests.journal.recorded import lay_out
    from vpcrouter import command_json, state_codec
    from vpcrouter.cloudstack import parse_boot_line
    from vpcrouter.errors import CallerError, JournalError, VpcRouterError
    from vpcrouter.events import codec
    from vpcrouter.journal import Journal, export_lines, import_lines, read_events, verify
    from vpcrouter.journal.layout import FIRST_CHAIN, Chain, Header, pack_record
    from vpcrouter.journal.segments import segment_path
    from vpcrouter.machines.peers import PeersMachine, derive_key
    from vpcrouter.machines.traces import pack, seal
    from vpcrouter.replaying import replay_journal
    from vpcrouter.state import State, replay
    from vpcrouter.submission import read_submission
    from vpcrouter.values.agreement import Thing, Touch, Trace
    from vpcrouter.values.beacon import Saying

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted(
    {path.parent for path in (ROOT / "journal" / "golden").rglob("*.journal") if not (path.parent / "archive").exists()}
)
KEY = derive_key(None, "10.1.0.0/16")
MOST_BYTES = 64 * 1024
MEGABYTES = 1024


def event(data: bytes) -> None:
    """The bytes of one event, as import takes them."""
    found = codec.decode(data)
    assert codec.decode(codec.encode(found)) == found


def segment(data: bytes) -> None:
    """A file of a journal, as it is."""
    with TemporaryDirectory(dir="/dev/shm") as name:
        directory = Path(name)
        segment_path(directory, 1).write_bytes(data)
        verify(directory)
        try:
            before = sum(1 for _ in read_events(directory))
            replay_journal(directory, State(), 0, few=0)
        except VpcRouterError:
            return
        with Journal.open(directory) as journal:
            assert journal.seq == before


def record(data: bytes) -> None:
    """Records with good checksums, links and numbers, but any labels and events: the lines of the input."""
    header = Header(first_seq=1, created_ns=0, chain_before=FIRST_CHAIN).pack()
    chain, written = Chain(header), [header]
    for seq, line in enumerate(data.split(b"\n"), start=1):
        label = line[:2]
        written.append(
            pack_record(
                chain, seq=seq, time_ns=0, position=0, goes_on=False, origin=label, command_id=label, event=line[2:]
            )
        )
    segment(b"".join(written))


def state(data: bytes) -> None:
    """The body of a snapshot, whose hash is good."""
    state_codec.unpack_state(data)


def exported(data: bytes) -> None:
    """Lines to be imported."""
    with TemporaryDirectory(dir="/dev/shm") as name, Journal.open(Path(name) / "journal") as journal:
        import_lines(journal, data.decode(errors="surrogateescape").splitlines())


def submission(data: bytes) -> None:
    """A file that a user hands in."""
    for each in read_submission(data, name="f"):
        if each.command is not None:
            assert command_json.loads(command_json.dumps(each.command)) == each.command


def boot_line(data: bytes) -> None:
    """The first-boot command line."""
    parse_boot_line(data.decode(errors="surrogateescape"))


def beacon(data: bytes) -> None:
    """A datagram on the beacons' port with a good signature, which a guest can make where no password is set."""
    machine = PeersMachine(b"12345678")
    machine.hear(data + hmac.digest(KEY, data, "sha256"), KEY, 0)
    machine.carriages(1)


def traces(data: bytes) -> None:
    """What a beacon tells of commands, well sealed, in a datagram with a good signature."""
    fields = msgpack.unpackb(_beacon())
    fields["traces"] = seal(data, KEY, fields["nonce"])
    beacon(msgpack.packb(fields))


def _beacon() -> bytes:
    return PeersMachine(b"87654321").beacon(Saying(tiers=("eth2",), carrier="eth2"), KEY, bytes(8), 0)[:-32]


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (event, segment, record, state, exported, submission, boot_line, beacon, traces)
}


def _golden() -> Iterator[Path]:
    """Each golden journal, with its keys where they are looked for."""
    for golden in GOLDEN:
        with TemporaryDirectory(dir="/dev/shm") as name:
            lay_out(golden, Path(name) / "journal")
            yield Path(name) / "journal"


def _golden_events() -> list[bytes]:
    return [codec.encode(found) for directory in _golden() for _, found in read_events(directory)]


SEEDS: Mapping[str, Callable[[], Iterable[bytes]]] = {
    "event": _golden_events,
    "record": lambda: [b"ab" + each for each in _golden_events() if b"\n" not in each],
    "segment": lambda: (path.read_bytes() for path in sorted((ROOT / "journal").rglob("*.journal"))),
    "state": lambda: [
        state_codec.pack_state(replay(State(), (found for _, found in read_events(each)))) for each in _golden()
    ],
    "exported": lambda: ["\n".join(export_lines(each, reveal_secrets=True)).encode() for each in _golden()],
    "submission": lambda: (path.read_bytes() for path in sorted((ROOT / "tests" / "data").rglob("*.*"))),
    "boot_line": lambda: [
        b" vpccidr=10.1.0.0/16 name=r-1-VM eth0ip=169.254.0.2 eth0mask=255.255.0.0 redundant_router=1"
    ],
    "beacon": lambda: [_beacon()],
    "traces": lambda: [
        pack([Trace(thing=Thing("ACL", "eth2"), hash=7, touch=Touch(seq=5, event="acl-replaced", time_ms=9))])
    ],
}


def main() -> None:
    """Fuzz one target."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description="Coverage-guided fuzzing.")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--hang", type=int, default=1, help="seconds that one input may take")
    parser.add_argument("--corpus", type=Path, help="where inputs that reached something new are kept")
    options = parser.parse_args()
    target = TARGETS[options.target]

    def one(data: bytes) -> None:
        try:
            target(data)
        except (CallerError, JournalError):
            return

    with TemporaryDirectory() as scratch:
        corpus = options.corpus or Path(scratch) / "corpus"
        seeds = Path(scratch) / "seeds"
        for folder in (corpus, seeds):
            folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[options.target]()):
            (seeds / str(number)).write_bytes(seed[:MOST_BYTES])
        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={options.seconds}",
                f"-timeout={options.hang}",
                f"-rss_limit_mb={MEGABYTES}",
                f"-max_len={MOST_BYTES}",
                f"-artifact_prefix={corpus.parent}/found-",
                "-print_final_stats=1",
                str(corpus),
                str(seeds),
            ],
            one,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
