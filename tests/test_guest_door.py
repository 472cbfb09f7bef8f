"""The socket at which the web server asks for guests' passwords: two questions, and nothing else gets through."""

from __future__ import annotations

import asyncio
import grp
import os
import stat
from pathlib import Path

import pytest

from vpcrouter.errors import MalformedInputError
from vpcrouter.guest_door import GuestDoor, read_target


async def conversation(path: Path, question: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    asked: list[tuple[str, str]] = []

    async def answer(verb: str, address: str) -> str:
        asked.append((verb, address))
        return "Example-Pw-0001"

    door = GuestDoor(path, answer)
    await door.open(grp.getgrgid(os.getgid()).gr_name)
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(question)
        writer.write_eof()
        found = await reader.read()
        writer.close()
    finally:
        door.close()
    assert not path.exists()
    return found, asked


def talk(path: Path, question: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    return asyncio.run(conversation(path, question))


def test_a_question_is_answered_and_the_connection_ends(tmp_path: Path) -> None:
    head, _, body = talk(tmp_path / "s", b"GET /send/10.1.2.11 HTTP/1.1\r\nhost: agent\r\n\r\n")[0].partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b"Example-Pw-0001"
    assert talk(tmp_path / "s", b"GET /saved/10.1.2.11 HTTP/1.1\r\nhost: agent\r\n\r\n")[1] == [("saved", "10.1.2.11")]


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\r\n\r\n",
        b"GET /send/10.1.2.11\r\n\r\n",
        b"GET /send/10.1.2.11/x HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /sent/10.1.2.11 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET send/10.1.2.11 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /send/10.1.2.11 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /send/web-1 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /send/10.1.2.11 HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 10_000 + b"\r\n\r\n",
        b"\xff\x00" * 100,
    ],
)
def test_anything_else_is_not_asked(tmp_path: Path, question: bytes) -> None:
    found, asked = talk(tmp_path / "s", question)
    assert asked == []
    assert b"Example" not in found


@pytest.mark.parametrize("target", [b"/", b"//", b"/send", b"/send/", b"/send/::1", b"/send/\xff", b"/x/10.1.2.11"])
def test_targets_that_are_none(target: bytes) -> None:
    with pytest.raises(MalformedInputError):
        read_target(b"GET", target)
