"""A network namespace that has no name and ends with the thread that lives in it, so nothing can be left behind."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

_CLONE_NEWNET = 0x40000000
_T = TypeVar("_T")


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class PrivateNetwork:
    """Runs functions and programs in the namespace."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    def do(self, work: Callable[[], _T]) -> _T:
        """The result of a function that was called inside."""
        return self._executor.submit(work).result()

    def start(self, work: Callable[[], object]) -> threading.Thread:
        """One more thread inside, running: a new thread is where the one that starts it is."""
        thread = threading.Thread(target=work)
        self.do(thread.start)
        return thread

    def run(self, *argv: str, text: str = "") -> str:
        """The output of a program that must succeed."""
        done = self.do(lambda: subprocess.run(argv, input=text, capture_output=True, text=True, check=False))
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def add_devices(self, *names: str) -> None:
        """Ethernet devices, down and bare; the other end of each is NAME-peer and up."""
        for name in names:
            self.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-peer")
            self.run("ip", "link", "set", f"{name}-peer", "up")


@contextmanager
def private_network() -> Iterator[PrivateNetwork]:
    """A new namespace; the test is skipped where the kernel does not allow one."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace")
    with ThreadPoolExecutor(max_workers=1, initializer=_leave) as executor:
        yield PrivateNetwork(executor)
