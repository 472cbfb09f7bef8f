"""Guarantees 1 and 2 at the end of the journal: what a crash can leave is cut and kept, what it cannot is refused."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.disks import HastyDisk
from tests.journal.samples import EVERY_KIND, entries, expected, lend_keys, prefixes, read_both_ways, segments, write
from vpcrouter.errors import DamagedJournalError, JournalError
from vpcrouter.journal import Journal, JournalRecord
from vpcrouter.journal.layout import HEADER_BYTES, Chain, pack_record, sound_groups

GROUPS = [1, 3, 1, 2]


def group_ends(directory: Path) -> list[int]:
    """The offsets at which the groups of GROUPS end, in a journal of one segment; the header's end first."""
    ends = [HEADER_BYTES]
    (path,) = segments(directory)
    for count in range(1, len(GROUPS) + 1):
        part = directory.with_name(f"{directory.name}-{count}")
        write(part, GROUPS[:count])
        ends.append(segments(part)[0].stat().st_size)
    assert ends[-1] == path.stat().st_size
    return ends


def reopened(directory: Path) -> tuple[Journal, list[JournalRecord]]:
    """The journal after an opening that may have cut it, still open, and its records."""
    journal = Journal.open(directory, disk=HastyDisk())
    return journal, list(journal.records())


@pytest.fixture
def whole(tmp_path: Path) -> tuple[bytes, list[int]]:
    """The bytes of a journal of GROUPS, and where its groups end."""
    write(tmp_path / "whole", GROUPS)
    return segments(tmp_path / "whole")[0].read_bytes(), group_ends(tmp_path / "whole")


def place(directory: Path, data: bytes) -> Path:
    """A journal of one segment with these bytes, in place of the one that was there."""
    directory.mkdir(exist_ok=True)
    for path in directory.rglob("*"):
        if path.is_file():
            path.unlink()
    path = directory / "00000000000000000001.journal"
    path.write_bytes(data)
    return path


@pytest.mark.slow
def test_cut_at_every_byte_the_whole_groups_before_are_left(whole: tuple[bytes, list[int]], tmp_path: Path) -> None:
    data, ends = whole
    for size in range(len(data)):
        path = place(tmp_path / "cut", data[:size])
        survivors = sum(end <= size for end in ends[1:])
        left = prefixes(expected(GROUPS), GROUPS)[survivors]
        sound = ends[survivors] if size >= HEADER_BYTES else 0
        assert read_both_ways(tmp_path / "cut") == left
        assert path.read_bytes() == data[:size]

        journal, records = reopened(tmp_path / "cut")
        with journal:
            assert records == left
            torn = journal.torn_tail
            assert (torn is None) == (sound == size > 0)
            if torn is not None:
                assert (torn.segment, torn.offset, torn.size) == (path, sound, size - sound)
                assert torn.kept.read_bytes() == data[sound:size]
            for number, count in list(enumerate(GROUPS))[survivors:]:
                journal.append(entries(count, start=journal.seq), time_ns=1_700_000_000_000_000_000 + number)
        assert read_both_ways(tmp_path / "cut") == expected(GROUPS)


@pytest.mark.parametrize("more", [0, 1, 5000])
def test_zeros_behind_a_cut_are_cut_as_well(whole: tuple[bytes, list[int]], tmp_path: Path, more: int) -> None:
    data, ends = whole
    for size in range(len(data)):
        survivors = sum(not any(data[size:end]) for end in ends[1:])
        place(tmp_path / "grown", data[:size] + bytes(len(data) - size + more))
        assert read_both_ways(tmp_path / "grown") == prefixes(expected(GROUPS), GROUPS)[survivors]
        if size % 16 == 0:
            journal, records = reopened(tmp_path / "grown")
            journal.close()
            assert records == prefixes(expected(GROUPS), GROUPS)[survivors]
            assert journal.torn_tail is not None


