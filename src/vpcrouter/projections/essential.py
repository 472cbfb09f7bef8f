"""Which events a full disk must not stop: what the role became, and what only takes something away.

They are small, and without them a router could not even be brought to need less. Reverting is essential as a whole;
that is for `router` to say.
"""

from __future__ import annotations

from vpcrouter.events import Event, ReservationRemoved, RoleChanged, TierRemoved


def is_essential(event: Event) -> bool:
    """Whether this may use the journal's reserve."""
    if isinstance(event, RoleChanged | TierRemoved | ReservationRemoved):
        return True
    return getattr(event, "put", None) == () and bool(getattr(event, "removed", ()))
