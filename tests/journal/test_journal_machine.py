"""The journal against a plain list.

Appends, crashes in mid-append, reopening, reading from anywhere, the state at any point, damage, repair, snapshots,
command ids.
"""

from __future__ import annotations

import shutil
import tempfile
from itertools import dropwhile, takewhile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.journal.disks import HastyDisk
from tests.journal.samples import EVERY_KIND, segments
from vpcrouter.errors import DamagedJournalError, LockedJournalError
from vpcrouter.journal import (
    Entry,
    Journal,
    JournalRecord,
    Snapshot,
    find_snapshot,
    read_events,
    read_journal,
    repair,
    verify,
    write_snapshot,
)
from vpcrouter.journal.layout import HEADER_BYTES
from vpcrouter.journal.snapshots import chain_at
from vpcrouter.replaying import replay_journal
from vpcrouter.state import State, replay

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
        self.directory = Path(tempfile.mkdtemp(prefix="journal-machine-")) / "journal"
        self.segment_bytes = segment_bytes
        self.model: list[JournalRecord] = []
        self.journal = Journal.open(self.directory, segment_bytes=segment_bytes, disk=HastyDisk())

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.directory.parent)  # with the keys beside the journal

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
        assert list(read_events(self.directory, after)) == [(each.seq, each.event) for each in self.model[after:]]

    @rule(start=st.integers(0, 60), until=st.integers(0, 60), few=st.sampled_from([0, 2, 99]))
    def look_at_the_past(self, start: int, until: int, few: int) -> None:
        """From the state at one record to the one at another, as from a snapshot; nobody decided upon these events."""
        start, until = min(start, until, len(self.model)), min(until, len(self.model))
        states = [replay(State(), (each.event for each in self.model[:seq])) for seq in (start, until)]
        found = replay_journal(self.directory, states[0], start, until=until, few=few)
        assert (found.state, found.seq) == (states[1], until)
        assert found.is_end == (until == len(self.model))

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

    @rule(data=st.data())
    def damage_is_repaired(self, data: st.DataObject) -> None:
        self.journal.close()
        files = segments(self.directory)
        if files:
            path = data.draw(st.sampled_from(files))
            changed = bytearray(path.read_bytes())
            changed[data.draw(st.integers(16, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(changed)
        found = verify(self.directory)
        done = repair(self.directory, disk=HastyDisk())
        assert done.seq == found.sound_until <= len(self.model)
        assert bool(done.moved) == (found.fault is not None)
        del self.model[done.seq :]
        self.journal = Journal.open(self.directory, segment_bytes=self.segment_bytes, disk=HastyDisk())

    @rule(body=st.binary(max_size=50))
    def take_a_snapshot(self, body: bytes) -> None:
        seq = len(self.model)
        snapshot = Snapshot(seq=seq, time_ns=0, chain=self.journal.chain, schema=1, digest="", body=body)
        write_snapshot(self.directory, snapshot, disk=HastyDisk())
        if seq:
            found, passed_over = find_snapshot(self.directory, schema=1)
            assert found == snapshot
            assert all(int(each.path.stem) > seq for each in passed_over), "only those of a repaired past"

    @rule(until=st.integers(0, 60))
    def a_snapshot_that_is_found_is_of_this_history(self, until: int) -> None:
        snapshot, _ = find_snapshot(self.directory, schema=1, until=until)
        if snapshot is not None:
            assert 0 < snapshot.seq <= min(until, len(self.model))
            assert chain_at(self.directory, snapshot.seq) == snapshot.chain

    @rule(data=st.data())
    def a_command_is_found_by_its_id(self, data: st.DataObject) -> None:
        known = sorted({record.command_id for record in self.model} - {""})
        wanted = data.draw(st.sampled_from([*known, "never sent"]))
        rest = list(dropwhile(lambda record: record.command_id != wanted, self.model))
        same = tuple(takewhile(lambda record: record.command_id == wanted, rest))
        assert self.journal.find_command(wanted) == same

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        if hasattr(self, "journal"):
            assert self.journal.seq == len(self.model)
            assert list(self.journal.records()) == self.model


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
