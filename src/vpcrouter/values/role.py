"""The roles of a router (RFC 9568, with init before the first guest network and fault for what keepalived reports)."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """What keepalived says this router is; `init` until it has said anything."""

    INIT = "init"
    BACKUP = "backup"
    MASTER = "master"
    FAULT = "fault"
