"""One JSON object of a command, read key by key: each with its check, each error with its path in the file.

The modules of the command types read with it. They say of each key whether it must be there (`needed`), may be
absent (`sent`: today's server always sends it) or may be absent or null (`optional`), in the words of the wire
format's tables; whatever nobody asked for is refused by `done`. What is read and then left aside is said to be
`unused`, so that nothing is dropped without a word. The values' classes check again when they are made: `build` gives
their errors the key's name on the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from vpcrouter.errors import MalformedInputError
from vpcrouter.strict_json import child, kind

T = TypeVar("T")
Check = Callable[[object, str], T]

_INDEX = re.compile(r"\[[0-9]+\]")


class Reader:
    """Reads one object of a command; `path` is the object's own.

    `without_effect` is that of the whole command: what was said and is not done, and why, by its path. Entries of a
    list share theirs (`rules[].src_vlan_tag`).
    """

    __slots__ = ("_left", "path", "without_effect")

    def __init__(self, value: object, path: str = "", without_effect: dict[str, str] | None = None) -> None:
        if not isinstance(value, dict):
            raise MalformedInputError(f"{kind(value)} stands where an object belongs", where=path)
        self._left: dict[str, Any] = dict(value)
        self.path = path
        self.without_effect: dict[str, str] = {} if without_effect is None else without_effect

    def at(self, key: str) -> str:
        """The path of one of the object's keys."""
        return child(self.path, key)

    def needed(self, key: str, check: Check[T]) -> T:
        """A value that must be there."""
        if key not in self._left:
            raise MalformedInputError("is missing", where=self.at(key))
        value = self._left.pop(key)
        if value is None:
            raise MalformedInputError("must not be null", where=self.at(key))
        return self._checked(key, value, check)

    def sent(self, key: str, check: Check[T], default: T) -> T:
        """A value that may be absent, but not null."""
        return self.needed(key, check) if key in self._left else default

    def optional(self, key: str, check: Check[T]) -> T | None:
        """A value that may be absent or null."""
        value = self._left.pop(key, None)
        return None if value is None else self._checked(key, value, check)

    def inner(self, key: str) -> Reader:
        """The reader of an object that must be there."""
        if key not in self._left:
            raise MalformedInputError("is missing", where=self.at(key))
        return Reader(self._left.pop(key), self.at(key), self.without_effect)

    def has(self, key: str) -> bool:
        """Whether a key is there and not null; a null is as good as absent, and taken away."""
        if key in self._left and self._left[key] is None:
            del self._left[key]
        return key in self._left

    def optional_inner(self, key: str) -> Reader | None:
        """The reader of an object that may be absent or null."""
        value = self._left.pop(key, None)
        return None if value is None else Reader(value, self.at(key), self.without_effect)

    def items(self, key: str) -> list[Any]:
        """What stands in a list that must be there; it may be empty."""
        if key not in self._left:
            raise MalformedInputError("is missing", where=self.at(key))
        value = self._left.pop(key)
        if not isinstance(value, list):
            raise MalformedInputError(f"{kind(value)} stands where a list belongs", where=self.at(key))
        return value

    def objects(self, key: str) -> list[Reader]:
        """The same for a list of objects, each with its reader."""
        path = self.at(key)
        return [Reader(item, child(path, index), self.without_effect) for index, item in enumerate(self.items(key))]

    def unused(self, key: str, value: object, reason: str) -> None:
        """Say of a value that was read why nothing comes of it. An empty one, or a false one, asks for nothing."""
        if value:
            self.without_effect[_INDEX.sub("[]", self.at(key))] = reason

    def build(self, cls: Callable[..., T], wire: Mapping[str, str], **values: object) -> T:
        """`cls(**values)`; `wire` says by which key of this object each field is spoken of in an error."""
        try:
            return cls(**values)
        except MalformedInputError as error:
            field = error.where.partition("[")[0]
            where = self.at(wire[field]) if field in wire else self.path
            raise MalformedInputError(error.what, where=where, hint=error.hint) from None

    def done(self) -> None:
        """Refuse what nobody asked for."""
        for key in self._left:
            raise MalformedInputError("is not a known key here", where=self.at(key))

    def _checked(self, key: str, value: object, check: Check[T]) -> T:
        if isinstance(value, dict | list):
            raise MalformedInputError(f"{kind(value)} stands where a single value belongs", where=self.at(key))
        return check(value, self.at(key))
