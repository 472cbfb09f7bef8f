"""What a running keepalived says of its instances when it is asked.

Called by `daemons`, for an agent that starts beside it, and after a reload: the answer to a question that was asked
after it had begun to read its file says that the file is in use.

Asking disturbs nothing: on a real-time signal (SIGJSON) keepalived writes keepalived.json into its TMPDIR, mode 0600.
The notify FIFO is no answer, for a master repeats nothing after a reload (2.2.7).
"""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import frozen

from vpcrouter.appliers import _files, _process
from vpcrouter.appliers._process import Process
from vpcrouter.appliers.notify import RoleReport
from vpcrouter.errors import ApplierError
from vpcrouter.values.role import Role

_ROLES = {0: Role.INIT, 1: Role.BACKUP, 2: Role.MASTER, 3: Role.FAULT}
"""VRRP_STATE_INIT … VRRP_STATE_FAULT of keepalived's vrrp.h."""
_ANSWER_S = 1.0
_TIMES = 4
"""It is asked again: once in some 600 times, on a machine under load, no answer came in 5 s."""
_AGAIN_S = 0.25
"""Ask again after so long: a reload that overtakes a question drops it (7 of 25 on a busy machine, and the second
question was always answered)."""
_LOOK_S = 0.002


@frozen(kw_only=True)
class InstanceReport(RoleReport):
    """What it says of an instance when it is asked."""

    base_priority: int
    """What the file says; `priority` is what is left of it after what is tracked."""
    carries: bool
    """It has addresses or routes that it does not advertise."""
    addresses: frozenset[str]
    """All that are its to set, with their prefix lengths."""


def ask_instances(process: Process, directory: Path, *, continues: bool = False) -> tuple[InstanceReport, ...]:
    """The role of each instance. Raises ApplierError if keepalived does not answer.

    `continues`: one that is stopped is continued, since it would not answer at all, and its peer takes over meanwhile.
    """
    answer = directory / "keepalived.json"
    _files.remove_file(answer)
    asked = time.monotonic()
    deadline = asked + _ANSWER_S
    process.send(_json_signal())
    while not process.wait(_LOOK_S):
        content = _files.read_file(answer)
        reports = None if content is None else parse_answer(content)
        if reports is not None:
            return reports
        now = time.monotonic()
        if now > deadline:
            break
        if now - asked > _AGAIN_S:
            if continues and process.is_stopped():
                process.resume()
            process.send(_json_signal())
            asked = now
    raise ApplierError("does not answer", where="keepalived", hint="what it printed is in keepalived.log")


def write_penalty(path: Path, penalty: int) -> None:
    """Tell keepalived what to take from its priority; it hears of it from the kernel, without a reload."""
    _files.make_directory(path.parent)
    _files.write_atomically(path, f"{-penalty}\n".encode())


def understands(lines: str) -> bool:
    """Whether the installed keepalived knows what these lines of an instance say. Its own judgement, in 30 ms.

    A version tells less: a distribution builds it with or without (`VRRP_AUTH`). One that takes nonsense as well has
    not judged. Raises ApplierError if there is none.
    """
    _process.find_program("keepalived")
    return _accepts(lines) and not _accepts("    vpcrouter_nonsense\n")


def _accepts(lines: str) -> bool:
    # The device need not be there, since devices are dynamic; without the lines this file is good.
    text = (
        "global_defs {\n    dynamic_interfaces\n}\nvrrp_instance probe {\n    interface probe0\n    state BACKUP\n"
        f"    virtual_router_id 51\n    priority 100\n    advert_int 1\n{lines}"
        "    virtual_ipaddress {\n        169.254.255.1/32\n    }\n}\n"
    )
    with TemporaryDirectory(prefix="vpcrouter-") as directory:
        path = Path(directory) / "keepalived.conf"
        _files.write_atomically(path, text.encode(), 0o600)
        try:
            _process.run(["keepalived", "--config-test", "--use-file", str(path)])
        except ApplierError:
            return False
    return True


def parse_answer(content: bytes) -> tuple[InstanceReport, ...] | None:
    """The reports in keepalived.json; None if it is not complete, as while it is being written."""
    try:
        return tuple(_report(each["data"]) for each in json.loads(content))
    except (ValueError, KeyError, TypeError):
        return None


def _report(instance: Any) -> InstanceReport:
    return InstanceReport(
        instance=str(instance["iname"]),
        role=_ROLES[int(instance["state"])],
        priority=int(instance["effective_priority"]),
        base_priority=int(instance["base_priority"]),
        carries=bool(instance.get("evips") or instance.get("vroutes")),
        addresses=frozenset(_address(each) for name in ("vips", "evips") for each in instance.get(name, ())),
    )


def _address(words: Any) -> str:
    """Of `169.254.255.3 dev eth3 scope global set`; a host's own prefix length is left out."""
    address = str(words).partition(" ")[0]
    return address if "/" in address else f"{address}/32"


@cache
def _json_signal() -> int:
    """Its number depends on the libc that keepalived was built with, so keepalived is asked."""
    return int(_process.run(["keepalived", "--signum=JSON"]))
