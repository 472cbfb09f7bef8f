"""Events about fixed DHCP leases."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import checked, each
from vpcrouter.values.config import Reservation


@frozen(kw_only=True)
class ReservationPut:
    """A fixed lease was put; `displaced` are the addresses whose lease of the same MAC went for it."""

    reservation: Reservation
    displaced: tuple[str, ...] = each(fields.ipv4)


@frozen(kw_only=True)
class ReservationRemoved:
    """The fixed lease of an address went."""

    address: str = checked(fields.ipv4)
