"""The recorded journals: writes those that are missing, and says how an event looks in a manifest.

`python -m tests.journal.recorded` adds what is new to journal/golden and journal/damaged. What is there is never
touched: a golden journal is a promise. A new event version gets a golden journal of its own.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from crc32c import crc32c

from tests.journal.samples import CONFIRMATIONS, EVERY_KIND, VPN_AND_BGP, segments
from vpcrouter import events
from vpcrouter.archiving import archive_records
from vpcrouter.errors import JournalError
from vpcrouter.events import Event
from vpcrouter.events.codec import encode, event_name
from vpcrouter.journal import (
    LASTING,
    Entry,
    Journal,
    JournalRecord,
    Keys,
    Snapshot,
    TornTail,
    find_base,
    read_archive,
    read_journal,
    readable_after,
    write_snapshot,
)
from vpcrouter.journal.disk import Disk
from vpcrouter.journal.layout import HEADER_BYTES, Chain, pack_record, sound_groups
from vpcrouter.journal.manifest import write_archive
from vpcrouter.projections.digest import digest
from vpcrouter.replaying import state_of
from vpcrouter.state import State, replay
from vpcrouter.values.config import Secret
from vpcrouter.values.role import Role

ROOM = Path(__file__).parents[2] / "journal"
GOLDEN = ROOM / "golden"
DAMAGED = ROOM / "damaged"
MANIFEST = "expected.json"
KEY_FILE = "keys"


def _of(*kinds: type[Event]) -> tuple[Event, ...]:
    return tuple(event for event in EVERY_KIND if type(event) in kinds)


GOLDEN_KINDS = {
    "format-1-every-kind": EVERY_KIND[:12],
    "format-1-firewall": _of(events.FirewallRulesChanged, events.Ipv6FirewallRulesChanged),
    "format-1-balancer": _of(events.BalancerReplaced),
    "format-1-monitoring": _of(events.MonitoringReplaced),
    "format-1-guests": _of(
        events.GuestPagesPut,
        events.GuestPagesRemoved,
        events.GuestPasswordPut,
        events.GuestPasswordFetched,
        events.GuestPasswordRemoved,
    ),
}
"""What each golden journal holds: the kinds of events that there were first, and those that came later."""


def plain(value: Any) -> Any:
    """An event's value as JSON has it; a secret in clear, since these are no secrets."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Role):
        return value.value
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value


def plain_record(record: JournalRecord) -> dict[str, Any]:
    """A record as a manifest has it."""
    return {
        "seq": record.seq,
        "time_ns": record.time_ns,
        "origin": record.origin,
        "command_id": record.command_id,
        "kind": event_name(record.event),
        "event": plain(record.event),
    }


def outcome(directory: Path) -> dict[str, Any]:
    """What happens to who reads this journal, and to who then opens it for writing."""
    found: dict[str, Any] = {"records": 0}
    try:
        for record in read_journal(directory):
            found["records"] = record.seq
        with Journal.open(directory) as journal:
            torn = journal.torn_tail
            found["cut"] = None if torn is None else plain_cut(torn)
    except JournalError as error:
        found["error"] = {
            "type": type(error).__name__,
            "what": error.what,
            "where": error.where.replace(f"{directory}", "JOURNAL"),
            "hint": error.hint,
            **({"sound_until": error.sound_until} if hasattr(error, "sound_until") else {}),
        }
    return found


def plain_cut(torn: TornTail) -> dict[str, Any]:
    """What was cut, as a manifest has it."""
    return {
        "segment": torn.segment.name,
        "offset": torn.offset,
        "size": torn.size,
        "kept": torn.kept.name,
        "reason": torn.reason,
    }


def golden_manifest(directory: Path) -> dict[str, Any]:
    """All that a golden journal promises; where its older records are in an archive, which is not there, the others."""
    after = readable_after(directory)
    records = list(read_journal(directory, after))
    start = find_base(directory, schema=LASTING)
    state = State() if start is None else state_of(start)
    return {
        "digest": digest(replay(state, (record.event for record in records))),
        "records": [plain_record(record) for record in records],
    }


