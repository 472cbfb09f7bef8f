"""The agent's socket for guests' passwords: the web server for guests asks here, in HTTP/1.1, one question each time.

    GET /send/10.1.2.11     → the password that waits for that guest, or the word saved_password
    GET /saved/10.1.2.11    → the guest has it now; the word saved_password, once that is durable

Called by `agent`, which answers. Guests never reach this socket: it lies where only the web server's user and root can
go, and that server passes on an address and which of the two it is, nothing that a guest wrote. What it reads is
bounded in size and time all the same. h11 is imported when the first connection comes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vpcrouter.client import socket_address
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields

if TYPE_CHECKING:
    import h11

Answer = Callable[[str, str], Awaitable[str]]
"""The verb (`send` or `saved`) and the guest's address → the text of the answer."""
QUESTION_BYTES = 2048
SECONDS = 5.0
"""For a whole connection; the web server waits no longer."""


class GuestDoor:
    """Listens on `path` from `open` to `close`."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.AbstractServer | None = None

    async def open(self, group: str) -> None:
        """Listen, for root and that group. The directory must be there. Does nothing if this socket is there."""
        if self._server is not None and self._path.is_socket():
            return
        self.close()
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with socket_address(self._path) as address:
                listening.bind(address)
        finally:
            os.umask(before)
        with suppress(LookupError):  # without the group there is no web server either
            shutil.chown(self._path, group=group)
        self._path.chmod(0o660)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=QUESTION_BYTES)

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                writer.write(await self._respond(reader))
                await writer.drain()
        except (TimeoutError, ConnectionError):
            pass  # the guest does not wait any more, and asks again
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _respond(self, reader: asyncio.StreamReader) -> bytes:
        import h11

        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=QUESTION_BYTES)
        try:
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(await reader.read(QUESTION_BYTES))
            if not isinstance(event, h11.Request):
                return b""
            verb, address = read_target(event.method, event.target)
        except (h11.RemoteProtocolError, MalformedInputError):
            return _response(connection, 400, "bad_request")
        return _response(connection, 200, await self._answer(verb, address))


def read_target(method: bytes, target: bytes) -> tuple[str, str]:
    """The verb and the guest's address of a request line. Raises MalformedInputError."""
    empty, verb, address = (*target.decode("ascii", "replace").split("/", 2), "", "")[:3]
    if method != b"GET" or empty or verb not in ("send", "saved"):
        raise MalformedInputError("is not a question about a password", where="request")
    return verb, fields.ipv4(address, "request")


def _response(connection: h11.Connection, status: int, text: str) -> bytes:
    import h11

    body = text.encode()
    headers = [("content-type", "text/plain"), ("content-length", str(len(body))), ("connection", "close")]
    try:
        head = connection.send(h11.Response(status_code=status, headers=headers))
        return b"".join((head or b"", connection.send(h11.Data(data=body)) or b""))
    except h11.LocalProtocolError:
        return b""  # what was asked was so wrong that no answer is possible
