"""How a secret lies in stored bytes: sealed, as a msgpack extension, and only in the place that it was sealed for.

Called by `codec`. Pure: whoever holds keys and makes nonces is a `Sealer` (`journal.keys`). A place is everything
around the secret: which record it is, the event with its secrets left out, and which of its secrets this is. So a
sealed value opens nowhere else, and in no event of which anything was changed. Without a sealer secrets are packed in
clear, as they were before there were keys; what was packed in clear is read with and without one.

Upcasters see the text of a secret in either case. The form is described in journal/FORMAT.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgpack

from vpcrouter.errors import MalformedInputError
from vpcrouter.values.config import Secret

SEALED = 1
"""The msgpack extension type of a sealed secret."""
_DOMAIN = b"vpcrouter secret 1\0"


class Sealer(Protocol):
    """Holds the keys."""

    def seal(self, text: str, place: bytes) -> bytes | None:
        """The sealed form; None if secrets are to be stored in clear."""

    def open(self, sealed: bytes, place: bytes) -> str:
        """The text; raises MalformedInputError if it was changed or belongs elsewhere."""


class Hidden:
    """A sealer for whoever does not need to know: every sealed secret reads as an empty text, and no key is needed."""

    def seal(self, text: str, place: bytes) -> bytes | None:
        """Not possible: what was read this way is not to be written."""
        raise TypeError("secrets that were not opened cannot be stored")

    def open(self, sealed: bytes, place: bytes) -> str:
        """Nothing."""
        return ""


def pack(value: Any, seq: int, sealer: Sealer | None) -> bytes:
    """The msgpack form of a value whose secrets are `Secret`s; `seq` is the record that it will be."""
    secrets: list[Secret] = []
    skeleton: bytes = msgpack.packb(value, default=lambda each: secrets.append(_secret(each)))
    if not secrets:
        return skeleton
    found = [each.reveal() for each in secrets]
    if sealer is not None:
        places = _places(seq, skeleton)
        sealed = [sealer.seal(text, place) for text, place in zip(found, places, strict=False)]
        if None not in sealed:
            forms = iter(sealed)
            packed: bytes = msgpack.packb(value, default=lambda _: msgpack.ExtType(SEALED, next(forms)))
            return packed
    texts = iter(found)
    clear: bytes = msgpack.packb(value, default=lambda _: next(texts))
    return clear


def unpack(payload: bytes | memoryview, seq: int, sealer: Sealer | None) -> Any:
    """The value of these bytes, its secrets as texts. Raises what msgpack raises, and what opening a secret does."""
    try:
        return msgpack.unpackb(payload, strict_map_key=True, use_list=True, ext_hook=_stop)
    except _SealedError:
        if sealer is None:
            raise MalformedInputError("it holds a sealed secret, and there are no keys here", where="event") from None
    sealed: list[bytes] = []
    skeleton: bytes = msgpack.packb(_unpacked(payload, sealed.append))
    texts = iter([sealer.open(each, place) for each, place in zip(sealed, _places(seq, skeleton), strict=False)])
    return _unpacked(payload, lambda _: next(texts))


def holds_secrets(value: Any) -> bool:
    """Whether there is a `Secret` in what is to be packed."""
    found: list[Secret] = []
    msgpack.packb(value, default=lambda each: found.append(_secret(each)))
    return bool(found)


def is_sealed(payload: bytes) -> bool:
    """Whether these bytes hold a sealed secret (then all of its secrets are)."""
    return bool(sealed_forms(payload))


def sealed_forms(payload: bytes) -> list[bytes]:
    """The sealed secrets in these bytes, in their order."""
    found: list[bytes] = []
    _unpacked(payload, found.append)
    return found


class _SealedError(Exception):
    """The bytes hold a sealed secret. Most hold none, and must not pay for it."""


def _stop(code: int, _: bytes) -> Any:
    if code != SEALED:
        raise ValueError(f"extension type {code}")
    raise _SealedError


def _unpacked(payload: bytes | memoryview, replaced: Callable[[bytes], Any]) -> Any:
    def hook(code: int, data: bytes) -> Any:
        if code != SEALED:
            raise ValueError(f"extension type {code}")
        return replaced(data)

    return msgpack.unpackb(payload, strict_map_key=True, use_list=True, ext_hook=hook)


def _places(seq: int, skeleton: bytes) -> Iterator[bytes]:
    """The places of the secrets of one event, in the order in which they stand in it."""
    ordinal = 0
    while True:
        yield _DOMAIN + seq.to_bytes(8, "little") + ordinal.to_bytes(4, "little") + skeleton
        ordinal += 1


def _secret(value: object) -> Secret:
    if not isinstance(value, Secret):
        raise TypeError(f"{type(value).__name__} cannot be stored")
    return value
