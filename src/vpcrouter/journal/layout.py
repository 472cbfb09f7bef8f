"""The bytes of journal format 1, as journal/FORMAT.md has them: segment header, record, chain.

Pure: bytes in, values out. Called by the writer and by everything that reads; knows neither files nor what an
event means. A change here is a new format version, never an edit.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from attrs import frozen

from vpcrouter.journal.checksum import crc32c

FORMAT_VERSION = 1
MAGIC = b"\x89VPCJ\r\n\x1a"
"""Not text, not seven-bit, both line ends: a copy that went through a text mode is found out at the first bytes."""

CHAIN_BYTES = 16
FIRST_CHAIN = bytes(CHAIN_BYTES)
"""The chain value before record 1."""

_HEADER = struct.Struct("<8sHHIQQ16s12sI")
HEADER_BYTES = _HEADER.size

HEAD = struct.Struct("<BBBBIQQI")
"""opening mark, flags, length of origin, length of command id, length of record, seq, time, position in its group."""
_BRIEF_HEAD = struct.Struct("<HHIQ8xI")
"""The same in brief: mark and flags as one number, both lengths of labels as one, length, seq, position."""
_LAST_OF_GROUP, _GROUP_GOES_ON_AFTER = 0x00A6, 0x01A6
SEQ_AT = 8
"""Where the sequence number lies in the head."""
TAIL = struct.Struct("<16sIIB")
"""chain, length of record again, CRC32C of all before it, closing mark."""
_HEAD_BYTES, _TAIL_BYTES = HEAD.size, TAIL.size
_pack_head, _pack_link, _pack_end = HEAD.pack, struct.Struct("<16sI").pack, struct.Struct("<IB").pack
OPENING_MARK = 0xA6
CLOSING_MARK = 0x6A
"""Neither mark is zero: where a crash left zeros, a record neither begins nor ends."""
GROUP_GOES_ON = 0x01
"""The next record belongs to the same group."""

MAX_LABEL_BYTES = 255
MAX_RECORD_BYTES = HEAD.size + 2 * MAX_LABEL_BYTES + 32 * 1024 * 1024 + TAIL.size
MIN_RECORD_BYTES = HEAD.size + TAIL.size
UNCHECKED_BYTES = 5
"""The checksum covers a record but for the checksum itself and the closing mark."""


class Frame(NamedTuple):
    """Where one sound record lies in its segment, and its labels; the event's bytes are still in place."""

    start: int
    stop: int
    seq: int
    time_ns: int
    position: int
    origin_bytes: int
    command_id_bytes: int

    def origin(self, data: bytes) -> bytes:
        """Who asked, in UTF-8."""
        begin = self.start + HEAD.size
        return data[begin : begin + self.origin_bytes]

    def command_id(self, data: bytes) -> bytes:
        """What was asked, in UTF-8."""
        begin = self.start + HEAD.size + self.origin_bytes
        return data[begin : begin + self.command_id_bytes]

    def payload(self, data: bytes) -> bytes:
        """The event's bytes."""
        return data[self.start + HEAD.size + self.origin_bytes + self.command_id_bytes : self.stop - TAIL.size]

    def chain(self, data: bytes) -> bytes:
        """The stored chain value."""
        return data[self.stop - TAIL.size : self.stop - TAIL.size + CHAIN_BYTES]


@frozen(kw_only=True)
class Header:
    """What the first bytes of a segment say."""

    first_seq: int
    created_ns: int
    chain_before: bytes
    version: int = FORMAT_VERSION

    def pack(self) -> bytes:
        """The 64 bytes."""
        unsigned = _HEADER.pack(
            MAGIC, self.version, HEADER_BYTES, 0, self.first_seq, self.created_ns, self.chain_before, b"", 0
        )[:-4]
        return unsigned + crc32c(unsigned).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes) -> Header | None:
        """The header, or None if these bytes are none; a sound one of another version is returned as it is."""
        if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
            return None
        _, version, size, zero, first_seq, created_ns, chain_before, zeros, checksum = _HEADER.unpack_from(data)
        if crc32c(data[: HEADER_BYTES - 4]) != checksum:
            return None
        if version == FORMAT_VERSION and (size != HEADER_BYTES or zero or any(zeros) or not first_seq):
            return None
        return cls(first_seq=first_seq, created_ns=created_ns, chain_before=chain_before, version=version)


class Chain:
    """The running hash of a segment: a record's chain value is the digest of everything before that value.

    So the last value of a segment vouches for all its bytes, and can be checked at the speed of the hash.
    """

    def __init__(self, header: bytes | memoryview) -> None:
        self._begin(hashlib.blake2b(header, digest_size=CHAIN_BYTES))

    def _begin(self, running: hashlib.blake2b) -> None:
        self._hash = running
        self.add: Callable[[bytes | memoryview], None] = running.update
        """Take in the bytes that follow."""

    @property
    def value(self) -> bytes:
        """The digest of all bytes so far."""
        return self._hash.digest()

    def copy(self) -> Chain:
        """A second one that goes its own way from here."""
        twin = Chain.__new__(Chain)
        twin._begin(self._hash.copy())
        return twin


