"""No text of a command can carry anything but what its field is for, and no error repeats it unescaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cloudstack.documents import DOCUMENTS, changed, leaves
from vpcrouter.cloudstack import decode
from vpcrouter.command_json import dump
from vpcrouter.errors import CallerError

HOSTILE = {
    "newline": "@\nmore",
    "newline first": "\n@",
    "newline last": "@\n",
    "return": "@\rmore",
    "blank": "@ more",
    "blank first": " @",
    "tab": "@\tmore",
    "NUL": "@\0more",
    "escape": "@\x1b[2J",
    "quote": '@"',
    "single quote": "@'",
    "back quote": "`@`",
    "brace": "@}} {",
    "semicolon": "@;",
    "hash": "#@",
    "dash": "-@",
    "two dashes": "--@",
    "comma": "@,@",
    "percent": "@%x",
    "zone": "::%x\n}}/64",
    "dollar": "$(@)",
    "backslash": "\\@",
    "slash": "../@",
    "digits": "@" + "9" * 10_000,
    "long": "a" * 10_000,
    "accent": "é",
    "full-width digits": "１０.１.２.１",
    "line separator": "@\u2028",
    "right to left": "\u202e@",
    "surrogate": "@\ud800",
    "nothing": "",
}
ALLOWED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/-_")
"""What a value may be made of that goes into generated files."""

WIDER = {
    ".vpn.key": "printable",
    ".access.key": "printable",
    ".put.password": "@#+=._!~*:/,%^&-",
    ".put.name": "@._+-",
    ".remove": "@._+-",
    ".peerings.password": "unbroken",
}
"""What else may be in the fields of VPN and BGP: keys are written in hexadecimal, a user's name and password between
quotation marks without one of their own, BGP's password as a word that only a blank or the line's end ends."""

KEPT = (
    ".config.parameters",
    ".config.secret_parameters",
    ".config.password",
    ".password",
    ".pages.user_data",
    ".monitoring.excluded",
)
"""What is only stored, or handed to a guest as it is, may be any printable word."""
FREE = (".pages.metadata",)
"""What a guest is told may be any text; the form of the file it stands in has no place that it could leave."""


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, f"{path}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, path)
    elif isinstance(value, str):
        yield path, value


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_every_text_of_every_type(kind: str, hostile: str) -> None:
    texts_of_it = [(leaf, old) for leaf, old in leaves(DOCUMENTS[kind]).items() if isinstance(old, str)]
    assert texts_of_it
    for leaf, old in texts_of_it:
        value = HOSTILE[hostile].replace("@", old)
        try:
            command = decode(json.dumps(changed(kind, {leaf: value})))
        except CallerError as error:
            assert error.where == leaf or (value == "" and error.where), leaf  # nothing may be missing elsewhere
            assert str(error).isprintable()
            assert len(str(error)) < 300
            continue
        for path, text in texts(dump(command)):
            if path.startswith(FREE):
                assert "\0" not in text and "\x1b" not in text and text.encode(), (leaf, path)
            elif path.startswith(KEPT):
                assert text.isascii() and text.isprintable() and " " not in text, (leaf, path)
            elif path in WIDER:
                assert text.isascii() and text.isprintable() and len(text) <= 1024, (leaf, path)
                allowed = WIDER[path]
                if allowed == "unbroken":
                    assert " " not in text and len(text) <= 80, (leaf, path)
                elif allowed != "printable":
                    assert set(text) <= ALLOWED | set(allowed), (leaf, path)
            else:
                assert set(text) <= ALLOWED, (leaf, path)
                assert len(text) <= 253


@pytest.mark.parametrize("key", ["a\nb", "a" * 10_000, '"', "\ud800", "a.b", "", "\0", "[0]"])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_unknown_keys(kind: str, key: str) -> None:
    with pytest.raises(CallerError) as caught:
        decode(json.dumps(changed(kind, {}) | {key: 1}))
    assert caught.value.where.startswith("['")
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
