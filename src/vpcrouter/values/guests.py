"""What the router tells a guest about itself: user data, metadata, and the password it may fetch once.

Shared by commands, events and the state. All of it reaches guests over HTTP and a file of the router's own, whose
form has no place that a content could leave (`materialise.guests`); names of metadata become URL paths and are
therefore narrow. Contents are the cloud's affair: any text.
"""

from __future__ import annotations

import base64
import binascii
import re

from attrs import Attribute, field, frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.checks import checked, flag, optional
from vpcrouter.values.config import Secret

MOST_USER_DATA_BYTES = 1024 * 1024
"""What CloudStack lets an operator allow at most (its setting vm.userdata.max.length)."""
MOST_METADATA_ITEMS = 256
MOST_METADATA_CHARACTERS = 65536
MOST_PASSWORD_CHARACTERS = 512
ANSWERS = frozenset({"saved_password", "bad_request", "send_my_password"})
"""Words of the password protocol: as a password, a guest could not tell them from an answer."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_UNSENT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def metadata_name(value: object, path: str) -> str:
    """The last part of a metadata URL: letters, digits and _ . - with no dot in front, so never a way up."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise fields.malformed(path, value, "a name of metadata (letters, digits and _ . -, no dot in front)")
    return value


def metadata_text(value: object, path: str) -> str:
    """The text that a metadata URL answers: lines and tabs may be in it, other control characters not."""
    text = fields.text(value, path)
    if len(text) > MOST_METADATA_CHARACTERS:
        raise MalformedInputError(f"is longer than {MOST_METADATA_CHARACTERS} characters", where=path)
    if _UNSENT.search(text):
        raise MalformedInputError("holds a control character or half a character", where=path)
    return text


def user_data(value: object, path: str) -> Secret:
    """Base64 (RFC 4648, with padding), as a Secret: whoever starts a guest puts its keys into it."""
    if not isinstance(value, Secret):
        raise MalformedInputError("is not a Secret", where=path)
    try:
        content = base64.b64decode(value.reveal().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedInputError("is not base64", where=path) from None
    if len(content) > MOST_USER_DATA_BYTES:
        raise MalformedInputError(f"is larger than {MOST_USER_DATA_BYTES} bytes", where=path)
    if base64.b64encode(content).decode() != value.reveal():
        raise MalformedInputError("is not in its canonical form", where=path)
    return value


def guest_password(value: object, path: str) -> Secret:
    """One printable word that is none of the protocol's own."""
    if not isinstance(value, Secret):
        raise MalformedInputError("is not a Secret", where=path)
    try:
        word = fields.word(value.reveal(), path, MOST_PASSWORD_CHARACTERS)
    except MalformedInputError:  # which shows the value
        raise MalformedInputError(
            f"is not one word of at most {MOST_PASSWORD_CHARACTERS} printable ASCII characters", where=path
        ) from None
    if word in ANSWERS:
        raise MalformedInputError("is a word of the password protocol itself", where=path)
    return value


def _check_items(_: object, attribute: Attribute[tuple[tuple[str, str], ...]], value: object) -> None:
    path = attribute.name
    if not isinstance(value, tuple) or len(value) > MOST_METADATA_ITEMS:
        raise fields.malformed(path, value, f"a tuple of at most {MOST_METADATA_ITEMS} items")
    for index, item in enumerate(value):
        if not isinstance(item, tuple) or len(item) != 2:
            raise MalformedInputError("an item is a name and a text", where=f"{path}[{index}]")
        metadata_name(item[0], f"{path}[{index}][0]")
        metadata_text(item[1], f"{path}[{index}][1]")
    names = [name for name, _ in value]
    if names != sorted(set(names)):
        raise MalformedInputError("the items are not sorted by name, each once", where=path)


@frozen(kw_only=True, cache_hash=True)  # what is made of it is kept by it, and there may be thousands
class GuestPages:
    """User data and metadata of one guest, complete."""

    address: str = checked(fields.ipv4)
    user_data: Secret | None = optional(user_data)
    """Base64 of the bytes that the guest gets. None: there is no such page."""
    metadata: tuple[tuple[str, str], ...] = field(default=(), validator=_check_items)
    """Names and texts, sorted."""


@frozen(kw_only=True)
class GuestPassword:
    """The password that waits for a guest, or that it has fetched."""

    address: str = checked(fields.ipv4)
    password: Secret = checked(guest_password)
    fetched: bool = flag(False)
    """The guest has said that it has it: it is never handed out again."""
