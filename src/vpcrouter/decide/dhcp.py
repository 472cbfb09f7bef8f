"""DHCP reservations."""

from __future__ import annotations

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse, reject, waiting
from vpcrouter.state import StateView
from vpcrouter.values.config import Reservation
from vpcrouter.values.guests import GuestPages, GuestPassword

OWN_NAMES = frozenset({"data-server"})
"""What guests find the router's metadata service by."""


def _put_reservation(view: StateView, command: commands.PutReservation) -> Decision:
    new = command.reservation
    if view.reservations.get(new.address) == new:
        return Decision(pending=waiting(view, (new,)))
    if new.host_name.partition(".")[0].lower() in OWN_NAMES:
        what = f"{new.host_name} is the router's own name in every tier"
        raise reject(what, references.describe(new), "give the guest another name")
    if view.router is not None:
        refuse(clash.guest_and_config(new.address, view.router), new)
    for tier in view.tiers.values():
        refuse(clash.tier_and_reservation(tier, new), new)
    elsewhere = view.leases.get(new.mac)
    displaced = (elsewhere,) if elsewhere is not None and elsewhere != new.address else ()
    return Decision(
        event=events.ReservationPut(reservation=new, displaced=displaced),
        removed=tuple([f"reservation {address}" for address in displaced] + _told(view, new, displaced)),
        pending=waiting(view, (new,)),
    )


def _told(view: StateView, new: Reservation, displaced: tuple[str, ...]) -> list[str]:
    """What was told to guests whose addresses are another's from now on; it goes (`state`)."""
    old = view.reservations.get(new.address)
    found: list[GuestPages | GuestPassword | None] = []
    for address in displaced if old is None or old.mac == new.mac else (*displaced, new.address):
        found += view.guest_pages.get(address), view.guest_passwords.get(address)
    return [references.describe(each) for each in found if each is not None]


def _remove_reservation(view: StateView, command: commands.RemoveReservation) -> Decision:
    old = view.reservations.get(command.address)
    if old is None or old.mac != command.mac:
        return Decision()
    return Decision(event=events.ReservationRemoved(address=command.address))


DECIDE: Rules = {
    commands.PutReservation: _put_reservation,
    commands.RemoveReservation: _remove_reservation,
}
