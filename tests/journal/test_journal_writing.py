"""What is appended is read, in order, by the writer and by anybody else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.samples import EVERY_KIND, entries, expected, segments, write
from vpcrouter.errors import JournalError, JournalWriteError, MalformedInputError
from vpcrouter.journal import Entry, Journal, read_journal
from vpcrouter.journal.layout import Chain, Header, pack_record, sound_groups


def test_every_kind_of_event_comes_back_as_it_went_in(tmp_path: Path) -> None:
    written = write(tmp_path / "j", [1, len(EVERY_KIND), 3], kinds=EVERY_KIND)
    assert list(read_journal(tmp_path / "j")) == written
    assert {type(record.event) for record in written} == {type(event) for event in EVERY_KIND}


def test_reading_starts_after_any_record(tmp_path: Path) -> None:
    written = write(tmp_path, [1, 3, 1, 2], segment_bytes=100)
    assert len(segments(tmp_path)) > 2
    for after in range(len(written) + 3):
        assert list(read_journal(tmp_path, after)) == written[after:]


def test_the_number_of_the_last_record_is_returned_and_kept(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        assert journal.seq == 0
        assert journal.append(entries(1), time_ns=1) == 1
        assert journal.append(entries(4, start=1), time_ns=2) == 5
        assert journal.append([], time_ns=3) == 5
        assert [record.seq for record in journal.records(after=2)] == [3, 4, 5]
    with Journal.open(tmp_path) as journal:
        assert journal.seq == 5
        assert journal.torn_tail is None
        assert journal.append(entries(1, start=5), time_ns=4) == 6
    assert [record.time_ns for record in read_journal(tmp_path)] == [1, 2, 2, 2, 2, 4]


def test_reopening_at_any_point_changes_no_byte(tmp_path: Path) -> None:
    groups = [1, 2, 1, 1, 3, 1, 2]
    write(tmp_path / "once", groups, segment_bytes=300)
    for number, size in enumerate(groups):
        with Journal.open(tmp_path / "anew", segment_bytes=300) as journal:
            journal.append(entries(size, start=journal.seq), time_ns=1_700_000_000_000_000_000 + number)
    once, anew = segments(tmp_path / "once"), segments(tmp_path / "anew")
    assert [path.name for path in once] == [path.name for path in anew]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in anew]


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    write(tmp_path / "var" / "journal", [1])
    assert stat.S_IMODE((tmp_path / "var" / "journal").stat().st_mode) == 0o700
    for path in (tmp_path / "var" / "journal").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_empty_journal_has_no_records_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    Journal.open(tmp_path / "empty").close()
    assert list(read_journal(tmp_path / "empty")) == []
    with pytest.raises(JournalError, match="no journal can be read here"):
        list(read_journal(tmp_path / "missing"))


def test_a_closed_journal_refuses_and_can_be_closed_again(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.close()
    journal.close()
    with pytest.raises(JournalWriteError, match="closed"):
        journal.append(entries(1), time_ns=0)


@pytest.mark.parametrize("label", ["x" * 256, "ä" * 128, "\ud800"])
@pytest.mark.parametrize("name", ["origin", "command_id"])
def test_a_label_that_does_not_fit_changes_nothing(tmp_path: Path, name: str, label: str) -> None:
    with Journal.open(tmp_path) as journal:
        journal.append(entries(1), time_ns=0)
        bad = Entry(event=EVERY_KIND[0], **{name: label})
        with pytest.raises(MalformedInputError) as caught:
            journal.append([*entries(2, start=1), bad], time_ns=0)
        assert caught.value.where == name
        assert journal.append(entries(1, start=1), time_ns=0) == 2
    assert [record.command_id for record in read_journal(tmp_path)] == ["c0", "c1"]


def test_labels_may_be_as_long_as_they_may(tmp_path: Path) -> None:
    entry = Entry(event=EVERY_KIND[9], origin="ö" * 127, command_id="x" * 255)
    with Journal.open(tmp_path) as journal:
        journal.append([entry], time_ns=2**64 - 1)
    (record,) = read_journal(tmp_path)
    assert (record.origin, record.command_id, record.time_ns) == (entry.origin, entry.command_id, 2**64 - 1)


def test_a_group_is_never_split_between_segments(tmp_path: Path) -> None:
    groups = [5, 40, 1, 1, 30]
    written = write(tmp_path, groups, segment_bytes=100)
    starts = [int(path.stem) for path in segments(tmp_path)]
    assert starts == [1, 6, 46, 47, 48]
    assert list(read_journal(tmp_path)) == written


def test_a_stranger_among_the_segments_is_named(tmp_path: Path) -> None:
    write(tmp_path, [1])
    (tmp_path / "copy-of-1.journal").write_bytes(b"")
    with pytest.raises(JournalError, match="not a segment's name"):
        list(read_journal(tmp_path))


def test_an_event_of_a_newer_version_is_not_called_damage(tmp_path: Path) -> None:
    write(tmp_path, [1])
    (path,) = segments(tmp_path)
    header = path.read_bytes()[:64]
    chain = Chain(header)
    record = pack_record(
        chain, seq=1, time_ns=0, position=0, goes_on=False, origin=b"", command_id=b"", event=b"\x93\xa3new\x07\x90"
    )
    path.write_bytes(header + record)
    with pytest.raises(JournalError, match="record 1 is intact, but cannot be read") as caught:
        list(read_journal(tmp_path))
    assert "version of vpcrouter that wrote it" in caught.value.hint
    assert type(caught.value) is JournalError


def test_expected_records_are_what_the_tests_compare_with() -> None:
    assert [record.seq for record in expected([2, 3])] == [1, 2, 3, 4, 5]


records = st.tuples(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=700))


@given(st.lists(st.lists(records, min_size=1, max_size=4), min_size=1, max_size=5), st.integers(1, 2**63))
def test_the_layout_gives_back_what_it_packed(groups: list[list[tuple[bytes, bytes, bytes]]], first: int) -> None:
    header = Header(first_seq=first, created_ns=5, chain_before=b"x" * 16)
    chain = Chain(header.pack())
    data = header.pack()
    for group in groups:
        for position, (origin, command_id, event) in enumerate(group):
            data += pack_record(
                chain,
                seq=first,
                time_ns=first // 3,
                position=position,
                goes_on=position < len(group) - 1,
                origin=origin,
                command_id=command_id,
                event=event,
            )
            first += 1
    assert Header.unpack(data) == header
    frames = sound_groups(data, 64, header.first_seq)
    assert [(data[f.start + 28 : f.start + 28 + f.origin_bytes], f.payload(data), f.time_ns) for f in frames] == [
        (o, e, (header.first_seq + n) // 3) for n, (o, _, e) in enumerate(r for group in groups for r in group)
    ]
    assert frames[-1].stop == len(data)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, 0xA7), (1, 2), (2, 200), (3, 200), (4, 70), (8, 9), (24, 1), (-9, 70), (-1, 0)],
    ids=["opening-mark", "flag", "origin", "command-id", "size", "seq", "place", "size-again", "closing-mark"],
)
def test_a_record_is_sound_only_if_every_part_is_even_with_a_good_checksum(offset: int, value: int) -> None:
    header = Header(first_seq=5, created_ns=0, chain_before=bytes(16)).pack()
    record = bytearray(
        pack_record(
            Chain(header), seq=5, time_ns=0, position=0, goes_on=False, origin=b"o", command_id=b"", event=b"event"
        )
    )
    assert len(sound_groups(header + record, 64, 5)) == 1
    record[offset] = value
    record[-5:-1] = crc32c(record[:-5]).to_bytes(4, "little")
    assert sound_groups(header + record, 64, 5) == []
