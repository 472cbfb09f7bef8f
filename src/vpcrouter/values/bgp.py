"""What a VPC router tells its BGP neighbours: one frozen class, which checks itself as those of `config` do."""

from __future__ import annotations

import re

from attrs import frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.checks import checked, optional, within
from vpcrouter.values.config import Secret

_PASSWORD = re.compile(r"[\x21-\x7e]{1,80}", re.ASCII)
"""TCP_MD5SIG_MAXKEYLEN is 80; a blank would end the word in FRR's configuration."""
_LARGEST_AS = 2**32 - 1
"""RFC 6793."""
_RESERVED_AS = frozenset({23456, 65535, _LARGEST_AS})
"""AS_TRANS (RFC 6793) and the last ones (RFC 7300)."""


def autonomous_system(value: object, path: str) -> int:
    """The number of an autonomous system."""
    number = fields.integer(value, path, 1, _LARGEST_AS)
    if number in _RESERVED_AS:
        raise fields.malformed(path, value, "the number of an autonomous system: it is reserved")
    return number


def session_password(value: object, path: str) -> Secret:
    """The key of TCP's MD5 signatures (RFC 2385): one printable word of at most 80 characters."""
    if not isinstance(value, Secret):
        raise MalformedInputError("is not a Secret", where=path)
    if not _PASSWORD.fullmatch(value.reveal()):
        raise MalformedInputError("is not one printable word of at most 80 characters", where=path)
    return value


@frozen(kw_only=True)
class BgpPeering:
    """One neighbour (by either family or both) is told of one tier."""

    peer_id: int = within(0, 2**63 - 1, 0)
    """The server's number of the neighbour."""
    network_id: int = within(0, 2**63 - 1, 0)
    """The server's number of the tier."""
    as_number: int = checked(autonomous_system)
    own_as_number: int = checked(autonomous_system)
    ipv4: str | None = optional(fields.ipv4)
    ipv6: str | None = optional(fields.ipv6)
    password: Secret | None = optional(session_password)
    network4: str | None = optional(fields.route_network)
    network6: str | None = optional(fields.ipv6_network)
    hops: int = within(1, 255, 1)
    """How far away the neighbour may be: EBGP_MultiHop."""

    def __attrs_post_init__(self) -> None:
        """There is somebody to talk to."""
        if self.ipv4 is None and self.ipv6 is None:
            raise MalformedInputError("a neighbour has an IPv4 or an IPv6 address", where="ipv4")
