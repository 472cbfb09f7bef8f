"""A value as plain data (dictionaries, lists, strings, numbers) for people and scripts; secrets are masked."""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs

from vpcrouter.values.config import Secret

MASK = "***"
"""What stands for a secret."""


def plain(value: Any) -> Any:
    """A value, an event or a command as plain data: field names as keys, enums by value, secrets masked."""
    match value:
        case Secret():
            return MASK
        case Enum():
            return value.value
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if attrs.has(type(value)):
            return {attribute.name: plain(getattr(value, attribute.name)) for attribute in attrs.fields(type(value))}
        case _:
            return value
