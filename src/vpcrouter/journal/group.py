"""Entries become the bytes of one group. Pure; called by the writer, knows nothing of files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from vpcrouter.errors import MalformedInputError
from vpcrouter.events.codec import encode
from vpcrouter.events.sealing import Sealer
from vpcrouter.journal.layout import MAX_LABEL_BYTES, Chain, pack_record
from vpcrouter.journal.records import Entry, JournalRecord

MAX_GROUP_BYTES = 256 * 1024 * 1024
"""A group lies in memory as a whole, when written and when read; 1,000,000 small events fit."""


class Prepared(NamedTuple):
    """One record of a group, but for its number."""

    time_ns: int
    origin: bytes
    command_id: bytes
    event: bytes


def prepare(entry: Entry | JournalRecord, time_ns: int, seq: int, sealer: Sealer) -> Prepared:
    """Encode an entry as record `seq`.

    Raises MalformedInputError if a label does not fit, and KeyFileError if a secret cannot be sealed.
    """
    return Prepared(
        time_ns,
        _label(entry.origin, "origin"),
        _label(entry.command_id, "command_id"),
        encode(entry.event, seq=seq, sealer=sealer),
    )


def pack_group(chain: Chain, group: Sequence[Prepared], first_seq: int) -> bytes:
    """The group's bytes; they are taken into the chain. Raises MalformedInputError if they are too many."""
    records = []
    size = 0
    for position, each in enumerate(group):
        record = pack_record(
            chain,
            seq=first_seq + position,
            time_ns=each.time_ns,
            position=position,
            goes_on=position < len(group) - 1,
            origin=each.origin,
            command_id=each.command_id,
            event=each.event,
        )
        size += len(record)
        records.append(record)
    if size > MAX_GROUP_BYTES:
        raise MalformedInputError(
            f"a group of {size} bytes is more than {MAX_GROUP_BYTES}", where="group", hint="append it in parts"
        )
    return b"".join(records)


def _label(text: str, name: str) -> bytes:
    return _bytes_of_label(text, name) if text else b""


@lru_cache(maxsize=256)  # a burst has one origin
def _bytes_of_label(text: str, name: str) -> bytes:
    try:
        label = text.encode()
    except UnicodeEncodeError:
        raise MalformedInputError(f"{text!r} is not text", where=name) from None
    if len(label) > MAX_LABEL_BYTES:
        raise MalformedInputError(f"{len(label)} bytes are more than {MAX_LABEL_BYTES}", where=name, hint="shorten it")
    return label