def test_sectors_lost_in_any_combination_leave_the_groups_before(tmp_path: Path) -> None:
    write(tmp_path / "long", [1, 12], kinds=EVERY_KIND)
    data = segments(tmp_path / "long")[0].read_bytes()
    write(tmp_path / "short", [1], kinds=EVERY_KIND)
    begin = segments(tmp_path / "short")[0].stat().st_size
    edges = [begin, *range((begin // 512 + 1) * 512, len(data), 512), len(data)]
    pieces = list(pairwise(edges))
    assert 4 <= len(pieces) <= 8
    for lost in product([False, True], repeat=len(pieces)):
        for short in (0, 1, 700):
            torn = bytearray(data)
            for (low, high), is_lost in zip(pieces, lost, strict=True):
                if is_lost:
                    torn[low:high] = bytes(high - low)
            del torn[len(torn) - short :]
            place(tmp_path / "lost", bytes(torn))
            lend_keys(tmp_path / "long", tmp_path / "lost")
            journal, records = reopened(tmp_path / "lost")
            journal.close()
            kept = 13 if not any(lost) and not short else 1
            assert records == expected([1, 12], kinds=EVERY_KIND)[:kept]


@pytest.mark.slow
def test_every_flipped_bit_is_refused_and_nothing_is_modified(whole: tuple[bytes, list[int]], tmp_path: Path) -> None:
    data, ends = whole
    for offset, bit in product(range(len(data)), range(8)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << bit
        path = place(tmp_path / "flip", bytes(flipped))
        with pytest.raises(JournalError) as caught:
            read_both_ways(tmp_path / "flip")
        assert str(path) in caught.value.where
        if isinstance(caught.value, DamagedJournalError):
            whole_before = sum(end <= offset for end in ends[1:])
            assert caught.value.sound_until == sum(GROUPS[:whole_before])
        if bit in (0, 7):
            with pytest.raises(JournalError):
                Journal.open(tmp_path / "flip")
            assert path.read_bytes() == flipped


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_overwritten_bytes_are_never_read_as_something_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("overwritten")
    write(directory / "whole", GROUPS)
    original = segments(directory / "whole")[0].read_bytes()
    start = data.draw(st.integers(0, len(original) - 1))
    patch = data.draw(st.binary(min_size=1, max_size=len(original) - start))
    changed = original[:start] + patch + original[start + len(patch) :]
    place(directory / "changed", changed)
    try:
        found = read_both_ways(directory / "changed")
    except JournalError:
        return
    assert found in prefixes(expected(GROUPS), GROUPS)


@pytest.mark.parametrize(
    "garbage", [b"\n", b"garbage\n", bytes(range(256)) * 20, b"\xa6" * 3000, b"\x6a" * 100, b"}\x00\x00\x00" * 40]
)
def test_bytes_that_cannot_be_a_record_are_cut(whole: tuple[bytes, list[int]], tmp_path: Path, garbage: bytes) -> None:
    data, _ = whole
    place(tmp_path / "garbage", data + garbage)
    journal, records = reopened(tmp_path / "garbage")
    with journal:
        assert journal.torn_tail is not None
        assert journal.torn_tail.kept.read_bytes() == garbage
    assert records == expected(GROUPS)


def test_records_of_an_older_place_after_the_end_are_refused(whole: tuple[bytes, list[int]], tmp_path: Path) -> None:
    data, ends = whole
    place(tmp_path / "again", data + data[ends[0] : ends[1]])
    with pytest.raises(DamagedJournalError, match=r"record 8 is damaged: all its bytes were written") as caught:
        Journal.open(tmp_path / "again")
    assert caught.value.sound_until == 7


@pytest.mark.parametrize("knows_chain", [False, True])
def test_a_record_rewritten_with_good_checksums_breaks_the_chain(tmp_path: Path, knows_chain: bool) -> None:
    write(tmp_path, [1, 1, 1])
    (path,) = segments(tmp_path)
    data = path.read_bytes()
    first, second, _ = sound_groups(data, HEADER_BYTES, 1)
    chain = Chain(data[: first.stop] if knows_chain else b"")
    forged = pack_record(
        chain,
        seq=2,
        time_ns=second.time_ns,
        position=0,
        goes_on=False,
        origin=b"TEST",
        command_id=b"c1",
        event=second.payload(data),
    )
    assert len(forged) == second.stop - second.start
    path.write_bytes(data[: second.start] + forged + data[second.stop :])
    broken = 3 if knows_chain else 2
    with pytest.raises(DamagedJournalError, match=f"record {broken} is damaged: its chain value does not") as caught:
        read_both_ways(tmp_path)
    assert caught.value.sound_until == broken - 1


def test_damage_in_an_older_segment_is_never_a_torn_tail(tmp_path: Path) -> None:
    write(tmp_path, [2, 2, 2], segment_bytes=100)
    first, second, _ = segments(tmp_path)
    data = second.read_bytes()
    second.write_bytes(data[:-10])
    with pytest.raises(DamagedJournalError, match="record 3 is damaged") as caught:
        read_both_ways(tmp_path)
    assert caught.value.sound_until == 2
    second.write_bytes(b"")
    with pytest.raises(DamagedJournalError, match="the segment's header is unreadable"):
        read_both_ways(tmp_path)
    second.unlink()
    with pytest.raises(DamagedJournalError, match="records 3 to 4 are missing"):
        read_both_ways(tmp_path)
    first.unlink()
    with pytest.raises(DamagedJournalError, match="records 1 to 4 are missing"):
        read_both_ways(tmp_path)


def test_segments_that_changed_places_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", [1, 1, 1], segment_bytes=64)
    write(tmp_path / "b", [1, 1, 1], segment_bytes=64, kinds=EVERY_KIND)
    a, b = segments(tmp_path / "a"), segments(tmp_path / "b")
    a[1].write_bytes(b[1].read_bytes())
    with pytest.raises(DamagedJournalError, match="does not follow from the one before"):
        read_both_ways(tmp_path / "a")
    a[1].write_bytes(a[2].read_bytes())
    with pytest.raises(DamagedJournalError, match="says that record 3 comes first"):
        read_both_ways(tmp_path / "a")


def test_a_torn_tail_that_was_kept_already_is_not_kept_twice(whole: tuple[bytes, list[int]], tmp_path: Path) -> None:
    data, ends = whole
    for tail in (data[ends[-2] : -3], data[ends[-2] : -3], data[ends[-2] : -4]):
        directory = tmp_path / "kept"
        directory.mkdir(exist_ok=True)
        (directory / "00000000000000000001.journal").write_bytes(data[: ends[-2]] + tail)
        Journal.open(directory).close()
    kept = sorted((tmp_path / "kept" / "aside").iterdir())
    assert [path.read_bytes() for path in kept] == [data[ends[-2] : -3], data[ends[-2] : -4]]


def test_a_newer_format_is_not_called_damage(whole: tuple[bytes, list[int]], tmp_path: Path) -> None:
    data, _ = whole
    header = bytearray(data[:60])
    header[8] = 2
    place(tmp_path / "newer", bytes(header) + crc32c(header).to_bytes(4, "little") + data[64:])
    with pytest.raises(JournalError, match="written in journal format 2") as caught:
        read_both_ways(tmp_path / "newer")
    assert not isinstance(caught.value, DamagedJournalError)
