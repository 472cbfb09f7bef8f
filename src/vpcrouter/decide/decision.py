"""What a command comes to, and the words that all decisions share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from vpcrouter import events, references
from vpcrouter.errors import RejectedCommandError
from vpcrouter.projections.effective import pending
from vpcrouter.state import Draft, StateView


class Decision(NamedTuple):
    """What a command comes to. Without an event the state is already as asked."""

    event: events.Event | None = None
    pending: tuple[str, ...] = ()
    """What of the command, or because of it, is stored and waits for something."""
    removed: tuple[str, ...] = ()
    """What goes along with what the command removes."""


Rules = Mapping[type, Callable[[StateView, Any], Decision]]
"""The function that decides on each type of command."""


def reject(what: str, where: str, hint: str = "") -> RejectedCommandError:
    """The refusal of a command, to be raised."""
    return RejectedCommandError(what, where=where, hint=hint)


def refuse(reason: str | None, where: str | references.Referring) -> None:
    """Raise RejectedCommandError if there is a reason."""
    if reason is not None:
        raise reject(reason, where if isinstance(where, str) else references.describe(where))


def refuse_two_in_one_place(things: Iterable[Any], key: Callable[[Any], object], words: Callable[[Any], str]) -> None:
    """Raise RejectedCommandError for a command that wants two different things in one place: which is meant?"""
    wanted: dict[object, Any] = {}
    for thing in things:
        if wanted.setdefault(key(thing), thing) != thing:
            raise reject("the command asks for two different things here", words(thing), "name each once")


def waiting(view: StateView, things: Iterable[references.Referring]) -> tuple[str, ...]:
    """Which of these things wait, and for what, in words."""
    found = []
    for thing in things:
        if (waits_for := references.missing(view, thing)) is not None:
            found.append(f"{references.describe(thing)} waits for {waits_for}")
    return tuple(found)


def left_waiting(view: StateView, event: events.Event) -> tuple[str, ...]:
    """What waits after the event and did not before it."""
    draft = Draft(view)
    draft.apply(event)
    before = frozenset(pending(view))
    return tuple(str(each) for each in pending(draft) if each not in before)
