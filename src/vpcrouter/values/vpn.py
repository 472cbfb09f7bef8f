"""What a VPC router is configured with to talk to other sites and to single clients through IPsec.

As the classes of `config`: each checks itself field by field, knows no other thing, and is shared by commands, events
and the state. Proposals are in strongSwan's words (`aes256-sha256-modp2048`), of which only those listed here are
known, since they are negotiated with whoever is outside.
"""

from __future__ import annotations

import re

from attrs import frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields, networks
from vpcrouter.values.checks import checked, each, flag, within
from vpcrouter.values.config import Secret

_ENCRYPTION = frozenset(
    {"3des", *(f"aes{bits}{mode}" for bits in (128, 192, 256) for mode in ("", "ctr", "gcm16", "ccm16"))}
    | {"aes128gcm128", "aes192gcm128", "aes256gcm128", "chacha20poly1305"}
)
_INTEGRITY = frozenset({"md5", "sha1", "sha256", "sha384", "sha512", "aesxcbc", "aescmac"})
_GROUPS = frozenset(
    {f"modp{bits}" for bits in (1024, 1536, 2048, 3072, 4096, 6144, 8192)}
    | {"ecp256", "ecp384", "ecp521", "curve25519", "x25519"}
)
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}", re.ASCII)
_USER_PASSWORD = re.compile(r"[A-Za-z0-9@#+=._!~*:/,%^&-]{1,128}", re.ASCII)
_KEY = re.compile(r"[\x20-\x7e]{1,1024}", re.ASCII)
LONGEST_POOL = 65536
"""Addresses for clients."""


def ike_proposal(value: object, path: str) -> str:
    """`cipher-hash-group`: a key exchange needs a Diffie-Hellman group."""
    return _proposal(value, path, needs_group=True)


def esp_proposal(value: object, path: str) -> str:
    """`cipher-hash` or `cipher-hash-group`; with a group every new key of a tunnel is exchanged anew (PFS)."""
    return _proposal(value, path, needs_group=False)


def _proposal(value: object, path: str, *, needs_group: bool) -> str:
    words = value.split("-") if isinstance(value, str) else []
    rest = words[1:]
    if rest and rest[0] in _INTEGRITY:
        rest = rest[1:]
    if words[:1] == [] or words[0] not in _ENCRYPTION or any(word not in _GROUPS for word in rest) or len(rest) > 1:
        raise fields.malformed(path, value, "a proposal like aes256-sha256-modp2048")
    if needs_group and not rest:
        raise fields.malformed(path, value, "a proposal with a group, like aes256-sha256-modp2048")
    return "-".join(words)


def user_name(value: object, path: str) -> str:
    """A user's name: letters, digits and @ . _ + -."""
    if not isinstance(value, str) or not _USER.fullmatch(value):
        raise fields.malformed(path, value, "a user name of letters, digits and @ . _ + - (64 at most)")
    return value


def user_password(value: object, path: str) -> Secret:
    """A user's password; it reaches a file with quotation marks around it, so it holds no blank, quote or backslash."""
    return _matching(value, path, _USER_PASSWORD, "a password of letters, digits and @#+=._!~*:/,%^&- (128 at most)")


def shared_key(value: object, path: str) -> Secret:
    """A pre-shared key: printable ASCII, blanks included. Files hold it in hexadecimal."""
    return _matching(value, path, _KEY, "a key of printable ASCII characters (1024 at most)")


def _matching(value: object, path: str, pattern: re.Pattern[str], expected: str) -> Secret:
    if not isinstance(value, Secret):
        raise MalformedInputError("is not a Secret", where=path)
    if not pattern.fullmatch(value.reveal()):
        raise MalformedInputError(f"is not {expected}", where=path)
    return value


@frozen(kw_only=True)
class SiteVpn:
    """Tunnels between the VPC and another site, by its gateway `peer`. Both ends are known by their addresses."""

    peer: str = checked(fields.ipv4)
    address: str = checked(fields.ipv4)
    """The router's own end: one of its public addresses."""
    local_network: str = checked(fields.route_network)
    remote_networks: tuple[str, ...] = each(fields.route_network)
    """In numeric order, apart from each other."""
    ike_version: int = within(0, 2, 0)
    """1, 2, or 0 for either: 2 is offered, both are answered."""
    ike_proposals: tuple[str, ...] = each(ike_proposal)
    esp_proposals: tuple[str, ...] = each(esp_proposal)
    ike_lifetime_s: int = within(60, 86400 * 7, 86400)
    esp_lifetime_s: int = within(60, 86400 * 7, 3600)
    key: Secret = checked(shared_key)
    detects_dead_peer: bool = flag(False)
    is_passive: bool = flag(False)
    """The other end begins; this one only answers."""
    forces_encapsulation: bool = flag(False)
    """ESP in UDP, even where no NAT is in between."""
    splits: bool = flag(False)
    """A tunnel for each remote network, not one for all."""

    def __attrs_post_init__(self) -> None:
        """There is something to be reached, by somebody else, in one way only."""
        if not self.remote_networks or not self.ike_proposals or not self.esp_proposals:
            name = next(n for n in ("remote_networks", "ike_proposals", "esp_proposals") if not getattr(self, n))
            raise MalformedInputError("is empty", where=name)
        if self.peer == self.address:
            raise MalformedInputError(f"{self.peer} is the router's own end", where="peer")
        if tuple(sorted(self.remote_networks, key=networks.parse_network)) != self.remote_networks:
            raise MalformedInputError("is not in numeric order", where="remote_networks")
        for one, other in zip(self.remote_networks, self.remote_networks[1:], strict=False):
            if networks.overlap(one, other):
                raise MalformedInputError(f"{one} and {other} overlap", where="remote_networks")
        for network in self.remote_networks:
            if networks.overlap(network, self.local_network):
                raise MalformedInputError(f"{network} overlaps {self.local_network}", where="remote_networks")


@frozen(kw_only=True)
class RemoteAccess:
    """Single clients from anywhere come to `address` and get an address of the pool."""

    address: str = checked(fields.ipv4)
    """A public address of the router."""
    first_client: str = checked(fields.ipv4)
    last_client: str = checked(fields.ipv4)
    local_address: str = checked(fields.ipv4)
    """The router's own end, as clients see it."""
    local_network: str = checked(fields.route_network)
    """What clients may reach."""
    key: Secret = checked(shared_key)

    def __attrs_post_init__(self) -> None:
        """The pool is a range outside of what clients are to reach, and without the router's own end."""
        first, last = (int(networks.parse_address(each)) for each in (self.first_client, self.last_client))
        if not 0 <= last - first < LONGEST_POOL:
            raise MalformedInputError(
                f"{self.first_client}-{self.last_client} is not a range of 1 to {LONGEST_POOL} addresses",
                where="first_client",
            )
        if first <= int(networks.parse_address(self.local_address)) <= last:
            raise MalformedInputError(f"{self.local_address} is one of the clients' addresses", where="local_address")

    @property
    def clients(self) -> tuple[str, ...]:
        """The networks that make up the pool."""
        return networks.range_networks(self.first_client, self.last_client)


@frozen(kw_only=True)
class VpnUser:
    """Somebody who may come in from anywhere."""

    name: str = checked(user_name)
    password: Secret = checked(user_password)


@frozen
class Far:
    """A network that is reached through a tunnel of what is described."""

    what: str
    network: str
