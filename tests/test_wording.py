"""The words that an operator reads are those of docs/operations.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpcrouter.values.agreement import Difference, Side, Thing, Touch
from vpcrouter.wording import describe_differences

NOON_MS = 1_783_944_000_000
NEVER = Side(is_there=False, touch=Touch(seq=0))


def at(seq: int, event: str, time: str, command_id: str = "", *, gone: bool = False) -> Side:
    hours, minutes, seconds = map(int, time.split(":"))
    time_ms = NOON_MS + ((hours - 12) * 3600 + minutes * 60 + seconds) * 1000
    return Side(is_there=not gone, touch=Touch(seq=seq, event=event, time_ms=time_ms, command_id=command_id))


def words(*differences: Difference) -> list[str]:
    return [str(each["text"]) for each in describe_differences(differences, "the peer")]


EXAMPLES = [
    Difference(
        thing=Thing("ACL", "eth2"),
        here=at(42, "acl-replaced", "12:03:07"),
        there=at(40, "acl-replaced", "11:58:01"),
    ),
    Difference(
        thing=Thing("reservation", "10.1.2.20"), here=at(57, "reservation-put", "12:04:10", "tf-17"), there=NEVER
    ),
    Difference(
        thing=Thing("reservation", "10.1.2.31"),
        here=at(61, "reservation-removed", "12:05:00", gone=True),
        there=at(52, "reservation-put", "11:57:40"),
    ),
    Difference(thing=Thing("vpn-users", "carol"), here=NEVER, there=at(58, "vpn-users-changed", "12:04:12")),
]


def test_the_example_of_the_manual_is_what_is_said() -> None:
    text = Path(__file__).parents[1].joinpath("docs/operations.md").read_text()
    section = text[text.index("## When the routers differ") :]
    shown = [line.removeprefix("! differs in   ") for line in section.splitlines() if line.startswith("! differs in")]
    assert words(*EXAMPLES) == shown


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (Side(is_there=True), None, "tier eth3: here not known yet, on the peer not known yet"),
        (
            at(3, "tier-added", "12:00:00"),
            None,
            "tier eth3: here tier-added #3 (2026-07-13T12:00:00Z), on the peer not known yet",
        ),
        (
            Side(is_there=True, touch=Touch(seq=900)),
            at(3, "tier-removed", "12:00:00", gone=True),
            "tier eth3: here no command since #900, on the peer tier-removed #3 (2026-07-13T12:00:00Z)",
        ),
        (Side(is_there=True), NEVER, "tier eth3: here not known yet, on the peer no command"),
    ],
)
def test_what_is_not_known_is_said_so(here: Side, there: Side | None, expected: str) -> None:
    assert words(Difference(thing=Thing("tier", "eth3"), here=here, there=there)) == [expected]


def test_what_one_pair_of_commands_explains_stands_together() -> None:
    here = at(9, "port-forwards-changed", "12:00:00")
    things = [Thing("port forwarding", f"203.0.113.1 tcp {n}") for n in range(80, 90)]
    found = describe_differences([Difference(thing=each, here=here, there=NEVER) for each in things], "the peer")
    assert [each["text"] for each in found] == [
        "port forwarding 203.0.113.1 tcp 80, port forwarding 203.0.113.1 tcp 81, port forwarding 203.0.113.1 tcp 82 "
        "and 7 more: port-forwards-changed #9 (2026-07-13T12:00:00Z) was never stored on the peer"
    ]
    assert found[0]["things"] == [str(each) for each in things]


def test_scripts_get_the_same_as_data() -> None:
    (found,) = describe_differences([EXAMPLES[1]], "the peer 10.1.2.3")
    assert found["here"] == {
        "present": True,
        "seq": 57,
        "event": "reservation-put",
        "time": 1783944250.0,
        "command_id": "tf-17",
        "since": None,
    }
    assert found["there"] == {
        "present": False,
        "seq": None,
        "event": None,
        "time": None,
        "command_id": "",
        "since": 0,
    }
    assert found["peer"] == "the peer 10.1.2.3"
    assert describe_differences([Difference(thing=Thing("tier"), here=NEVER, there=None)], "")[0]["there"] is None
