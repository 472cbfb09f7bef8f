"""The shared things of a state, one by one: which one it is, and what it is in 32 bits.

Called where two routers find out in what they differ (`disagreement`), and which command brought a thing to what it is
(`provenance`). A `Thing` says its kind and which one it is (`reservation 10.1.2.30`), and no more: it holds no secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgpack

from vpcrouter.projections.shared import FIRST, LATER, SINGLE, Kind
from vpcrouter.state import StateView
from vpcrouter.values.agreement import Thing
from vpcrouter.values.config import Secret

_KINDS = {each.name: each for each in (*SINGLE, *FIRST, *LATER)}


def shared_things(view: StateView, pair_key: bytes) -> dict[Thing, int]:
    """All shared things, each with 32 bits of what it is: what another router has otherwise has others there.

    `pair_key`: up to 64 bytes. Whoever knew what a thing looks like could try passwords on it otherwise, for
    guests can read the hashes.
    """
    forms: dict[Thing, list[Any]] = {}
    for kind in _KINDS.values():
        for key, each in zip(kind.keys(view), kind.all(view), strict=True):
            forms.setdefault(Thing(kind.name, key), []).append(kind.form(each))
    return {thing: _short_hash(thing.kind, found, pair_key) for thing, found in forms.items()}


def _short_hash(kind: str, forms: list[Any], pair_key: bytes) -> int:
    packed = msgpack.packb([kind, *forms], default=Secret.reveal)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=4, key=pair_key).digest())


def is_known(thing: Thing) -> bool:
    """Whether there is such a kind; there is none where another router, of a newer version, has told of it."""
    return thing.kind in _KINDS


class Watch:
    """Tells which of some things have changed since it looked last."""

    def __init__(self, view: StateView, things: Iterable[Thing]) -> None:
        """The view is looked at again and again: one that is being changed. Raises KeyError for unknown kinds."""
        self._view = view
        self._seen = {each: (_KINDS[each.kind], _at(_KINDS[each.kind], view, each.key)) for each in things}

    def changed(self) -> Iterator[Thing]:
        """Those that the routers of a pair would differ in, if one were as it was."""
        for thing, (kind, before) in self._seen.items():
            now = _at(kind, self._view, thing.key)
            if len(now) == len(before) and all(map(_is, now, before)):
                continue
            self._seen[thing] = kind, now
            if [kind.form(each) for each in now] != [kind.form(each) for each in before]:
                yield thing


def _at(kind: Kind, view: StateView, key: str) -> tuple[Any, ...]:
    """None there if that is no key of the kind: it came from another router."""
    try:
        return kind.at(view, key)
    except ValueError:
        return ()


def _is(one: object, other: object) -> bool:
    return one is other
