"""Whether the routers of a set hear each other's VRRP at all, and who must not serve if they do not. Pure.

Asked by the agent. keepalived does not hear an advertisement of another kind (with or without authentication, or with
another one), nor one that goes by the other way (unicast or multicast), so each would serve. Beacons are the same for
all kinds, are heard by either way (`peering`), and tell both: of two that differ the one that does not serve stays in
fault. Where both do, the one that was elected before it had heard the other does not go on: it has served for a shorter
time. Else it is the junior one. When the other one falls silent, nobody is left to give way to.

Known hole: who speaks by unicast is heard only where it knows an address to speak to.
"""

from __future__ import annotations

from collections.abc import Iterable

from vpcrouter.values.beacon import Peer, Saying

_SAME_NS = 300_000_000
"""Two that began to serve at nearly the same time: beacons may be so late."""


def must_not_serve(own: Saying, *, instance: bytes, since_ns: int | None = None, peers: Iterable[Peer]) -> str:
    """Why this router must not, in words; empty if it may.

    `own`: what this router says of itself; `instance`: its agent's; `since_ns`: since when it serves, if it does;
    `peers`: those that are heard.
    """
    for each in peers:
        differs = "; ".join(_differences(own, each.saying))
        if not differs:
            continue
        if _comes_first(each, own, instance, since_ns):
            where = f" at {each.places[0].address}" if each.places else ""
            return f"the peer{where} does not hear this router's VRRP: {differs}"
    return ""


def _comes_first(each: Peer, own: Saying, instance: bytes, since_ns: int | None) -> bool:
    """Both ask this of the other one, and must not give the same answer."""
    if each.saying.serves != own.serves:
        return each.saying.serves
    if since_ns is not None and each.since_ns is not None and abs(since_ns - each.since_ns) > _SAME_NS:
        return each.since_ns < since_ns
    return each.instance < instance


def _differences(own: Saying, theirs: Saying) -> Iterable[str]:
    """What was not told is not known to differ."""
    if own.vrrp and theirs.vrrp and own.vrrp != theirs.vrrp:
        yield f"authentication is {theirs.vrrp} there and {own.vrrp} here"
    if own.way and theirs.way and own.way != theirs.way:
        yield f"it goes by {theirs.way} there and by {own.way} here"
