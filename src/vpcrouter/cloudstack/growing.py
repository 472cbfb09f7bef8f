"""Lists in which each entry is to be put or taken away: all entries of a list apply in their order.

So where a list names one thing twice, as when a route is revoked and added again with another next hop, the later
entry wins. That is what a router does that works off the entries one by one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def put_and_remove(entries: Iterable[tuple[Key, Value | None]]) -> tuple[tuple[Value, ...], tuple[Key, ...]]:
    """What is there in the end, and which keys are gone; an entry without a value takes its key away."""
    last = dict(entries)
    put = tuple(value for value in last.values() if value is not None)
    return put, tuple(key for key, value in last.items() if value is None)
