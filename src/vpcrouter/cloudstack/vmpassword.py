"""`vmpassword` (vm_password.json): the password that waits for one guest."""

from __future__ import annotations

from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import PutGuestPassword
from vpcrouter.values import fields
from vpcrouter.values.config import Secret
from vpcrouter.values.guests import guest_password


def decode(top: Reader) -> PutGuestPassword:
    """The command of the whole object. An error does not show the password."""
    address = top.needed("ip_address", fields.ipv4)
    return PutGuestPassword(address=address, password=top.needed("password", _password))


def _password(value: object, path: str) -> Secret:
    return guest_password(Secret(text=value) if isinstance(value, str) else value, path)
