"""Secrets are sealed where they lie: no file but the key file helps to read them, and none can be moved or changed."""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.disks import FaultyDisk, HastyDisk
from tests.journal.recorded import GOLDEN, lay_out
from tests.journal.samples import EVERY_KIND, lend_keys, segments
from vpcrouter.errors import DamagedJournalError, JournalError, KeyFileError, MalformedInputError
from vpcrouter.events import Event, RouterConfigured, sealing
from vpcrouter.events.codec import decode, encode, holds_secrets
from vpcrouter.journal import (
    Entry,
    Journal,
    Keys,
    Snapshot,
    export_lines,
    find_snapshot,
    import_lines,
    read_journal,
    repair,
    stats,
    verify,
    write_snapshot,
)
from vpcrouter.journal.layout import HEADER_BYTES, Chain, pack_record, sound_groups
from vpcrouter.journal.reader import walk_journal
from vpcrouter.values.config import Secret

WITH_SECRETS = tuple(event for event in EVERY_KIND if holds_secrets(event))
ONE = WITH_SECRETS[0]
assert isinstance(ONE, RouterConfigured)
CONFIG = ONE.config
PASSWORD = "correct-horse-battery-staple"


def configured(*secrets: str) -> RouterConfigured:
    """An event with these secrets."""
    password, *others = secrets
    return RouterConfigured(
        config=evolve(
            CONFIG,
            password=Secret(text=password),
            secret_parameters=tuple((f"k{number}", Secret(text=text)) for number, text in enumerate(others)),
        )
    )


def put(directory: Path, *events: Event) -> None:
    """Append each as a group of its own."""
    with Journal.open(directory, disk=HastyDisk()) as journal:
        for event in events:
            journal.append([Entry(event=event)], time_ns=7)


def payloads(directory: Path) -> list[bytes]:
    """The stored bytes of all events."""
    (path,) = segments(directory)
    data = path.read_bytes()
    return [frame.payload(data) for frame in sound_groups(data, HEADER_BYTES, 1)]


def forge(directory: Path, events: list[bytes]) -> None:
    """A journal of these stored bytes whose checksums and chain are right."""
    (path,) = segments(directory)
    header = path.read_bytes()[:HEADER_BYTES]
    chain = Chain(header)
    records = [
        pack_record(chain, seq=seq, time_ns=7, position=0, goes_on=False, origin=b"", command_id=b"", event=event)
        for seq, event in enumerate(events, start=1)
    ]
    path.write_bytes(header + b"".join(records))


def every_byte_below(directory: Path) -> bytes:
    """All files of a directory, one after the other."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


def secrets_of(event: Event) -> list[str]:
    """The texts of an event's secrets."""
    found: list[str] = []

    class Collecting:
        def seal(self, text: str, place: bytes) -> bytes | None:
            found.append(text)
            return None

        def open(self, sealed: bytes, place: bytes) -> str:
            raise AssertionError

    encode(event, sealer=Collecting())
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_no_secret_lies_in_any_file_of_the_journal(journal: Path) -> None:
    marked = [configured(PASSWORD, PASSWORD + "-2"), *WITH_SECRETS]
    put(journal, *marked)
    with Journal.open(journal) as opened:
        body = b"state with " + PASSWORD.encode()
        snapshot = Snapshot(seq=opened.seq, time_ns=0, chain=opened.chain, schema=1, digest="d", body=body)
        write_snapshot(journal, snapshot)
        opened.find_command("x")
    stored = every_byte_below(journal)
    for event in marked:
        for text in secrets_of(event):
            assert len(text) < 4 or text.encode() not in stored
    assert PASSWORD.encode() not in stored
    assert [record.event for record in read_journal(journal)] == marked
    found, _ = find_snapshot(journal, schema=1)
    assert found == snapshot


