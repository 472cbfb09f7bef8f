"""keepalived's words: only its own lines count, none is lost, and reading never waits."""

from __future__ import annotations

import json
import os
import select
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vpcrouter.appliers.keepalived import parse_answer
from vpcrouter.appliers.notify import NotifyFifo, RoleReport, parse_notification
from vpcrouter.errors import ApplierError
from vpcrouter.values.role import Role


@pytest.mark.parametrize(
    ("line", "role", "priority"),
    [
        (b'INSTANCE "vpc" MASTER 110', Role.MASTER, 110),
        (b'INSTANCE "vpc" BACKUP 100', Role.BACKUP, 100),
        (b'INSTANCE "vpc" FAULT 0', Role.FAULT, 0),
        (b'INSTANCE "vpc" STOP 255', Role.INIT, 255),
        (b'INSTANCE "vpc" DELETED 100', Role.INIT, 100),
    ],
)
def test_a_line_of_each_state(line: bytes, role: Role, priority: int) -> None:
    assert parse_notification(line) == RoleReport(instance="vpc", role=role, priority=priority)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b'GROUP "vpc" MASTER 0',
        b'INSTANCE "vpc" MASTER_RX_LOWER_PRI 100',
        b'INSTANCE "vpc" BACKUP_PRIORITY 100',
        b'INSTANCE "vpc" {UNKNOWN} 100',
        b'INSTANCE "vpc" MASTER 256',
        b'INSTANCE "vpc" MASTER -1',
        b'INSTANCE "vpc" MASTER',
        b'INSTANCE "vpc" MASTER 100 ',
        b'INSTANCE "vpc" MASTER 100\n',
        b'INSTANCE "vpc" master 100',
        b'INSTANCE "" MASTER 100',
        b'INSTANCE "v"c" MASTER 100',
        b"INSTANCE vpc MASTER 100",
        b'xINSTANCE "vpc" MASTER 100',
        b'INSTANCE "' + b"x" * 10_000 + b'" MASTER 100',
        'INSTANCE "vpc" MASTER ١٠٠'.encode(),
        b"\xff\x00\n",
    ],
)
def test_what_is_no_report_of_a_state(line: bytes) -> None:
    assert parse_notification(line) is None


@given(st.binary(max_size=80))
@example(b'INSTANCE "vpc" MASTER 110')
def test_any_bytes_are_a_report_or_nothing(line: bytes) -> None:
    report = parse_notification(line)
    assert report is None or line.startswith(b'INSTANCE "' + report.instance.encode() + b'" ')


def test_the_reason_names_instance_and_role() -> None:
    report = RoleReport(instance="vpc", role=Role.MASTER, priority=110)
    assert report.reason == "keepalived: instance vpc is master, priority 110"


def _write(path: Path, *chunks: bytes) -> int:
    """As keepalived does it: opened for both, never waiting. The descriptor stays open."""
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    for chunk in chunks:
        os.write(descriptor, chunk)
    return descriptor


def test_the_fifo_is_private_and_there_before_anybody_writes(tmp_path: Path) -> None:
    fifo = NotifyFifo(tmp_path / "run" / "keepalived.fifo")
    status = (tmp_path / "run" / "keepalived.fifo").stat()
    assert stat.S_ISFIFO(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert fifo.read() == []
    assert select.select([fifo], [], [], 0)[0] == []
    fifo.close()


def test_reports_come_in_order_and_once(tmp_path: Path) -> None:
    fifo = NotifyFifo(tmp_path / "fifo")
    lines = (b'INSTANCE "vpc" BACKUP 100\n', b"noise\n", b'INSTANCE "vpc" MASTER 100\n')
    descriptor = _write(tmp_path / "fifo", *lines)
    assert select.select([fifo], [], [], 1)[0] == [fifo]
    assert [report.role for report in fifo.read()] == [Role.BACKUP, Role.MASTER]
    assert fifo.read() == []
    os.close(descriptor)
    assert select.select([fifo], [], [], 0)[0] == [], "its going away is nothing to read"
    assert fifo.read() == []
    fifo.close()


def test_a_line_in_two_parts_is_one_line(tmp_path: Path) -> None:
    fifo = NotifyFifo(tmp_path / "fifo")
    descriptor = _write(tmp_path / "fifo", b'INSTANCE "vpc" MAS')
    assert fifo.read() == []
    os.write(descriptor, b"TER 100\n")
    assert [report.role for report in fifo.read()] == [Role.MASTER]
    os.close(descriptor)
    fifo.close()


def test_what_was_said_between_two_agents_is_not_lost(tmp_path: Path) -> None:
    first = NotifyFifo(tmp_path / "fifo")
    descriptor = _write(tmp_path / "fifo", b'INSTANCE "vpc" BACKUP 100\n')
    first.read()
    first.close()
    os.write(descriptor, b'INSTANCE "vpc" MASTER 100\n')
    second = NotifyFifo(tmp_path / "fifo")
    assert [report.role for report in second.read()] == [Role.MASTER]
    os.close(descriptor)
    second.close()


def test_a_full_pipe_is_read_in_one_go_and_the_writer_never_waits(tmp_path: Path) -> None:
    line = b'INSTANCE "vpc" BACKUP 100\n'
    fifo = NotifyFifo(tmp_path / "fifo")
    descriptor = _write(tmp_path / "fifo")
    written = 0
    with pytest.raises(BlockingIOError):
        while True:
            os.write(descriptor, line)
            written += 1
    assert written > 1500
    assert len(fifo.read()) == written
    os.close(descriptor)
    fifo.close()


def test_a_fifo_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(ApplierError, match="run"):
        NotifyFifo(tmp_path / "run" / "fifo")


def _answer(*states: int) -> bytes:
    data = [
        {"data": {"iname": f"i{each}", "state": each, "base_priority": 100, "effective_priority": 100}, "stats": {}}
        for each in states
    ]
    return json.dumps(data).encode()


def test_an_answer_names_the_role_of_each_instance() -> None:
    reports = parse_answer(_answer(0, 1, 2, 3))
    assert reports is not None
    assert [(each.instance, each.role) for each in reports] == [
        ("i0", Role.INIT),
        ("i1", Role.BACKUP),
        ("i2", Role.MASTER),
        ("i3", Role.FAULT),
    ]


def test_an_answer_is_taken_only_when_it_is_complete() -> None:
    answer = _answer(2, 1)
    assert [parse_answer(answer[:end]) for end in range(len(answer))] == [None] * len(answer)
    assert parse_answer(answer) is not None


@pytest.mark.parametrize("answer", [b"{}", b"[{}]", b"[1]", b"null", _answer(4), _answer(-1), b"\xff"])
def test_an_answer_that_makes_no_sense_is_none(answer: bytes) -> None:
    assert parse_answer(answer) in (None, ())
