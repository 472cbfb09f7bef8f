"""Snapshots: what a state was at a record, so that opening need not replay everything before it. A cache, no truth.

The body is the caller's: opaque bytes, with the number of the schema they are in and the digest of the state they
stand for. A snapshot counts only if its own hash is right, its schema is the one asked for, and the journal has
that record with the very chain value it had then: so it belongs to this journal and to no other history. What
does not count is passed over and named; it costs time, never truth. Where the journal's secrets are sealed, so is
the whole body. The file format is in journal/FORMAT.md.

Called by `router`, also from a thread beside the writer: it touches no segment.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve, frozen

from vpcrouter.errors import DamagedJournalError, JournalError, MalformedInputError
from vpcrouter.journal.disk import Disk, make_durable_directory, write_whole
from vpcrouter.journal.keys import Keys
from vpcrouter.journal.manifest import Archive, read_archive
from vpcrouter.journal.reader import walk_journal

SNAPSHOTS, BASE = "snapshots", "base"
"""The directories beside the segments: of the caches, and of the one that the journal begins with."""
SUFFIX = ".snapshot"
MAGIC = b"\x89VPCS\r\n\x1a"
LASTING = 0
"""The schema of a body that every version reads, whatever its own schema is: see journal/FORMAT.md, *Archive*."""
CLEAR, SEALED = 1, 2
"""The versions: the body in clear, and sealed."""
_DOMAIN = b"vpcrouter snapshot 1\0"
_HEAD = struct.Struct("<8sHHIQQ16sQ")
"""magic, version, length of the digest, schema, seq, time, chain value, length of the body."""
_HASH_BYTES = 32
SPREAD = 30
"""So many older snapshots are kept: a look at any time replays about a thirtieth of the journal at most."""
SPREAD_BYTES = 64 * 1024 * 1024
"""…but not more than this, where states are large."""


@frozen(kw_only=True)
class Snapshot:
    """What a state was at record `seq`; `chain` is that record's chain value, see `Journal.chain`."""

    seq: int
    time_ns: int
    chain: bytes
    schema: int
    digest: str
    body: bytes


@frozen(kw_only=True)
class PassedOver:
    """A snapshot that does not count, and why."""

    path: Path
    reason: str


def write_snapshot(
    directory: Path, snapshot: Snapshot, *, keep: int = 2, spread: int = SPREAD, disk: Disk | None = None
) -> Path:
    """Write it durably, whole or not at all; then drop some. Returns the new file.

    The newest `keep` stay, for opening. Of the older ones, as many as `spread` stay, at even distances: from one of
    them a look at the past begins. Raises JournalError if the disk refuses; the journal does not suffer from that.
    """
    disk = disk or Disk()
    path = directory / SNAPSHOTS / f"{snapshot.seq:020d}{SUFFIX}"
    try:
        _write(directory, path, snapshot, disk)
        for old in _superfluous(snapshot_files(directory), keep, spread):
            if old != path:
                disk.remove(old)
    except OSError as error:
        raise JournalError(
            f"the snapshot cannot be written: {error}", where=str(path), hint="the journal is whole without it"
        ) from error
    return path


def _superfluous(files: Sequence[Path], keep: int, spread: int) -> list[Path]:
    """Of these files, newest first, the ones that are to go: always the one that leaves the smallest gap."""
    older = [(path, path.stat().st_size) for path in files[keep:]]
    ends = [int(path.stem) for path in files[keep - 1 : keep]] or [0]
    gone = []
    while len(older) > spread or sum(size for _, size in older) > SPREAD_BYTES:
        seqs = [*ends, *(int(path.stem) for path, _ in older), 0]
        gaps = [newer - earlier for newer, earlier in zip(seqs, seqs[2:], strict=False)]
        gone.append(older.pop(gaps.index(min(gaps)))[0])
    return gone


