"""Events about what guests are told: user data, metadata, passwords."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import checked
from vpcrouter.values.config import Secret
from vpcrouter.values.guests import GuestPages, guest_password


@frozen(kw_only=True)
class GuestPagesPut:
    """All user data and metadata of a guest were replaced."""

    pages: GuestPages


@frozen(kw_only=True)
class GuestPagesRemoved:
    """The user data and metadata of an address went."""

    address: str = checked(fields.ipv4)


@frozen(kw_only=True)
class GuestPasswordPut:
    """A new password waits for a guest."""

    address: str = checked(fields.ipv4)
    password: Secret = checked(guest_password)


@frozen(kw_only=True)
class GuestPasswordFetched:
    """A guest has confirmed that it has its password: it is not handed out any more, here or by the peer."""

    address: str = checked(fields.ipv4)


@frozen(kw_only=True)
class GuestPasswordRemoved:
    """A password was withdrawn."""

    address: str = checked(fields.ipv4)
