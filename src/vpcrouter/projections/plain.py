"""A value as plain data (dictionaries, lists, strings, numbers) for people and scripts; secrets are masked."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any

import attrs

from vpcrouter.values.config import Secret

MASK = "***"
"""What stands for a secret."""


_PLAIN = frozenset({str, int, bool, type(None)})
"""Most of what there is."""


def plain(value: Any) -> Any:
    """A value, an event or a command as plain data: field names as keys, enums by value, secrets masked."""
    if type(value) in _PLAIN:
        return value
    match value:
        case Secret():
            return MASK
        case Enum():
            return value.value
        case list() | tuple():
            return [plain(item) for item in value]
    kind: Any = type(value)
    names = _names(kind)
    return value if names is None else {name: plain(getattr(value, name)) for name in names}


@lru_cache(maxsize=1024)
def _names(kind: type) -> tuple[str, ...] | None:
    """The fields of an attrs class; None if it is none."""
    return tuple(each.name for each in attrs.fields(kind)) if attrs.has(kind) else None
