"""What goes over the switch, as its own ports see it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.materialise.namespaces import inside
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import SWITCH

_EVERYTHING, _LEAVES = 3, 4
_HEAD = 64


@contextmanager
def heard_at_the_switch(
    laboratory: Laboratory, suits: Callable[[str, bytes], bool]
) -> Iterator[list[tuple[float, str, bytes]]]:
    """The frames that come in at a port and suit: when, at which port, how they begin."""
    heard: list[tuple[float, str, bytes]] = []
    ends = threading.Event()
    with inside(laboratory.names.namespace(SWITCH)):
        # Of all ports: those of a router that boots are new.
        door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))

    def hear() -> None:
        while not ends.is_set():
            try:
                frame, (port, _, kind, *_) = door.recvfrom(_HEAD)
            except TimeoutError:
                continue
            if kind != _LEAVES and suits(port, frame):
                heard.append((time.monotonic(), port, frame))

    with door:
        door.settimeout(0.2)
        thread = threading.Thread(target=hear)
        thread.start()
        try:
            yield heard
        finally:
            ends.set()
            thread.join()
