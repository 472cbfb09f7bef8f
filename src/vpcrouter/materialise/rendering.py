"""No value can leave its field: every value that enters a generated text is one plain word, or an error.

Values were checked at the door (`values.fields`); this is the second lock, at the exit. `word` is applied to
everything that a template prints, and by hand where text is put together in Python. It knows nothing of the formats:
a word holds no blank, quotation mark, bracket, comma, backslash, hash, or end of line, and none of them needs one.
"""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from vpcrouter.errors import MalformedInputError

_WORD = re.compile(r"[A-Za-z0-9_/:][A-Za-z0-9_./:-]*", re.ASCII)
_QUOTABLE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]*", re.ASCII)
_UNBROKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)
_SINGLE_QUOTABLE = re.compile(r"[\x20-\x26\x28-\x7e]*", re.ASCII)


def word(value: object) -> str:
    """The value as text, if it is one plain word; MalformedInputError if not."""
    text = str(value)
    if not _WORD.fullmatch(text):
        raise MalformedInputError(
            f"{text[:80]!r} cannot stand in a generated file",
            where="materialise",
            hint="only letters, digits and _ . / : - can",
        )
    return text


class Literal(str):
    """Text that is more than a word, and was found fit for the place where it stands by whoever made it."""

    __slots__ = ()


def quoted(value: str) -> Literal:
    """A value between quotation marks: it holds no quotation mark, backslash or end of line."""
    if not _QUOTABLE.fullmatch(value):
        raise MalformedInputError("a value cannot stand between quotation marks", where="materialise")
    return Literal(f'"{value}"')


def unbroken(value: str) -> Literal:
    """A value that ends where a blank or the line does: printable ASCII without blanks."""
    if not _UNBROKEN.fullmatch(value):
        raise MalformedInputError("a value cannot stand as one word", where="materialise")
    return Literal(value)


def single_quoted(value: str) -> Literal:
    """A value in single quotes, in which haproxy knows no special character: printable, and no such quote itself."""
    if not _SINGLE_QUOTABLE.fullmatch(value):
        raise MalformedInputError("a value cannot stand in single quotes", where="materialise")
    return Literal(f"'{value}'")


def _finish(value: object) -> str:
    return value if isinstance(value, Literal) else word(value)


def render(template: str, /, **values: object) -> str:
    """The text of a template in `templates/`."""
    return _template(template).render(values)


def source(name: str) -> str:
    """The text of a file in `templates/` that is the same on every router."""
    return render(name)


@cache
def prepare() -> None:
    """Compile all templates, while nobody waits: a tenth of a second that the first burst or failover would pay."""
    for name in _environment().list_templates(extensions=["j2"]):
        _template(name)


@cache
def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vpcrouter.materialise"),
        undefined=StrictUndefined,
        finalize=_finish,
        autoescape=False,  # noqa: S701 - no HTML; `word` guards every value
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    # `known` marks a text of our own, never a value.
    environment.filters.update(single_quoted=single_quoted, known=Literal)
    return environment
