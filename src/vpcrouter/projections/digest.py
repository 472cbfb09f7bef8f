"""The hash over the part of the state that both routers of a pair share: equal digests, equal configuration.

What that part is, and its form, is `shared`. The order of the kinds is a promise, too: golden journals name digests.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack

from vpcrouter.projections.shared import FIRST, LATER, SINGLE
from vpcrouter.state import StateView
from vpcrouter.values.config import Secret


def digest(view: StateView) -> str:
    """SHA-256 of the shared part, in hexadecimal."""
    return hashlib.sha256(msgpack.packb(_shared(view), default=Secret.reveal)).hexdigest()


def _shared(view: StateView) -> list[Any]:
    shared: list[Any] = [1, *(next(map(kind.form, kind.all(view)), None) for kind in SINGLE)]
    for kind in FIRST:
        shared.append([kind.form(each) for each in kind.all(view)])
    for kind in LATER:
        found = [kind.form(each) for each in kind.all(view)]
        if found:
            shared.append([kind.name, *found])
    return shared
