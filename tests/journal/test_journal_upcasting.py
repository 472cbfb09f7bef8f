"""An event of an older version is brought forward whenever it is read, through every version in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.journal.samples import segments
from vpcrouter import events
from vpcrouter.errors import JournalError
from vpcrouter.events import codec
from vpcrouter.events.registry import EVENTS, UPCASTERS
from vpcrouter.journal import Entry, Journal, export_lines, read_events, read_journal, verify
from vpcrouter.replaying import replay_journal
from vpcrouter.state import State
from vpcrouter.values.guests import GuestPages

NAME = "guest-pages-removed"
PUT = events.GuestPagesPut(pages=GuestPages(address="10.1.2.5"))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Pages are put and, in version 1, taken away, by an address that version 1 is taken to have written backwards."""
    with Journal.open(tmp_path / "journal") as opened:
        opened.append([Entry(event=PUT), Entry(event=events.GuestPagesRemoved(address="5.2.1.10"))], time_ns=1)
    return tmp_path / "journal"


def to_two(fields: list[Any]) -> list[Any]:
    return [fields[0].split(".")]


def to_three(fields: list[Any]) -> list[Any]:
    return [".".join(reversed(fields[0]))]


def test_every_reader_brings_it_forward_and_no_byte_changes(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, chain = [path.read_bytes() for path in segments(journal)], verify(journal).chain
    exported = list(export_lines(journal))
    monkeypatch.setitem(EVENTS, (NAME, 3), EVENTS[NAME, 1])
    monkeypatch.setitem(UPCASTERS, (NAME, 1), to_two)
    monkeypatch.setitem(UPCASTERS, (NAME, 2), to_three)
    wanted = events.GuestPagesRemoved(address="10.1.2.5")
    assert [record.event for record in read_journal(journal)] == [PUT, wanted]
    assert list(read_events(journal)) == [(1, PUT), (2, wanted)]
    for few in (0, 99):
        assert replay_journal(journal, State(), 0, few=few).state == State()
    assert (verify(journal).fault, verify(journal).chain) == (None, chain)
    assert list(export_lines(journal)) == exported, "as it was stored"
    assert [path.read_bytes() for path in segments(journal)] == before


def test_a_version_that_no_upcaster_reaches_is_named(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UPCASTERS, (NAME, 1), to_two)
    with pytest.raises(
        JournalError, match="record 2 is intact, but cannot be read: event 'guest-pages-removed' version 2"
    ):
        list(read_journal(journal))


def test_what_is_written_is_of_the_newest_version() -> None:
    newest: dict[str, int] = {}
    for name, version in EVENTS:
        newest[name] = max(version, newest.get(name, 0))
    for name, version in newest.items():
        assert codec._LATEST[EVENTS[name, version].cls][:2] == (name, version)
