"""What the load balancer of a VPC is configured with. Shared by commands, events and the state.

Ready-made lines of a configuration file never get here: a rule is a few numbers, addresses and choices, and
`materialise.haproxy` writes the lines. Times are in milliseconds; 0 means the default of the balancer.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from attrs import Attribute, field, frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.checks import checked, each, flag, many, optional, within
from vpcrouter.values.config import Secret

ALGORITHMS = ("roundrobin", "leastconn", "source", "static-rr", "first")
COOKIE_MODES = ("insert", "rewrite", "prefix")
TLS_PROFILES = ("modern", "intermediate", "old")
"""From TLS 1.3 only, by way of 1.2, to whatever OpenSSL still speaks. Rules have `intermediate` unless they say so."""
KEY_LABELS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
MOST_RULES = 1000
MOST_SERVERS = 1000

_COOKIE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_URI = re.compile(r"/[A-Za-z0-9_./?&=-]{0,200}", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}", re.ASCII)


def one_of(choices: tuple[str, ...]) -> Any:
    """The check of a text that must be one of these."""

    def check(value: object, path: str) -> str:
        if not isinstance(value, str) or value not in choices:
            raise fields.malformed(path, value, f"one of {', '.join(choices)}")
        return value

    return check


def _pattern(pattern: re.Pattern[str], expected: str) -> Any:
    def check(value: object, path: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise fields.malformed(path, value, expected)
        return value

    return check


cookie_name = _pattern(_COOKIE, "a name of a cookie (letters, digits and _ . -)")
statistics_uri = _pattern(_URI, "a path like /admin?stats")
statistics_user = _pattern(_USER, "a user's name (letters, digits and _ . @ -)")


def der(value: object, path: str) -> str:
    """What stands between the lines of a PEM block: base64 (RFC 7468) without line ends."""
    try:
        content = base64.b64decode(value if isinstance(value, str) else "-", validate=True)
    except (binascii.Error, ValueError):
        raise MalformedInputError("is not base64", where=path) from None
    canonical = base64.b64encode(content).decode()
    if not 0 < len(content) <= 65536:
        raise MalformedInputError("is empty, or longer than 65536 bytes", where=path)
    return canonical


def _secret(check: Any) -> Any:
    """The check of a secret whose text passes `check`, whose errors do not show it."""

    def checked_secret(value: object, path: str) -> Secret:
        if not isinstance(value, Secret):
            raise MalformedInputError("is not a Secret", where=path)
        if check(value.reveal(), path) != value.reveal():
            raise MalformedInputError("is not in its canonical form", where=path)
        return value

    return checked_secret


def _page_password(value: object, path: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x26\x28-\x7e]{1,200}", value, re.ASCII):
        raise MalformedInputError("is not a printable word without a single quote", where=path)
    return value


private_key = _secret(der)
page_password = _secret(_page_password)


def _choice(choices: tuple[str, ...], default: str) -> Any:
    check = one_of(choices)

    def validate(_: object, attribute: Attribute[str], value: object) -> None:
        check(value, attribute.name)

    return field(default=default, validator=validate)


@frozen(kw_only=True)
class BalancedServer:
    """A guest that takes connections; it is asked whether it is there."""

    address: str = checked(fields.ipv4)
    port: int = checked(fields.port)
    tls: bool = flag(False)
    """Speak TLS with it, whatever its certificate is."""
    send_proxy: bool = flag(False)
    """Tell it who the client is (PROXY protocol, version 1)."""
    most_connections: int = within(0, 1_000_000, 0)
    least_connections: int = within(0, 1_000_000, 0)
    most_queued: int = within(0, 1_000_000, 0)


@frozen(kw_only=True)
class Stickiness:
    """A client stays with its server: known by its address, or (`cookie_name`) by a cookie."""

    cookie_name: str | None = optional(cookie_name)
    cookie_mode: str = _choice(COOKIE_MODES, "insert")
    indirect: bool = flag(False)
    nocache: bool = flag(False)
    postonly: bool = flag(False)
    domains: tuple[str, ...] = each(fields.domain)
    table_size: int = within(1, 10_000_000, 204_800)
    """Clients that are remembered by their address."""
    expire_s: int = within(1, 31_536_000, 1800)


@frozen(kw_only=True)
class Certificate:
    """What a TLS listener shows. Base64 of DER; haproxy judges whether key and certificate belong together."""

    certificates: tuple[str, ...] = each(der)
    """The own one first, then its chain."""
    key: Secret = checked(private_key)
    key_label: str = _choice(KEY_LABELS, "PRIVATE KEY")
    """Which kind of PEM block the key came in."""

    def __attrs_post_init__(self) -> None:
        """There is at least the own certificate."""
        if not self.certificates:
            raise MalformedInputError("there is no certificate", where="certificates")


@frozen(kw_only=True)
class BalancerRule:
    """One public address and port, and the guests behind it."""

    address: str = checked(fields.ipv4)
    port: int = checked(fields.port)
    algorithm: str = _choice(ALGORITHMS, "roundrobin")
    http: bool = flag(False)
    """Read HTTP, and tell the guests who the client is (X-Forwarded-For); else TCP as it is."""
    keeps_alive: bool = flag(False)
    """HTTP connections serve several requests."""
    servers: tuple[BalancedServer, ...] = many(BalancedServer)
    sources: tuple[str, ...] = each(fields.filter_network)
    """Clients that may come; empty means anybody."""
    stickiness: Stickiness | None = None
    certificate: Certificate | None = None
    """Ends TLS here."""
    http2: bool = flag(False)
    tls_profile: str = _choice(TLS_PROFILES, "intermediate")
    connect_timeout_ms: int = within(0, 86_400_000, 0)
    client_timeout_ms: int = within(0, 86_400_000, 0)
    server_timeout_ms: int = within(0, 86_400_000, 0)
    most_connections: int = within(0, 1_000_000, 0)
    full_connections: int = within(0, 1_000_000, 0)
    """From so many on, servers take as many as they ever do."""

    def __attrs_post_init__(self) -> None:
        """Cookies and HTTP/2 need HTTP; not everything fits."""
        if len(self.servers) > MOST_SERVERS:
            raise MalformedInputError(f"there are more than {MOST_SERVERS}", where="servers")
        if self.stickiness is not None and self.stickiness.cookie_name is not None and not self.http:
            raise MalformedInputError("a cookie needs HTTP", where="stickiness")
        if self.http2 and self.certificate is None:
            raise MalformedInputError("HTTP/2 needs a certificate", where="http2")


@frozen(kw_only=True)
class StatisticsPage:
    """A page that shows how the balancer is doing, for whoever knows the password."""

    address: str = checked(fields.ipv4)
    port: int = checked(fields.port)
    uri: str = checked(statistics_uri)
    user: str = checked(statistics_user)
    password: Secret = checked(page_password)
    sources: tuple[str, ...] = each(fields.filter_network)


@frozen(kw_only=True)
class Balancer:
    """The load balancer, complete."""

    rules: tuple[BalancerRule, ...] = many(BalancerRule)
    """Sorted by address and port."""
    pages: tuple[StatisticsPage, ...] = many(StatisticsPage)
    most_connections: int = within(1, 1_000_000, 4096)

    def __attrs_post_init__(self) -> None:
        """One thing listens on an address and port."""
        if len(self.rules) > MOST_RULES:
            raise MalformedInputError(f"there are more than {MOST_RULES}", where="rules")
        seen = set()
        for thing in self.listeners:
            if (thing.address, thing.port) in seen:
                raise MalformedInputError(f"{thing.address}:{thing.port} is there twice", where="rules")
            seen.add((thing.address, thing.port))

    @property
    def listeners(self) -> tuple[BalancerRule | StatisticsPage, ...]:
        """Everything that listens."""
        found: list[BalancerRule | StatisticsPage] = [*self.rules, *self.pages]
        return tuple(found)

    @property
    def is_empty(self) -> bool:
        """Nothing listens."""
        return not self.rules and not self.pages
