"""The keys that seal a journal's secrets: the file `<directory>.keys` beside the journal's, for its owner alone.

Beside and not inside, so that a copy of the journal is no copy of the secrets. It may be a symbolic link to another
disk. The file is made with the first secret; a key is never taken out of it, since old records need it for ever. The
last line tells what new secrets are sealed with, or that they are to stand in clear:

    key <id> <key> <created, ns>       clear <since, ns>

The seal is AES-256-GCM-SIV (RFC 8452): routers are virtual machines, and one that is started twice from the same
memory may draw the same random nonce twice, which this cipher survives and AES-GCM and ChaCha20-Poly1305 do not.
Lengths are hidden up to the next multiple of 32. The library is imported with the first secret: it takes 40 ms.

Called by reader and writer. Known hole: whoever can read both files can read the secrets; a router must start alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from vpcrouter.errors import KeyFileError, MalformedInputError
from vpcrouter.journal.disk import Disk, write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

SUFFIX = ".keys"
KEY_BYTES = 32
ID_BYTES = 8
NONCE_BYTES = 12
PADDED_TO = 32
MAX_FILE_BYTES = 1024 * 1024
_HEADER = """\
# The keys of the secrets in a vpcrouter journal, oldest first; the last line says how new secrets are stored.
# Keep a copy of this file apart from the copies of the journal. Without it the secrets in the journal are lost.
"""


@frozen(kw_only=True, repr=False)
class Key:
    """One key; `id` is a hash of it, so that a key cannot pass for another."""

    id: str
    key: bytes
    created_ns: int

    @classmethod
    def new(cls, key: bytes, created_ns: int) -> Key:
        """The key of these 32 bytes."""
        digest = hashlib.blake2b(key, digest_size=ID_BYTES, person=b"vpcrouter key id")
        return cls(id=digest.hexdigest(), key=key, created_ns=created_ns)

    def __repr__(self) -> str:
        return f"Key({self.id})"


@frozen(kw_only=True)
class _Ring:
    """What the file said: all keys by id, and the one for new secrets (None: they are stored in clear)."""

    keys: dict[str, Key]
    current: Key | None
    identity: tuple[int, ...]
    lines: tuple[str, ...] = ()


class Keys:
    """The keys of one journal. Nothing is read before the first secret; a file that changed is read again."""

    def __init__(self, path: Path, *, disk: Disk | None = None) -> None:
        """The keys in this file, which need not be there."""
        self.path = path
        self._disk = disk or Disk()
        self._ring: _Ring | None = None
        self._ciphers: dict[str, AESGCMSIV] = {}

    @classmethod
    def beside(cls, directory: Path) -> Keys:
        """The keys of the journal in this directory, by whatever name it is reached."""
        real = Path(os.path.realpath(directory))
        return cls(real.with_name(real.name + SUFFIX))

    # The seal -----------------------------------------------------------------------------------

    def seal(self, text: str, place: bytes) -> bytes | None:
        """The sealed form of a text, good in this place only; None if secrets are to stand in clear.

        Makes the key file if there is none. Raises KeyFileError if that cannot be, or if the file is not in order.
        """
        return self.seal_bytes(text.encode("utf-8", "surrogatepass"), place)

    def seal_bytes(self, data: bytes, place: bytes) -> bytes | None:
        """The same for bytes."""
        ring = self._read()
        self._refuse_loss(ring)
        ring = ring or self._make()
        if ring.current is None:
            return None
        padded = data + b"\x80" + bytes(-(len(data) + 1) % PADDED_TO)
        nonce = os.urandom(NONCE_BYTES)
        return bytes.fromhex(ring.current.id) + nonce + self._cipher(ring.current).encrypt(nonce, padded, place)

    def open(self, sealed: bytes, place: bytes) -> str:
        """The text; MalformedInputError if it was changed or was sealed for another place, KeyFileError for no key."""
        return self.open_bytes(sealed, place).decode("utf-8", "surrogatepass")

    def open_bytes(self, sealed: bytes, place: bytes) -> bytes:
        """The same for bytes."""
        from cryptography.exceptions import InvalidTag

        if len(sealed) < ID_BYTES + NONCE_BYTES:
            raise MalformedInputError("a sealed secret is cut off")
        key_id, nonce = sealed[:ID_BYTES].hex(), sealed[ID_BYTES:][:NONCE_BYTES]
        try:
            padded = self._cipher(self._key(key_id)).decrypt(nonce, sealed[ID_BYTES + NONCE_BYTES :], place)
        except InvalidTag:
            raise MalformedInputError(
                f"a secret sealed with key {key_id} does not open: it was changed, or belongs elsewhere"
            ) from None
        return padded.rstrip(b"\0")[:-1]

    # The file -----------------------------------------------------------------------------------

    @property
    def current(self) -> str | None:
        """The id of the key for new secrets; None if there is no key, or if new secrets stand in clear."""
        ring = self._read()
        return None if ring is None or ring.current is None else ring.current.id

    @property
    def in_clear(self) -> bool:
        """Whether somebody has decided that new secrets stand in clear."""
        ring = self._read()
        return ring is not None and ring.current is None

    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, oldest first."""
        ring = self._read()
        return () if ring is None else tuple(ring.keys)

    def rotate(self) -> str:
        """Add a new key, with which new secrets are sealed from now on, also by a running agent; returns its id."""
        with self._alone():
            ring = self._read()
            key = Key.new(os.urandom(KEY_BYTES), time.time_ns())
            self._write(ring, _line(key))
        return key.id

    def store_in_clear(self) -> None:
        """From now on new secrets stand in clear, until `rotate`. Those that are sealed stay so, and need the file."""
        with self._alone():
            self._write(self._read(), f"clear {time.time_ns()}")

    def _make(self) -> _Ring:
        with self._alone():
            ring = self._read()
            if ring is None:
                ring = self._write(None, _line(Key.new(os.urandom(KEY_BYTES), time.time_ns())))
        return ring

    def _refuse_loss(self, ring: _Ring | None) -> None:
        """A key in use is not in the file any more: the file's copy, once it is back, would lack what is made now."""
        for key_id in self._ciphers:
            if ring is None or key_id not in ring.keys:
                raise self._unusable(f"key {key_id}, which secrets are sealed with, is not there any more", _RESTORE)

    def _key(self, key_id: str) -> Key:
        ring = self._ring if self._ring is not None and key_id in self._ring.keys else self._read()
        if ring is not None and key_id in ring.keys:
            return ring.keys[key_id]
        raise KeyFileError(
            f"secrets are sealed with key {key_id}, which is not in it"
            if ring is not None
            else f"secrets are sealed with key {key_id}, and there is no such file",
            where=f"key file {self.path}",
            hint="bring the file back from its copy (mode 0600, owned by root or by who runs this); without the key "
            "those secrets are lost, and the configuration has to be handed in again to a new journal",
            key_id=key_id,
        )

    def _cipher(self, key: Key) -> AESGCMSIV:
        if key.id not in self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

            self._ciphers[key.id] = AESGCMSIV(key.key)
        return self._ciphers[key.id]

    def _read(self) -> _Ring | None:
        """The file as it is now; None if there is none."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            self._ring = None
            return None
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}", "look at the disk and its rights") from None
        try:
            found = os.fstat(fd)
            identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid)
            if self._ring is None or self._ring.identity != identity:
                self._check_owner(found)
                self._ring = self._parse(os.read(fd, MAX_FILE_BYTES), identity)
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}", "look at the disk and its rights") from None
        finally:
            os.close(fd)
        return self._ring

    def _check_owner(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._unusable("it is not a file", "put the key file here, or a link to it")
        if found.st_mode & 0o077:
            raise self._unusable(
                f"others may read or write it: its mode is {stat.S_IMODE(found.st_mode):04o}",
                "chmod 600; if others could read it, rotate the key, and change the secrets themselves",
            )
        if found.st_uid not in (0, os.geteuid()):
            raise self._unusable(f"it belongs to user {found.st_uid}", "chown it to root")

    def _parse(self, data: bytes, identity: tuple[int, ...]) -> _Ring:
        keys: dict[str, Key] = {}
        current: Key | None = None
        lines = data.decode("ascii", "replace").splitlines()
        entries = [(number, line) for number, line in enumerate(lines, start=1) if line and not line.startswith("#")]
        for number, line in entries:
            match line.split(" "):
                case ["key", key_id, key, created] if _is_hex(key, KEY_BYTES) and _is_number(created):
                    current = Key.new(bytes.fromhex(key), int(created))
                    if current.id != key_id:
                        raise self._unusable(f"line {number}: this is not key {key_id[:16]}", _RESTORE)
                    keys[key_id] = current
                case ["clear", since] if _is_number(since):
                    current = None
                case _:
                    raise self._unusable(f"line {number} cannot be read", _RESTORE)
        if not entries or not data.endswith(b"\n"):
            raise self._unusable("its end is missing", _RESTORE)
        return _Ring(keys=keys, current=current, identity=identity, lines=tuple(line for _, line in entries))

    def _write(self, before: _Ring | None, line: str) -> _Ring:
        """Put a file with this line more into its place, whole or not at all."""
        lines = [*(before.lines if before is not None else ()), line]
        path = Path(os.path.realpath(self.path))
        try:
            write_whole(self._disk, path, (_HEADER + "".join(f"{each}\n" for each in lines)).encode())
        except OSError as error:
            raise self._unusable(
                f"cannot be written: {error.strerror or error}",
                "make room or look at the rights; or let secrets stand in clear: `vpcrouter journal rotate-key --off`",
            ) from error
        ring = self._read()
        if ring is None:
            raise self._unusable("it is gone again", "see who else writes here")
        return ring

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two that change the file at once would lose a key. The directory is locked: the file is replaced."""
        try:
            fd = os.open(Path(os.path.realpath(self.path)).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unusable(f"cannot be written: {error.strerror}", "make its directory") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _unusable(self, what: str, hint: str) -> KeyFileError:
        return KeyFileError(what, where=f"key file {self.path}", hint=hint)


_RESTORE = "bring the file back from its copy; do not mend keys by hand"


def _line(key: Key) -> str:
    return f"key {key.id} {key.key.hex()} {key.created_ns}"


def _is_hex(text: str, size: int) -> bool:
    return len(text) == 2 * size and all(each in "0123456789abcdef" for each in text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20
