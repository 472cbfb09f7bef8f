"""Talks to a running agent over its Unix socket. Imports little: a short-lived command line pays for every module.

The protocol is one JSON object a line, an answer for each request in the order of the requests:

    {"op": "submit", "name": FILE, "data": TEXT}      → {"results": [RECEIPT, …]}    durable when it arrives; see `desk`
    {"op": "confirm", "name": NAME}                   → {"results": [RECEIPT]}       "take-back" likewise
    {"op": "unconfirmed"}                             → {"unconfirmed": [{…}, …]}
    {"op": "revert", "seq": N}                        → {"results": [RECEIPT, …]}
    {"op": "status"}                                  → {"status": {…}}
    {"op": "settled", "seq": N, "timeout": SECONDS}   → {"settled": BOOL, "seq": N, "verified_ns": CLOCK_MONOTONIC}
    {"op": "settle", "timeout": SECONDS}              → the same, for everything there is now, looked at in full
    {"op": "handover", "force": BOOL, "to": ADDRESS}  → {"done": BOOL, "refused": BOOL, "reasons": [TEXT, …], "seconds"}
    {"op": "verify"}                                  → {"differences": [TEXT, …]}
    {"op": "tunnels"}                                 → {"tunnels": [{"peer": ADDRESS, "connected": BOOL, …}, …]}
    {"op": "plan", "role": ROLE or ""}                → {"operations": [[TARGET, ACTION, SUBJECT], …]}

A request that cannot be served is answered {"error": TEXT}. Only root and the agent's own user may connect.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from vpcrouter.errors import CallerError, HostError
from vpcrouter.lock import lock_owner

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The longest line either side takes."""


class AgentClient:
    """One connection to the agent that listens on `path`. Raises HostError if nobody does."""

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 60.0) -> None:
        self.path = os.fspath(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._received = b""
        # Where many knock at once, a connect waits for its turn only on a socket that blocks (unix(7)).
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(timeout) or 1, 0))
        try:
            with socket_address(Path(path)) as address:
                self._socket.connect(address)
            self._socket.settimeout(timeout)
        except OSError as error:
            self._socket.close()
            raise HostError(
                f"no agent answers: {error.strerror or error}", where=self.path, hint="is `vpcrouter run` running?"
            ) from None

    def submit(self, name: str, data: str) -> list[dict[str, Any]]:
        """Hand in a command file; one receipt for each command in it. What is accepted is durable on return."""
        results: list[dict[str, Any]] = self.call({"op": "submit", "name": name, "data": data})["results"]
        return results

    def submit_files(self, files: Sequence[tuple[str, str]], **asked: Any) -> list[dict[str, Any]]:
        """Hand in several files as one request, with what is asked beside them; see `desk` for that."""
        results: list[dict[str, Any]] = self.call({"op": "submit", "files": list(files), **asked})["results"]
        return results

    def confirm(self, name: str) -> list[dict[str, Any]]:
        """Keep the change that waits under this name."""
        results: list[dict[str, Any]] = self.call({"op": "confirm", "name": name})["results"]
        return results

    def take_back(self, name: str) -> list[dict[str, Any]]:
        """Take the change that waits under this name back now."""
        results: list[dict[str, Any]] = self.call({"op": "take-back", "name": name})["results"]
        return results

    def unconfirmed(self) -> list[dict[str, Any]]:
        """The changes that wait for their confirmation, oldest first."""
        unconfirmed: list[dict[str, Any]] = self.call({"op": "unconfirmed"})["unconfirmed"]
        return unconfirmed

    def unconfirmed_by_peer(self) -> list[str]:
        """The names of changes that wait on the other router of the pair, as far as it is heard."""
        peer = self.status()["peer"]
        return [] if peer is None or peer["silent"] else peer.get("unconfirmed", [])

    def revert(self, seq: int) -> list[dict[str, Any]]:
        """Bring back the state as it was after the event `seq`; one receipt for each new event."""
        results: list[dict[str, Any]] = self.call({"op": "revert", "seq": seq})["results"]
        return results

    def status(self) -> dict[str, Any]:
        """What the agent says of itself and its router."""
        status: dict[str, Any] = self.call({"op": "status"})["status"]
        return status

    def usage(self) -> list[dict[str, Any]]:
        """What was forwarded by way of each tier and public device since the router booted."""
        usage: list[dict[str, Any]] = self.call({"op": "usage"})["usage"]
        return usage

    def settled(self, seq: int, timeout: float) -> dict[str, Any]:
        """Wait until everything up to `seq` is applied and verified, `timeout` seconds at most."""
        return self.call({"op": "settled", "seq": seq, "timeout": timeout})

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and return its answer; an `error` in it is raised as HostError."""
        self.send(request)
        return self.receive()

    def send(self, request: dict[str, Any]) -> None:
        """Send one request without waiting for its answer, so that several may be under way."""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise self._gone(error) from None

    def receive(self) -> dict[str, Any]:
        """The answer to the oldest request that has none yet."""
        parts = [self._received]
        while b"\n" not in parts[-1]:
            try:
                part = self._socket.recv(1 << 18)
            except OSError as error:
                raise self._gone(error) from None
            if not part:
                raise self._gone(ConnectionError("it closed the connection"))
            parts.append(part)
        line, _, self._received = b"".join(parts).partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise HostError(str(answer["error"]), where=self.path)
        return answer

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _gone(self, error: OSError) -> HostError:
        return HostError(f"the agent does not answer: {error.strerror or error}", where=self.path)


def read_command_file(path: Path) -> str:
    """The text of a command file, for `submit`; CallerError if it cannot be read.

    Bytes that are no text stay what they are (PEP 383), so that the decoder refuses that file by name.
    """
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise CallerError(f"cannot be read: {error.strerror}", where=str(path)) from None


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """A name for `path` that fits into a Unix socket's address, which holds 107 bytes, however deep the path is."""
    if len(os.fsencode(path)) <= 107:
        yield os.fspath(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def find_agent(journal: Path) -> Path | None:
    """The socket of the agent that writes this journal right now; None if none does.

    What a lock file says counts only while its lock is held: a copied journal must not lead to the agent of the other.
    """
    owner = lock_owner(journal)
    return Path(owner["socket"]) if owner is not None and "socket" in owner else None