def write_base(directory: Path, snapshot: Snapshot, *, disk: Disk) -> Path:
    """Write the snapshot that a journal begins with whose older segments are archived, and read it. Raises OSError."""
    path = _base_path(directory, snapshot.seq)
    _write(directory, path, snapshot, disk)
    try:
        found = _unpack(path.read_bytes()).open(Keys.beside(directory))
    except MalformedInputError:
        found = None
    if found != snapshot:
        raise OSError(f"{path} does not hold what was written")
    return path


def _write(directory: Path, path: Path, snapshot: Snapshot, disk: Disk) -> None:
    make_durable_directory(disk, path.parent)
    write_whole(disk, path, _pack(snapshot, Keys.beside(directory)))


def find_snapshot(
    directory: Path, *, schema: int, until: int | None = None, until_ns: int | None = None
) -> tuple[Snapshot | None, tuple[PassedOver, ...]]:
    """The newest snapshot of this schema that counts, at record `until` at the latest; and those passed over.

    With `until_ns` only one that was written by that time: then no record in it is later, where clocks only rise.
    The base of a journal with an archive counts as one. Raises MissingArchiveError if it is passed over, and the
    archive, which then is needed, is not there.
    """
    passed_over: list[PassedOver] = []
    for path in (*snapshot_files(directory), *base_files(directory)):
        if until is not None and int(path.stem) > until:
            continue
        try:
            found = _unpack(path.read_bytes())
            if until_ns is not None and found.snapshot.time_ns > until_ns:
                continue
            reason = _objection(directory, path, found.snapshot, schema)
            snapshot = found.open(Keys.beside(directory)) if not reason else found.snapshot
        except (OSError, JournalError, MalformedInputError) as error:
            reason = str(error)
        else:
            if not reason:
                return snapshot, tuple(passed_over)
        passed_over.append(PassedOver(path=path, reason=reason))
    archive = read_archive(directory)
    if archive is not None and (until is None or until >= archive.until) and not archive.is_there:
        reasons = [f"{each.path} does not count: {each.reason}" for each in passed_over]
        raise archive.missing(", and ".join(reasons) or f"{directory / BASE} is missing")
    return None, tuple(passed_over)


def proven_seq(directory: Path) -> int:
    """The number of the newest record that a snapshot proves to have been acknowledged; 0 if there is no snapshot.

    A journal that ends before it has lost its end, which nothing in its own segments would show.
    """
    archive = read_archive(directory)
    archived = 0 if archive is None else archive.until
    for path in snapshot_files(directory):
        try:
            return max(_unpack(path.read_bytes()).snapshot.seq, archived)
        except (OSError, MalformedInputError):
            continue
    return archived


def require_records(directory: Path, seq: int, proven: int) -> None:
    """Raise DamagedJournalError if the journal, whose last record is `seq`, ends before record `proven`."""
    if seq < proven:
        raise DamagedJournalError(
            f"the journal ends with record {seq}, but a snapshot proves that record {proven} was acknowledged",
            where=str(directory),
            hint="bring the missing segments back; `journal repair` goes on without what they held",
            sound_until=seq,
        )


def snapshot_files(directory: Path) -> list[Path]:
    """The snapshot files that are there, newest first, whatever is in them."""
    return _files(directory / SNAPSHOTS)


def base_files(directory: Path) -> list[Path]:
    """The same for the base; more than one only where an archiving was stopped."""
    return _files(directory / BASE)


def find_base(directory: Path, *, schema: int) -> Snapshot | None:
    """The base of a journal with an archive; None if there is none that is sound and of this schema, or lasting."""
    archive = read_archive(directory)
    if archive is None or base_fault(directory, archive, schema=schema):
        return None
    return _unpack(_base_path(directory, archive.until).read_bytes()).open(Keys.beside(directory))


def base_fault(directory: Path, archive: Archive, *, schema: int | None = None) -> str:
    """Why the journal cannot begin with its base, of this schema (or lasting) or of any; empty if it can."""
    try:
        found = _unpack(_base_path(directory, archive.until).read_bytes())
        found.open(Keys.beside(directory))
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except (JournalError, MalformedInputError) as error:
        return str(error)
    if schema is not None and found.snapshot.schema not in (schema, LASTING):
        return f"its schema is {found.snapshot.schema}, not {schema}"
    is_right = (found.snapshot.seq, found.snapshot.chain) == (archive.until, archive.chain)
    return "" if is_right else "it belongs to another history"


