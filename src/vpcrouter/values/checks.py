"""Fields of attrs classes that check themselves: each takes a check of `fields` and makes an attrs field of it.

The value must be exactly the canonical form that the check returns, so what a class holds is what is stored and
compared. Used by the classes of `config` and by the events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Attribute, field

from vpcrouter.values import fields

Check = Callable[[object, str], object]


def _require(check: Check, value: object, path: str) -> None:
    if check(value, path) != value:
        raise fields.malformed(path, value, "in its canonical form")


def checked(check: Check) -> Any:
    """A field whose value must be exactly the canonical form that `check` returns."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        _require(check, value, attribute.name)

    return field(validator=validate)


def optional(check: Check) -> Any:
    """As `checked`, or None."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is not None:
            _require(check, value, attribute.name)

    return field(default=None, validator=validate)


def each(check: Check) -> Any:
    """A tuple whose every item passes `check`."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, tuple):
            raise fields.malformed(attribute.name, value, "a tuple")
        for index, item in enumerate(value):
            _require(check, item, f"{attribute.name}[{index}]")

    return field(default=(), validator=validate)


def many(kind: type) -> Any:
    """A tuple of instances of one class, which checked themselves."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
            raise fields.malformed(attribute.name, value, f"a tuple of {kind.__name__}")

    return field(default=(), validator=validate)


def flag(default: bool) -> Any:
    """True or false."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        fields.flag(value, attribute.name)

    return field(default=default, validator=validate)


def within(low: int, high: int, default: int) -> Any:
    """A whole number from `low` to `high`."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        fields.integer(value, attribute.name, low, high)

    return field(default=default, validator=validate)
