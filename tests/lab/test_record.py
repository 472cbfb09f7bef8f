"""What the laboratory remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpcrouter.errors import HostError
from vpcrouter.lab import record
from vpcrouter.lab.record import Record

FULL = Record(
    prefix="p",
    advertisement_ms=30,
    inodes={"rA": 7, "rB": 8},
    cuts={"rA-eth1": "silent", "rA-eth2": "carrier", "rB-eth1": "silent"},
    crashed={"rA": "kill"},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    record.write(tmp_path, FULL)
    assert record.read(tmp_path) == FULL


def test_nothing_there_is_none(tmp_path: Path) -> None:
    assert record.read(tmp_path) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"prefix": "p"}', '{"prefix": "p", "advertisement_ms": "x"}']
)
def test_what_is_no_record_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / record.FILE).write_text(content)
    with pytest.raises(HostError, match="lab up"):
        record.read(tmp_path)


def test_a_reboot_makes_that_router_whole_and_leaves_the_other() -> None:
    new = FULL.rebooted("rA", 9)
    assert new.inodes == {"rA": 9, "rB": 8}
    assert new.cuts == {"rB-eth1": "silent"}
    assert new.crashed == {}
