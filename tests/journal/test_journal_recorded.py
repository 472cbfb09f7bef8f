"""Guarantee 3: golden journals decode to what they promised, for ever; damaged ones end in the exact error."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from tests.journal.recorded import DAMAGED, GOLDEN, KINDS, MANIFEST, golden_manifest, lay_out, outcome
from tests.journal.samples import EVERY_KIND, read_both_ways
from vpcrouter.errors import JournalError
from vpcrouter.events.codec import encode
from vpcrouter.events.registry import EVENTS
from vpcrouter.journal import Journal, read_journal
from vpcrouter.past import replay
from vpcrouter.projections.digest import digest
from vpcrouter.replaying import replay_journal
from vpcrouter.state import State


@pytest.mark.parametrize("directory", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_a_golden_journal_replays_to_what_it_promised(directory: Path, tmp_path: Path) -> None:
    promised = json.loads((directory / MANIFEST).read_text())
    lay_out(directory, tmp_path / "copy")
    assert golden_manifest(tmp_path / "copy") == promised
    if not (directory / "archive").exists():
        assert digest(replay_journal(tmp_path / "copy", State(), 0, few=0).state) == promised["digest"]
    else:
        assert replay(tmp_path / "copy").digest == promised["digest"]
    with Journal.open(tmp_path / "copy") as journal:
        assert journal.torn_tail is None
        assert journal.seq == promised["records"][-1]["seq"]


def test_golden_journals_hold_every_kind_and_version_of_event() -> None:
    stored = {
        (record["kind"])
        for directory in GOLDEN.iterdir()
        for record in json.loads((directory / MANIFEST).read_text())["records"]
    }
    assert stored == {name for name, _ in EVENTS}
    assert {type(event) for event in EVERY_KIND} == {record.cls for record in EVENTS.values()}


def test_events_still_encode_to_the_bytes_of_the_golden_journal(tmp_path: Path) -> None:
    """Digests and deduplication compare bytes: today's writer must not pack today's version another way."""
    for name in ("format-1-every-kind", "format-1-confirmations"):  # the sealed one never packs to the same bytes
        golden = GOLDEN / name
        data = b"".join(path.read_bytes() for path in sorted(golden.glob("*.journal")))
        for record in read_journal(golden):
            assert encode(record.event) in data


@pytest.mark.parametrize("directory", sorted(DAMAGED.iterdir()), ids=lambda path: path.name)
def test_a_damaged_journal_ends_in_the_exact_error(directory: Path, tmp_path: Path) -> None:
    copy = tmp_path / "journal"
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns(MANIFEST))
    expected = json.loads((directory / MANIFEST).read_text())
    with contextlib.suppress(JournalError):
        read_both_ways(copy)
    assert outcome(copy) == expected
    for original in directory.glob("*.journal"):
        if "error" in expected:
            assert (copy / original.name).read_bytes() == original.read_bytes()


def test_every_kind_of_damage_is_recorded() -> None:
    assert {path.name for path in DAMAGED.iterdir()} == {kind.__name__.replace("_", "-") for kind in KINDS}
