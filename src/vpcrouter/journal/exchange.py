"""A journal as JSON lines, one record each, and back: the same numbers, times, labels and events.

    {"seq": 1, "time_ns": …, "origin": "cli", "command_id": "…", "event": ["tier-added", 1, […]]}

The event stands there as it is stored: name, schema version, fields; what comes in passes the same checks as
anything from outside. Secrets are in clear, or nothing could be restored from it: whoever writes the lines to a
file gives it mode 0600. Groups are not kept: once durable, they have no meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgpack

from vpcrouter.errors import MalformedInputError
from vpcrouter.events.codec import decode
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.records import JournalRecord
from vpcrouter.journal.writer import Journal

GROUP_RECORDS = 1000
"""So many records share a sync on import."""
_FIELDS = {"seq": int, "time_ns": int, "origin": str, "command_id": str, "event": list}


def export_lines(directory: Path, after: int = 0) -> Iterator[str]:
    """One line for each record after number `after`, without its line end. Raises what reading raises."""
    for walk, frames in walk_journal(directory, after):
        for frame in frames:
            if frame.seq > after:
                record = decoded(walk.segment, walk.data, frame)
                line = {
                    "seq": record.seq,
                    "time_ns": record.time_ns,
                    "origin": record.origin,
                    "command_id": record.command_id,
                    "event": msgpack.unpackb(frame.payload(walk.data)),
                }
                yield json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def import_lines(journal: Journal, lines: Iterable[str]) -> int:
    """Append the records of these lines, which must go on where the journal ends; empty lines are passed over.

    Returns the number of the last record. Raises MalformedInputError with the line's number; what stood on
    earlier lines may be in the journal then, and importing the rest goes on from there.
    """
    batch: list[JournalRecord] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _record(line, f"line {number}")
        due = journal.seq + len(batch) + 1
        if record.seq != due:
            raise MalformedInputError(
                f"record {record.seq} stands where record {due} is due",
                where=f"line {number}",
                hint="import into an empty journal, or from the record on that it lacks",
            )
        batch.append(record)
        if len(batch) == GROUP_RECORDS:
            journal.append_records(batch)
            batch.clear()
    return journal.append_records(batch)


def _record(line: str, where: str) -> JournalRecord:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedInputError(f"not JSON: {error}", where=where) from None
    if not isinstance(found, dict) or found.keys() != _FIELDS.keys():
        raise MalformedInputError(f"not an exported record: its keys are not {', '.join(_FIELDS)}", where=where)
    for name, kind in _FIELDS.items():
        if type(found[name]) is not kind:
            raise MalformedInputError(f"{name} is not {'a number' if kind is int else kind.__name__}", where=where)
    if not 0 <= found["time_ns"] < 2**64:
        raise MalformedInputError("time_ns is out of range", where=where)
    stored = found.pop("event")
    try:
        return JournalRecord(event=decode(msgpack.packb(stored)), **found)
    except MalformedInputError as error:
        raise MalformedInputError(error.what, where=f"{where}: {error.where}", hint=error.hint) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedInputError(f"not a stored event: {error}", where=where) from None
