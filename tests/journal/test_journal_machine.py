"""The journal against a plain list: appends, crashes in mid-append, reopening, reading from anywhere, damage."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.journal.disks import HastyDisk
from tests.journal.samples import EVERY_KIND, segments
from vpcrouter.errors import DamagedJournalError, LockedJournalError
from vpcrouter.journal import Entry, Journal, JournalRecord, read_journal
from vpcrouter.journal.layout import HEADER_BYTES

groups = st.lists(
    st.builds(
        Entry,
        event=st.sampled_from(EVERY_KIND),
        origin=st.text(max_size=5),
        command_id=st.text(max_size=5),
    ),
    min_size=1,
    max_size=6,
)


class JournalMachine(RuleBasedStateMachine):
    """`model` is what the journal must hold."""

    @initialize(segment_bytes=st.sampled_from([64, 300, 2000, 4 * 1024 * 1024]))
    def open(self, segment_bytes: int) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="journal-machine-"))
        self.segment_bytes = segment_bytes
        self.model: list[JournalRecord] = []
        self.journal = Journal.open(self.directory, segment_bytes=segment_bytes, disk=HastyDisk())

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.directory)

    def _records(self, group: list[Entry], time_ns: int) -> list[JournalRecord]:
        return [
            JournalRecord(seq=seq, time_ns=time_ns, origin=entry.origin, command_id=entry.command_id, event=entry.event)
            for seq, entry in enumerate(group, start=len(self.model) + 1)
        ]

    @rule(group=groups, time_ns=st.integers(0, 2**64 - 1))
    def append(self, group: list[Entry], time_ns: int) -> None:
        self.model.extend(self._records(group, time_ns))
        assert self.journal.append(group, time_ns=time_ns) == len(self.model)

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = Journal.open(self.directory, segment_bytes=self.segment_bytes, disk=HastyDisk())
        assert self.journal.torn_tail is None

    @rule(group=groups, zeros=st.booleans(), data=st.data())
    def crash_in_mid_append(self, group: list[Entry], zeros: bool, data: st.DataObject) -> None:
        before = {path: path.stat().st_size for path in segments(self.directory)}
        self.journal.append(group, time_ns=1)
        self.journal.close()
        last = segments(self.directory)[-1]
        begin = before.get(last, HEADER_BYTES)
        whole = last.read_bytes()
        reached = data.draw(st.integers(before.get(last, 0), len(whole)))
        left = whole[:reached] + (bytes(len(whole) - reached) if zeros else b"")
        last.write_bytes(left)
        self.journal = Journal.open(self.directory, segment_bytes=self.segment_bytes, disk=HastyDisk())
        if left == whole:
            self.model.extend(self._records(group, 1))
        assert (self.journal.torn_tail is None) == (left == whole or len(left) == begin)

    @rule()
    def nobody_else_may_write(self) -> None:
        try:
            Journal.open(self.directory)
        except LockedJournalError:
            return
        raise AssertionError("a second writer got in")

    @rule(after=st.integers(0, 60))
    def read_from(self, after: int) -> None:
        assert list(read_journal(self.directory, after)) == self.model[after:]

    @rule(data=st.data())
    def damage_is_found_and_undone(self, data: st.DataObject) -> None:
        if not self.model:
            return
        path = data.draw(st.sampled_from(segments(self.directory)))
        original = path.read_bytes()
        offset = data.draw(st.integers(16, len(original) - 1))
        changed = bytearray(original)
        changed[offset] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(changed)
        found: list[JournalRecord] = []
        try:
            found.extend(read_journal(self.directory))
        except DamagedJournalError as error:
            assert error.sound_until < len(self.model)
            assert found == self.model[: len(found)]
        else:
            assert len(original) == HEADER_BYTES, "only the header of an empty last segment holds nothing to lose"
            assert found == self.model
        finally:
            path.write_bytes(original)

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        if hasattr(self, "journal"):
            assert self.journal.seq == len(self.model)
            assert list(self.journal.records()) == self.model


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