@pytest.mark.parametrize("event", WITH_SECRETS, ids=lambda event: type(event).__name__)
def test_every_kind_of_event_that_has_secrets_is_sealed(event: Event, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    sealed = encode(event, seq=5, sealer=keys)
    assert sealing.is_sealed(sealed)
    assert not sealing.is_sealed(encode(event))
    assert decode(sealed, seq=5, sealer=keys) == event
    for text in secrets_of(event):
        assert len(text) < 4 or msgpack.packb(text) not in sealed  # a letter is there by chance
    with pytest.raises(MalformedInputError, match="there are no keys here"):
        decode(sealed, seq=5)


@given(texts=st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), min_size=1, max_size=4))
@settings(max_examples=50)
def test_any_secret_comes_back(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = Keys(tmp_path_factory.getbasetemp() / "any.keys")
    event = configured(*texts)
    sealed = encode(event, seq=2**40, sealer=keys)
    assert decode(sealed, seq=2**40, sealer=keys) == event
    assert encode(event, seq=2**40, sealer=keys) != sealed


@given(text=st.text() | st.text(alphabet="\0\x80"), place=st.binary())
def test_any_text_comes_back(text: str, place: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = Keys(tmp_path_factory.getbasetemp() / "any.keys")
    sealed = keys.seal(text, place)
    assert sealed is not None
    assert keys.open(sealed, place) == text
    assert (len(sealed) - 8 - 12 - 16) % 32 == 0


def test_every_byte_of_a_sealed_secret_counts(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    sealed = keys.seal(PASSWORD, b"here")
    assert sealed is not None
    for offset in range(len(sealed)):
        changed = bytearray(sealed)
        changed[offset] ^= 1
        with pytest.raises(KeyFileError if offset < 8 else MalformedInputError):
            keys.open(bytes(changed), b"here")
        with pytest.raises((KeyFileError, MalformedInputError)):
            keys.open(sealed[:offset], b"here")
    with pytest.raises(MalformedInputError, match="it was changed, or belongs elsewhere"):
        keys.open(sealed, b"there")


def exchanged_in_one_event(stored: list[bytes]) -> list[bytes]:
    found = _secrets_in(stored[0])
    one, other = found[0], found[1]
    placeholder = bytes(64)  # no sealed secret holds that by chance
    return [stored[0].replace(one, placeholder).replace(other, one).replace(placeholder, other), stored[1]]


def exchanged_between_events(stored: list[bytes]) -> list[bytes]:
    one, other = _secrets_in(stored[0])[0], _secrets_in(stored[1])[0]
    return [stored[0].replace(one, other), stored[1].replace(other, one)]


def exchanged_events(stored: list[bytes]) -> list[bytes]:
    return [stored[1], stored[0]]


def with_another_name_beside_it(stored: list[bytes]) -> list[bytes]:
    assert b"r-7-VM" in stored[0]
    return [stored[0].replace(b"r-7-VM", b"r-8-VM"), stored[1]]


def one_byte_of_a_secret(stored: list[bytes]) -> list[bytes]:
    secret = _secrets_in(stored[0])[0]
    return [stored[0].replace(secret, secret[:-1] + bytes([secret[-1] ^ 4])), stored[1]]


def _secrets_in(payload: bytes) -> list[bytes]:
    found: list[bytes] = []
    msgpack.unpackb(payload, ext_hook=lambda _, data: found.append(data))
    return found


@pytest.mark.parametrize(
    "forgery",
    [
        exchanged_in_one_event,
        exchanged_between_events,
        exchanged_events,
        with_another_name_beside_it,
        one_byte_of_a_secret,
    ],
)
def test_a_forger_who_mends_all_checksums_cannot_move_or_change_a_secret(
    journal: Path, forgery: Callable[[list[bytes]], list[bytes]]
) -> None:
    put(journal, configured(PASSWORD, "22222"), configured("33333", "44444"))
    stored = payloads(journal)
    forge(journal, stored)
    assert len(list(read_journal(journal))) == 2
    forge(journal, forgery(stored))
    with pytest.raises(JournalError, match=r"record 1 is intact, but cannot be read: .* does not open") as caught:
        list(read_journal(journal))
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert "does not open" in str(verify(journal).fault)


def test_a_secret_of_another_journal_with_other_keys_names_the_missing_key(journal: Path, tmp_path: Path) -> None:
    put(journal, configured(PASSWORD))
    put(tmp_path / "other", configured(PASSWORD))
    lend_keys(tmp_path / "other", journal)
    with pytest.raises(KeyFileError, match="which is not in it") as caught:
        list(read_journal(journal))
    assert caught.value.key_id
    assert caught.value.key_id in str(caught.value)
    assert str(tmp_path / "journal.keys") in str(caught.value)


def test_a_lost_key_is_named_and_what_needs_no_secret_goes_on(journal: Path) -> None:
    put(journal, ONE, EVERY_KIND[2])
    keys, with_keys = Keys.beside(journal), verify(journal)
    key_id = keys.current
    away = keys.path.rename(keys.path.with_name("away"))
    with pytest.raises(KeyFileError, match="there is no such file") as caught:
        list(read_journal(journal))
    assert caught.value.key_id == key_id
    assert "bring the file back" in caught.value.hint
    found = verify(journal)
    assert isinstance(found.fault, KeyFileError)
    assert "record 1: " in str(found.fault)
    assert (found.sound_until, found.chain) == (2, with_keys.chain), "a lost key is no damage"
    assert [record.seq for record in read_journal(journal, sealer=sealing.Hidden())] == [1, 2]
    assert stats(journal).records == 2
    assert repair(journal).seq == 2
    assert len(list(export_lines(journal))) == 2
    assert not keys.path.exists()
    (segment,) = segments(journal)
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])
    assert isinstance(verify(journal).fault, DamagedJournalError), "damage is told before it"
    segment.write_bytes(whole)
    away.rename(keys.path)
    assert verify(journal) == with_keys
    assert with_keys.fault is None


def test_a_key_file_that_is_lost_under_a_writer_is_not_begun_anew(journal: Path) -> None:
    with Journal.open(journal) as opened:
        opened.append([Entry(event=ONE)], time_ns=0)
        key_id = opened.keys.current
        away = opened.keys.path.rename(opened.keys.path.with_name("away"))
        for _ in ("there is none", "there is another one"):
            with pytest.raises(
                KeyFileError, match=f"key {key_id}, which secrets are sealed with, is not there any more"
            ):
                opened.append([Entry(event=ONE)], time_ns=0)
            Keys.beside(journal).rotate()
        away.rename(opened.keys.path)
        assert opened.append([Entry(event=ONE)], time_ns=0) == 2
    assert [record.event for record in read_journal(journal)] == [ONE, ONE]


def test_a_new_key_is_for_new_secrets_and_the_old_one_for_old_ones(journal: Path) -> None:
    put(journal, ONE)
    with Journal.open(journal) as opened:
        first = opened.keys.current
        second = Keys.beside(journal).rotate()
        opened.append([Entry(event=ONE)], time_ns=0)
        assert opened.keys.current == second
    assert Keys.beside(journal).ids() == (first, second)
    assert [_secrets_in(each)[0][:8].hex() for each in payloads(journal)] == [first, second]
    assert [record.event for record in read_journal(journal)] == [ONE, ONE]


def test_secrets_stand_in_clear_only_if_somebody_says_so_and_until_he_says_otherwise(journal: Path) -> None:
    Keys.beside(journal).store_in_clear()
    put(journal, configured(PASSWORD))
    assert Keys.beside(journal).in_clear
    assert PASSWORD.encode() in every_byte_below(journal)
    Keys.beside(journal).rotate()
    put(journal, configured(PASSWORD))
    assert [sealing.is_sealed(each) for each in payloads(journal)] == [False, True]
    Keys.beside(journal).store_in_clear()
    put(journal, configured(PASSWORD))
    assert [sealing.is_sealed(each) for each in payloads(journal)] == [False, True, False]
    assert len(list(read_journal(journal))) == 3


def test_a_journal_without_secrets_has_no_key_file(journal: Path) -> None:
    put(journal, EVERY_KIND[2])
    assert not Keys.beside(journal).path.exists()
    assert Keys.beside(journal).current is None
    assert not Keys.beside(journal).in_clear


def test_the_key_file_is_found_by_any_name_of_the_journal_and_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "safe").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "data.keys").symlink_to("safe/keys")
    put(tmp_path / "link", ONE)
    Keys.beside(tmp_path / "data").rotate()
    assert (tmp_path / "data.keys").is_symlink()
    assert len(Keys(tmp_path / "safe" / "keys").ids()) == 2
    assert [record.event for record in read_journal(tmp_path / "data")] == [ONE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o602, 0o610])
