"""A small process of ours in a node, which ends when our end of its standard input closes; and a program that talks.

Called by `probing` and `holders`. Unlike the daemons that `appliers._process` starts, a companion must not outlive
the one who started it: whatever ends us, a signal included, closes the pipe. What it says is JSON, a line at a time;
the first line says that it works, the last is its report.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from vpcrouter.errors import HostError
from vpcrouter.lab.laboratory import Laboratory

_START_S = 10.0


class Speaker:
    """A program in a node that says something line by line; leaving the `with` block ends it."""

    def __init__(self, laboratory: Laboratory, node: str, words: list[str]) -> None:
        command, environment = laboratory.command_line(node, words)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            text=True,
        )

    def lines(self) -> Iterator[str]:
        """What it says, until it ends: with its namespace, for example."""
        assert self._process.stdout is not None  # noqa: S101  (opened as a pipe above)
        yield from self._process.stdout

    def __enter__(self) -> Speaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._process.communicate()

    def end(self) -> None:
        """End it; whoever reads its lines is done then."""
        self._process.kill()


class Companion:
    """`python -m MODULE WORD…` in a node. Leaving the `with` block ends it."""

    def __init__(self, laboratory: Laboratory, node: str, module: str, *words: str) -> None:
        self._name = f"{module.rpartition('.')[2]} {words[0]} in {node}"
        command, environment = laboratory.command_line(node, [sys.executable, "-m", module, *words])
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )

    def first_line(self) -> dict[str, Any]:
        """Wait until it works."""
        output, line, deadline = self._process.stdout, b"", time.monotonic() + _START_S
        assert output is not None  # noqa: S101  (opened as a pipe above)
        while not line.endswith(b"\n"):
            if not select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise HostError(f"not ready after {_START_S:g} s", where=self._name)
            if not (byte := output.read(1)):
                return self._parse(b"", self._process.communicate(timeout=_START_S)[1])
            line += byte
        return self._parse(line, b"")

    def finish(self, timeout: float) -> dict[str, Any]:
        """Tell it to end and wait for its report."""
        try:
            said, complaints = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise HostError(f"no report after {timeout:g} s", where=self._name) from None
        return self._parse(said, complaints)

    def report(self, timeout: float) -> dict[str, Any]:
        """Wait for the report of one that ends by itself, then the same."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise HostError(f"not done after {timeout:g} s", where=self._name) from None
        return self.finish(_START_S)

    def __enter__(self) -> Companion:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def _parse(self, said: bytes, complaints: bytes) -> dict[str, Any]:
        lines = said.splitlines()
        if not lines:
            words = complaints.decode(errors="replace").strip()
            raise HostError(f"it ended: {words.splitlines()[-1] if words else 'no message'}", where=self._name)
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer
