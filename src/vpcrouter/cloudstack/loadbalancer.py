"""`loadbalancer` (load_balancer.json): the load balancer, complete, as the lines of an haproxy configuration.

The lines are read, never passed on: each must be one that the server is known to write, word for word where it is
always the same, and its values become those of a rule. A line that is none of them is refused with its number, and so
is the command. What the server writes for its own daemon (its log, its chroot, its users) has no effect here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from attrs import define, field

from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import ReplaceBalancer
from vpcrouter.errors import MalformedInputError
from vpcrouter.strict_json import child
from vpcrouter.values import balancing, fields
from vpcrouter.values.balancing import (
    BalancedServer,
    Balancer,
    BalancerRule,
    Certificate,
    StatisticsPage,
    Stickiness,
)
from vpcrouter.values.config import Secret
from vpcrouter.values.networks import parse_address

T = TypeVar("T")

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\s+([A-Za-z0-9+/=\s]*?)\s*-----END \1-----\s*", re.ASCII)
_ANYWHERE = ("0/0", "0.0.0.0/0", "")
_DUMMY = "0.0.0.0:9"
"""What the server has haproxy listen on where there is nothing to listen on."""
_SIZES = {"": 1, "k": 1024, "m": 1024 * 1024}
_UNITS_S = {"s": 1, "": 0.001, "ms": 0.001, "m": 60, "h": 3600, "d": 86400}
_MOST_LINES = 100_000

_GLOBAL = re.compile(
    r"log 127\.0\.0\.1:3914 local0 warning|maxpipes \d+|chroot /var/lib/haproxy|user haproxy|group haproxy|daemon"
    r"|stats socket /(var/)?run/haproxy[a-z./]*|tune\.ssl\.default-dh-param \d+"
)
_DEFAULTS = re.compile(
    r"log global|mode tcp|option (dontlognull|redispatch|forwardfor|forceclose|httpclose)"
    r"|no option (forceclose|httpclose)|retries 3"
)
_OLD_TLS, _INTERMEDIATE_TLS = "no-sslv3 no-tls-tickets ciphers", "no-sslv3 no-tlsv10 no-tlsv11 no-tls-tickets ciphers"
_CIPHERS = re.compile(r"[A-Z0-9:-]{1,2000}", re.ASCII)


@define
class _Listener:
    """A `listen` section while it is read."""

    name: str
    path: str
    bound: tuple[str, int] | None = None
    is_dummy: bool = False
    values: dict[str, Any] = field(factory=dict)
    servers: list[BalancedServer] = field(factory=list)
    cookies: set[str] = field(factory=set)
    certificate: str | None = None
    page: dict[str, Any] = field(factory=dict)
    limits_clients: bool = False


def decode(top: Reader) -> ReplaceBalancer:
    """The command of the whole object."""
    objects = top.objects("rules")
    if len(objects) != 1:
        raise MalformedInputError(f"holds {len(objects)} objects where exactly one belongs", where=top.at("rules"))
    (each,) = objects
    for key in ("tmp_cfg_file_path", "tmp_cfg_file_name"):
        each.unused(key, each.sent(key, fields.text, ""), "the file has its own place")
    each.unused("router_ip", each.optional("router_ip", fields.ipv4), "the router knows its addresses")
    certificates = _certificates(each)
    page_sources = _statistics_sources(each)
    reading = _Reading(_lines(each), certificates, page_sources)
    balancer = reading.balancer()
    _compare(each, balancer, page_sources)
    each.unused("configuration", reading.is_left_out, "but for what is said of the server's own daemon, and of ciphers")
    each.done()
    return ReplaceBalancer(balancer=balancer)


def _lines(each: Reader) -> list[tuple[str, str]]:
    """All lines without blanks at their ends, each with the path of its string and its number in it."""
    found = []
    path = each.at("configuration")
    for index, item in enumerate(each.items("configuration")):
        for number, line in enumerate(fields.text(item, child(path, index)).split("\n"), 1):
            where = child(path, index) if number == 1 else f"{child(path, index)} line {number}"
            found.append((where, " ".join(line.split())))
    if len(found) > _MOST_LINES:
        raise MalformedInputError(f"holds more than {_MOST_LINES} lines", where=path)
    return found


class _Reading:
    """Reads the lines, one after the other."""

    def __init__(
        self,
        lines: list[tuple[str, str]],
        certificates: dict[str, Certificate],
        page_sources: dict[tuple[str, int], tuple[str, ...]],
    ) -> None:
        self._lines = lines
        self._certificates = certificates
        self._page_sources = page_sources
        self._most_connections = 4096
        self._defaults: dict[str, int] = {}
        self._listeners: list[_Listener] = []
        self.is_left_out = False
        """Whether there are lines of which nothing is made."""

    def balancer(self) -> Balancer:
        """Everything that they say."""
        section: Callable[[str, str], None] = self._before
        for path, line in self._lines:
            keyword = line.partition(" ")[0]
            if not line:
                continue
            if line == "global":
                section = self._global
            elif line == "defaults":
                section = self._default
            elif keyword == "listen":
                section = self._open(path, line)
            elif keyword in ("frontend", "backend"):
                raise MalformedInputError(
                    f"{line[:40]!a}: guests cannot be told the client's address as the sender's",
                    where=path,
                    hint="switch lb.transparent off, and use X-Forwarded-For or tcp-proxy",
                )
            else:
                section(path, line)
        rules = [self._rule(each) for each in self._listeners if not each.is_dummy and not each.page]
        return Balancer(
            rules=tuple(sorted(rules, key=lambda rule: (parse_address(rule.address), rule.port))),
            pages=tuple(self._page(each) for each in self._listeners if each.page),
            most_connections=self._most_connections,
        )

    # Sections -----------------------------------------------------------------------------------

    def _before(self, path: str, line: str) -> None:
        _unknown(path, line)

    def _global(self, path: str, line: str) -> None:
        if match := re.fullmatch(r"maxconn (\d{1,7})", line):
            self._most_connections = fields.integer(int(match[1]), path, 1, 1_000_000)
        elif not _GLOBAL.fullmatch(line):
            _unknown(path, line)
        else:
            self.is_left_out = True

    def _default(self, path: str, line: str) -> None:
        if match := re.fullmatch(r"timeout (connect|client|server) (\d{1,8})", line):
            self._defaults[f"{match[1]}_timeout_ms"] = _number(match[2], path, 86_400_000)
        elif not _DEFAULTS.fullmatch(line):
            _unknown(path, line)

    def _open(self, path: str, line: str) -> Callable[[str, str], None]:
        match = re.fullmatch(r"listen ([A-Za-z0-9_.-]{1,100})", line)
        if match is None:
            _unknown(path, line)
        self._listeners.append(_Listener(name=match[1], path=path))
        return self._listen

    def _listen(self, path: str, line: str) -> None:
        listener = self._listeners[-1]
        words = line.split(" ")
        match words:
            case ["bind", place, *options]:
                self._bind(listener, path, place, options)
            case ["option", "transparent"] if listener.is_dummy:
                pass
            case ["balance", algorithm]:
                listener.values["algorithm"] = balancing.one_of(balancing.ALGORITHMS)(algorithm, path)
            case ["mode", "http" | "tcp" as mode]:
                listener.values["http"] = mode == "http"
            case ["option", "httpclose" | "forceclose"]:
                listener.values["keeps_alive"] = False
            case ["no", "option", "forceclose" | "httpclose"]:
                listener.values["keeps_alive"] = True
            case ["timeout", "connect" | "client" | "server" as what, number]:
                listener.values[f"{what}_timeout_ms"] = _number(number, path, 86_400_000)
            case ["maxconn", number]:
                listener.values["most_connections"] = _number(number, path, 1_000_000)
            case ["fullconn", number]:
                listener.values["full_connections"] = _number(number, path, 1_000_000)
            case ["server", _, place, *options]:
                listener.servers.append(_server(listener, path, place, options))
            case ["stick-table", "type", "ip", "size", size, "expire", expire]:
                table = {"table_size": _size(size, path), "expire_s": _seconds(expire, path)}
                listener.values["stickiness"] = _made(Stickiness, path, **table)
            case ["stick", "on", "src"] if "stickiness" in listener.values:
                pass
            case ["cookie", name, *options]:
                listener.values["stickiness"] = _cookie(path, name, options)
            case ["acl", "network_allowed", "src", *sources] if sources:
                listener.values["sources"] = tuple(dict.fromkeys(fields.filter_network(s, path) for s in sources))
            case ["tcp-request", "connection", "reject", "if", "!network_allowed"] if "sources" in listener.values:
                listener.limits_clients = True
            case ["http-request", "add-header", "X-Forwarded-Proto", "https"] if listener.certificate is not None:
                pass
            case ["stats", *more]:
                _statistics(listener, path, line, more)
            case ["appsession", *_]:
                raise MalformedInputError(
                    "stickiness by an application's cookie is unknown to haproxy since 1.6",
                    where=path,
                    hint="use LbCookie or SourceBased",
                )
            case _:
                _unknown(path, line)

    def _bind(self, listener: _Listener, path: str, place: str, options: list[str]) -> None:
        if place == _DUMMY and not options:
            listener.is_dummy = True
            return
        if listener.bound is not None:
            raise MalformedInputError("is a second bind of one section", where=path)
        listener.bound = _place(place, path)
        match options:
            case []:
                return
            case ["ssl", "crt", file, *more]:
                listener.certificate = file.rpartition("/")[2].removesuffix(".pem")
            case _:
                _unknown(path, f"bind {place} {' '.join(options)}")
        if more[:2] == ["alpn", "h2,http/1.1"]:
            listener.values["http2"] = True
            more = more[2:]
        if more:
            listener.values["tls_profile"] = _tls_profile(path, more)

    # What comes of a section --------------------------------------------------------------------

    def _rule(self, listener: _Listener) -> BalancerRule:
        path = listener.path
        if listener.bound is None:
            raise MalformedInputError("has no bind", where=path)
        if "sources" in listener.values and not listener.limits_clients:
            raise MalformedInputError("names networks and does not limit clients to them", where=path)
        certificate = None
        if listener.certificate is not None:
            certificate = self._certificates.get(listener.certificate)
            if certificate is None:
                raise MalformedInputError(f"there is no certificate {listener.certificate[:60]!a}", where=path)
        address, port = listener.bound
        values = {**self._defaults, **listener.values}
        return _made(
            BalancerRule,
            path,
            address=address,
            port=port,
            servers=tuple(listener.servers),
            certificate=certificate,
            **values,
        )

    def _page(self, listener: _Listener) -> StatisticsPage:
        path = listener.path
        if listener.bound is None:
            raise MalformedInputError("has no bind", where=path)
        missing = {"uri", "user", "password"} - listener.page.keys()
        if missing or listener.servers:
            raise MalformedInputError("is no complete page of statistics", where=path)
        address, port = listener.bound
        return _made(
            StatisticsPage,
            path,
            address=address,
            port=port,
            uri=listener.page["uri"],
            user=listener.page["user"],
            password=listener.page["password"],
            sources=self._page_sources.get((address, port), self._page_sources.get(("", port), ())),
        )


# Lines ------------------------------------------------------------------------------------------


def _server(listener: _Listener, path: str, place: str, options: list[str]) -> BalancedServer:
    address, port = _place(place, path)
    values: dict[str, Any] = {}
    names = {"maxconn": "most_connections", "minconn": "least_connections", "maxqueue": "most_queued"}
    left = list(options)
    while left:
        match left:
            case ["check", *left]:
                pass
            case ["ssl", "verify", "none", *left]:
                values["tls"] = True
            case ["no-sslv3", *_]:
                end = left.index("ciphers") + 2 if "ciphers" in left else len(left)
                _tls_profile(path, left[:end])
                left = left[end:]
            case ["maxconn" | "minconn" | "maxqueue" as name, number, *left]:
                values[names[name]] = _number(number, path, 1_000_000)
            case ["send-proxy", *left]:
                values["send_proxy"] = True
            case ["cookie", cookie, *left]:
                balancing.cookie_name(cookie, path)
            case _:
                _unknown(path, f"server {' '.join(options)}")
    return _made(BalancedServer, path, address=address, port=port, **values)


def _cookie(path: str, name: str, options: list[str]) -> Stickiness:
    values: dict[str, Any] = {}
    domains: list[str] = []
    left = list(options)
    while left:
        match left:
            case ["insert" | "rewrite" | "prefix" as mode, *left]:
                values["cookie_mode"] = mode
            case ["indirect" | "nocache" | "postonly" as flag, *left]:
                values[flag] = True
            case ["domain", domain, *left]:
                domains.append(fields.domain(domain.removeprefix("."), path))
            case _:
                _unknown(path, f"cookie {name} {' '.join(options)}")
    return _made(Stickiness, path, cookie_name=balancing.cookie_name(name, path), domains=tuple(domains), **values)


def _statistics(listener: _Listener, path: str, line: str, words: list[str]) -> None:
    page = listener.page
    match words:
        case ["enable"]:
            page["enabled"] = True
        case ["uri", uri]:
            page["uri"] = balancing.statistics_uri(uri, path)
        case ["realm", "Haproxy\\", "Statistics"]:
            page["enabled"] = True
        case ["auth", credentials] if ":" in credentials:
            user, _, password = credentials.partition(":")
            page["user"] = balancing.statistics_user(user, path)
            page["password"] = balancing.page_password(Secret(text=password), path)
        case ["auth", *_]:
            raise MalformedInputError("is no user and password", where=path)
        case _:
            _unknown(path, line)


def _place(text: str, path: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return fields.ipv4(address, path), _number(port, path, 65535)


def _tls_profile(path: str, words: list[str]) -> str:
    text, ciphers = " ".join(words[:-1]), words[-1]
    if not _CIPHERS.fullmatch(ciphers) or text not in (_OLD_TLS, _INTERMEDIATE_TLS):
        _unknown(path, " ".join(words))
    return "old" if text == _OLD_TLS else "intermediate"


def _number(text: str, path: str, most: int) -> int:
    if not re.fullmatch(r"\d{1,8}", text, re.ASCII) or int(text) > most:
        raise fields.malformed(path, text, f"a number up to {most}")
    return int(text)


def _size(text: str, path: str) -> int:
    match = re.fullmatch(r"(\d{1,8})([km]?)", text, re.ASCII)
    if match is None:
        raise fields.malformed(path, text, "a number of clients like 200k")
    return fields.integer(int(match[1]) * _SIZES[match[2]], path, 1, 10_000_000)


def _seconds(text: str, path: str) -> int:
    match = re.fullmatch(r"(\d{1,8})(|ms|s|m|h|d)", text, re.ASCII)
    if match is None:
        raise fields.malformed(path, text, "a time like 30m")
    return fields.integer(max(1, int(int(match[1]) * _UNITS_S[match[2]])), path, 1, 31_536_000)


def _made(cls: Callable[..., T], path: str, **values: Any) -> T:
    """`cls(**values)`; its errors are of this line."""
    try:
        return cls(**values)
    except MalformedInputError as error:
        raise MalformedInputError(f"{error.where}: {error.what}", where=path, hint=error.hint) from None


def _unknown(path: str, line: str) -> NoReturn:
    raise MalformedInputError(f"{line[:60]!a} is not a line that this router knows", where=path)


# The other keys -----------------------------------------------------------------------------------


def _certificates(each: Reader) -> dict[str, Certificate]:
    found: dict[str, Certificate] = {}
    if not each.has("ssl_certs"):
        return found
    for entry in each.objects("ssl_certs"):
        name = entry.needed("name", fields.word)
        own = _pem(entry, "cert")
        certificates = own + _pem(entry, "chain")
        keys = _pem(entry, "key")
        if entry.optional("password", fields.text):
            raise MalformedInputError(
                "an encrypted key cannot be used", where=entry.at("password"), hint="upload the key in clear"
            )
        if len(keys) != 1 or keys[0][0] not in balancing.KEY_LABELS:
            raise MalformedInputError("is not one private key in PEM form", where=entry.at("key"))
        if not own or any(label != "CERTIFICATE" for label, _ in certificates):
            raise MalformedInputError("is not a certificate in PEM form", where=entry.at("cert"))
        entry.done()
        found[name] = Certificate(
            certificates=tuple(der for _, der in certificates), key=Secret(text=keys[0][1]), key_label=keys[0][0]
        )
    return found


def _pem(entry: Reader, key: str) -> list[tuple[str, str]]:
    """Label and base64 of each block of a PEM text. The error does not show it."""
    text = entry.optional(key, fields.text)
    if text is None or not text.strip():
        return []
    blocks = [(match[1], balancing.der("".join(match[2].split()), entry.at(key))) for match in _PEM.finditer(text)]
    if not blocks or _PEM.sub("", text).strip():
        raise MalformedInputError("is not in PEM form", where=entry.at(key))
    return blocks


def _statistics_sources(each: Reader) -> dict[tuple[str, int], tuple[str, ...]]:
    """Who may see the statistics at an address and port; the address is empty where any is meant."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for index, item in enumerate(each.items("stat_rules")):
        path = child(each.at("stat_rules"), index)
        text = fields.text(item, path)
        if not text:
            continue
        match = re.fullmatch(r"([0-9./]+):(\d{1,5}):([0-9./,]*):,", text, re.ASCII)
        if match is None:
            raise fields.malformed(path, text, "an address, a port and networks like 203.0.113.10:8081:0/0:,")
        address = "" if match[1] in _ANYWHERE else fields.ipv4(match[1], path)
        networks = (part for part in match[3].split(",") if part not in _ANYWHERE)
        found[address, _number(match[2], path, 65535)] = tuple(fields.filter_network(n, path) for n in networks)
    return found