def test_a_key_file_that_others_may_use_is_refused(journal: Path, mode: int) -> None:
    put(journal, ONE)
    path = Keys.beside(journal).path
    assert path.stat().st_mode & 0o7777 == 0o600
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"its mode is 0{mode:o}"):
        list(read_journal(journal))
    with Journal.open(journal) as opened:
        with pytest.raises(KeyFileError, match="chmod 600"):
            opened.append([Entry(event=ONE)], time_ns=0)
        assert opened.append([Entry(event=EVERY_KIND[2])], time_ns=0) == 2
        path.chmod(0o400)
        assert opened.append([Entry(event=ONE)], time_ns=0) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away, which needs root")
def test_a_key_file_of_another_user_is_refused(journal: Path) -> None:
    put(journal, ONE)
    os.chown(Keys.beside(journal).path, 12345, 0)
    with pytest.raises(KeyFileError, match="it belongs to user 12345"):
        list(read_journal(journal))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "its end is missing"),
        (lambda text: text[:-1], "its end is missing"),
        (lambda text: text[:-30] + "\n", "line 3 cannot be read"),
        (lambda text: text.replace("key ", "kay "), "line 3 cannot be read"),
        (lambda text: text + "key 00 zz 1\n", "line 4 cannot be read"),
        (lambda text: text + "clear soon\n", "line 4 cannot be read"),
        (lambda text: _swapped(text), "line 3: this is not key"),
    ],
)
def test_a_damaged_key_file_is_refused(journal: Path, damage: Callable[[str], str], message: str) -> None:
    put(journal, ONE)
    path = Keys.beside(journal).path
    key = path.read_text().split()[-2]
    path.write_text(damage(path.read_text()))
    with pytest.raises(KeyFileError) as caught:
        list(read_journal(journal))
    assert message in str(caught.value)
    assert key not in "".join(traceback.format_exception(caught.value))