def pack_record(
    chain: Chain,
    *,
    seq: int,
    time_ns: int,
    position: int,
    goes_on: bool,
    origin: bytes,
    command_id: bytes,
    event: bytes,
) -> bytes:
    """One record; takes its bytes into the chain."""
    length = MIN_RECORD_BYTES + len(origin) + len(command_id) + len(event)
    flags = GROUP_GOES_ON if goes_on else 0
    body = _pack_head(OPENING_MARK, flags, len(origin), len(command_id), length, seq, time_ns, position)
    body += origin + command_id + event
    chain.add(body)
    tail = _pack_link(chain.value, length)
    tail += _pack_end(crc32c(tail, crc32c(body)), CLOSING_MARK)
    chain.add(tail)
    return body + tail


def sound_groups(data: bytes, start: int, seq: int, *, limit: int = 1024, checksums: bool = True) -> list[Frame]:
    """The records of the whole groups from `start` on, the first being number `seq`.

    Ends after the first group that completes `limit` records, and before anything that is not sound. Without
    `checksums` only the heads are looked at; whoever asks for that has another proof of the bytes.
    """
    view = memoryview(data)
    size = len(data)
    unpack_head, unpack_tail, frame = HEAD.unpack_from, TAIL.unpack_from, Frame._make
    frames: list[Frame] = []
    whole = 0
    position = 0
    while start + MIN_RECORD_BYTES <= size:
        mark, flags, origin, command_id, length, found, time_ns, place = unpack_head(data, start)
        stop = start + length
        if (
            mark != OPENING_MARK
            or flags > GROUP_GOES_ON
            or found != seq
            or place != position
            or stop > size
            or length > MAX_RECORD_BYTES
            or length < MIN_RECORD_BYTES + origin + command_id
        ):
            break
        if checksums:
            _, again, checksum, closing = unpack_tail(data, stop - TAIL.size)
            if closing != CLOSING_MARK or again != length or crc32c(view[start : stop - UNCHECKED_BYTES]) != checksum:
                break
        frames.append(frame((start, stop, seq, time_ns, position, origin, command_id)))
        start = stop
        seq += 1
        if flags:
            position += 1
        else:
            position = 0
            whole = len(frames)
            if whole >= limit:
                break
    del frames[whole:]
    return frames


def bodies(data: bytes, start: int, seq: int, *, limit: int = 1024) -> tuple[list[bytes], int]:
    """The bytes of the events of the whole groups from `start` on, the first being record `seq`; and where they end.

    As `sound_groups` without checksums, in a third of the time, for bytes that a chain value vouches for.
    """
    unpack = _BRIEF_HEAD.unpack_from
    ceiling = len(data) - TAIL.size
    found: list[bytes] = []
    whole, end = 0, start
    position = 0
    with contextlib.suppress(struct.error):  # there is no whole head any more
        for due in count(seq):
            mark, labels, length, number, place = unpack(data, start)
            if number != due or place != position or length > MAX_RECORD_BYTES:
                break
            event = start + _HEAD_BYTES
            if labels:
                event += (labels & 0xFF) + (labels >> 8)
            start += length
            stop = start - _TAIL_BYTES
            if not event <= stop <= ceiling:
                break
            found.append(data[event:stop])
            if mark == _GROUP_GOES_ON_AFTER:
                position += 1
            elif mark == _LAST_OF_GROUP:
                position = 0
                whole, end = len(found), start
                if whole >= limit:
                    break
            else:
                break
    del found[whole:]
    return found, end


def vouched(data: bytes) -> Chain | None:
    """The chain after a whole segment, if its last record is sound and vouches for every byte before it."""
    if len(data) < HEADER_BYTES + MIN_RECORD_BYTES:
        return None
    _, length, _, _ = TAIL.unpack_from(data, len(data) - TAIL.size)
    if not MIN_RECORD_BYTES <= length <= len(data) - HEADER_BYTES or sound_record(data, len(data) - length) is None:
        return None
    view = memoryview(data)
    chain = Chain(view[: len(data) - TAIL.size])
    if chain.value != data[len(data) - TAIL.size :][:CHAIN_BYTES]:
        return None
    chain.add(view[len(data) - TAIL.size :])
    return chain


def sound_record(data: bytes, start: int) -> tuple[int, int] | None:
    """Sequence number and place in its group of the record at `start`, judged alone; None if unsound."""
    if start + MIN_RECORD_BYTES > len(data):
        return None
    mark, flags, origin, command_id, length, seq, _, position = HEAD.unpack_from(data, start)
    stop = start + length
    if mark != OPENING_MARK or flags > GROUP_GOES_ON or stop > len(data) or length > MAX_RECORD_BYTES:
        return None
    if length < MIN_RECORD_BYTES + origin + command_id:
        return None
    _, again, checksum, closing = TAIL.unpack_from(data, stop - TAIL.size)
    if closing != CLOSING_MARK or again != length:
        return None
    if crc32c(memoryview(data)[start : stop - UNCHECKED_BYTES]) != checksum:
        return None
    return seq, position