def lay_out(golden: Path, directory: Path) -> None:
    """A golden journal as a journal: its key file, where there is one, beside it and for its owner alone."""
    shutil.copytree(golden, directory, ignore=shutil.ignore_patterns(MANIFEST, KEY_FILE))
    if (golden / KEY_FILE).exists():
        keys = Keys.beside(directory).path
        shutil.copy(golden / KEY_FILE, keys)
        keys.chmod(0o600)


def write_sealed(directory: Path) -> None:
    """Secrets in clear, sealed with one key, sealed with the next, and a sealed snapshot."""
    with Journal.open(directory, segment_bytes=1500) as journal:
        journal.keys.store_in_clear()
        for _ in range(3):
            entries = [Entry(event=event, command_id="c") for event in EVERY_KIND]
            journal.append(entries, time_ns=1_700_000_000_000_000_000)
            write_snapshot(directory, _opaque_snapshot(journal.seq, journal.chain))
            journal.keys.rotate()
        keys = journal.keys.path
    keys.rename(directory / KEY_FILE)
    (directory / "lock").unlink()


def write_vpn_and_bgp(directory: Path) -> None:
    """The kinds of events that came with tunnels and BGP."""
    with Journal.open(directory) as journal:
        journal.keys.store_in_clear()
        journal.append([Entry(event=event) for event in VPN_AND_BGP], time_ns=1_700_000_000_000_000_000)
        keys = journal.keys.path
    keys.unlink()
    (directory / "lock").unlink()


def write_archived(directory: Path) -> None:
    """Every kind of event, twice; the base after those in the archive, which is somewhere else; and the rest."""
    write_kinds(directory, EVERY_KIND)
    keys = Keys.beside(directory).path
    (directory / KEY_FILE).rename(keys)
    with tempfile.TemporaryDirectory() as room:
        archive_records(directory, Path(room), before=40, time_ns=1_700_000_002_000_000_000)
        found = read_archive(directory)
    assert found is not None
    write_archive(Disk(), directory, attrs.evolve(found, directory=Path("/srv/archive/r-7-VM")))
    keys.rename(directory / KEY_FILE)
    (directory / "lock").unlink(missing_ok=True)


def _opaque_snapshot(seq: int, chain: bytes) -> Snapshot:
    return Snapshot(seq=seq, time_ns=5, chain=chain, schema=7, digest="d", body=b"state of that time")


def write_kinds(directory: Path, kinds: tuple[Event, ...]) -> None:
    """These kinds of events, alone and in groups, with and without labels, over several segments."""
    with Journal.open(directory, segment_bytes=1000) as journal:
        for number, event in enumerate(kinds):
            journal.append(
                [Entry(event=event, origin="fleet", command_id=f"7f3c-{number}")],
                time_ns=1_700_000_000_000_000_000 + number,
            )
        journal.append([Entry(event=event) for event in kinds], time_ns=1_700_000_001_000_000_000)
        journal.append([Entry(event=EVERY_KIND[2], origin="ö" * 127, command_id="x" * 255)], time_ns=0)
        keys = journal.keys.path
    if keys.exists():
        keys.rename(directory / KEY_FILE)
    (directory / "lock").unlink()


def write_confirmations(directory: Path) -> None:
    """A change that was confirmed, one that was taken back, and one upon it that still waits."""
    required, confirmed, reverted = CONFIRMATIONS
    assert isinstance(required, events.ConfirmationRequired)
    assert isinstance(reverted, events.ChangeReverted)
    lease = EVERY_KIND[8]
    with Journal.open(directory) as journal:

        def append(*group: Event) -> None:
            entries = [Entry(event=event, origin="socket") for event in group]
            journal.append(entries, time_ns=1_700_000_000_000_000_000 + journal.seq)

        def change(name: str, *group: Event) -> None:
            until = journal.seq + 1 + len(group)
            first = attrs.evolve(required.confirmation, name=name, before=journal.seq, until=until)
            append(events.ConfirmationRequired(confirmation=first), *group)

        append(EVERY_KIND[0], EVERY_KIND[2])
        change("tf-1", EVERY_KIND[4], EVERY_KIND[1])
        append(confirmed)
        change("10", lease, EVERY_KIND[5])
        change("tf-2", EVERY_KIND[9], EVERY_KIND[6])
        append(attrs.evolve(reverted, name="10"))
    (directory / "lock").unlink()


