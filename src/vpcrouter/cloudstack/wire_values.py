"""Checks of the forms of a single value that only CloudStack has: lists in one text, numbers and networks as text.

Each takes a raw value and its path, as those of `values.fields` do, and raises MalformedInputError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields

T = TypeVar("T")
Check = Callable[[object, str], T]


def comma_list(item: Check[T]) -> Check[tuple[T, ...]]:
    """`a,b`: every item passes the check; blanks around items do not count, a repeated item counts once."""

    def check(value: object, path: str) -> tuple[T, ...]:
        text = fields.text(value, path).strip(" ")
        return tuple(dict.fromkeys(item(part.strip(" "), path) for part in text.split(","))) if text else ()

    return check


def or_empty(item: Check[T]) -> Check[T | None]:
    """A text in which nothing at all means the same as if it were absent."""

    def check(value: object, path: str) -> T | None:
        return None if value == "" else item(value, path)

    return check


def number_text(low: int, high: int) -> Check[int]:
    """A whole number written as a string of digits."""

    def check(value: object, path: str) -> int:
        text = fields.text(value, path)
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and low <= int(text) <= high):
            raise MalformedInputError(f"{text[:40]!r} is not a number from {low} to {high}", where=path)
        return int(text)

    return check


def ipv6_network(value: object, path: str) -> str:
    """An IPv6 network in CIDR form whose host bits are zero."""
    network = fields.network(value, path)
    if ":" not in network:
        raise MalformedInputError(f"{network} is not an IPv6 network", where=path)
    return network


def integer(low: int, high: int) -> Check[int]:
    """A whole number within these bounds."""

    def check(value: object, path: str) -> int:
        return fields.integer(value, path, low, high)

    return check


MTU = integer(68, 65535)
"""IPv4 needs 68 (RFC 791)."""
