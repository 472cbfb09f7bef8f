"""keepalived's own words become reports of a role: lines of its notify FIFO.

Read by the agent, which asks for `fileno` and `read` only. It does not know what a role is good for.

keepalived 2.2.7 writes a line when an instance changes its state (1 to 4 ms after the event), when it stops, and
after a reload when it is not master. The FIFO must be there before keepalived starts, or keepalived makes one that
it removes when it stops. Both sides keep it open for reading and writing: a line that is written while nobody
reads waits in the pipe (64 KiB, some 2,000 lines) for the next agent, and keepalived never blocks on it.

Known hole: if more is written than the pipe holds while no agent runs, the newest lines are lost. So an agent
that starts asks keepalived as well (`DaemonApplier.keepalived_reports`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath

from attrs import frozen

from vpcrouter.appliers._files import make_fifo
from vpcrouter.errors import ApplierError
from vpcrouter.values.role import Role

_LINE = re.compile(rb'INSTANCE "([A-Za-z0-9_.:-]{1,64})" ([A-Z]{1,16}) ([0-9]{1,3})', re.ASCII)
_ROLES = {
    b"MASTER": Role.MASTER,
    b"BACKUP": Role.BACKUP,
    b"FAULT": Role.FAULT,
    b"STOP": Role.INIT,
    b"DELETED": Role.INIT,
}
"""keepalived's states. A stopped instance, and one that a reload took away, say nothing any more."""
_PIPE_BYTES = 65536
"""What a pipe holds: one read takes all of it, so a line is never cut in two."""


@frozen(kw_only=True)
class RoleReport:
    """What keepalived said about one of its instances."""

    instance: str
    role: Role
    """`init`: the instance was stopped or removed."""
    priority: int

    @property
    def reason(self) -> str:
        """The report in words, for the audit trail."""
        return f"keepalived: instance {self.instance} is {self.role.value}, priority {self.priority}"


def parse_notification(line: bytes) -> RoleReport | None:
    """The report of one line without its end; None for what is none (groups, events, other programs' words)."""
    match = _LINE.fullmatch(line)
    if match is None or match[2] not in _ROLES or int(match[3]) > 255:
        return None
    return RoleReport(instance=match[1].decode(), role=_ROLES[match[2]], priority=int(match[3]))


class NotifyFifo:
    """The reading end. Making one makes the FIFO (mode 0600), unless it is there."""

    def __init__(self, path: PurePath) -> None:
        self._path = Path(path)
        self._fd = _open(self._path)
        self._rest = b""

    def fileno(self) -> int:
        """The descriptor to wait on; it is readable when keepalived has said something."""
        return self._fd

    def read(self) -> list[RoleReport]:
        """What was said since the last call, oldest first; never waits."""
        chunks = [self._rest]
        while chunk := self._read_chunk():
            chunks.append(chunk)
        *lines, self._rest = b"".join(chunks).split(b"\n")
        return [report for line in lines if (report := parse_notification(line)) is not None]

    def close(self) -> None:
        """Close it; the FIFO and the lines in it stay as long as keepalived has it open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read_chunk(self) -> bytes:
        try:
            return os.read(self._fd, _PIPE_BYTES)
        except BlockingIOError:
            return b""


def _open(path: Path) -> int:
    make_fifo(path)
    try:
        # Read and write: keepalived's going away must not look like the end of the file.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise ApplierError(f"cannot be opened: {error.strerror}", where=str(path)) from None
