"""A beacon and its bytes: what one router says, once, and what proves that it was said by a router of the set. Pure.

    msgpack {version, instance, number, nonce, echoes, what is said …} + HMAC-SHA256

Used by `machines.peers`, which knows when to believe one. Bytes that are no beacon of this key and version, or whose
values are of another type, are None. Names that a beacon has too many or too few, after the first ones, do no harm: so
routers of two versions understand each other.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Any, TypeVar

import msgpack
from attrs import frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.machines.traces import pack_traces, unpack_traces
from vpcrouter.values import fields as checked
from vpcrouter.values.agreement import WINDOW_SIZE, Window
from vpcrouter.values.beacon import MOST_ROUTERS, MULTICAST, UNICAST, Saying
from vpcrouter.values.connections import SAMPLE_SIZE, ConnectionSample
from vpcrouter.values.role import Role
from vpcrouter.values.settings import AH, HMAC, NO_AUTHENTICATION
from vpcrouter.values.whereabouts import Place

_T = TypeVar("_T")

_VERSION = 3
_ID_BYTES = 8
_MOST_ECHOES = MOST_ROUTERS - 1
_MAC_BYTES = 32
_MAX_WORDS = 100
_MOST_WAITING, _MAX_NAME = 3, 64
_PLACE_BYTES = 4 + 6
_MAX_BYTES = 4096
"""Ten tiers and a sample make a packet; 64 tiers are two fragments."""


@frozen
class Echo:
    """That a beacon was heard: of whom, which one, and whether it counted or was only the first word of a stranger."""

    instance: bytes
    nonce: bytes
    counts: bool


@frozen(kw_only=True)
class Beacon:
    """One beacon."""

    instance: bytes
    """Of the agent; new with each start."""
    number: int
    nonce: bytes
    echoes: tuple[Echo, ...]
    """Of the newest beacon of each router that is heard."""
    saying: Saying
    served_ms_ago: tuple[int, int] | None
    """When its last time as master began, and ended (0: it has not)."""
    places: tuple[Place, ...] = ()
    """Where its frames come from."""

    def pack(self, key: bytes) -> bytes:
        """The datagram."""
        saying = self.saying
        fields = {
            "version": _VERSION,
            "instance": self.instance,
            "number": self.number,
            "nonce": self.nonce,
            "echoes": [[each.instance, each.nonce, each.counts] for each in self.echoes[:_MOST_ECHOES]],
            "tiers": list(saying.tiers),
            "carrier": saying.carrier,
            "target": saying.target,
            "link": saying.link,
            "role": saying.role.value,
            "seq": saying.seq,
            "digest": saying.digest,
            "offer": saying.offer,
            "taker": saying.taker,
            "ready": saying.ready,
            "missing": saying.missing,
            "sample": _pack_sample(saying.sample),
            "window": _pack_window(saying.window),
            "traces": pack_traces(saying.traces, key, self.nonce) if saying.traces else None,
            "roles": {device: role.value for device, role in saying.roles},
            "generation": saying.generation,
            "waiting_passwords": list(saying.waiting_passwords),
            "fetched_passwords": list(saying.fetched_passwords),
            "lost": [each[:_MAX_WORDS] for each in saying.lost],
            "reaches_gateway": saying.reaches_gateway,
            "vrrp": saying.vrrp,
            "way": saying.way,
            "unconfirmed": [each[:_MAX_NAME] for each in saying.unconfirmed[:_MOST_WAITING]],
            "served_ms_ago": None if self.served_ms_ago is None else list(self.served_ms_ago),
            "places": [[each.device, _pack_place(each)] for each in self.places],
        }
        body: bytes = msgpack.packb(fields)
        return body + hmac.digest(key, body, "sha256")


def unpack_beacon(datagram: bytes, key: bytes) -> Beacon | None:
    """The beacon; None for whatever is none, or not of this key and version."""
    if not _MAC_BYTES < len(datagram) <= _MAX_BYTES:
        return None
    body, mac = datagram[:-_MAC_BYTES], datagram[-_MAC_BYTES:]
    if not hmac.compare_digest(hmac.digest(key, body, "sha256"), mac):
        return None
    try:
        fields = _is(dict, msgpack.unpackb(body))
        return _read(fields, key) if fields["version"] == _VERSION else None
    except (ValueError, TypeError, KeyError, MalformedInputError, msgpack.UnpackException):
        return None


def _read(fields: dict[str, Any], key: bytes) -> Beacon:
    served, traces = fields.get("served_ms_ago"), fields.get("traces")
    return Beacon(
        instance=_id(fields["instance"]),
        number=_is(int, fields["number"]),
        nonce=_id(fields["nonce"]),
        echoes=_echoes(fields["echoes"]),
        saying=Saying(
            tiers=_texts(fields["tiers"]),
            carrier=_text_or_none(fields["carrier"]),
            target=_text_or_none(fields["target"]),
            link=_text_or_none(fields.get("link")),
            role=Role(fields["role"]),
            seq=_is(int, fields["seq"]),
            digest=_is(str, fields["digest"]),
            offer=_is(int, fields.get("offer", 0)),
            taker=_is(bytes, fields.get("taker", b"")),
            ready=_is(bool, fields.get("ready", False)),
            missing=_is(int, fields.get("missing", 0)),
            sample=_unpack_sample(fields.get("sample")),
            window=_unpack_window(fields.get("window")),
            traces=() if traces is None else unpack_traces(_is(bytes, traces), key, _id(fields["nonce"])),
            roles=tuple((_is(str, device), Role(role)) for device, role in _is(dict, fields.get("roles", {})).items()),
            generation=_is(int, fields.get("generation", 0)),
            waiting_passwords=_tags(fields.get("waiting_passwords", [])),
            fetched_passwords=_tags(fields.get("fetched_passwords", [])),
            lost=_texts(fields.get("lost", [])),
            reaches_gateway=None if fields.get("reaches_gateway") is None else _is(bool, fields["reaches_gateway"]),
            vrrp=_one_of(fields.get("vrrp", ""), ("", NO_AUTHENTICATION, AH, HMAC)),
            way=_one_of(fields.get("way", ""), ("", UNICAST, MULTICAST)),
            unconfirmed=_texts(fields.get("unconfirmed", [])),
        ),
        served_ms_ago=None if served is None else _two(served),
        places=tuple(_unpack_place(*_is(list, each)) for each in _is(list, fields.get("places", []))),
    )


def _id(value: Any) -> bytes:
    found = _is(bytes, value)
    if len(found) != _ID_BYTES:
        raise ValueError("not eight bytes")
    return found


def _one_of(value: Any, words: tuple[str, ...]) -> str:
    found = _is(str, value)
    if found not in words:
        raise ValueError("a word that has no meaning there")
    return found


def _echoes(value: Any) -> tuple[Echo, ...]:
    found = _is(list, value)
    if len(found) > _MOST_ECHOES:
        raise ValueError("more routers than a set has")
    return tuple(_echo(*_is(list, each)) for each in found)


def _echo(instance: Any, nonce: Any, counts: Any) -> Echo:
    return Echo(_id(instance), _id(nonce), _is(bool, counts))


def _pack_sample(sample: ConnectionSample | None) -> list[Any] | None:
    if sample is None:
        return None
    return [sample.number, sample.epoch, sample.total, _pack_hashes(sample.hashes)]


def _unpack_sample(packed: Any) -> ConnectionSample | None:
    if packed is None:
        return None
    number, epoch, total, hashes = _is(list, packed)
    return ConnectionSample(
        number=_is(int, number),
        epoch=_is(int, epoch),
        total=_is(int, total),
        hashes=_unpack_hashes(hashes, SAMPLE_SIZE),
    )


def _pack_window(window: Window | None) -> list[Any] | None:
    return None if window is None else [window.low, window.high, _pack_hashes(window.hashes)]


def _unpack_window(packed: Any) -> Window | None:
    if packed is None:
        return None
    low, high, hashes = _is(list, packed)
    return Window(low=_is(int, low), high=_is(int, high), hashes=_unpack_hashes(hashes, WINDOW_SIZE))


def _pack_hashes(hashes: tuple[int, ...]) -> bytes:
    return b"".join(each.to_bytes(4) for each in hashes)


def _unpack_hashes(packed: Any, most: int) -> tuple[int, ...]:
    hashes = _is(bytes, packed)
    if len(hashes) > 4 * most or len(hashes) % 4:
        raise ValueError("no hashes, or too many")
    return tuple(int.from_bytes(hashes[start : start + 4]) for start in range(0, len(hashes), 4))


@lru_cache(maxsize=256)
def _pack_place(place: Place) -> bytes:
    return bytes(map(int, place.address.split("."))) + bytes.fromhex(place.mac.replace(":", ""))


@lru_cache(maxsize=256)  # the same few with every beacon; what cannot be hashed is no place
def _unpack_place(device: Any, packed: Any) -> Place:
    octets = _is(bytes, packed)
    if len(octets) != _PLACE_BYTES:
        raise ValueError("no addresses")
    return Place(
        device=checked.tier_device(device, "places"),
        address=checked.ipv4(".".join(map(str, octets[:4])), "places"),
        mac=checked.mac(octets[4:].hex(":"), "places"),
    )


def _two(value: Any) -> tuple[int, int]:
    began, ended = _is(list, value)
    return _is(int, began), _is(int, ended)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_is(str, each) for each in _is(list, value))


def _tags(value: Any) -> tuple[bytes, ...]:
    return tuple(_is(bytes, each) for each in _is(list, value))


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _is(str, value)


def _is(kind: type[_T], value: object) -> _T:
    """The value, if it is of that type and not merely convertible: `bytes` of a number would be that many bytes."""
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value
