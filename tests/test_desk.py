"""What is asked beside the commands: done once, on a known state, for a while only. The same with and without agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.strategies import additive_commands, tier
from vpcrouter import MalformedInputError, Router, desk
from vpcrouter.command_json import dump
from vpcrouter.commands import PutTier, RemoveTier
from vpcrouter.values.config import Tier

ADD_7, ADD_8 = (PutTier(tier=tier(number)) for number in (7, 8))
REMOVE_7 = RemoveTier(device="eth7", network="10.1.7.0/24")
OVERLAPPING = PutTier(tier=Tier(device="eth9", network="10.1.2.0/25", gateway="10.1.2.1", address="10.1.2.2"))


def text(*commands: Any, **beside: Any) -> str:
    return "\n".join(json.dumps({**dump(each), **beside}) for each in commands)


def ask(router: Router, data: str, **asked: Any) -> list[dict[str, Any]]:
    (lines,) = desk.submit(router, [desk.read_request({"name": "f", "data": data, **asked})], origin="test")
    return lines


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with Router.open(tmp_path / "journal") as router:
        router.submit_many(additive_commands(2))
    return tmp_path / "journal"


def told(lines: list[dict[str, Any]]) -> list[tuple[int | None, str]]:
    return [(line["seq"], line["status"]) for line in lines]


def test_a_repeated_id_gets_the_first_answer_also_after_a_restart(directory: Path) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        first = ask(router, text(ADD_7), command_id="tf-1")
        assert told(first) == [(seq + 1, "accepted")]
        ask(router, text(REMOVE_7))
        assert ask(router, text(ADD_7), command_id="tf-1") == first
    with Router.open(directory) as router:
        assert ask(router, text(ADD_7), command_id="tf-1") == first
        assert router.seq == seq + 2


def test_the_commands_of_one_id_are_numbered(directory: Path) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        first = ask(router, text(ADD_7, ADD_8), command_id="tf-1")
        ask(router, text(REMOVE_7))
        assert ask(router, text(ADD_7, ADD_8), command_id="tf-1") == first
        assert told(first) == [(seq + 1, "accepted"), (seq + 2, "accepted")]
        assert "eth7" not in router.state.tiers


def test_an_id_that_comes_twice_at_the_same_moment_is_done_once(directory: Path) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        requests = [{"name": "f", "data": text(each), "command_id": "tf-1"} for each in (ADD_7, ADD_7, REMOVE_7)]
        answers = desk.submit(router, [desk.read_request(each) for each in requests], origin="test")
        assert [told(each) for each in answers] == [[(seq + 1, "accepted")]] * 3
        assert (router.seq, "eth7" in router.state.tiers) == (seq + 1, True)


def test_lines_carry_their_own_id_and_number(directory: Path) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        data = text(ADD_7, command_id="a", expected_seq=seq) + "\n" + text(ADD_8, command_id="b", expected_seq=seq)
        lines = ask(router, data)
        assert told(lines) == [(seq + 1, "accepted"), (None, "rejected")]
        assert f"the newest event is {seq + 1}, not {seq}" in lines[1]["error"]
        assert told(ask(router, text(ADD_7, command_id="a"))) == [(seq + 1, "accepted")]


def test_a_stale_number_refuses_everything(directory: Path) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        assert told(ask(router, text(ADD_7, ADD_8), expected_seq=seq - 1)) == [(None, "rejected")] * 2
        assert router.seq == seq
        assert told(ask(router, text(ADD_7, ADD_8), expected_seq=seq)) == [(seq + 1, "accepted"), (seq + 2, "accepted")]


@pytest.mark.parametrize("bad", [text(OVERLAPPING), '{"command": "put-tier"}'])
def test_a_change_is_whole_or_not_at_all(directory: Path, bad: str) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        lines = ask(router, f"{text(ADD_7)}\n{bad}\n{text(ADD_8)}", confirm_within_ms=60_000)
        assert told(lines) == [(None, "rejected")] * 3
        assert "another command of the same change" in lines[0]["error"]
        assert (router.seq, router.unconfirmed) == (seq, ())


def test_several_files_are_one_change(directory: Path) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        files = [["one.json", text(ADD_7)], ["two.json", text(ADD_8)]]
        asked: dict[str, Any] = {
            "files": files,
            "confirm_within_ms": 60_000,
            "confirm_if": ["settled"],
            "command_id": "tf-1",
        }
        (lines,) = desk.submit(router, [desk.read_request(asked)], origin="test")
        assert [(line["seq"], line["confirmation"], line["where"]) for line in lines] == [
            (seq + 2, "tf-1", "one.json"),
            (seq + 3, "tf-1", "two.json"),
        ]
        assert desk.submit(router, [desk.read_request(asked)], origin="test") == [lines]
        ((change, _),) = router.unconfirmed
        assert (change.before, change.until, change.conditions) == (seq, seq + 3, ("settled",))


def test_requests_of_both_kinds_at_the_same_moment_keep_their_order(directory: Path) -> None:
    with Router.open(directory) as router:
        seq = router.seq
        requests: list[dict[str, Any]] = [
            {"name": "a", "data": text(ADD_7)},
            {"name": "b", "data": text(REMOVE_7), "expected_seq": seq + 1},
            {"name": "c", "data": text(ADD_7), "confirm_within_ms": 60_000},
            {"name": "d", "data": text(ADD_8)},
        ]
        answers = desk.submit(router, [desk.read_request(each) for each in requests], origin="test")
        assert [told(each) for each in answers] == [[(seq + number, "accepted")] for number in (1, 2, 4, 5)]


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"command_id": "two words"}, "command_id"),
        ({"command_id": "x" * 241}, "command_id"),
        ({"command_id": 7}, "command_id"),
        ({"expected_seq": -1}, "expected_seq"),
        ({"expected_seq": "1"}, "expected_seq"),
        ({"confirm_within_ms": 0}, "confirm_within_ms"),
        ({"confirm_within_ms": True}, "confirm_within_ms"),
        ({"confirm_within_ms": 60_000, "confirm_if": ["exec reboot"]}, "conditions[0]"),
        ({"confirm_within_ms": 60_000, "confirmation": "two words"}, "name"),
    ],
)
def test_what_is_asked_is_checked(asked: dict[str, Any], where: str) -> None:
    with pytest.raises(MalformedInputError) as refused:
        desk.read_request({"name": "f", "data": text(ADD_7), **asked})
    assert refused.value.where == where


@pytest.mark.parametrize("beside", [{"command_id": "two words"}, {"expected_seq": -1}, {"expected_seq": True}])
def test_what_a_line_asks_is_checked(directory: Path, beside: dict[str, Any]) -> None:
    with Router.open(directory) as router:
        (line,) = ask(router, text(ADD_7, **beside))
        assert (line["status"], next(iter(beside)) in line["error"]) == ("rejected", True)
