"""What is made of many things, one by one, is made again only where they changed: cost follows the change. Pure.

    old things  ─┬─ the same at both ends: found by comparing slices, which takes 5 ns a thing
    new things  ─┘─ what went and what came: only these are made anew, and put in their places

`Sorted` is a function that remembers its last call. What it answers depends on its arguments alone, only the time that
it takes depends on what came before (`tests/properties/test_incremental.py` compares it with doing all of it). Things
are immutable, so an object that was there before is what it was.

Known hole: it remembers one call. Whoever asks in turn about two routers of one process pays for all of it each time.
"""

from __future__ import annotations

from bisect import bisect_left, insort_right
from collections.abc import Callable, Iterable, Sequence
from operator import is_
from typing import Any, Generic, TypeVar, TypeVarTuple
from weakref import WeakSet

from attrs import frozen

Thing = TypeVar("Thing")
Made = TypeVar("Made")
Things = TypeVarTuple("Things")

_STEP = 512
"""Things whose equality one comparison tells."""
_FEW = 8
"""A change of more than one thing in so many is as well made from scratch."""


def common_head(one: Sequence[object], other: Sequence[object]) -> int:
    """How many things are equal before the first that is not. Two tuples, or two lists."""
    end = min(len(one), len(other))
    at = 0
    while at < end and one[at : at + _STEP] == other[at : at + _STEP]:
        at += _STEP
    at, low, high = min(at, end), 0, min(_STEP, end - min(at, end))
    while low < high:
        middle = (low + high + 1) // 2
        if one[at + low : at + middle] == other[at + low : at + middle]:
            low = middle
        else:
            high = middle - 1
    return at + low


def common_tail(one: Sequence[object], other: Sequence[object], most: int) -> int:
    """How many things are equal behind the last that is not, `most` at most. Two tuples, or two lists."""
    a, b = len(one), len(other)
    at = 0
    while at < most and one[a - min(at + _STEP, most) : a - at] == other[b - min(at + _STEP, most) : b - at]:
        at += _STEP
    at = min(at, most)
    low, high = 0, min(_STEP, most - at)
    while low < high:
        middle = (low + high + 1) // 2
        if one[a - at - middle : a - at - low] == other[b - at - middle : b - at - low]:
            low = middle
        else:
            high = middle - 1
    return at + low


def middles(old: Sequence[Thing], new: Sequence[Thing]) -> tuple[Sequence[Thing], Sequence[Thing]]:
    """Both without what is equal at their heads and tails."""
    head = common_head(old, new)
    tail = common_tail(old, new, min(len(old), len(new)) - head)
    return old[head : len(old) - tail], new[head : len(new) - tail]


def went_and_came(old: Sequence[Thing], new: Sequence[Thing]) -> tuple[list[Thing], list[Thing]]:
    """What has to be taken out of the old things, and put to them, to have the new ones, in whatever order."""
    before, after = middles(old, new)
    if not before or not after:
        return list(before), list(after)
    kept = {id(each) for each in before} & {id(each) for each in after}
    return [each for each in before if id(each) not in kept], [each for each in after if id(each) not in kept]


@frozen
class _Call:
    context: tuple[object, ...]
    things: tuple[Any, ...]
    made: list[Any]
    answer: tuple[Any, ...]


_ALL: WeakSet[Any] = WeakSet()


def forget() -> None:
    """Let everything be made from scratch once: whatever was asked before takes no part in it."""
    for each in _ALL:
        each.forget()


