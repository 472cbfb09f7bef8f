"""What a person is shown of a status."""

from __future__ import annotations

from typing import Any

from vpcrouter.cli.status_view import status_lines

NOW_S = 1_800_000_000.0
WELL: dict[str, Any] = {
    "agent": True,
    "role": "master",
    "role_reason": "keepalived: instance eth2, which carries, is master",
    "role_since": NOW_S - 5,
    "interface": "eth2",
    "seq": 41,
    "digest": "e5943cc8a433117d",
    "settled": True,
    "settled_seq": 41,
    "ready": None,
    "not_ready": [],
    "connections": 12,
    "connections_missing": 0,
    "electors": {"eth2": "master", "eth3": "master"},
    "lost": [],
    "held": [],
    "peers": [
        {
            "address": "10.1.2.3",
            "role": "backup",
            "digest": "e5943cc8a433117d",
            "ready": True,
            "heard_ms_ago": 108,
            "lost": [],
            "silent": False,
        }
    ],
    "conflicts": [],
    "differs": None,
    "tunnels": [],
    "pending": [],
    "unconfirmed": [],
    "faults": [],
    "without_effect": {},
    "journal_reserve": True,
    "drift": [],
    "health": [],
    "alerts": [],
}


def shown(**changes: Any) -> list[str]:
    return [str(each) for each in status_lines({**WELL, **changes}, NOW_S)]


def test_where_all_is_well_nothing_is_marked() -> None:
    assert shown() == [
        "  role         master since 5.0 s: keepalived: instance eth2, which carries, is master",
        "  machine      as configured, up to event 41, digest e5943cc8a433",
        "  peer         backup, ready, configured alike, heard 0.1 s ago",
        "  connections  12",
        "  electors     master on eth2 (carries), eth3",
    ]


def test_each_trouble_is_marked() -> None:
    silent = {**WELL["peers"][0], "silent": True, "heard_ms_ago": 300_000, "digest": "0", "lost": ["link eth2"]}
    lines = shown(
        role="fault",
        settled=False,
        settled_seq=39,
        faults=["dnsmasq: does not start"],
        lost=["the link of eth3 is down"],
        peers=[silent],
        differs={
            "seconds": 75.0,
            "counts": {"here": 1, "there": 2},
            "commands": [{"text": "tier eth4: tier-added #7 (2026-07-13T12:03:07Z) was never stored on the peer"}],
        },
        not_ready=["its connections are not in step"],
        tunnels=[{"peer": "198.51.100.1", "connected": False, "standing": [], "missing": ["10.9.0.0/16"]}],
        conflicts=[{"device": "eth2", "address": "10.1.2.1", "mac": "02:00:00:00:00:77"}],
        without_effect={"vrrp_authentication=hmac": "keepalived 2.2.7 does not know it"},
        journal_reserve=False,
        health=[{"name": "dns", "kind": "basic", "success": "FAILED", "message": "no answer", "time": NOW_S}],
    )
    marked = {line.split()[1] for line in lines if line.startswith("!")}
    words = "role machine fault lost peer differs not tunnel conflict no journal health"
    assert marked == set(words.split())
    for text in (
        "as configured up to event 39 of 41",
        "configured otherwise (digest 0), silent, heard 5 min ago",
        "! differs      for 75 s: 1 only here or otherwise there, 2 only there or otherwise here",
        "! differs in   tier eth4: tier-added #7 (2026-07-13T12:03:07Z) was never stored on the peer",
        "10.1.2.1 on eth2 is used by 02:00:00:00:00:77 too",
        "to 198.51.100.1: not connected, without 10.9.0.0/16",
        "dns fails: no answer",
    ):
        assert any(text in line for line in lines), (text, lines)


def test_of_several_peers_each_has_a_line() -> None:
    other = {**WELL["peers"][0], "address": "10.1.2.4", "lost": ["eth3 has no carrier"]}
    lines = [line for line in shown(peers=[WELL["peers"][0], other]) if " peer" in line]
    assert lines == [
        "  peer         10.1.2.3: backup, ready, configured alike, heard 0.1 s ago",
        "  peer         10.1.2.4: backup, ready, configured alike, heard 0.1 s ago",
        "! peer lost    10.1.2.4: eth3 has no carrier",
    ]


def test_what_waits_and_what_was_repaired_is_told() -> None:
    drift = [
        {"time": NOW_S - 7_200 * 9, "what": "old"},
        *({"time": NOW_S - n, "what": f"{n}"} for n in range(9, 0, -1)),
    ]
    waiting = [{"confirmation": "42", "left_s": 51.3}]
    lines = shown(drift=drift, unconfirmed=waiting, pending=["a", "b"])
    assert "  unconfirmed  42, 51 s left: `vpcrouter confirm 42` keeps it" in lines
    assert next(line.split()[1:] for line in lines if " repaired " in line) == ["1.0", "s", "ago:", "1"]
    assert sum(" repaired " in line for line in lines) == 6
    assert "… and 4 more" in lines[-1]


def test_without_an_agent_the_journal_is_told_of() -> None:
    found = {"agent": False, "seq": 3, "digest": "abc", "pending": ["reservation 10.1.2.9"], "unconfirmed": ["42"]}
    assert [str(each) for each in status_lines(found, NOW_S)] == [
        "! agent        none runs on this journal; this is what the journal alone can tell",
        "  journal      event 3, digest abc",
        "  pending      reservation 10.1.2.9",
        "  unconfirmed  42",
    ]