def _base(directory: Path) -> Path:
    """Three groups of 1, 3 and 2 records in one segment, as the starting point of most damage."""
    with Journal.open(directory) as journal:
        for size in (1, 3, 2):
            entries = [
                Entry(event=EVERY_KIND[(journal.seq + number) % 12], command_id=f"c{journal.seq + number}")
                for number in range(size)
            ]
            journal.append(entries, time_ns=1_700_000_000_000_000_000 + journal.seq)
    (directory / "lock").unlink()
    return segments(directory)[0]


def _three_segments(directory: Path, *, kinds: tuple[Event, ...] = EVERY_KIND) -> list[Path]:
    """One record in each of three segments."""
    with Journal.open(directory, segment_bytes=HEADER_BYTES + 1) as journal:
        for number in range(3):
            journal.append([Entry(event=kinds[number], command_id=f"c{number}")], time_ns=number)
    (directory / "lock").unlink()
    return segments(directory)


def _changed(path: Path, offset: int, replacement: bytes) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:offset] + replacement + data[offset + len(replacement) :])


def _flipped(path: Path, offset: int) -> None:
    _changed(path, offset, bytes([path.read_bytes()[offset] ^ 0x10]))


def _frames(path: Path) -> list[tuple[int, int]]:
    return [(frame.start, frame.stop) for frame in sound_groups(path.read_bytes(), HEADER_BYTES, 1)]


def flipped_bit(directory: Path) -> None:
    path = _base(directory)
    _flipped(path, _frames(path)[1][0] + 60)


def flipped_bit_in_last_record(directory: Path) -> None:
    path = _base(directory)
    _flipped(path, _frames(path)[-1][0] + 60)


def flipped_bit_in_last_size(directory: Path) -> None:
    path = _base(directory)
    _flipped(path, _frames(path)[-1][0] + 5)


def flipped_bit_in_header(directory: Path) -> None:
    _flipped(_base(directory), 20)


def zeroed_sector(directory: Path) -> None:
    path = _base(directory)
    _changed(path, 512, bytes(200))


def missing_record(directory: Path) -> None:
    path = _base(directory)
    frames, data = _frames(path), path.read_bytes()
    path.write_bytes(data[: frames[1][0]] + data[frames[1][1] :])


def repeated_record(directory: Path) -> None:
    path = _base(directory)
    frames, data = _frames(path), path.read_bytes()
    path.write_bytes(data[: frames[0][1]] + data[frames[0][0] :])


def exchanged_records(directory: Path) -> None:
    path = _base(directory)
    (_, a), (_, b), (_, c), *_ = _frames(path)
    data = path.read_bytes()
    path.write_bytes(data[:a] + data[b:c] + data[a:b] + data[c:])


def forged_record(directory: Path) -> None:
    """Another event with good checksums: only the chain tells."""
    path = _base(directory)
    data = path.read_bytes()
    start, stop = _frames(path)[0]
    forged = pack_record(
        Chain(data[:start]),
        seq=1,
        time_ns=0,
        position=0,
        goes_on=False,
        origin=b"",
        command_id=b"c0",
        event=encode(EVERY_KIND[9]),
    )
    path.write_bytes(data[:start] + forged + data[stop:])


def missing_segment(directory: Path) -> None:
    _three_segments(directory)[1].unlink()


def missing_first_segment(directory: Path) -> None:
    _three_segments(directory)[0].unlink()


def shortened_older_segment(directory: Path) -> None:
    path = _three_segments(directory)[1]
    path.write_bytes(path.read_bytes()[:-7])


def segment_of_another_journal(directory: Path) -> None:
    other = directory.with_name("other")
    stolen = _three_segments(other, kinds=EVERY_KIND[3:])[1].read_bytes()
    shutil.rmtree(other)
    _three_segments(directory)[1].write_bytes(stolen)


def renamed_segment(directory: Path) -> None:
    path = _three_segments(directory)[2]
    path.rename(path.with_name("00000000000000000004.journal"))


