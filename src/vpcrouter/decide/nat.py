"""Port forwardings and static NATs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse, refuse_two_in_one_place, reject, waiting
from vpcrouter.decide.vpn import refuse_forward, refuse_static_nat
from vpcrouter.state import StateView
from vpcrouter.values.balancing import BalancerRule, StatisticsPage
from vpcrouter.values.config import PortForward
from vpcrouter.values.forwarding import forward_key, same_forward
from vpcrouter.values.networks import is_ipv6

SHIFTED_PORTS = 1000
"""Such a range takes one element for each port and client in a set of intervals, where 5,000 take a second to load
and 40,000 a minute (measured with nftables 1.0.6)."""


def _change_port_forwards(view: StateView, command: commands.ChangePortForwards) -> Decision:
    """What a command puts for a public port replaces all that was there for it: a command repeats what is to stay."""
    before = _near(view, (*command.put, *command.remove))
    # By their public ports, since a command may hold all ten thousand of an address.
    after: dict[_Ports, list[PortForward]] = {}
    for each in before:
        after.setdefault(forward_key(each), []).append(each)
    for gone in command.remove:
        ports = forward_key(gone)
        after[ports] = [each for each in after.get(ports, ()) if not same_forward(each, gone)]
    after.update({forward_key(each): [] for each in command.put})
    for new in command.put:
        there = after[forward_key(new)]
        if new in there:
            continue
        if any(same_forward(each, new) for each in there):
            what = "the command asks for two different things for these ports and clients"
            raise reject(what, references.describe(new), "name each once")
        _check_forward(view, new)
        there.append(new)
    _refuse_overlaps(after, command.put)
    was_there: dict[_Ports, list[PortForward]] = {}
    for each in before:
        was_there.setdefault(forward_key(each), []).append(each)
    removed = tuple(each for each in before if each not in after[forward_key(each)])
    put = tuple(each for each in _flat(after) if each not in was_there.get(forward_key(each), ()))
    if not put and not removed:
        return Decision(pending=waiting(view, command.put))
    return Decision(event=events.PortForwardsChanged(put=put, removed=removed), pending=waiting(view, put))


_Ports = tuple[str, str, int, int]


def _near(view: StateView, named: tuple[PortForward, ...]) -> list[PortForward]:
    """What is there on the ports of those that a command names; of one among ten thousand, a few."""
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for each in named:
        spans.setdefault((each.address, each.protocol), []).append((each.first_port, each.last_port))
    found: list[PortForward] = []
    for address in dict.fromkeys(each.address for each in named):
        there = view.forwards.get(address, ())
        for protocol in sorted(protocol for of, protocol in spans if of == address):
            # They are kept by protocol and first port.
            first = bisect_left(there, protocol, key=lambda each: each.protocol)
            last = bisect_right(there, protocol, key=lambda each: each.protocol)
            found += _touching(there[first:last], spans[address, protocol])
    return found


def _touching(there: Sequence[PortForward], spans: list[tuple[int, int]]) -> list[PortForward]:
    """Those, in order of their first ports, that have a port in one of the spans."""
    if len(spans) == 1:
        ((low, high),) = spans
        end = bisect_right(there, high, key=lambda each: each.first_port)
        return [each for each in there[:end] if each.last_port >= low]
    firsts, reaches = zip(*sorted(spans), strict=True)
    furthest = tuple(accumulate(reaches, max))
    # Of the spans that begin in time, the one that reaches furthest decides.
    found = []
    for each in there:
        number = bisect_right(firsts, each.last_port)
        if number and furthest[number - 1] >= each.first_port:
            found.append(each)
    return found


def _flat(forwards: Mapping[_Ports, list[PortForward]]) -> Iterator[PortForward]:
    return (each for found in forwards.values() for each in found)


def _refuse_overlaps(forwards: Mapping[_Ports, list[PortForward]], new: tuple[PortForward, ...]) -> None:
    """Refuse the first new forwarding that meets another: in one pass over all, by their ports."""
    order = {forward_key(each): number for number, each in reversed(list(enumerate(new)))}
    clashes: list[tuple[int, PortForward, PortForward]] = []
    near: list[PortForward] = []
    for ports in sorted(forwards):
        for each in forwards[ports]:
            near = [other for other in near if _reaches(other, each)]
            for other in near:
                one, two = sorted((each, other), key=lambda forward: order.get(forward_key(forward), -1), reverse=True)
                if forward_key(one) in order and clash.forward_and_forward(one, two) is not None:
                    clashes.append((order[forward_key(one)], one, two))
            near.append(each)
    if clashes:
        _, one, two = min(clashes, key=lambda found: found[0])
        refuse(clash.forward_and_forward(one, two), references.describe(one))


def _reaches(earlier: PortForward, later: PortForward) -> bool:
    """Whether the ports of one that comes earlier in their order have not ended before those of the other."""
    return (earlier.address, earlier.protocol) == (later.address, later.protocol) and (
        earlier.last_port >= later.first_port
    )


def _check_forward(view: StateView, new: PortForward) -> None:
    where = references.describe(new)
    if (nat := view.static_nats.get(new.address)) is not None:
        raise reject(f"{new.address} already has a static NAT to {nat.target}", where, "revoke that first")
    if new.sources and new.first_port != new.target_port and new.last_port - new.first_port >= SHIFTED_PORTS:
        raise reject(
            f"a range that is shifted and limited to some clients may have {SHIFTED_PORTS} ports at most",
            where,
            "use the same ports at the guest, or let the ACL of its tier say who may come",
        )
    if new.sources and all(is_ipv6(each) for each in new.sources):
        raise reject("no client has an IPv4 address, and a forwarding is for those alone", where, "name one, or none")
    _check_target(view, new.target, where)
    refuse_forward(view, new, where)
    for listener in _listeners(view):
        refuse(clash.forward_and_listener(new, listener), where)


def _check_target(view: StateView, target: str, where: str) -> None:
    if view.router is not None:
        refuse(clash.guest_and_config(target, view.router), where)
    for tier in view.tiers.values():
        refuse(clash.tier_and_target(tier, target), where)


def _listeners(view: StateView) -> tuple[BalancerRule | StatisticsPage, ...]:
    return () if view.balancer is None else view.balancer.listeners


def _change_static_nats(view: StateView, command: commands.ChangeStaticNats) -> Decision:
    refuse_two_in_one_place(command.put, lambda nat: nat.address, references.describe)
    after = {address: nat for address, nat in view.static_nats.items() if address not in command.remove}
    for new in command.put:
        if view.forwards.get(new.address):
            raise reject(f"{new.address} already has a port forwarding", references.describe(new), "revoke that first")
        _check_target(view, new.target, references.describe(new))
        refuse_static_nat(view, new.address, references.describe(new))
        for listener in _listeners(view):
            refuse(clash.static_nat_and_listener(new, listener), references.describe(new))
        after[new.address] = new
    for new in command.put:
        for other in after.values():
            refuse(clash.static_nat_and_static_nat(after[new.address], other), references.describe(new))
    put = tuple(nat for nat in command.put if view.static_nats.get(nat.address) != nat)
    removed = tuple(address for address in command.remove if address in view.static_nats and address not in after)
    if not put and not removed:
        return Decision(pending=waiting(view, command.put))
    return Decision(event=events.StaticNatsChanged(put=put, removed=removed), pending=waiting(view, put))


DECIDE: Rules = {
    commands.ChangePortForwards: _change_port_forwards,
    commands.ChangeStaticNats: _change_static_nats,
}