def _compare(each: Reader, balancer: Balancer, page_sources: Mapping[tuple[str, int], object]) -> None:
    """The lists of what clients may come to must say the same as the lines; what was revoked is not among them."""
    listening = {(rule.address, rule.port) for rule in balancer.rules}
    added = set()
    for name in ("add_rules", "remove_rules"):
        for index, item in enumerate(each.items(name)):
            path = child(each.at(name), index)
            text = fields.text(item, path)
            place = _place(text.removesuffix(":"), path)
            if name == "add_rules" and place not in listening:
                raise MalformedInputError(f"{text[:30]!a} is not in the configuration", where=path)
            if name == "add_rules":
                added.add(place)
    for address, port in sorted(listening - added):
        raise MalformedInputError(
            f"{address}:{port} of the configuration is not among them", where=each.at("add_rules")
        )
    unnamed = set(page_sources)
    for page in balancer.pages:
        named = {(page.address, page.port), ("", page.port)} & page_sources.keys()
        if not named:
            what = f"the page of statistics at {page.address}:{page.port} is not among them"
            raise MalformedInputError(what, where=each.at("stat_rules"), hint="whom would it be open to?")
        unnamed -= named
    for address, port in sorted(unnamed):
        what = f"{address or '0/0'}:{port} is no page of statistics of the configuration"
        raise MalformedInputError(what, where=each.at("stat_rules"))
