"""What routers tell each other of the things in which they differ, as bytes in a beacon. Pure.

Sealed (AES-256-GCM-SIV), since beacons are not: a guest that reads them need not learn which VPN users and sites there
are. The key comes from the pair's; without a router password that is public knowledge, as everywhere. Used by `beacon`,
which proves who speaks, and gives the nonce.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

import msgpack

from vpcrouter.values.agreement import MAX_COMMAND_ID, MAX_EVENT, MAX_KEY, TRACES, Thing, Touch, Trace

_NONCE_BYTES = 12
_END_MS = 253_402_300_800_000
"""After the year 9999, which is as far as a time can be written down."""


def pack_traces(traces: Iterable[Trace], key: bytes, nonce: bytes) -> bytes:
    """The sealed form of them; the first `TRACES`, of those whose key is not too long to be told."""
    return seal(pack(traces), key, nonce)


def unpack_traces(sealed: bytes, key: bytes, nonce: bytes) -> tuple[Trace, ...]:
    """What was sealed. Raises ValueError or TypeError for anything else."""
    from cryptography.exceptions import InvalidTag

    try:
        body = _cipher(key).decrypt(_wide(nonce), sealed, None)
    except InvalidTag:
        raise ValueError("not sealed with this key") from None
    found = msgpack.unpackb(body)
    if type(found) is not list or len(found) > TRACES:
        raise ValueError("no traces, or too many")
    return tuple(_unpack(*each) for each in found)


def seal(body: bytes, key: bytes, nonce: bytes) -> bytes:
    """What only they can read who have the key; `nonce`: eight bytes, never the same again."""
    sealed: bytes = _cipher(key).encrypt(_wide(nonce), body, None)
    return sealed


def pack(traces: Iterable[Trace]) -> bytes:
    """The form of them that is sealed."""
    told = [each for each in traces if len(each.thing.key) <= MAX_KEY][:TRACES]
    body: bytes = msgpack.packb([_pack(each) for each in told])
    return body


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

    return AESGCMSIV(hmac.digest(key, b"vpcrouter traces 1", "sha256"))


def _wide(nonce: bytes) -> bytes:
    return nonce.ljust(_NONCE_BYTES, b"\0")


def _pack(trace: Trace) -> list[Any]:
    thing, touch = trace.thing, trace.touch
    command_id = touch.command_id[:MAX_COMMAND_ID]
    return [thing.kind, thing.key, trace.hash, touch.seq, touch.event, touch.time_ms, command_id]


def _unpack(kind: Any, key: Any, short_hash: Any, seq: Any, event: Any, time_ms: Any, command_id: Any) -> Trace:
    return Trace(
        thing=Thing(_text(kind, MAX_EVENT), _text(key, MAX_KEY)),
        hash=None if short_hash is None else _number(short_hash, 2**32),
        touch=Touch(
            seq=_number(seq, 2**63),
            event=_text(event, MAX_EVENT),
            time_ms=_number(time_ms, _END_MS),
            command_id=_text(command_id, MAX_COMMAND_ID),
        ),
    )


def _text(value: Any, most: int) -> str:
    """It goes into logs and onto screens."""
    if type(value) is not str or len(value) > most or not value.isprintable():
        raise ValueError("no text that may be shown")
    return value


def _number(value: Any, end: int) -> int:
    if type(value) is not int or not 0 <= value < end:
        raise ValueError("no such number")
    return value
