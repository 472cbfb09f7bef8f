"""Port forwardings and static NATs."""

from __future__ import annotations

from collections.abc import Iterable

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse, refuse_two_in_one_place, reject, waiting
from vpcrouter.decide.vpn import refuse_forward, refuse_static_nat
from vpcrouter.state import StateView, forward_key, same_forward
from vpcrouter.values.config import PortForward

SHIFTED_PORTS = 1000
"""Such a range takes one element for each port and client in a set of intervals, where 5,000 take a second to load
and 40,000 a minute (measured with nftables 1.0.6)."""


def _change_port_forwards(view: StateView, command: commands.ChangePortForwards) -> Decision:
    """What a command puts for a public port replaces all that was there for it: a command repeats what is to stay."""
    addresses = {each.address for each in (*command.put, *command.remove)}
    before = {address: list(view.forwards.get(address, ())) for address in addresses}
    after = {address: list(found) for address, found in before.items()}
    for gone in command.remove:
        after[gone.address] = [each for each in after[gone.address] if not same_forward(each, gone)]
    repeated = {forward_key(each) for each in command.put}
    for address in addresses:
        after[address] = [each for each in after[address] if forward_key(each) not in repeated]
    for new in command.put:
        if new in after[new.address]:
            continue
        if any(same_forward(each, new) for each in after[new.address]):
            what = "the command asks for two different things for these ports and clients"
            raise reject(what, references.describe(new), "name each once")
        _check_forward(view, new, after[new.address])
        after[new.address].append(new)
    removed = tuple(each for address in addresses for each in before[address] if each not in after[address])
    put = tuple(each for address in addresses for each in after[address] if each not in before[address])
    if not put and not removed:
        return Decision(pending=waiting(view, command.put))
    return Decision(event=events.PortForwardsChanged(put=put, removed=removed), pending=waiting(view, put))


def _check_forward(view: StateView, new: PortForward, others: Iterable[PortForward]) -> None:
    where = references.describe(new)
    if (nat := view.static_nats.get(new.address)) is not None:
        raise reject(f"{new.address} already has a static NAT to {nat.target}", where, "revoke that first")
    if new.sources and new.first_port != new.target_port and new.last_port - new.first_port >= SHIFTED_PORTS:
        raise reject(
            f"a range that is shifted and limited to some clients may have {SHIFTED_PORTS} ports at most",
            where,
            "use the same ports at the guest, or let the ACL of its tier say who may come",
        )
    _check_target(view, new.target, where)
    refuse_forward(view, new, where)
    for other in others:
        refuse(clash.forward_and_forward(new, other), where)


def _check_target(view: StateView, target: str, where: str) -> None:
    if view.router is not None:
        refuse(clash.guest_and_config(target, view.router), where)
    for tier in view.tiers.values():
        refuse(clash.tier_and_target(tier, target), where)


def _change_static_nats(view: StateView, command: commands.ChangeStaticNats) -> Decision:
    refuse_two_in_one_place(command.put, lambda nat: nat.address, references.describe)
    after = {address: nat for address, nat in view.static_nats.items() if address not in command.remove}
    for new in command.put:
        if view.forwards.get(new.address):
            raise reject(f"{new.address} already has a port forwarding", references.describe(new), "revoke that first")
        _check_target(view, new.target, references.describe(new))
        refuse_static_nat(view, new.address, references.describe(new))
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
