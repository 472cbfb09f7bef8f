"""A walk through one segment: groups whose checksums and chain are good, then the place where they end.

The reader, the writer's recovery and `verify` all walk; they differ in what they do at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from vpcrouter.errors import DamagedJournalError
from vpcrouter.journal.layout import (
    CHAIN_BYTES,
    HEADER_BYTES,
    TAIL,
    Chain,
    Frame,
    bodies,
    sound_groups,
    sound_record,
    vouched,
)
from vpcrouter.journal.segments import Segment, checked_header, damaged
from vpcrouter.journal.tail import judge


class Walk:
    """`end` and `next_seq` tell how far it came, `chain` the running hash there.

    After `groups`, `last_group` tells where that one began.
    """

    def __init__(self, segment: Segment, data: bytes, chain_before: bytes | None = None) -> None:
        self.header = checked_header(segment, data, chain_before)
        self.segment = segment
        self.data = data
        self.end = HEADER_BYTES
        self.next_seq = segment.first_seq
        self.last_group = HEADER_BYTES
        self.chain = Chain(data[:HEADER_BYTES])

    def groups(self) -> Iterator[list[Frame]]:
        """The records from `end` on, some whole groups at a time, each batch checked before it is handed out."""
        while frames := sound_groups(self.data, self.end, self.next_seq, checksums=False):
            if self._is_linked(frames):
                self._step(frames)
                yield frames
            else:
                yield from self._one_by_one()
                return

    def bodies(self) -> Iterator[list[bytes]]:
        """As `groups`, but only the bytes of the events; the first is number `next_seq` less how many there are.

        Where the whole segment is known to be what was written, its records are only stepped through. Whatever is odd
        about it, or about them, is left to `groups`.
        """
        if (after := vouched(self.data)) is not None:
            while True:
                found, end = bodies(self.data, self.end, self.next_seq)
                if not found:
                    break
                self.end = end
                self.next_seq += len(found)
                yield found
            self.chain = after if self.is_complete else Chain(memoryview(self.data)[: self.end])
        for frames in self.groups():
            yield [frame.payload(self.data) for frame in frames]

    def _one_by_one(self) -> Iterator[list[Frame]]:
        """As `groups`, where something is wrong: finds the place."""
        while frames := sound_groups(self.data, self.end, self.next_seq):
            broken = self._first_unlinked(frames)
            if broken is not None:
                frames = frames[: broken.seq - broken.position - self.next_seq]
            if frames:
                self._step(frames)
                yield frames
            if broken is not None:
                reason = "its chain value does not follow from what is before it"
                raise damaged(self.segment, broken.start, broken.seq, reason, sound_until=self.next_seq - 1)

    def _step(self, frames: list[Frame]) -> None:
        """Go on after these."""
        last = frames[-1]
        self.end = last.stop
        self.next_seq = last.seq + 1
        self.last_group = frames[-1 - last.position].start

    @property
    def chain_value(self) -> bytes:
        """The chain value of the record before `next_seq`."""
        if self.end == HEADER_BYTES:
            return self.header.chain_before
        return self.data[self.end - TAIL.size :][:CHAIN_BYTES]

    @property
    def is_complete(self) -> bool:
        """Whether nothing follows the last sound group."""
        return self.end == len(self.data)

    def look_again(self) -> bool:
        """Read the file anew, from `end` on; whether anything is different there now."""
        fresh = self.segment.read()
        changed = fresh[self.end :] != self.data[self.end :]
        self.data = fresh
        return changed

    def _is_linked(self, frames: list[Frame]) -> bool:
        """Whether the chain value of the last frame, itself sound, vouches for all bytes before it.

        Then no other checksum needs to be looked at, and the bytes are taken into the chain.
        """
        view = memoryview(self.data)
        last = frames[-1]
        if sound_record(self.data, last.start) is None:
            return False
        after = self.chain.copy()
        after.add(view[frames[0].start : last.stop - TAIL.size])
        if after.value != last.chain(self.data):
            return False
        after.add(view[last.stop - TAIL.size : last.stop])
        self.chain = after
        return True

    def _first_unlinked(self, frames: list[Frame]) -> Frame | None:
        """The first frame whose chain value is wrong; takes the bytes before it into the chain."""
        view = memoryview(self.data)
        for frame in frames:
            self.chain.add(view[frame.start : frame.stop - TAIL.size])
            if self.chain.value != frame.chain(self.data):
                return frame
            self.chain.add(view[frame.stop - TAIL.size : frame.stop])
        return None


def refusal(walk: Walk) -> DamagedJournalError:
    """The error for what stands where the walk ended, if it is damage."""
    verdict = judge(walk.data, walk.end, walk.next_seq)
    return damaged(walk.segment, verdict.offset, verdict.seq, verdict.reason, sound_until=verdict.sound_until)
