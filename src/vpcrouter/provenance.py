"""Which command of this router's journal last changed a thing: asked for the few things in which two routers differ.

Used by the agent, about once a second while there are such things. The journal is read in a thread of its own, from a
little before its end and further back as long as something is left to find: what differs, differs since lately, as a
rule. The state is folded on from there, and each thing looked at after each event, so a command counts if it changed
what the routers have in common, whatever else it was about, and one that changed nothing does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from attrs import frozen

from vpcrouter.errors import JournalError
from vpcrouter.events.codec import event_name
from vpcrouter.journal import JournalRecord, read_journal, readable_after
from vpcrouter.past import replay
from vpcrouter.projections.things import Watch, is_known
from vpcrouter.state import Draft, State
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.agreement import MAX_COMMAND_ID, Thing, Touch

LOG = logging.getLogger("vpcrouter.provenance")

SPANS = (1_000, 10_000, 100_000)
"""So many records are looked through for a thing: some hundredths of a second, and two seconds for the last."""
_SHARE_OF_TIME = 20
"""…but no more than a twentieth of the time is spent on reading."""


@frozen(kw_only=True)
class Found:
    """What the journal tells of some things, up to the record `seq`, and the state after that one."""

    seq: int
    state: State
    touches: Mapping[Thing, Touch]


class Provenance:
    """The commands behind some things, as far as they were found."""

    def __init__(self, directory: Path, surroundings: Surroundings = HERE) -> None:
        self._directory = directory
        self._surroundings = surroundings
        self._thread: Executor | None = None
        self._search: asyncio.Future[Found | None] | None = None
        self._found: Found | None = None
        self._not_before = float("-inf")
        self._is_closed = False

    def look(self, things: Iterable[Thing], state: State, seq: int) -> Mapping[Thing, Touch]:
        """What is known of these things by now; what is not is found out. `state`: that after the record `seq`.

        Nothing is said of kinds that are not known here: a newer router names them.
        """
        wanted = tuple(filter(is_known, things))
        if self._search is not None and self._search.done():
            self._found, self._search = self._search.result(), None
        if not wanted:
            self._found = None
            return {}
        known = {} if self._found is None else self._found.touches
        is_new = self._found is None or self._found.seq != seq or not known.keys() >= set(wanted)
        if is_new and self._search is None and self._surroundings.monotonic() >= self._not_before:
            self._thread = self._thread or self._surroundings.worker()
            loop = asyncio.get_running_loop()
            self._search = loop.run_in_executor(self._thread, self._find, wanted, state, seq, self._found)
        return {each: known[each] for each in wanted if each in known}

    def _find(self, things: Collection[Thing], state: State, seq: int, before: Found | None) -> Found | None:
        began = self._surroundings.monotonic()
        try:
            return find(self._directory, things, state, seq, before, given_up=lambda: self._is_closed)
        except JournalError as error:
            LOG.warning("the commands in which the routers differ cannot be named: %s", error)
            return None
        finally:
            now = self._surroundings.monotonic()
            self._not_before = now + (now - began) * _SHARE_OF_TIME

    def close(self) -> None:
        """Look no more."""
        self._is_closed = True
        if self._thread is not None:
            self._thread.shutdown(wait=True)


def find(
    directory: Path,
    things: Collection[Thing],
    state: State,
    seq: int,
    before: Found | None = None,
    *,
    spans: tuple[int, ...] = SPANS,
    given_up: Callable[[], bool] = lambda: False,
) -> Found:
    """The commands that last changed these things, up to the record `seq`, after which the state is `state`.

    `before`: what was found earlier, to go on from. Of a thing that none has changed since the record N, as far as was
    looked or as the journal can be read, that is said (see `Touch`). What is not looked at because it is `given_up` is
    not in the answer. Raises JournalError.
    """
    touches: dict[Thing, Touch] = {}
    if before is not None:
        touches = {each: before.touches[each] for each in things if each in before.touches}
        touches.update(_changes(directory, before.state, touches, before.seq, seq, given_up))
    left = [each for each in things if each not in touches]
    least, end = readable_after(directory), seq
    for span in spans:
        start = max(least, seq - span)
        if left and start < end:
            past = replay(directory, until=start)
            touches.update(_changes(directory, past.state, left, start, end, given_up))
            left = [each for each in left if each not in touches]
            end = start
    if not given_up():
        touches.update({each: Touch(seq=end) for each in left})
    return Found(seq=seq, state=state, touches=touches)


def _changes(
    directory: Path, state: State, things: Collection[Thing], after: int, until: int, given_up: Callable[[], bool]
) -> dict[Thing, Touch]:
    """The last change of each of these things in the records from `after`, where the state was this, to `until`."""
    touches: dict[Thing, Touch] = {}
    draft = Draft(state)
    watch = Watch(draft, things)
    for record in read_journal(directory, after):
        if record.seq > until or given_up():
            break
        draft.apply(record.event)
        for thing in watch.changed():
            touches[thing] = _touch(record)
    return touches


def _touch(record: JournalRecord) -> Touch:
    shown = "".join(each if each.isprintable() else "?" for each in record.command_id[:MAX_COMMAND_ID])
    return Touch(seq=record.seq, event=event_name(record.event), time_ms=record.time_ns // 1_000_000, command_id=shown)
