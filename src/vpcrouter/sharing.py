"""A long journal read by several processes: each abridges a part of it, and whoever asked folds what is left, in order.

    this process   segments 1 … m−1      folded as they come
    another one    segments m … n        verified, loaded, abridged ──▶ folded after them

A part ends at a segment whose header carries the chain value of the record before: the part that ends there compares
them, so the parts together are verified as one reader verifies the whole. Only what is sound comes back. Where anything
is odd (damage, an event that is none, a process that died, no memory for one) `PartsError` says no more than that: the
caller reads it all by itself, and says what is wrong in the words that it always has.

Called by `replaying`. A child does nothing but read: it lets go of every file of its parent first, the journal's lock
among them, and ends with what it has to say. No child is made beside other threads, whose locks it would inherit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import msgpack

from vpcrouter.abridging import Abridged
from vpcrouter.events import Event
from vpcrouter.events.codec import restore
from vpcrouter.events.sealing import Sealer
from vpcrouter.folding import Fold
from vpcrouter.journal import read_batches
from vpcrouter.state import State

_AT_ONCE_BYTES = 16 * 1024 * 1024
"""Of events that were taken in, before what is left of them is looked at."""
_MUCH_BYTES = 4 * 1024 * 1024
"""Left of them: it is handed over. Less is kept until the end, since whoever hands over waits until the parent, who has
a part of its own, can take it."""
_FIRST_FILE = 3
"""After standard input, output and error."""

Left = tuple[list[bytes], list[int], int]
"""What is left of a stretch of a history: the bytes of events, the numbers of their records, the stretch's last one."""


class PartsError(Exception):
    """A part could not be read. What is wrong, if anything is, shows to whoever reads it all."""


def fold_parts(directory: Path, start: State, after: int, parts: Sequence[int], sealer: Sealer) -> tuple[State, int]:
    """The state after the last record, and that record's number; `start` is what it was after record `after`.

    `parts` are the first records of all parts but the first, see `journal.joints`. Raises PartsError.
    """
    fold, seq = Fold(start), after
    try:
        with _others(directory, parts) as others:
            for batch in read_batches(directory, after, sealer, before=parts[0]):
                fold.take(batch.bodies, batch.event)
                seq += len(batch)
            if seq != parts[0] - 1:
                raise PartsError(f"the part ends with record {seq}")  # noqa: TRY301
            for other in others:
                for bodies, seqs, last in _left(other):
                    fold.take(bodies, partial(_restored, bodies, seqs, sealer))
                    seq = last
        return fold.finish(), seq
    except Exception as error:
        raise PartsError(str(error)) from error


def _restored(bodies: Sequence[bytes], seqs: Sequence[int], sealer: Sealer, index: int) -> Event:
    return restore(bodies[index], seqs[index], sealer)


@contextmanager
def _others(directory: Path, parts: Sequence[int]) -> Iterator[list[Connection]]:
    """What other processes say of their parts; none of them is left behind."""
    context = get_context("fork")
    children = []
    try:
        for first, following in zip(parts, (*parts[1:], None), strict=True):
            receiving, sending = context.Pipe(duplex=False)
            child = context.Process(target=_abridge, args=(directory, first - 1, following, sending), daemon=True)
            child.start()
            sending.close()
            children.append((child, receiving))
        yield [receiving for _, receiving in children]
    finally:
        for child, receiving in children:
            receiving.close()
            child.kill()
            child.join()


def _left(part: Connection) -> Iterator[Left]:
    """What is left of a part, stretch by stretch, as it comes."""
    try:
        while (said := msgpack.unpackb(part.recv_bytes())) is not None:
            if isinstance(said, str):
                raise PartsError(said)
            yield tuple(said)
    except EOFError:
        raise PartsError("a process has died") from None


def _abridge(directory: Path, after: int, before: int | None, sending: Connection) -> None:
    """In another process: hand over what is left, and nil in the end; or the reason why not."""
    os.closerange(_FIRST_FILE, sending.fileno())
    os.closerange(sending.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    abridged = Abridged()
    try:
        seq, size = after, 0
        for batch in read_batches(directory, after, before=before):
            abridged.take(batch.first_seq, batch.bodies)
            seq += len(batch)
            size += sum(map(len, batch.bodies))
            if size >= _AT_ONCE_BYTES:
                size = 0
                if sum(map(len, abridged.bodies)) >= _MUCH_BYTES:
                    sending.send_bytes(msgpack.packb((*abridged.hand_over(), seq)))
        if before is not None and seq != before - 1:
            raise PartsError(f"the part ends with record {seq}")  # noqa: TRY301
        sending.send_bytes(msgpack.packb((*abridged.hand_over(), seq)))
        sending.send_bytes(msgpack.packb(None))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent finds it too, and says it better
        sending.send_bytes(msgpack.packb(f"{type(error).__name__}: {error}"))
