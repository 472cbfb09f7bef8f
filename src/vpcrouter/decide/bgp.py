"""BGP: the peerings fit each other, whatever else there is."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from vpcrouter import commands, events, references
from vpcrouter.decide.decision import Decision, Rules, reject, waiting
from vpcrouter.state import StateView
from vpcrouter.values.bgp import BgpPeering


def _replace_bgp_peerings(view: StateView, command: commands.ReplaceBgpPeerings) -> Decision:
    peerings = tuple(sorted(command.peerings, key=lambda each: (each.peer_id, each.network_id)))
    _check(peerings)
    if peerings == view.bgp_peerings:
        return Decision(pending=waiting(view, peerings))
    return Decision(event=events.BgpPeeringsReplaced(peerings=peerings), pending=waiting(view, peerings))


def _check(peerings: Iterable[BgpPeering]) -> None:
    seen: set[tuple[int, int]] = set()
    neighbours: dict[int, BgpPeering] = {}
    by_address: dict[str, int] = {}
    first: BgpPeering | None = None
    for each in peerings:
        where, key = references.describe(each), (each.peer_id, each.network_id)
        if key in seen:
            raise reject("the command names this neighbour and tier twice", where, "name each once")
        seen.add(key)
        first = first or each
        if each.own_as_number != first.own_as_number:
            raise reject(
                f"a router has one autonomous system, not {first.own_as_number} and {each.own_as_number}",
                where,
                "give the tiers of a VPC the same number",
            )
        neighbour = neighbours.setdefault(each.peer_id, each)
        if evolve(neighbour, network_id=each.network_id, network4=each.network4, network6=each.network6) != each:
            raise reject(f"the command says two different things of neighbour {each.peer_id}", where)
        for address in filter(None, (each.ipv4, each.ipv6)):
            if by_address.setdefault(address, each.peer_id) != each.peer_id:
                raise reject(f"{address} is the address of two neighbours", where)


DECIDE: Rules = {
    commands.ReplaceBgpPeerings: _replace_bgp_peerings,
}