def _swapped(text: str) -> str:
    """One digit of the key changed."""
    head, key_id, key, created = text.rsplit(" ", 3)
    return " ".join([head, key_id, ("0" if key[0] != "0" else "1") + key[1:], created])


def test_a_key_file_that_is_no_file_is_refused(journal: Path) -> None:
    Keys.beside(journal).path.mkdir()
    with Journal.open(journal) as opened, pytest.raises(KeyFileError, match="it is not a file"):
        opened.append([Entry(event=ONE)], time_ns=0)


def test_a_disk_that_refuses_leaves_the_key_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    for at in range(4):
        with pytest.raises(KeyFileError, match="cannot be written"):
            Keys(path, disk=FaultyDisk(at=at)).seal("x", b"")
        assert not path.exists()
    Keys(path).seal("x", b"")
    before = path.read_bytes()
    for at in range(4):
        with pytest.raises(KeyFileError, match="cannot be written"):
            Keys(path, disk=FaultyDisk(at=at)).rotate()
        assert path.read_bytes() == before
    with pytest.raises(KeyFileError, match="cannot be written"):
        Keys(tmp_path / "not" / "there").rotate()


def test_nothing_is_stored_when_the_key_file_cannot_be_made(journal: Path) -> None:
    with Journal.open(journal) as opened:
        opened.keys = Keys(opened.keys.path, disk=FaultyDisk(at=0))
        with pytest.raises(KeyFileError):
            opened.append([Entry(event=EVERY_KIND[2]), Entry(event=ONE)], time_ns=0)
        assert opened.append([Entry(event=ONE)], time_ns=0) == 1
    assert [record.event for record in read_journal(journal)] == [ONE]


