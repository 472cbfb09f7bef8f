"""What the other router of the pair says, and whether to believe it. Pure: times, nonces and the key are passed in.

    beacon = msgpack [version, instance, number, nonce, echo,
                      tiers, carrier, target, heard, role, seq, digest] + HMAC-SHA256

Used by `peering`, which owns the sockets. A beacon counts if its authenticator is right, it echoes a nonce that
this router has sent in one of its last two beacons, and its number is higher than that of the last one that
counted: so a recorded one cannot be sent again. Two routers that meet need one beacon each way before the next ones
count; who hears a stranger says so at once (`Heard.GREETING`).

Known holes: it is written for a pair; of three routers, each would follow the one that it heard last. A guest that
repeats the peer's old beacons faster than the peer sends new ones can keep the two from hearing each other, which
holds moves up and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum
from typing import Any, TypeVar

import msgpack
from attrs import frozen

from vpcrouter.values.beacon import Saying
from vpcrouter.values.carriage import PeerCarriage
from vpcrouter.values.connections import SAMPLE_SIZE, ConnectionSample
from vpcrouter.values.role import Role

_T = TypeVar("_T")

_VERSION = 1
_MAC_BYTES = 32
_MAX_BYTES = 1200
"""Fits a packet everywhere; 64 devices and a digest are less than half of it."""
_ID_BYTES = 8
SILENT_NS = 2_000_000_000
"""Ten beacons missed in a row."""


class Heard(Enum):
    """What a datagram was."""

    NOTHING = "nothing"
    """Not the peer's, or known already."""
    GREETING = "greeting"
    """The peer's, but no proof yet that it is of today: answer, so that its next one is."""
    SAME = "same"
    NEWS = "news"


@frozen(kw_only=True)
class _Beacon:
    instance: bytes
    number: int
    nonce: bytes
    echo: bytes
    saying: Saying


def derive_key(password: str | None, network: str) -> bytes:
    """The key of a pair. Without a password it is of public knowledge, and keeps out strangers only."""
    return hashlib.sha256(b"vpcrouter beacon\0" + (password or "").encode() + b"\0" + network.encode()).digest()


class PeerMachine:
    """The other router, as seen from this one. `instance` is eight random bytes, new with each start."""

    def __init__(self, instance: bytes) -> None:
        self._instance = instance
        self._number = 0
        self._nonces: tuple[bytes, ...] = ()
        self._echo = b""
        self._last: _Beacon | None = None
        self._heard_ns = 0

    def beacon(self, saying: Saying, key: bytes, nonce: bytes) -> bytes:
        """The next beacon; the nonce is eight random bytes."""
        self._number += 1
        self._nonces = (*self._nonces[-1:], nonce)
        fields = [
            _VERSION, self._instance, self._number, nonce, self._echo,
            list(saying.tiers), saying.carrier, saying.target, None if saying.heard is None else list(saying.heard),
            saying.role.value, saying.seq, saying.digest, saying.ready, saying.missing, _pack_sample(saying.sample),
        ]  # fmt: skip
        body: bytes = msgpack.packb(fields)
        return body + hmac.digest(key, body, "sha256")

    def hear(self, datagram: bytes, key: bytes, now_ns: int) -> Heard:
        """Take in a datagram."""
        beacon = _decode(datagram, key)
        if beacon is None or beacon.instance == self._instance:
            return Heard.NOTHING
        last = self._last
        if beacon.echo not in self._nonces:
            # Of a peer that was heard a moment ago it is late, or somebody else's copy.
            if last is not None and now_ns - self._heard_ns < SILENT_NS and last.instance == beacon.instance:
                return Heard.NOTHING
            is_new = self._echo != beacon.nonce
            self._echo = beacon.nonce
            return Heard.GREETING if is_new else Heard.NOTHING
        if last is not None and last.instance == beacon.instance and beacon.number <= last.number:
            return Heard.NOTHING
        was_silent = now_ns - self._heard_ns >= SILENT_NS
        self._last, self._heard_ns, self._echo = beacon, now_ns, beacon.nonce
        if last is None or was_silent or last.saying != beacon.saying:
            return Heard.NEWS
        return Heard.SAME

    def carriage(self, now_ns: int) -> PeerCarriage | None:
        """What is known of its electors; None if it was never heard."""
        if self._last is None:
            return None
        saying = self._last.saying
        return PeerCarriage(
            tiers=saying.tiers,
            carrier=saying.carrier,
            target=saying.target,
            heard=saying.heard,
            is_silent=self._is_silent(now_ns),
        )

    def saying(self, now_ns: int) -> Saying | None:
        """What it said last; None if it is silent, or was never heard."""
        return None if self._last is None or self._is_silent(now_ns) else self._last.saying

    def describe(self, now_ns: int) -> dict[str, Any] | None:
        """What a status says of it; None if it was never heard."""
        if self._last is None:
            return None
        saying = self._last.saying
        return {
            "role": saying.role.value,
            "carrier": saying.carrier,
            "tiers": list(saying.tiers),
            "seq": saying.seq,
            "digest": saying.digest,
            "ready": saying.ready,
            "connections": None if saying.sample is None else saying.sample.total,
            "heard_ms_ago": (now_ns - self._heard_ns) // 1_000_000,
            "silent": self._is_silent(now_ns),
        }

    def _is_silent(self, now_ns: int) -> bool:
        return now_ns - self._heard_ns >= SILENT_NS


