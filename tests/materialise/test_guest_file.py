"""The file of one guest: whatever the contents are, it is read back as what was put in."""

from __future__ import annotations

import base64
import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.errors import MalformedInputError
from vpcrouter.materialise.guestweb import _FILES, guest_file
from vpcrouter.values.config import Secret
from vpcrouter.values.desired import content_digest
from vpcrouter.values.guests import GuestPages, GuestPassword

names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t\r"), max_size=50)


def read(content: bytes) -> dict[str, bytes]:
    """As the web server does."""
    index, _, rest = content.partition(b"\n\n") if not content.startswith(b"\n") else (b"", b"", content[1:])
    found = {}
    for line in index.decode().split("\n") if index else ():
        name, length = line.split(" ")
        found[name], rest = rest[: int(length)], rest[int(length) :]
    assert rest == b""
    return found


@given(st.dictionaries(names, texts, max_size=5), st.none() | st.binary(max_size=100))
def test_any_content_stays_in_its_place(metadata: dict[str, str], user_data: bytes | None) -> None:
    secret = None if user_data is None else Secret(text=base64.b64encode(user_data).decode())
    pages = GuestPages(address="10.1.2.11", user_data=secret, metadata=tuple(sorted(metadata.items())))
    expected = {f"meta-data/{name}": text.encode() for name, text in metadata.items()}
    if user_data is not None:
        expected["user-data"] = user_data
    assert read(guest_file(pages)) == expected


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a b", "a\n", "\n", "-x", ".hidden", "é", "a" * 200, "a\0", "x:y"]
)
def test_a_name_that_could_leave_its_place_is_refused(name: str) -> None:
    with pytest.raises(MalformedInputError, match="metadata"):
        GuestPages(address="10.1.2.11", metadata=((name, "x"),))


@pytest.mark.parametrize("text", ["\0", "a\x1b[2J", "\ud800", "a" * 70_000])
def test_a_text_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(MalformedInputError):
        GuestPages(address="10.1.2.11", metadata=(("a", text),))


@pytest.mark.parametrize("text", ["eA", "eA==\n", "eB==", "!", "e" * 1_500_000, "é"])
def test_user_data_that_are_none_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        GuestPages(address="10.1.2.11", user_data=Secret(text=text))
    assert len(text) < 3 or text not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a b", "a\n", "saved_password", "bad_request", "é", "a" * 600])
def test_a_password_that_is_none_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        GuestPassword(address="10.1.2.11", password=Secret(text=text))
    assert len(text) < 5 or "_" in text or text not in str(caught.value)


def test_what_is_told_to_no_guest_any_more_is_not_kept() -> None:
    """A guest may have a megabyte of user data, and new one as often as somebody likes."""

    def pages(text: str) -> GuestPages:
        return GuestPages(address="10.1.2.3", metadata=(("instance-id", text),))

    first = pages("one")
    (file,) = _FILES.of((first,))
    assert (file.name, file.content()) == ("10.1.2.3", guest_file(first))
    assert file.digest == content_digest(guest_file(first))
    seen = weakref.ref(first)
    del first, file
    _FILES.of((pages("two"),))
    gc.collect()
    assert seen() is None