def test_export_keeps_secrets_sealed_and_import_seals_them_anew(journal: Path, tmp_path: Path) -> None:
    put(journal, configured(PASSWORD, "22222"), EVERY_KIND[2])
    lines = list(export_lines(journal))
    assert PASSWORD not in "".join(lines)
    assert json.loads(lines[0])["event"][2][0][12]["sealed"]
    there = tmp_path / "there"
    with Journal.open(there) as opened:
        with pytest.raises(KeyFileError, match=r"line 1: secrets are sealed with key .* there is no such file"):
            import_lines(opened, lines)
        assert opened.seq == 0
        assert import_lines(opened, lines, Keys.beside(journal)) == 2
    assert list(read_journal(there)) == list(read_journal(journal))
    assert Keys.beside(there).ids() != Keys.beside(journal).ids()
    assert PASSWORD.encode() not in every_byte_below(there)


def test_an_export_of_secrets_in_clear_seals_them_or_says_that_it_cannot(journal: Path, tmp_path: Path) -> None:
    golden = GOLDEN / "format-1-every-kind"
    with pytest.raises(JournalError, match="record 1 holds a secret in clear, and there is no key"):
        list(export_lines(golden))
    lay_out(golden, journal)
    Keys.beside(journal).rotate()
    lines = list(export_lines(journal))
    assert "1029137816800961" not in "".join(lines)
    lend_keys(journal, tmp_path / "there")
    with Journal.open(tmp_path / "there") as opened:
        import_lines(opened, lines)
    assert list(read_journal(tmp_path / "there")) == list(read_journal(golden))


@pytest.mark.parametrize(
    "changed",
    [
        {"sealed": 5},
        {"sealed": "%%%"},
        {"sealed": ""},
        {"sealed": "AAAA"},
        {"open": "AAAA"},
        {"sealed": "AAAA", "more": 1},
    ],
)
def test_a_line_with_a_strange_secret_is_refused(journal: Path, tmp_path: Path, changed: object) -> None:
    put(journal, configured(PASSWORD))
    line = json.loads(next(export_lines(journal)))
    line["event"][2][0][12] = changed
    with Journal.open(tmp_path / "there") as opened:
        with pytest.raises((MalformedInputError, KeyFileError), match="line 1"):
            import_lines(opened, [json.dumps(line)], Keys.beside(journal))
        assert opened.seq == 0


def test_a_sealed_snapshot_opens_in_its_place_alone(journal: Path) -> None:
    put(journal, ONE, ONE)
    with Journal.open(journal) as opened:
        snapshot = Snapshot(seq=2, time_ns=5, chain=opened.chain, schema=3, digest="d", body=PASSWORD.encode())
    path = write_snapshot(journal, snapshot)
    whole = path.read_bytes()
    assert PASSWORD.encode() not in whole
    assert find_snapshot(journal, schema=3) == (snapshot, ())
    for offset in range(len(whole) - 32):
        changed = bytearray(whole)
        changed[offset] ^= 1
        changed[-32:] = hashlib.blake2b(bytes(changed[:-32]), digest_size=32).digest()
        path.write_bytes(changed)
        assert find_snapshot(journal, schema=3)[0] is None
    path.write_bytes(whole)
    Keys.beside(journal).path.unlink()
    found, (passed_over,) = find_snapshot(journal, schema=3)
    assert found is None
    assert "there is no such file" in passed_over.reason


def test_the_golden_journal_with_keys_needs_its_keys(tmp_path: Path) -> None:
    lay_out(GOLDEN / "format-1-sealed", tmp_path / "copy")
    assert [sealing.is_sealed(each) for each in _first_of_each_third(tmp_path / "copy")] == [False, True, True]
    found, _ = find_snapshot(tmp_path / "copy", schema=7)
    assert found is not None
    assert found.body == b"state of that time"
    Keys.beside(tmp_path / "copy").path.unlink()
    with pytest.raises(KeyFileError):
        list(read_journal(tmp_path / "copy"))


def _first_of_each_third(directory: Path) -> list[bytes]:
    found = [frame.payload(walk.data) for walk, frames in walk_journal(directory) for frame in frames]
    return [found[0], found[12], found[24]]
