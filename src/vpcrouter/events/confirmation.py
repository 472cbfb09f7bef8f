"""Events about changes that are kept only if they are confirmed in time."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import checked, each
from vpcrouter.values.confirmation import Confirmation


@frozen(kw_only=True)
class ConfirmationRequired:
    """The events that follow in this group are one change, and it is to be taken back unless it is confirmed."""

    confirmation: Confirmation


@frozen(kw_only=True)
class ChangeConfirmed:
    """The change stays. `by` says who or what confirmed it."""

    name: str = checked(fields.text)
    by: str = checked(fields.text)


@frozen(kw_only=True)
class ChangeReverted:
    """The events before this one in its group have taken the change back. `kept` says what of it was left, and why."""

    name: str = checked(fields.text)
    reason: str = checked(fields.text)
    kept: tuple[str, ...] = each(fields.text)
