"""Every error that may leave this package, by whose it is to mend.

    VpcRouterError
    ├── CallerError                the caller's: change what you asked
    │   ├── MalformedInputError    the input cannot be read; `where` is the field's path
    │   ├── UnsupportedTypeError   a command type that this version does not build yet
    │   └── RejectedCommandError   readable, but it contradicts the state
    ├── JournalError               the journal's: look at the disk
    │   ├── DamagedJournalError    bytes that were acknowledged are not there any more
    │   ├── LockedJournalError     another process writes this journal
    │   ├── MissingArchiveError    older records are needed, and their archive is not there
    │   ├── KeyFileError           the keys of the journal's secrets are not there, or anybody could read them
    │   └── JournalWriteError      the disk refused; nothing was acknowledged
    │       └── FullDiskError      there is no room; the next append may find some
    └── HostError                  the machine's: a kernel call or a daemon failed
        ├── MissingProgramError    a program of the distribution is not installed
        ├── ApplierError           one applier could not do or verify its part
        │   └── IncapableError     this kind of machine cannot do it, however often it is tried
        ├── SeveralError           several parts of one applier failed; `errors` are those
        └── SettleTimeoutError     the machine did not become equal to the state in time

Each says what was wrong, where, and what to do. Anything else that leaves the package is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence


class VpcRouterError(Exception):
    """The root. `what` is one sentence; `where` a field's path, a file and offset, or a device; `hint` what to do."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


class CallerError(VpcRouterError):
    """What was asked cannot be done; nothing was stored and nothing was changed."""


class MalformedInputError(CallerError):
    """The input cannot be read as a command. `where` is the path of the offending field."""


class UnsupportedTypeError(CallerError):
    """A command type that is known by name but not built yet, or not known at all."""


class RejectedCommandError(CallerError):
    """The command contradicts the state. `where` names what it contradicts."""


class JournalError(VpcRouterError):
    """The journal cannot be opened, read or written."""


class DamagedJournalError(JournalError):
    """Acknowledged bytes are damaged. `where` is file and offset; `sound_until` the last sound sequence number."""

    def __init__(self, what: str, *, where: str = "", hint: str = "", sound_until: int = 0) -> None:
        super().__init__(what, where=where, hint=hint)
        self.sound_until = sound_until


class LockedJournalError(JournalError):
    """Another process holds the single-writer lock of this journal."""


class MissingArchiveError(JournalError):
    """Records are needed that were archived, and `where`, the archive's directory, does not have them."""


class KeyFileError(JournalError):
    """The key file cannot be used, or lacks a key: then `key_id` is that key's number in hexadecimal."""

    def __init__(self, what: str, *, where: str = "", hint: str = "", key_id: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.key_id = key_id

    def of_record(self, seq: int) -> KeyFileError:
        """The same, told of the record that cannot be read for it."""
        return KeyFileError(f"record {seq}: {self.what}", where=self.where, hint=self.hint, key_id=self.key_id)


class JournalWriteError(JournalError):
    """The disk refused a write or a sync; the command was not acknowledged. The writer has stopped, but see below."""


class FullDiskError(JournalWriteError):
    """There is no room for what was to be stored; nothing was, and the writer goes on.

    `where` is the journal's directory, `needed_bytes` what the record needs, `free_bytes` what there is.
    """

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", needed_bytes: int = 0, free_bytes: int = 0
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class HostError(VpcRouterError):
    """The kernel, a file or a daemon did not do what was needed."""


class MissingProgramError(HostError):
    """A program that the distribution provides is not installed. `hint` names its Debian package."""


class ApplierError(HostError):
    """One applier could not do or verify its part; the others went on. `where` is the applier's name."""


class IncapableError(ApplierError):
    """The machine lacks what the part needs, for good: trying again does not help, nor does a machine of its kind."""


class SeveralError(HostError):
    """Several parts of one applier failed, each for its own reason."""

    def __init__(self, errors: Sequence[HostError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)


class SettleTimeoutError(HostError):
    """The machine was not equal to the state when the time was up; `where` lists what differs."""
