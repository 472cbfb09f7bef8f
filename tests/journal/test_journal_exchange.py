"""Export and import as JSON lines, and the counts of `stats`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.journal.recorded import GOLDEN
from tests.journal.samples import EVERY_KIND, entries, segments, write
from vpcrouter.errors import MalformedInputError
from vpcrouter.events.codec import event_name, holds_secrets
from vpcrouter.journal import Journal, Keys, exchange, export_lines, import_lines, read_journal, stats, verify


def test_what_was_exported_comes_back(tmp_path: Path) -> None:
    golden = GOLDEN / "format-1-every-kind"
    lines = list(export_lines(golden, reveal_secrets=True))
    there = tmp_path / "there"
    with Journal.open(there) as journal:
        assert import_lines(journal, [*lines, "", "\n"]) == len(lines)
    assert list(read_journal(there)) == list(read_journal(golden))
    assert list(export_lines(there, reveal_secrets=True)) == lines
    assert verify(there).fault is None


def test_an_import_goes_on_where_the_journal_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "GROUP_RECORDS", 3)
    written = write(tmp_path / "a", [4, 4])
    with Journal.open(tmp_path / "b") as journal:
        journal.append(entries(1), time_ns=written[0].time_ns)
        assert import_lines(journal, export_lines(tmp_path / "a", after=1)) == 8
        with pytest.raises(MalformedInputError, match="line 1: record 1 stands where record 9 is due"):
            import_lines(journal, export_lines(tmp_path / "a"))
        assert import_lines(journal, []) == 8
    assert list(read_journal(tmp_path / "b")) == written


GOOD = {"seq": 1, "time_ns": 5, "origin": "", "command_id": "", "event": ["reservation-removed", 1, ["10.1.2.3"]]}


def nested(depth: int) -> str:
    """A line whose event is nested too deep to be packed or parsed."""
    return json.dumps({**GOOD, "event": ["tier-added", 1, 0]}).replace("0]", "[" * depth + "]" * depth + "]")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: not an exported record"),
        ("{}", "line 2: not an exported record: its keys are not seq, time_ns, origin, command_id, event"),
        (json.dumps({**GOOD, "more": 1}), "line 2: not an exported record"),
        (json.dumps({**GOOD, "seq": True}), "line 2: seq is not a number"),
        (json.dumps({**GOOD, "time_ns": -1}), "line 2: time_ns is out of range"),
        (json.dumps({**GOOD, "seq": 2}), "line 2: record 2 stands where record 1 is due"),
        (json.dumps({**GOOD, "origin": 7}), "line 2: origin is not str"),
        (json.dumps({**GOOD, "origin": "x" * 300}), "origin: 300 bytes are more than 255"),
        (json.dumps({**GOOD, "event": ["x", 1, []]}), "line 2: event: event 'x' version 1 is not known"),
        (json.dumps({**GOOD, "event": ["tier-added", 1, [[]]]}), "line 2: Tier: not a stored Tier"),
        (json.dumps({**GOOD, "event": [2**70]}), "line 2: not a stored event"),
        (json.dumps({**GOOD, "event": ["\ud800"]}), "line 2: not a stored event"),
        (nested(600), "line 2: not a stored event"),
        (nested(100_000), "line 2: not JSON"),
    ],
)
def test_a_line_that_is_no_record_is_refused_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    with Journal.open(tmp_path) as journal:
        with pytest.raises(MalformedInputError) as caught:
            import_lines(journal, ["", line])
        assert message in str(caught.value)
        assert journal.seq == 0
        assert import_lines(journal, [json.dumps(GOOD)]) == 1


def test_stats_count_everything(tmp_path: Path) -> None:
    count = len(EVERY_KIND)
    write(tmp_path, [1, 4, count - 5], segment_bytes=300, kinds=EVERY_KIND)
    path = segments(tmp_path)[-1]
    path.write_bytes(path.read_bytes() + b"\xa6" * 9)
    found = stats(tmp_path)
    assert (found.records, found.groups, found.first_seq, found.last_seq) == (count, 3, 1, count)
    assert (found.first_time_ns, found.last_time_ns) == (1_700_000_000_000_000_000, 1_700_000_000_000_000_002)
    assert found.kinds == {event_name(event): 1 for event in EVERY_KIND}
    with_secrets = sum(holds_secrets(event) for event in EVERY_KIND)
    assert (found.sealed, found.in_clear) == ({Keys.beside(tmp_path).current: with_secrets}, 0)
    assert stats(GOLDEN / "format-1-every-kind").in_clear > 0
    assert found.segments == len(segments(tmp_path))
    assert found.size == sum(found.kind_sizes.values()) + 64 * found.segments + 9
    assert found.largest_record == found.kind_sizes["router-configured"]
    assert (found.torn, found.aside_files, found.aside_size) == (9, 0, 0)
    Journal.open(tmp_path).close()
    found = stats(tmp_path, after=5)
    assert (found.records, found.groups, found.first_seq, found.last_seq) == (count - 5, 1, 6, count)
    assert (found.torn, found.aside_files, found.aside_size) == (0, 1, 9)


def test_stats_of_an_empty_journal(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    found = stats(tmp_path)
    assert (found.records, found.size, found.first_seq, found.last_time_ns, found.kinds) == (0, 0, 0, 0, {})
