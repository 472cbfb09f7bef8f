"""What a running keepalived says of its instances when it is asked, for an agent that starts beside it.

Called by `daemons`. Asking disturbs nothing: on a real-time signal (SIGJSON) keepalived writes keepalived.json into its
TMPDIR, mode 0600, within 10 ms. A reload would be no way to ask, for a master repeats nothing then (2.2.7).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from vpcrouter.appliers import _files, _process
from vpcrouter.appliers._process import Process
from vpcrouter.appliers.notify import RoleReport
from vpcrouter.errors import ApplierError
from vpcrouter.values.role import Role

_ROLES = (Role.INIT, Role.BACKUP, Role.MASTER, Role.FAULT)
"""VRRP_STATE_INIT … VRRP_STATE_FAULT of keepalived's vrrp.h, in their order."""
_ANSWER_S = 1.0
_LOOK_S = 0.002


def ask_roles(process: Process, directory: Path) -> tuple[RoleReport, ...]:
    """The role of each instance. Raises ApplierError if keepalived does not answer."""
    answer = directory / "keepalived.json"
    _files.remove_file(answer)
    process.send(_json_signal())
    deadline = time.monotonic() + _ANSWER_S
    while not process.wait(_LOOK_S):
        content = _files.read_file(answer)
        reports = None if content is None else parse_answer(content)
        if reports is not None:
            return reports
        if time.monotonic() > deadline:
            break
    raise ApplierError("does not say which role it has", where="keepalived")


def parse_answer(content: bytes) -> tuple[RoleReport, ...] | None:
    """The reports in keepalived.json; None if it is not complete, as while it is being written."""
    try:
        return tuple(_report(each["data"]) for each in json.loads(content))
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def _report(instance: Any) -> RoleReport:
    return RoleReport(
        instance=str(instance["iname"]),
        role=_ROLES[int(instance["state"])],
        priority=int(instance["effective_priority"]),
    )


def _json_signal() -> int:
    """Its number depends on the libc that keepalived was built with, so keepalived is asked."""
    return int(_process.run(["keepalived", "--signum=JSON"]))
