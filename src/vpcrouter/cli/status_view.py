"""A status as a person wants to read it: who serves, whether all is well, and what is not.

    role         master since 5 s: keepalived: instance eth2, which carries, is master
    machine      as configured, up to event 41
    peer         backup, ready, configured alike, heard 0.1 s ago
    electors     master on eth2 (carries), eth3, eth4
    connections  12, of which the peer's last sample 0 are missing here

Lines about what is not there are left out. What somebody has to do something about begins with `!`. Scripts read
`vpcrouter --json status`, which has everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

_MANY = 5
"""More of one kind are counted, and not listed."""
_DRIFT_COUNTS_S = 3600.0


@frozen
class Line:
    """One line: what it is about, what is to be said of it, and whether it is a trouble."""

    label: str
    text: str
    is_wrong: bool = False

    def __str__(self) -> str:
        return f"{'!' if self.is_wrong else ' '} {self.label:<12} {self.text}"


def status_lines(status: Mapping[str, Any], now_s: float) -> Iterator[Line]:
    """The lines for what `vpcrouter --json status` says; `now_s`: seconds since 1970."""
    if not status["agent"]:
        yield Line("agent", "none runs on this journal; this is what the journal alone can tell", is_wrong=True)
        yield Line("journal", f"event {status['seq']}, digest {status['digest'][:12]}")
        yield from _listed("pending", status["pending"])
        yield from _listed("unconfirmed", status["unconfirmed"])
        return
    yield Line(
        "role",
        f"{status['role']} since {_span(now_s - status['role_since'])}: {status['role_reason']}",
        is_wrong=status["role"] == "fault",
    )
    yield from _machine(status)
    yield from _peers(status)
    yield from _readiness(status)
    yield from _electors(status)
    yield from _tunnels(status["tunnels"])
    yield from _listed("pending", status["pending"])
    yield from _listed("unconfirmed", [_unconfirmed(each) for each in status["unconfirmed"]])
    yield from _listed("conflict", [_conflict(each) for each in status["conflicts"]], is_wrong=True)
    yield from _listed("no effect", [f"{name}: {why}" for name, why in status["without_effect"].items()], is_wrong=True)
    if not status["journal_reserve"]:
        yield Line("journal", "no room is kept for what a full disk must still take", is_wrong=True)
    failed = [f"{each['name']} fails: {each['message']}" for each in status["health"] if each["success"] == "FAILED"]
    yield from _listed("health check", failed, is_wrong=True)
    drift = [each for each in status["drift"] if now_s - each["time"] < _DRIFT_COUNTS_S]
    yield from _listed("repaired", [f"{_span(now_s - each['time'])} ago: {each['what']}" for each in reversed(drift)])


def _machine(status: Mapping[str, Any]) -> Iterator[Line]:
    if status["settled"]:
        yield Line("machine", f"as configured, up to event {status['seq']}, digest {status['digest'][:12]}")
    else:
        done = f"as configured up to event {status['settled_seq']} of {status['seq']}"
        yield Line("machine", f"{done}; the rest is under way or wrong", is_wrong=True)
    yield from _listed("fault", status["faults"], is_wrong=True)
    yield from _listed("lost", status["lost"], is_wrong=True)


def _peers(status: Mapping[str, Any]) -> Iterator[Line]:
    peers = status["peers"]
    if not peers and status["electors"]:
        yield Line("peer", "never heard", is_wrong=True)
    for each in peers:
        yield from _peer(status, each, f"{each['address']}: " if len(peers) > 1 else "")
    if (differs := status["differs"]) is not None and peers:
        counts = differs["counts"]
        here, there = (
            f"{counts['here']} only here or otherwise there",
            f"{counts['there']} only there or otherwise here",
        )
        text = f"for {_span(differs['seconds'])}: {here}, {there}"
        yield Line("differs", text, is_wrong=True)
        yield from _listed("differs in", [each["text"] for each in differs["commands"]], is_wrong=True)


def _peer(status: Mapping[str, Any], peer: Mapping[str, Any], which: str) -> Iterator[Line]:
    is_alike = peer["digest"] == status["digest"]
    words = [peer["role"]]
    if peer["role"] == "backup":
        words.append("ready" if peer["ready"] else "not ready")
    words.append("configured alike" if is_alike else f"configured otherwise (digest {peer['digest'][:12]})")
    words.append(f"{'silent, ' if peer['silent'] else ''}heard {_span(peer['heard_ms_ago'] / 1000)} ago")
    yield Line("peer", which + ", ".join(words), is_wrong=peer["silent"] or not is_alike)
    yield from _listed("peer lost", [f"{which}{each}" for each in peer["lost"]], is_wrong=True)


def _readiness(status: Mapping[str, Any]) -> Iterator[Line]:
    if status["ready"]:
        yield Line("take-over", "ready")
    yield from _listed("not ready", status["not_ready"], is_wrong=True)
    if status["connections"] is not None and status["peers"]:
        missing = status["connections_missing"]
        lack = f", {missing} of the peer's are not here" if missing else ""
        yield Line("connections", f"{status['connections']}{lack}")


def _electors(status: Mapping[str, Any]) -> Iterator[Line]:
    by_role: dict[str, list[str]] = {}
    for device, role in status["electors"].items():
        name = f"{device} (carries)" if device == status["interface"] else device
        by_role.setdefault(role, []).append(f"{name}, held for the peer" if device in status["held"] else name)
    if by_role:
        yield Line("electors", "; ".join(f"{role} on {', '.join(devices)}" for role, devices in by_role.items()))


def _listed(label: str, found: Sequence[str], *, is_wrong: bool = False) -> Iterator[Line]:
    for each in found[:_MANY]:
        yield Line(label, each, is_wrong)
    if len(found) > _MANY:
        yield Line(label, f"… and {len(found) - _MANY} more", is_wrong)


def _tunnels(found: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    for each in found:
        state = "connected" if each["connected"] else "not connected"
        lack = f", without {', '.join(each['missing'])}" if each["missing"] else ""
        yield Line(
            "tunnel", f"to {each['peer']}: {state}{lack}", is_wrong=not each["connected"] or bool(each["missing"])
        )


def _unconfirmed(each: Mapping[str, Any]) -> str:
    name = each["confirmation"]
    return f"{name}, {_span(each['left_s'])} left: `vpcrouter confirm {name}` keeps it"


def _conflict(each: Mapping[str, str]) -> str:
    return f"{each['address']} on {each['device']} is used by {each['mac']} too"


def _span(seconds: float) -> str:
    """A time in the unit in which a person would say it."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s" if seconds >= 10 else f"{max(seconds, 0):.1f} s"
