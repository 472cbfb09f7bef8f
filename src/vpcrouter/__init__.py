"""A VPC router that never forgets and never stops.

The way of a command through this package:

    submission, cloudstack/   bytes from outside → Command, or an error with the field's path
    decide                    State + Command → Event, or a refusal with its reason         pure
    journal/                  Event → durable record: the acknowledgement
    state                     State + Event → State                                          pure
    projections/              State → what is effective, what is pending, the digest         pure
    materialise/              State + Role → Desired                                         pure
    plan/                     Desired − Observed → Operations                                pure
    appliers/, host           Operations → kernel, files, daemons; look, act, look again
    router                    wires all of these; agent, cli and lab are the ways in

The names below are the public ones. They are loaded when first used: a client of a running agent needs none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vpcrouter.errors import (
        ApplierError,
        CallerError,
        DamagedJournalError,
        HostError,
        JournalError,
        JournalWriteError,
        LockedJournalError,
        MalformedInputError,
        MissingProgramError,
        RejectedCommandError,
        SettleTimeoutError,
        UnsupportedTypeError,
        VpcRouterError,
    )
    from vpcrouter.past import Past
    from vpcrouter.receipt import Receipt
    from vpcrouter.router import Router
    from vpcrouter.values.role import Role
    from vpcrouter.values.settings import Settings

_HOMES = {
    "Router": "router",
    "Past": "past",
    "Receipt": "receipt",
    "Role": "values.role",
    "Settings": "values.settings",
    **dict.fromkeys(
        (
            "ApplierError",
            "CallerError",
            "DamagedJournalError",
            "HostError",
            "JournalError",
            "JournalWriteError",
            "LockedJournalError",
            "MalformedInputError",
            "MissingProgramError",
            "RejectedCommandError",
            "SettleTimeoutError",
            "UnsupportedTypeError",
            "VpcRouterError",
        ),
        "errors",
    ),
}

__version__ = "0.1.0"

__all__ = [
    "ApplierError",
    "CallerError",
    "DamagedJournalError",
    "HostError",
    "JournalError",
    "JournalWriteError",
    "LockedJournalError",
    "MalformedInputError",
    "MissingProgramError",
    "Past",
    "Receipt",
    "RejectedCommandError",
    "Role",
    "Router",
    "Settings",
    "SettleTimeoutError",
    "UnsupportedTypeError",
    "VpcRouterError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