class Sorted(Generic[Thing, Made]):
    """All that `make` makes of each thing, sorted; of no thing twice, unless the context is another one."""

    def __init__(self, make: Callable[..., Iterable[Made]], *, key: Callable[[Made], Any] = lambda made: made) -> None:
        """`make` gets a thing, and the context; `key` orders what it makes of all of them, each differently."""
        self._make = make
        self._key = key
        self._last: _Call | None = None
        _ALL.add(self)

    def forget(self) -> None:
        """As if it had not been asked yet."""
        self._last = None

    def of(self, things: Iterable[Thing], *context: object) -> tuple[Made, ...]:
        """The answer for these things, each of which is there once."""
        found = tuple(things)
        last = self._last
        made: list[Made] | None = None
        if last is not None and last.context == context:
            went, came = went_and_came(last.things, found)
            if not went and not came:
                made, answer = last.made, last.answer
            elif (len(went) + len(came)) * _FEW <= len(found):
                made = self._changed(last.made, went, came, context)
        if made is None:
            made = sorted((each for thing in found for each in self._make(thing, *context)), key=self._key)
        if last is None or made is not last.made:
            answer = tuple(made)
        # One assignment: whoever asks at the same time, from another thread, sees this call or the one before.
        self._last = _Call(context, found, made, answer)
        return answer

    def _changed(
        self, before: list[Made], went: list[Thing], came: list[Thing], context: tuple[object, ...]
    ) -> list[Made]:
        made = before.copy()
        for thing in went:
            for each in self._make(thing, *context):
                del made[bisect_left(made, self._key(each), key=self._key)]
        for thing in came:
            for each in self._make(thing, *context):
                insort_right(made, each, key=self._key)
        return made


@frozen
class _Comparison:
    wanted: tuple[Any, ...]
    actual: tuple[Any, ...]
    in_wanted: set[Any]
    in_actual: set[Any]
    missing: set[Any]
    surplus: set[Any]


class Difference(Generic[Thing]):
    """What is wanted and not there, and what is there and not wanted; only what changed is compared again."""

    def __init__(self) -> None:
        self._last: _Comparison | None = None
        _ALL.add(self)

    def forget(self) -> None:
        """As if it had not been asked yet."""
        self._last = None

    def of(self, wanted: tuple[Thing, ...], actual: tuple[Thing, ...]) -> tuple[set[Thing], set[Thing]]:
        """What is missing, and what is surplus; not to be changed. Each thing is there once, or all are compared."""
        last = self._last
        is_worth_it = len(wanted) + len(actual) > _STEP
        found = self._changed(last, wanted, actual) if last is not None and is_worth_it else None
        if found is None:
            in_wanted, in_actual = set(wanted), set(actual)
            found = _Comparison(wanted, actual, in_wanted, in_actual, in_wanted - in_actual, in_actual - in_wanted)
        is_once = len(found.in_wanted) == len(wanted) and len(found.in_actual) == len(actual)
        self._last = found if is_once else None
        return found.missing, found.surplus

    def _changed(self, last: _Comparison, wanted: tuple[Thing, ...], actual: tuple[Thing, ...]) -> _Comparison | None:
        wanted_went, wanted_came = went_and_came(last.wanted, wanted)
        actual_went, actual_came = went_and_came(last.actual, actual)
        touched = {*wanted_went, *wanted_came, *actual_went, *actual_came}
        if len(touched) * _FEW > len(wanted) + len(actual):
            return None
        in_wanted = last.in_wanted.difference(wanted_went).union(wanted_came)
        in_actual = last.in_actual.difference(actual_went).union(actual_came)
        return _Comparison(
            wanted,
            actual,
            in_wanted,
            in_actual,
            (last.missing - touched) | ((touched & in_wanted) - in_actual),
            (last.surplus - touched) | ((touched & in_actual) - in_wanted),
        )


class Latest(Generic[*Things, Made]):
    """What `make` makes of immutable things; not again for the last two calls' things, which it knows by identity."""

    def __init__(self, make: Callable[[*Things], Made]) -> None:
        self._make = make
        self._last: tuple[tuple[tuple[*Things], Made], ...] = ()
        _ALL.add(self)

    def forget(self) -> None:
        """As if it had not been asked yet."""
        self._last = ()

    def of(self, *things: *Things) -> Made:
        """The answer for these things."""
        for known, made in self._last:
            if all(map(is_, known, things)):
                return made
        made = self._make(*things)
        self._last = ((things, made), *self._last[:1])
        return made
