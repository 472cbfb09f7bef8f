"""What guests are told: user data, metadata, passwords.

What is told to an address goes when its reservation does: the next guest of that address must not get it (`state`).
"""

from __future__ import annotations

from vpcrouter import commands, events, references
from vpcrouter import contradictions as clash
from vpcrouter.decide.decision import Decision, Rules, refuse, waiting
from vpcrouter.state import StateView
from vpcrouter.values.guests import GuestPages, GuestPassword


def _put_pages(view: StateView, command: commands.PutGuestPages) -> Decision:
    pages = command.pages
    if view.guest_pages.get(pages.address) == pages:
        return Decision(pending=waiting(view, (pages,)))
    _check_guest(view, pages)
    return Decision(event=events.GuestPagesPut(pages=pages), pending=waiting(view, (pages,)))


def _remove_pages(view: StateView, command: commands.RemoveGuestPages) -> Decision:
    if command.address not in view.guest_pages:
        return Decision()
    return Decision(event=events.GuestPagesRemoved(address=command.address))


def _put_password(view: StateView, command: commands.PutGuestPassword) -> Decision:
    new = GuestPassword(address=command.address, password=command.password)
    old = view.guest_passwords.get(command.address)
    # A command that is repeated must not bring back a password that was fetched meanwhile.
    if old is not None and old.password == new.password:
        return Decision(pending=() if old.fetched else waiting(view, (old,)))
    _check_guest(view, new)
    event = events.GuestPasswordPut(address=command.address, password=command.password)
    return Decision(event=event, pending=waiting(view, (new,)))


def _confirm_password(view: StateView, command: commands.ConfirmGuestPassword) -> Decision:
    old = view.guest_passwords.get(command.address)
    if old is None or old.fetched:
        return Decision()
    return Decision(event=events.GuestPasswordFetched(address=command.address))


def _remove_password(view: StateView, command: commands.RemoveGuestPassword) -> Decision:
    if command.address not in view.guest_passwords:
        return Decision()
    return Decision(event=events.GuestPasswordRemoved(address=command.address))


def _check_guest(view: StateView, new: GuestPages | GuestPassword) -> None:
    where = references.describe(new)
    if view.router is not None:
        refuse(clash.guest_and_config(new.address, view.router), where)
    for tier in view.tiers.values():
        refuse(clash.tier_and_target(tier, new.address), where)


DECIDE: Rules = {
    commands.PutGuestPages: _put_pages,
    commands.RemoveGuestPages: _remove_pages,
    commands.PutGuestPassword: _put_password,
    commands.ConfirmGuestPassword: _confirm_password,
    commands.RemoveGuestPassword: _remove_password,
}
