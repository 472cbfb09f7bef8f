"""The state that a long history leads to, from the bytes of its events: `state.replay` without an object for each.

What changes a draft are the functions of `state.EVOLVE`, the same as everywhere. Here they get events whose things are
not made yet (`events.stored`), so the draft holds such things until `finish` makes the real ones of those that are
left. Whatever is not stored in that form is restored and applied as it comes. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import length_hint

from vpcrouter.errors import MalformedInputError
from vpcrouter.events import Event, stored
from vpcrouter.state import EVOLVE, MAPPINGS, Draft, State

_CHANGES = {struct: EVOLVE[kind][0] for kind, struct in stored.LATER.items()}


class Fold:
    """A history being folded, batch by batch."""

    def __init__(self, state: State) -> None:
        self._draft = Draft(state)
        for name in MAPPINGS:
            self._draft.own(name)

    def take(self, bodies: Sequence[bytes], restore: Callable[[int], Event]) -> None:
        """Fold in the events of these bytes; `restore` reads the one at an index. Raises what `restore` raises."""
        draft, change_of = self._draft, _CHANGES.get
        left = iter(bodies)
        while True:
            try:
                for each in map(stored.load, left):
                    change = change_of(type(each))
                    if change is None:
                        draft.apply(restore(len(bodies) - length_hint(left) - 1))
                    else:
                        change(draft, each.fields)
            except stored.Unlike:
                draft.apply(restore(len(bodies) - length_hint(left) - 1))
            else:
                return

    def finish(self) -> State:
        """The state in the end. Raises MalformedInputError if a thing in it is not what it should be."""
        draft = self._draft
        try:
            for name in MAPPINGS:
                mapping = getattr(draft, name)
                for key, thing in mapping.items():
                    mapping[key] = stored.value(thing)
            for address in draft.forwards:
                found = draft.forwards_of(address)
                found[:] = map(stored.value, found)
        except stored.Unlike as error:
            raise MalformedInputError(f"not a stored thing: {error}", where="event") from None
        return draft.finish()
