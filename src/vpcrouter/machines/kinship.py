"""Whether the routers of a set speak one kind of VRRP, and who must not serve if they do not. Pure.

Asked by the agent. keepalived does not hear an advertisement of another kind (with or without authentication, or with
another one), so each would serve. Beacons are the same for all, and tell the kind: of two that differ the one that does
not serve stays in fault, or the junior one where both do or neither. When the other one falls silent, nobody is left to
give way to.

Known hole: between unicast and multicast beacons do not pass either.
"""

from __future__ import annotations

from collections.abc import Iterable

from vpcrouter.values.beacon import Peer


def must_not_serve(kind: str, *, serves: bool, instance: bytes, peers: Iterable[Peer]) -> str:
    """Why this router must not, in words; empty if it may. `peers`: those that are heard; `instance` is its own."""
    for each in peers:
        theirs = each.saying.vrrp
        if not theirs or not kind or theirs == kind:
            continue
        gives_way = each.saying.serves if each.saying.serves != serves else each.instance < instance
        if gives_way:
            where = f" at {each.places[0].address}" if each.places else ""
            return f"the peer{where} does not hear this router's VRRP: authentication is {theirs} there and {kind} here"
    return ""