def _decode(datagram: bytes, key: bytes) -> _Beacon | None:
    """The beacon; None for whatever is none, or not of this key and version."""
    if not _MAC_BYTES < len(datagram) <= _MAX_BYTES:
        return None
    body, mac = datagram[:-_MAC_BYTES], datagram[-_MAC_BYTES:]
    if not hmac.compare_digest(hmac.digest(key, body, "sha256"), mac):
        return None
    try:
        (
            version,
            instance,
            number,
            nonce,
            echo,
            tiers,
            carrier,
            target,
            heard,
            role,
            seq,
            digest,
            ready,
            missing,
            sample,
        ) = msgpack.unpackb(body)
        if version != _VERSION:
            return None
        return _Beacon(
            instance=_is(bytes, instance),
            number=_is(int, number),
            nonce=_is(bytes, nonce),
            echo=_is(bytes, echo),
            saying=Saying(
                tiers=tuple(_is(str, each) for each in _is(list, tiers)),
                carrier=None if carrier is None else _is(str, carrier),
                target=None if target is None else _is(str, target),
                heard=None if heard is None else tuple(_is(str, each) for each in _is(list, heard)),
                role=Role(role),
                seq=_is(int, seq),
                digest=_is(str, digest),
                ready=_is(bool, ready),
                missing=_is(int, missing),
                sample=_unpack_sample(sample),
            ),
        )
    except (ValueError, TypeError, msgpack.UnpackException):
        return None


def _pack_sample(sample: ConnectionSample | None) -> list[Any] | None:
    if sample is None:
        return None
    return [sample.number, sample.epoch, sample.total, b"".join(each.to_bytes(4) for each in sample.hashes)]


def _unpack_sample(packed: Any) -> ConnectionSample | None:
    if packed is None:
        return None
    number, epoch, total, hashes = _is(list, packed)
    if len(_is(bytes, hashes)) > 4 * SAMPLE_SIZE:
        raise ValueError("a sample of too many")
    return ConnectionSample(
        number=_is(int, number),
        epoch=_is(int, epoch),
        total=_is(int, total),
        hashes=tuple(int.from_bytes(hashes[start : start + 4]) for start in range(0, len(hashes), 4)),
    )


def _is(kind: type[_T], value: object) -> _T:
    """The value, if it is of that type and not merely convertible: `bytes` of a number would be that many bytes."""
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value