def _base_path(directory: Path, seq: int) -> Path:
    return directory / BASE / f"{seq:020d}{SUFFIX}"


def _files(directory: Path) -> list[Path]:
    files = directory.glob(f"*{SUFFIX}")
    return sorted((path for path in files if path.stem.isascii() and path.stem.isdecimal()), reverse=True)


def chain_at(directory: Path, seq: int) -> bytes | None:
    """The chain value of a record, or None if the journal has no such record. Raises what reading raises."""
    archive = read_archive(directory)
    if archive is not None and archive.until == seq:
        return archive.chain
    for walk, frames in walk_journal(directory, max(seq - 1, 0)):
        for frame in frames:
            if frame.seq == seq:
                return frame.chain(walk.data)
    return None


def _objection(directory: Path, path: Path, snapshot: Snapshot, schema: int) -> str:
    if snapshot.schema not in (schema, LASTING):
        return f"its schema is {snapshot.schema}, not {schema}"
    if snapshot.seq != int(path.stem):
        return f"it is of record {snapshot.seq}"
    chain = chain_at(directory, snapshot.seq)
    if chain is None:
        return f"the journal ends before record {snapshot.seq}"
    return "" if chain == snapshot.chain else "it belongs to another history"


@frozen(kw_only=True)
class _Stored:
    """What a file holds; the body of `snapshot` is still sealed if `place` is not empty."""

    snapshot: Snapshot
    place: bytes

    def open(self, keys: Keys) -> Snapshot:
        """The snapshot. Raises KeyFileError, and MalformedInputError if it was changed or belongs elsewhere."""
        if not self.place:
            return self.snapshot
        return evolve(self.snapshot, body=keys.open_bytes(self.snapshot.body, self.place))


def _pack(snapshot: Snapshot, keys: Keys) -> bytes:
    digest = snapshot.digest.encode()
    version, body = CLEAR, snapshot.body
    if keys.current is not None:
        sealed = keys.seal_bytes(body, _place(_head(snapshot, digest, SEALED, 0), digest))
        if sealed is not None:
            version, body = SEALED, sealed
    data = b"".join((_head(snapshot, digest, version, len(body)), digest, body))
    return data + _hash(data)


def _head(snapshot: Snapshot, digest: bytes, version: int, body_bytes: int) -> bytes:
    return _HEAD.pack(
        MAGIC, version, len(digest), snapshot.schema, snapshot.seq, snapshot.time_ns, snapshot.chain, body_bytes
    )


def _place(head: bytes, digest: bytes) -> bytes:
    """What a sealed body is bound to: the head with no size of a body, and the digest."""
    return _DOMAIN + head + digest


def _unpack(data: bytes) -> _Stored:
    """What the file holds, or a MalformedInputError."""
    if len(data) < _HEAD.size + _HASH_BYTES or not data.startswith(MAGIC):
        raise MalformedInputError("it is no snapshot")
    if _hash(memoryview(data)[:-_HASH_BYTES]) != data[-_HASH_BYTES:]:
        raise MalformedInputError("its hash is wrong")
    _, version, digest_bytes, schema, seq, time_ns, chain, body_bytes = _HEAD.unpack_from(data)
    middle = _HEAD.size + digest_bytes
    if version not in (CLEAR, SEALED) or middle + body_bytes + _HASH_BYTES != len(data):
        raise MalformedInputError(f"it is of format {version}")
    digest = data[_HEAD.size : middle]
    snapshot = Snapshot(
        seq=seq,
        time_ns=time_ns,
        chain=chain,
        schema=schema,
        digest=digest.decode(errors="replace"),
        body=data[middle:-_HASH_BYTES],
    )
    sealed = version == SEALED
    return _Stored(snapshot=snapshot, place=_place(_head(snapshot, digest, SEALED, 0), digest) if sealed else b"")


def _hash(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).digest()
