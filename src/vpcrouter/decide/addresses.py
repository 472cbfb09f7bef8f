"""Public addresses and private gateways."""

from __future__ import annotations

from collections.abc import Iterable

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, left_waiting, refuse, refuse_two_in_one_place, reject
from vpcrouter.state import StateView
from vpcrouter.values.config import PublicAddress


def _change_public_addresses(view: StateView, command: commands.ChangePublicAddresses) -> Decision:
    refuse_two_in_one_place(command.put, lambda each: each.address, lambda each: str(each.address))
    wanted = {each.address: each for each in command.put}
    after = {address: each for address, each in view.public_addresses.items() if address not in command.remove}
    after.update(wanted)
    for each in wanted.values():
        _check_public_address(view, each, after.values())
    put = tuple(each for address, each in wanted.items() if view.public_addresses.get(address) != each)
    removed = tuple(a for a in command.remove if a in view.public_addresses and a not in wanted)
    if not put and not removed:
        return Decision()
    event = events.PublicAddressesChanged(put=put, removed=removed)
    return Decision(event=event, pending=left_waiting(view, event) if removed else ())


def _check_public_address(view: StateView, each: PublicAddress, all_of_them: Iterable[PublicAddress]) -> None:
    where = each.address
    if each.device == "eth0":
        raise reject("eth0 is the control network's device", where)
    for tier in view.tiers.values():
        refuse(clash.tier_and_public(tier, each), where)
    for other in all_of_them:
        refuse(clash.public_and_public(each, other), where)
    for route in view.routes.values():
        refuse(clash.public_and_route(each, route), where)
    for far in references.far_networks(view):
        refuse(clash.public_and_far(each, far), where)
    if view.router is not None:
        refuse(clash.public_and_config(each, view.router), where)


DECIDE: Rules = {
    commands.ChangePublicAddresses: _change_public_addresses,
}
