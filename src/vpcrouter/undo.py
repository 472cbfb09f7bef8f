"""Taking one change back without what came after it: three states and the present one → new events. Pure.

A *thing* is what stands under one key of the state: a tier, an ACL, the forwardings of one public port, a lease. The
change touched the things that it left other than they were.

    before ──change──▶ after ──what others did──▶ now

Of these, a thing that is now as the change left it becomes what it was before; one that is something else by now was
changed again since, and stays: the later command was acknowledged, too. So what others did in between survives, unless
they asked for exactly what the change had brought (they were told `unchanged`).

What would contradict something that came later is not brought back either. Both are named in `Undo.kept`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from vpcrouter import references
from vpcrouter.commands import Command
from vpcrouter.decide import decide
from vpcrouter.errors import CallerError
from vpcrouter.events import Event
from vpcrouter.revert import commands_between
from vpcrouter.state import Draft, State
from vpcrouter.values.forwarding import forward_key, sort_forwards

Key = tuple[str, object]
Things = dict[Key, Any]

_NOT_CONFIGURATION = frozenset({"leases", "released", "confirmations"})
"""What follows from the rest, or is no configuration."""


@frozen(kw_only=True)
class Undo:
    """What takes a change back, and what of the change stays, with the reason."""

    events: tuple[Event, ...]
    kept: tuple[str, ...]


def undo(now: State, *, before: State, after: State, beneath: Sequence[tuple[State, State]] = ()) -> Undo:
    """Take back the change from `before` to `after`.

    `beneath`: the changes that this one was made upon and that were taken back since, each as its own before and
    after, newest first. What they had brought does not come back with what this one replaced.
    """
    old, new, present = _things(before), _things(after), _things(now)
    touched = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    restored = dict(old)
    for one in beneath:
        was, became = map(_things, one)
        for key in touched:
            if restored.get(key) == became.get(key):
                _put(restored, key, was.get(key))
    target, kept = dict(present), []
    for key in sorted(touched, key=repr):
        if present.get(key) == new.get(key):
            if key == ("router", None) and restored.get(key) is None:
                kept.append("boot parameters: there were none before")
            else:
                _put(target, key, restored.get(key))
        elif present.get(key) != restored.get(key):
            kept.append(f"{_words(key, present.get(key) or new.get(key))}: changed again since")
    events: list[Event] = []
    draft = Draft(now)
    for command in commands_between(now, _state(target)):
        events += _events(draft, command, kept)
    return Undo(events=tuple(events), kept=tuple(kept))


def _events(draft: Draft, command: Command, kept: list[str]) -> Iterator[Event]:
    """The event of the command; if it is refused as a whole, those of its parts that are not."""
    try:
        decision = decide(draft, command)
    except CallerError as error:
        parts = list(_parts(command))
        if len(parts) > 1:
            for part in parts:
                yield from _events(draft, part, kept)
        else:
            kept.append(str(error))
        return
    if decision.event is not None:
        draft.apply(decision.event)
        yield decision.event


def _parts(command: Command) -> Iterator[Command]:
    """A command for many things as one command for each; forwardings of one port belong together."""
    for name in ("remove", "put"):
        groups: dict[object, list[Any]] = {}
        for each in getattr(command, name, ()):
            groups.setdefault(forward_key(each) if hasattr(each, "first_port") else each, []).append(each)
        for group in groups.values():
            changes: Any = {"put": (), "remove": (), name: tuple(group)}
            yield attrs.evolve(command, **changes)


def _things(state: State) -> Things:
    found: Things = {}
    for name, value in _attributes(state):
        if name == "forwards":
            for each in (each for forwards in value.values() for each in forwards):
                key = (name, forward_key(each))
                found[key] = sort_forwards((*found.get(key, ()), each))
        elif isinstance(value, Mapping):
            found.update({(name, key): thing for key, thing in value.items()})
        else:
            found[name, None] = value
    return found


def _state(things: Things) -> State:
    values: dict[str, Any] = {name: {} if isinstance(value, Mapping) else value for name, value in _attributes(State())}
    for (name, key), thing in things.items():
        if name == "forwards":
            address = thing[0].address
            values[name][address] = sort_forwards((*values[name].get(address, ()), *thing))
        elif key is None:
            values[name] = thing
        else:
            values[name][key] = thing
    return State(**values)


def _attributes(state: State) -> Iterator[tuple[str, Any]]:
    for attribute in attrs.fields(State):
        if attribute.name not in _NOT_CONFIGURATION:
            yield attribute.name, getattr(state, attribute.name)


def _put(things: Things, key: Key, thing: Any) -> None:
    if thing is None:
        things.pop(key, None)
    else:
        things[key] = thing


def _words(key: Key, thing: Any) -> str:
    name, place = key
    if name == "forwards":
        return references.describe(thing[0])
    if isinstance(thing, references.Referring):
        return references.describe(thing)
    return {
        "router": "boot parameters",
        "tiers": f"tier on {place}",
        "public_addresses": f"public address {place}",
    }.get(name, f"{name.replace('_', ' ')} {place}")
