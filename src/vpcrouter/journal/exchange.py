"""A journal as JSON lines, one record each, and back: the same numbers, times, labels and events.

    {"seq": 1, "time_ns": …, "origin": "cli", "command_id": "…", "event": ["tier-added", 1, […]]}

The event stands there as it is stored: name, schema version, fields; what comes in passes the same checks as
anything from outside. A sealed secret stands there as `{"sealed": "<base64>"}`: whoever imports it needs the keys of
the journal it came from, and seals it anew with his own. Groups are not kept: once durable, they have no meaning.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack

from vpcrouter.errors import JournalError, KeyFileError, MalformedInputError
from vpcrouter.events import sealing
from vpcrouter.events.codec import decode, encode, holds_secrets
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.reader import decoded, walk_journal
from vpcrouter.journal.records import JournalRecord
from vpcrouter.journal.writer import Journal

_SEALED = "sealed"
GROUP_RECORDS = 1000
"""So many records share a sync on import."""
_FIELDS = {"seq": int, "time_ns": int, "origin": str, "command_id": str, "event": list}


def export_lines(directory: Path, after: int = 0, *, reveal_secrets: bool = False) -> Iterator[str]:
    """One line for each record after number `after`, without its line end.

    No secret is in clear, unless `reveal_secrets` says so: whoever writes such lines to a file gives it mode 0600.
    What lies in clear in the journal is sealed here. Raises what reading raises, and JournalError where a secret
    lies in clear and there is no key to seal it with.
    """
    keys = Keys.beside(directory)
    for walk, frames in walk_journal(directory, after):
        for frame in frames:
            if frame.seq > after:
                record = decoded(walk.segment, walk.data, frame, keys if reveal_secrets else sealing.Hidden())
                payload = frame.payload(walk.data)
                if reveal_secrets:
                    event = sealing.unpack(payload, frame.seq, keys)
                else:
                    event = _listed(_sealed(payload, record, keys))
                line = {
                    "seq": record.seq,
                    "time_ns": record.time_ns,
                    "origin": record.origin,
                    "command_id": record.command_id,
                    "event": event,
                }
                yield json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def import_lines(journal: Journal, lines: Iterable[str], keys: Keys | None = None) -> int:
    """Append the records of these lines, which must go on where the journal ends; empty lines are passed over.

    `keys` are those of the journal that the lines came from, if they are not this journal's. Returns the number of the
    last record. Raises MalformedInputError with the line's number, and KeyFileError if a key is missing; what stood
    on earlier lines may be in the journal then, and importing the rest goes on from there.
    """
    batch: list[JournalRecord] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _record(line, f"line {number}", keys or journal.keys)
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


def _record(line: str, where: str, keys: Keys) -> JournalRecord:
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
        event = decode(msgpack.packb(_stored(stored)), seq=found["seq"], sealer=keys)
        return JournalRecord(event=event, **found)
    except KeyFileError as error:
        raise KeyFileError(f"{where}: {error.what}", where=error.where, hint=error.hint, key_id=error.key_id) from None
    except MalformedInputError as error:
        where = f"{where}: {error.where}" if error.where else where
        raise MalformedInputError(error.what, where=where, hint=error.hint) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedInputError(f"not a stored event: {error}", where=where) from None


def _sealed(payload: bytes, record: JournalRecord, keys: Keys) -> bytes:
    """The event's bytes with no secret in clear: as they are if there is none, else newly sealed."""
    if sealing.is_sealed(payload) or not holds_secrets(record.event):
        return payload
    if keys.current is None:
        raise JournalError(
            f"record {record.seq} holds a secret in clear, and there is no key to seal it with",
            where=str(keys.path),
            hint="`vpcrouter journal rotate-key` makes one; or export with --reveal-secrets, into a file of mode 0600",
        )
    return encode(record.event, seq=record.seq, sealer=keys)


def _listed(payload: bytes) -> Any:
    """Stored bytes as JSON has them."""

    def sealed(_: int, data: bytes) -> dict[str, str]:
        return {_SEALED: base64.b64encode(data).decode()}

    return msgpack.unpackb(payload, ext_hook=sealed)


def _stored(value: Any) -> Any:
    """What JSON has, as it is stored. Raises ValueError for an object that is no sealed secret."""
    if isinstance(value, list):
        return [_stored(each) for each in value]
    if isinstance(value, dict):
        if value.keys() != {_SEALED} or not isinstance(value[_SEALED], str):
            raise ValueError("an object that is no sealed secret")
        return msgpack.ExtType(sealing.SEALED, base64.b64decode(value[_SEALED], validate=True))
    return value
