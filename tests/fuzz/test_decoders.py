"""Whatever comes in, a decoder answers with a command or with a CallerError; anything else that leaves is a bug.

The targets are all ways by which bytes from outside become commands. Their input is noise, a sample with bytes
changed, a sample with whole values changed, or the words of a boot line. What does come out must be sound enough
to be written in our own form and read back, and so to be stored. A crasher that is found becomes an `@example`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.cloudstack.documents import DATA, DOCUMENTS
from vpcrouter import command_json
from vpcrouter.cloudstack import decode, parse_boot_line, read_cfg
from vpcrouter.commands import Command
from vpcrouter.errors import CallerError
from vpcrouter.submission import read_submission

SAMPLES = [path.read_bytes() for path in sorted(DATA.glob("*.*"))]
OWN = [command_json.dumps(decode(json.dumps(document))).encode() for document in DOCUMENTS.values()]
TREES = [*DOCUMENTS.values(), *(json.loads(own) for own in OWN)]

noise = st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["null", "0:0", "10.1.2.1", "10.1.0.0/16", "::1", "::%\n/64", "eth2", "true", 10**30, "9" * 5000])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@st.composite
def changed_bytes(draw: st.DrawFn) -> bytes:
    """A sample with some pieces cut out, doubled, or replaced by others."""
    data = draw(st.sampled_from(SAMPLES + OWN))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"}", b"[", b"\n", b"null", data[start:end] * 2])
        )
        data = data[:start] + piece + data[end:]
    return data


@st.composite
def changed_tree(draw: st.DrawFn) -> Any:
    """A document in which some values became others, or went, or came from another document."""
    tree = copy.deepcopy(draw(st.sampled_from(TREES)))
    for _ in range(draw(st.integers(1, 3))):
        place = tree
        while True:
            key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
                break
            place = place[key]
        match draw(st.sampled_from(["other", "gone", "strange", "moved"])):
            case "gone":
                del place[key]
            case "other":
                place[key] = draw(values)
            case "strange" if isinstance(place, dict):
                place[draw(st.text(max_size=5))] = draw(values)
            case _:
                place[key] = copy.deepcopy(draw(st.sampled_from(TREES)))
        if not place:
            break
    return tree


def sound(command: Command) -> None:
    written = command_json.dumps(command)
    written.encode("ascii")
    assert command_json.loads(written) == command


def answers(target: Callable[..., Any], *args: Any) -> None:
    try:
        found = target(*args)
    except CallerError as error:
        str(error).encode()
        return
    if target is not read_cfg:
        sound(found)


TARGETS: list[Callable[[bytes], Any]] = [decode, read_cfg, command_json.loads]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__qualname__)
@given(data=noise | changed_bytes())
@example(data=b"")
@example(data=b'{"type":' * 100_000)
@example(data=b'{"type":"dhcpentry","remove":' + b"[" * 990 + b"]" * 990 + b"}")
@example(data=b'{"type":"\\ud800"}')
def test_bytes(target: Callable[[bytes], Any], data: bytes) -> None:
    answers(target, data)


@given(changed_tree())
def test_documents(tree: Any) -> None:
    answers(command_json.load if isinstance(tree, dict) and "command" in tree else decode, *as_input(tree))


def as_input(tree: Any) -> list[Any]:
    return [tree] if isinstance(tree, dict) and "command" in tree else [json.dumps(tree)]


@given(st.lists(noise | changed_bytes() | changed_tree().map(lambda tree: json.dumps(tree).encode()), max_size=4))
@example([b"<version>\n1.0\n</version>"])
def test_submissions(lines: list[bytes]) -> None:
    found = read_submission(b"\n".join(lines), name="f")
    assert found
    for each in found:
        assert (each.command is None) != (each.error is None)
        assert each.error is None or isinstance(each.error, CallerError)
        if each.command is not None:
            sound(each.command)


words = st.dictionaries(
    st.sampled_from([*DOCUMENTS["cmdline"]["cmd_line"], "userdata", "dns2", "x"]),
    st.sampled_from(["", "null", "true", "1", "10.1.0.0/16", "10.1.0.1", "a=b", "PRIMARY", "255.255.0.0"])
    | st.text(max_size=8),
)


@given(st.text(max_size=100) | words.map(lambda found: " ".join(f"{key}={value}" for key, value in found.items())))
@example(" name=r-1-VM vpccidr=10.1.0.0/16 userdata=a=b==")
def test_boot_lines(line: str) -> None:
    answers(parse_boot_line, line)
