"""How a frozen value becomes a msgpack array and back: its fields in an order that is written out, never derived.

Bytes from outside are checked by the classes themselves. What was checked before it was stored, and comes back with a
good checksum, is *trusted*: its shape is looked at, its fields are put into place without asking the class again.

A `Record` is an array with one item for each field. A field is packed as it is, or by the codec named for it.
Arrays may be longer than the schema at hand only through a new version in `registry`; a length that does not
fit is a MalformedInputError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
from attrs import frozen

from vpcrouter.errors import MalformedInputError


class Codec(Protocol):
    """Packs a value into what msgpack knows, and back."""

    def pack(self, value: Any) -> Any:
        """The msgpack form."""

    def unpack(self, packed: Any, *, trusted: bool) -> Any:
        """The value; raises MalformedInputError if the form is not its own."""


class Record:
    """The codec of one class: `fields` maps each field, in stored order, to its codec or None for a plain value."""

    def __init__(self, cls: type, /, **fields: Codec | None) -> None:
        if set(fields) != {attribute.name for attribute in attrs.fields(cls)}:
            raise TypeError(f"the stored fields of {cls.__name__} are not its fields")
        self.cls = cls
        self.names = tuple(fields)
        self.codecs = tuple(fields.items())
        self._nested = tuple((i, c) for i, c in enumerate(fields.values()) if c is not None)
        self._arguments = tuple(str(attrs.fields_dict(cls)[name].alias) for name in self.names)
        self._place = tuple(getattr(cls, name).__set__ for name in self.names)
        self._forget_hash = getattr(cls, "_attrs_cached_hash", None)

    def pack(self, value: Any) -> list[Any]:
        """The fields in their order."""
        if type(value) is not self.cls:
            raise TypeError(f"{type(value).__name__} is not a {self.cls.__name__}")
        return [
            getattr(value, name) if codec is None else codec.pack(getattr(value, name)) for name, codec in self.codecs
        ]

    def unpack(self, packed: Any, *, trusted: bool) -> Any:
        """A new value."""
        if type(packed) is not list or len(packed) != len(self.names):
            raise MalformedInputError(f"not a stored {self.cls.__name__}", where=self.cls.__name__)
        for index, codec in self._nested:
            packed[index] = codec.unpack(packed[index], trusted=trusted)
        if trusted:
            value: Any = object.__new__(self.cls)
            for place, item in zip(self._place, packed, strict=True):
                place(value, item)
            if self._forget_hash is not None:
                self._forget_hash.__set__(value, None)
            return value
        try:
            return self.cls(**dict(zip(self._arguments, packed, strict=True)))
        except (TypeError, ValueError, AttributeError) as error:
            raise MalformedInputError(f"not a stored {self.cls.__name__}: {error}", where=self.cls.__name__) from None


class Many:
    """The codec of a tuple whose items have one codec (None: plain values)."""

    def __init__(self, item: Codec | None = None) -> None:
        self.item = item

    def pack(self, value: tuple[Any, ...]) -> list[Any]:
        """An array."""
        return list(value) if self.item is None else [self.item.pack(each) for each in value]

    def unpack(self, packed: Any, *, trusted: bool) -> tuple[Any, ...]:
        """A tuple."""
        if type(packed) is not list:
            raise MalformedInputError("not a stored list")
        if self.item is None:
            return tuple(packed)
        return tuple([self.item.unpack(each, trusted=trusted) for each in packed])


@frozen
class Maybe:
    """The codec of a value that may be None."""

    item: Codec

    def pack(self, value: Any) -> Any:
        """nil, or the item's form."""
        return None if value is None else self.item.pack(value)

    def unpack(self, packed: Any, *, trusted: bool) -> Any:
        """None, or the item."""
        return None if packed is None else self.item.unpack(packed, trusted=trusted)


@frozen
class By:
    """The codec of a value that two functions translate, such as an enum's member."""

    packer: Callable[[Any], Any]
    unpacker: Callable[[Any], Any]

    def pack(self, value: Any) -> Any:
        """What the first function makes of it."""
        return self.packer(value)

    def unpack(self, packed: Any, *, trusted: bool) -> Any:
        """What the second function makes of it; its ValueError is malformed input."""
        try:
            return self.unpacker(packed)
        except (TypeError, ValueError, KeyError) as error:
            raise MalformedInputError(f"not a stored value: {error}") from None
