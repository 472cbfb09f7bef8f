"""Which events a full disk must not stop: what was observed, and what only takes something away.

They are small, and without them a router could not even be brought to need less. Reverting is essential as a whole;
that is for `router` to say.
"""

from __future__ import annotations

from vpcrouter.events import (
    Event,
    GuestPasswordFetched,
    GuestPasswordRemoved,
    ReservationRemoved,
    RoleChanged,
    TierRemoved,
)

_ALWAYS = RoleChanged | TierRemoved | ReservationRemoved | GuestPasswordFetched | GuestPasswordRemoved


def is_essential(event: Event) -> bool:
    """Whether this may use the journal's reserve."""
    if isinstance(event, _ALWAYS):
        return True
    return getattr(event, "put", None) == () and bool(getattr(event, "removed", ()))
