"""How a frozen value becomes a msgpack array and back: its fields in an order that is written out, never derived.

`unpack` takes bytes from outside: the classes themselves check their fields. `restore` takes what was checked before it
was stored and comes back with a good checksum: its shape is looked at, its fields are put into place without asking the
class again. A replay spends its time in `restore` and a burst in `pack`, so each `Record` has both written out as one
function of its own.

A `Record` is an array with one item for each field. A field is packed as it is, or by the codec named for it.
Arrays may be longer than the schema at hand only through a new version in `registry`; a length that does not
fit is a MalformedInputError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

import attrs
from attrs import frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values.incremental import common_head, common_tail


class Codec(Protocol):
    """Packs a value into what msgpack knows, and back."""

    def pack(self, value: Any) -> Any:
        """The msgpack form."""

    def unpack(self, packed: Any) -> Any:
        """The value; raises MalformedInputError if the form is not its own."""

    def restore(self, packed: Any) -> Any:
        """As `unpack`, of a form that was packed from a checked value."""


class Record:
    """The codec of one class: `fields` maps each field, in stored order, to its codec or None for a plain value."""

    def __init__(self, cls: type, /, **fields: Codec | None) -> None:
        if set(fields) != {attribute.name for attribute in attrs.fields(cls)}:
            raise TypeError(f"the stored fields of {cls.__name__} are not its fields")
        self.cls = cls
        self.fields = fields
        self.names = tuple(fields)
        self._nested = tuple((i, c) for i, c in enumerate(fields.values()) if c is not None)
        self._arguments = tuple(str(attrs.fields_dict(cls)[name].alias) for name in self.names)

    @cached_property
    def pack(self) -> Callable[[Any], list[Any]]:
        """Makes an array of a value. Written when it is first wanted: a client wants few."""
        return _packing(self.cls, self.fields)

    @cached_property
    def restore(self) -> Callable[[Any], Any]:
        """As `unpack`, of a form that was packed from a checked value."""
        return _restoring(self.cls, self.fields)

    def unpack(self, packed: Any) -> Any:
        """A new value."""
        if type(packed) is not list or len(packed) != len(self.names):
            raise MalformedInputError(f"not a stored {self.cls.__name__}", where=self.cls.__name__)
        for index, codec in self._nested:
            packed[index] = codec.unpack(packed[index])
        try:
            return self.cls(**dict(zip(self._arguments, packed, strict=True)))
        except (TypeError, ValueError, AttributeError) as error:
            raise MalformedInputError(f"not a stored {self.cls.__name__}: {error}", where=self.cls.__name__) from None


def _packing(cls: type, fields: Mapping[str, Codec | None]) -> Callable[[Any], list[Any]]:
    """The function that makes an array of a value."""
    names: dict[str, Any] = {"cls": cls}
    items = []
    for name, codec in fields.items():
        names[f"pack_{name}"] = getattr(codec, "pack", None)
        items.append(f"value.{name}" if codec is None else f"pack_{name}(value.{name})")
    return _written_out(
        "pack(value)",
        "if type(value) is not cls:",
        f"    raise TypeError(f'{{type(value).__name__}} is not a {cls.__name__}')",
        f"return [{', '.join(items)}]",
        names=names,
    )


def _restoring(cls: type, fields: Mapping[str, Codec | None]) -> Callable[[Any], Any]:
    """The function that makes a value of an array."""
    return filling(
        "restore(packed)",
        cls,
        {name: name if codec is None else f"restore_{name}({name})" for name, codec in fields.items()},
        f"if type(packed) is not list or len(packed) != {len(fields)}:",
        f"    raise refusal('not a stored {cls.__name__}', where='{cls.__name__}')",
        f"{', '.join(fields)}, = packed",
        names={f"restore_{name}": getattr(codec, "restore", None) for name, codec in fields.items()},
    )


def filling(
    head: str, cls: type, items: Mapping[str, str], *lines: str, names: Mapping[str, Any]
) -> Callable[[Any], Any]:
    """The function that makes a value without asking its class; `items` says what to put into each field."""
    known: dict[str, Any] = {**names, "cls": cls, "new": object.__new__, "refusal": MalformedInputError}
    puts = []
    for name, item in items.items():
        known[f"put_{name}"] = getattr(cls, name).__set__
        puts.append(f"put_{name}(value, {item})")
    if hasattr(cls, "_attrs_cached_hash"):
        known["put_cached_hash"] = cls._attrs_cached_hash.__set__
        puts.append("put_cached_hash(value, None)")
    return _written_out(head, *lines, "value = new(cls)", *puts, "return value", names=known)


def _written_out(head: str, *lines: str, names: dict[str, Any]) -> Callable[[Any], Any]:
    """The function of this text, one line for each field: three times as fast as a loop over them.

    Only names of classes and attributes, which are identifiers of this program, get into the text.
    """
    exec("\n    ".join((f"def {head}:", *lines)), names)  # noqa: S102
    function: Callable[[Any], Any] = names[head.partition("(")[0]]
    return function


_LONG = 256
"""A list of so many items is compared with the one before it, which then costs less than packing it."""


class Many:
    """The codec of a tuple whose items have one codec (None: plain values).

    An event may bring a long list whole of which one item is new, such as an ACL's rules. So the items at both ends of
    a long list that are those of the last long one are not packed again; what comes out is the same. Whoever gets a
    packed form must not change it.
    """

    def __init__(self, item: Codec | None = None) -> None:
        self.item = item
        self._before: tuple[tuple[Any, ...], list[Any]] = (), []

    def pack(self, value: tuple[Any, ...]) -> list[Any]:
        """An array."""
        if self.item is None:
            return list(value)
        pack = self.item.pack
        if len(value) < _LONG:
            return [pack(each) for each in value]
        old, packed = self._before
        head = common_head(old, value)
        tail = common_tail(old, value, min(len(old), len(value)) - head)
        end = len(value) - tail
        packed = [*packed[:head], *[pack(each) for each in value[head:end]], *packed[len(old) - tail :]]
        self._before = value, packed
        return packed

    def unpack(self, packed: Any) -> tuple[Any, ...]:
        """A tuple."""
        return self._each(packed, None if self.item is None else self.item.unpack)

    def restore(self, packed: Any) -> tuple[Any, ...]:
        """A tuple."""
        return self._each(packed, None if self.item is None else self.item.restore)

    def _each(self, packed: Any, item: Callable[[Any], Any] | None) -> tuple[Any, ...]:
        if type(packed) is not list:
            raise MalformedInputError("not a stored list")
        return tuple(packed) if item is None else tuple([item(each) for each in packed])


@frozen
class Maybe:
    """The codec of a value that may be None."""

    item: Codec

    def pack(self, value: Any) -> Any:
        """nil, or the item's form."""
        return None if value is None else self.item.pack(value)

    def unpack(self, packed: Any) -> Any:
        """None, or the item."""
        return None if packed is None else self.item.unpack(packed)

    def restore(self, packed: Any) -> Any:
        """None, or the item."""
        return None if packed is None else self.item.restore(packed)


@frozen
class By:
    """The codec of a value that two functions translate, such as an enum's member."""

    packer: Callable[[Any], Any]
    unpacker: Callable[[Any], Any]

    def pack(self, value: Any) -> Any:
        """What the first function makes of it."""
        return self.packer(value)

    def unpack(self, packed: Any) -> Any:
        """What the second function makes of it; its ValueError is malformed input."""
        try:
            return self.unpacker(packed)
        except (TypeError, ValueError, KeyError) as error:
            raise MalformedInputError(f"not a stored value: {error}") from None

    def restore(self, packed: Any) -> Any:
        """As `unpack`: the function checks what it is given."""
        return self.unpack(packed)
