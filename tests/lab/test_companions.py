"""The two small programs that measure, on the loopback: no root, no namespaces."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PYTHON = (sys.executable, "-m")


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A companion that has said its first line; ended at the end."""
    process = subprocess.Popen(
        [*PYTHON, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(process.communicate(timeout=20)[0].splitlines()[-1])
    return report


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The report of one that ends by itself."""
    process.wait(20)
    return finish(process)


def test_an_undisturbed_path_loses_nothing_and_keeps_the_pace() -> None:
    with program("vpcrouter.lab.probe", "echo", "127.0.0.1", "0") as echo:
        port = str(first_line(echo)["port"])
        with program("vpcrouter.lab.probe", "send", "127.0.0.1", port, "1000", "1000") as sender:
            report = report_of(sender)
    assert (report["sent"], report["received"], report["lost"], report["outages"]) == (1000, 1000, 0, [])
    assert report["duplicates"] == 0
    # 999 intervals of 1 ms; a busy machine may be late with the last one, but not early and not by much.
    assert 998 <= report["duration_ms"] <= 1500


def test_nobody_there_is_one_window_to_the_end() -> None:
    with program("vpcrouter.lab.probe", "send", "127.0.0.1", "9", "1000", "50") as sender:
        report = report_of(sender)
    assert (report["sent"], report["received"], report["loss_percent"]) == (50, 0, 100.0)
    assert [outage["lost"] for outage in report["outages"]] == [50]


def test_the_end_of_standard_input_ends_the_probing() -> None:
    with program("vpcrouter.lab.probe", "echo", "127.0.0.1", "0") as echo:
        port = str(first_line(echo)["port"])
        with program("vpcrouter.lab.probe", "send", "127.0.0.1", port, "1000", "0") as sender:
            first_line(sender)
            report = finish(sender)
        assert 0 < report["sent"] < 5000
        assert report["lost"] == 0
        echo.communicate(timeout=5)
        assert echo.returncode == 0


def test_an_answerer_that_dies_is_an_outage_with_a_beginning() -> None:
    with program("vpcrouter.lab.probe", "echo", "127.0.0.1", "0") as echo:
        port = str(first_line(echo)["port"])
        with program("vpcrouter.lab.probe", "send", "127.0.0.1", port, "1000", "400") as sender:
            first_line(sender)
            echo.kill()
            report = report_of(sender)
    assert report["received"] + report["lost"] == report["sent"] == 400
    assert report["outages"][-1]["lost"] == report["lost"] > 0


def test_every_byte_of_a_transfer_is_counted() -> None:
    with program("vpcrouter.lab.transfer", "serve", "127.0.0.1", "0", "5000000") as server:
        port = str(first_line(server)["port"])
        with program("vpcrouter.lab.transfer", "fetch", "127.0.0.1", port) as client:
            first_line(client)
            time.sleep(0.1)
            served, fetched = finish(server), finish(client)
    assert served["bytes"] == fetched["bytes"] > 0
    assert fetched["intact"] and not fetched["error"] and not served["error"]


def test_a_server_that_lies_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        with program("vpcrouter.lab.transfer", "fetch", "127.0.0.1", port) as client:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(bytes(1024) + bytes(1024))
            assert finish(client)["intact"] is False
