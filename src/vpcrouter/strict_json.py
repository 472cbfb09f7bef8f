"""JSON as this package takes it from outside: one UTF-8 document, no key twice, no NaN, or a MalformedInputError.

`cloudstack/`, `command_json` and `submission` read through here, so every refusal of a field names it the same
way: `routes[1].gateway`. Nothing of a document's values is ever shown, only its keys, since values hold secrets.
No I/O. Known hole: how deep a document may nest is left to the parser of the standard library (about 1,000).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

from vpcrouter.errors import MalformedInputError

MAX_BYTES = 16 * 1024 * 1024
"""No command file is larger: an ACL of 10,000 rules takes about 1 MiB."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)


def child(path: str, key: str | int) -> str:
    """The path of a list's item or an object's value; a key that is not a plain word is quoted and cut short."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{key[:40]!a}]"
    return f"{path}.{key}" if path else key


def below(path: str, inner: str) -> str:
    """The path of what is called `inner` by someone who does not know that it lies below `path`."""
    return f"{path}.{inner}" if path and inner and not inner.startswith("[") else path + inner


def kind(value: object) -> str:
    """What a JSON value is, for an error that must not show the value itself."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "a string"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _:
            return "null"


def text_of(data: bytes | str) -> str:
    """The text of a file that is not too large."""
    if len(data) > MAX_BYTES:
        raise MalformedInputError(f"is larger than {MAX_BYTES // 1024 // 1024} MiB", where="file")
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedInputError("is not UTF-8", where=f"byte {error.start}") from None


def load(data: bytes | str, *, last_wins: Collection[str] = ()) -> Any:
    """The one JSON document in `data`.

    A key that stands twice in an object is refused with its path, but for objects directly below the keys of
    `last_wins`: there the last one counts.
    """
    text = text_of(data)
    if text.startswith("\ufeff"):
        raise MalformedInputError("begins with a byte order mark, which JSON has none of (RFC 8259)", where="file")
    repeats: list[_Repeats] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) == len(items):
            return found
        repeats.append(_Repeats(items))
        return repeats[-1]

    try:
        document = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        column = f"column {error.colno}"
        where = f"line {error.lineno}, {column}" if "\n" in text else column
        raise MalformedInputError(f"is not JSON: {error.msg}", where=where) from None
    except ValueError:  # the standard library converts no integer of more than 4,300 digits
        raise MalformedInputError("is not JSON that can be read: a number is too long", where="file") from None
    except RecursionError:
        raise MalformedInputError("is nested too deeply", where="file") from None
    if repeats:
        _refuse_repeats(document, last_wins)
    return document


class _Repeats(dict[str, Any]):
    """An object some of whose keys stood more than once; the last values are in it."""

    def __init__(self, items: list[tuple[str, Any]]) -> None:
        super().__init__(items)
        self.repeated = next(key for key, times in Counter(key for key, _ in items).items() if times > 1)


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedInputError(f"is not JSON: {name} is not a number", where="file")


def _refuse_repeats(document: Any, last_wins: Collection[str]) -> None:
    allowed = {id(document[key]) for key in last_wins if isinstance(document, dict) and key in document}
    for path, value in _objects(document):
        if isinstance(value, _Repeats) and id(value) not in allowed:
            raise MalformedInputError("stands twice", where=child(path, value.repeated))


def _objects(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            yield path, value
            waiting.extend((child(path, key), each) for key, each in value.items())
        elif isinstance(value, list):
            waiting.extend((child(path, index), each) for index, each in enumerate(value))
