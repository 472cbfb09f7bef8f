"""The agent's socket: many clients at once, requests that are none, and what the sender is told."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vpcrouter.client import AgentClient, socket_address
from vpcrouter.door import Door
from vpcrouter.errors import HostError, MalformedInputError

CLIENTS = 300


async def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Echoes; `sleep` holds the whole loop up, as a long decision does."""
    if request["op"] == "sleep":
        time.sleep(request["seconds"])
    if request["op"] == "refuse":
        raise MalformedInputError("that is not a thing", where="thing", hint="name another")
    if request["op"] == "number":
        return {"number": int(request["number"])}
    return {"echo": request}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A door that is open."""
    path, loop, opened = tmp_path / "run" / "agent.sock", asyncio.new_event_loop(), threading.Event()
    door = Door(path, answer)

    def serve() -> None:
        loop.run_until_complete(door.open())
        opened.set()
        loop.run_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    assert opened.wait(5)
    yield path
    asyncio.run_coroutine_threadsafe(leave(door), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def leave(door: Door) -> None:
    """Close, and let those who are inside go out."""
    door.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=2)


def test_hundreds_of_clients_at_once_are_all_answered(path: Path) -> None:
    """A busy agent once answered the hundred and first with "Resource temporarily unavailable"."""
    with AgentClient(path) as busy, ThreadPoolExecutor(CLIENTS) as pool:
        busy.send({"op": "sleep", "seconds": 0.3})

        def ask(number: int) -> Any:
            with AgentClient(path) as client:
                return client.call({"op": "echo", "number": number})["echo"]["number"]

        assert list(pool.map(ask, range(CLIENTS))) == list(range(CLIENTS))
        busy.receive()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"no JSON\n", "the request is not one JSON object in one line"),
        (b"[" * 100_000 + b"\n", "the request is not one JSON object in one line"),
        (b"{}\n", "the request has no 'op'"),
        (b'{"op": "number"}\n', "the request has no 'number'"),
        (b'{"op": "number", "number": "x"}\n', "the request cannot be served: "),
        (b"[]\n", "the request cannot be served: "),
        (b'{"op": "refuse"}\n', "that is not a thing"),
    ],
)
def test_what_is_no_request_is_answered_in_words_and_the_next_one_is_served(
    path: Path, line: bytes, words: str
) -> None:
    with socket.socket(socket.AF_UNIX) as client, socket_address(path) as address:
        client.settimeout(10)
        client.connect(address)
        client.sendall(line + b'{"op": "echo"}\n')
        with client.makefile() as answers:
            assert words in json.loads(answers.readline())["error"]
            assert json.loads(answers.readline()) == {"echo": {"op": "echo"}}


@pytest.mark.parametrize("place", [lambda path: None, lambda path: path.touch()], ids=["nothing", "a file"])
def test_without_an_agent_the_error_says_so(tmp_path: Path, place: Callable[[Path], None]) -> None:
    place(tmp_path / "agent.sock")
    with pytest.raises(HostError, match="no agent answers"):
        AgentClient(tmp_path / "agent.sock")
