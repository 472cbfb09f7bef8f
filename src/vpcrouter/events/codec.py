"""Bytes become an event or a MalformedInputError; nothing else leaves.

An event is stored as the msgpack array [name, version, fields]: name and version are looked up in `registry`,
`fields` is the array of that version's fields. The same event always packs to the same bytes, but for its secrets
where these are sealed (see `sealing`).
"""

from __future__ import annotations

from typing import Any

import msgpack

from vpcrouter.errors import MalformedInputError
from vpcrouter.events import Event, sealing
from vpcrouter.events.registry import EVENTS, UPCASTERS
from vpcrouter.events.schema import Record
from vpcrouter.events.sealing import Sealer

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""No event is larger: an ACL of 10,000 rules packs to about 0.5 MB."""

_LATEST: dict[type, tuple[str, int, Record]] = {}
for (_name, _version), _record in sorted(EVENTS.items()):
    _LATEST[_record.cls] = (_name, _version, _record)


def event_name(event: Event) -> str:
    """The stored name of the event's kind, such as `tier-added`."""
    return _LATEST[type(event)][0]


def event_names() -> frozenset[str]:
    """The stored names of all kinds of events."""
    return frozenset(name for name, _ in EVENTS)


def encode(event: Event, *, seq: int = 0, sealer: Sealer | None = None) -> bytes:
    """The bytes of an event in the newest version of its kind, as record `seq`; no sealer: with secrets in clear."""
    name, version, record = _LATEST[type(event)]
    return sealing.pack([name, version, record.pack(event)], seq, sealer)


def holds_secrets(event: Event) -> bool:
    """Whether any field of the event is a secret."""
    return sealing.holds_secrets(_LATEST[type(event)][2].pack(event))


def decode(payload: bytes, *, seq: int = 0, sealer: Sealer | None = None) -> Event:
    """The event of these bytes, which are record `seq`, brought to the newest version.

    Raises MalformedInputError for anything that is not such an event, and what the sealer raises for want of a key.
    """
    record, fields = _stored(payload, seq, sealer)
    event: Event = record.unpack(fields)
    return event


def restore(payload: bytes | memoryview, seq: int = 0, sealer: Sealer | None = None) -> Event:
    """As `decode`, for bytes that `encode` made and whose checksum is good; see `schema`."""
    record, fields = _stored(payload, seq, sealer)
    event: Event = record.restore(fields)
    return event


def _stored(payload: bytes | memoryview, seq: int, sealer: Sealer | None) -> tuple[Record, Any]:
    if len(payload) > MAX_EVENT_BYTES:
        raise MalformedInputError(f"{len(payload)} bytes are more than an event has", where="event")
    try:
        name, version, fields = sealing.unpack(payload, seq, sealer)
        record = EVENTS.get((name, version))
        if record is None or (name, version) in UPCASTERS:
            record, fields = _upcast(name, version, fields)
    except MalformedInputError:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedInputError(f"not a stored event: {error}", where="event") from None
    return record, fields


def _upcast(name: Any, version: Any, fields: Any) -> tuple[Record, Any]:
    while (upcast := UPCASTERS.get((name, version))) is not None:
        fields, version = upcast(fields), version + 1
    record = EVENTS.get((name, version))
    if record is None:
        raise MalformedInputError(
            f"event {name!r} version {version!r} is not known to this version of vpcrouter",
            where="event",
            hint="it was written by a newer version; read the journal with that one",
        )
    return record, fields
