"""The agent's Unix socket: lets in who may come in, reads requests, writes answers. The protocol is in `client`.

Called by `agent`, which answers the requests; knows nothing of what they are about. A request that cannot be served
is answered with its error, and never ends the connection of another client.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vpcrouter.client import MAX_MESSAGE_BYTES, socket_address
from vpcrouter.errors import VpcRouterError

_BACKLOG = 1024
"""So many clients may knock at once; further ones wait (the kernel's own bound is net.core.somaxconn)."""
Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Door:
    """Listens on `path` from `open` to `close`; `answer` makes the answer to one request."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Listen. What an earlier agent left in the place gives way: the journal's lock says that it is gone."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with socket_address(self._path) as address:
                listening.bind(address)
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=MAX_MESSAGE_BYTES, backlog=_BACKLOG
        )

    def close(self) -> None:
        """Let nobody in any more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _may_connect(writer.get_extra_info("socket")):
            writer.close()
            return
        try:
            while line := await reader.readline():
                try:
                    answer = await self._answer(json.loads(line))
                except (VpcRouterError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
                    answer = {"error": _words(error)}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the client went away, or sent a line longer than any message
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def _may_connect(client: socket.socket) -> bool:
    """Whether the other end is root or this user (the socket's mode says so too; its directory could be moved)."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())


def _words(error: Exception) -> str:
    """What was wrong with a request, for whoever sent it."""
    match error:
        case VpcRouterError():
            return str(error)
        case KeyError():
            return f"the request has no {error.args[0]!r}; see the protocol in vpcrouter.client"
        case json.JSONDecodeError() | RecursionError():
            return "the request is not one JSON object in one line"
        case _:
            return f"the request cannot be served: {error}; see the protocol in vpcrouter.client"