def stranger(directory: Path) -> None:
    path = _base(directory)
    path.with_name("backup.journal").write_bytes(path.read_bytes())


def newer_format(directory: Path) -> None:
    path = _base(directory)
    header = bytearray(path.read_bytes()[: HEADER_BYTES - 4])
    header[8] = 2
    _changed(path, 0, bytes(header) + crc32c(header).to_bytes(4, "little"))


def newer_event(directory: Path) -> None:
    path = _base(directory)
    header = path.read_bytes()[:HEADER_BYTES]
    event = b"\x93\xabtier-cloned\x01\x90"
    record = pack_record(
        Chain(header), seq=1, time_ns=0, position=0, goes_on=False, origin=b"", command_id=b"", event=event
    )
    path.write_bytes(header + record)


def torn_in_last_group(directory: Path) -> None:
    path = _base(directory)
    path.write_bytes(path.read_bytes()[:-20])


def torn_between_records_of_a_group(directory: Path) -> None:
    path = _base(directory)
    path.write_bytes(path.read_bytes()[: _frames(path)[-1][0]])


def zeros_at_the_end(directory: Path) -> None:
    path = _base(directory)
    path.write_bytes(path.read_bytes() + bytes(4096))


def lost_sector_in_last_group(directory: Path) -> None:
    path = _base(directory)
    data = path.read_bytes()
    begin = _frames(path)[-2][0]
    sector = (begin // 512 + 1) * 512
    _changed(path, begin, bytes(min(sector, len(data)) - begin))


def garbage_at_the_end(directory: Path) -> None:
    path = _base(directory)
    path.write_bytes(path.read_bytes() + b"-- MARK --\n" * 9)


def unfinished_segment(directory: Path) -> None:
    _base(directory)
    (directory / "00000000000000000007.journal").write_bytes(bytes.fromhex("89 56 50 43 4a 0d 0a 1a 01 00"))


KINDS: tuple[Callable[[Path], None], ...] = (
    flipped_bit,
    flipped_bit_in_last_record,
    flipped_bit_in_last_size,
    flipped_bit_in_header,
    zeroed_sector,
    missing_record,
    repeated_record,
    exchanged_records,
    forged_record,
    missing_segment,
    missing_first_segment,
    shortened_older_segment,
    segment_of_another_journal,
    renamed_segment,
    stranger,
    newer_format,
    newer_event,
    torn_in_last_group,
    torn_between_records_of_a_group,
    zeros_at_the_end,
    lost_sector_in_last_group,
    garbage_at_the_end,
    unfinished_segment,
)


def _write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Add the recorded journals that are missing."""
    confirmations = GOLDEN / "format-1-confirmations"
    if not confirmations.exists():
        write_confirmations(confirmations)
        _write_manifest(confirmations, golden_manifest(confirmations))
        print("wrote", confirmations.name)
    tunnels = GOLDEN / "format-1-vpn-and-bgp"
    if not tunnels.exists():
        write_vpn_and_bgp(tunnels)
        _write_manifest(tunnels, golden_manifest(tunnels))
        print("wrote", tunnels.name)
    for name, write in (("format-1-sealed", write_sealed), ("format-1-archived", write_archived)):
        golden = GOLDEN / name
        if not golden.exists():
            write(golden)
            with tempfile.TemporaryDirectory() as room:
                lay_out(golden, Path(room) / "copy")
                _write_manifest(golden, golden_manifest(Path(room) / "copy"))
            print("wrote", golden.name)
    for name, kinds in GOLDEN_KINDS.items():
        golden = GOLDEN / name
        if not golden.exists():
            write_kinds(golden, kinds)
            with tempfile.TemporaryDirectory() as room:
                lay_out(golden, Path(room) / "copy")
                _write_manifest(golden, golden_manifest(Path(room) / "copy"))
            print("wrote", golden.name)
    for kind in KINDS:
        directory = DAMAGED / kind.__name__.replace("_", "-")
        if not directory.exists():
            kind(directory)
            trial = directory.with_name("trial")
            shutil.copytree(directory, trial)
            _write_manifest(directory, outcome(trial))
            shutil.rmtree(trial)
            print("wrote", directory.name)


if __name__ == "__main__":
    main()
