"""`cmdline` (cmd_line.json): the boot parameters, which replace those that were there.

Every value is a string; an empty one and the text `null` (as Java prints it) mean that the key is absent. What
few routers are told is kept in `parameters`, or in `secret_parameters` where its content is nobody's business.
`redundant_router` is read as what it says: today's router takes its mere presence for true. What a router wrote
there itself is accepted; `redundant_primary` is dropped, since a role is an observation and not configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from vpcrouter.cloudstack import wire_values
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import ConfigureRouter
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import boot_keys, fields
from vpcrouter.values.config import RouterConfig, Secret

T = TypeVar("T")
Check = Callable[[object, str], T]

_ABSENT = ("", "null")
_TRUTH = {"true": True, "false": False}
_ANY_TRUTH = {**_TRUTH, "1": True, "0": False, "yes": True, "no": False}
_ROLES = ("PRIMARY", "BACKUP", "FAULT")
_LONGEST_SECRET = 1024 * 1024
"""`userdata` is the largest: the server's limit for it is 1 MiB."""


def decode(top: Reader) -> ConfigureRouter:
    """The command of the whole object."""
    words = top.inner("cmd_line")
    config = router_config(words)
    for key, reason in boot_keys.without_effect(config).items():
        words.unused(key, True, reason)
    return ConfigureRouter(config=config)


def router_config(words: Reader) -> RouterConfig:
    """The configuration that the keys of `cmd_line`, or the words of the boot line, stand for."""
    words.optional("type", _present(_vpc_router))
    words.unused("redundant_primary", words.optional("redundant_primary", _flag()), "a role is an observation")
    config = words.build(
        RouterConfig,
        {},
        name=_needed(words, "name", fields.host_name),
        vpc_network=_needed(words, "vpccidr", fields.host_network),
        domain=words.optional("domain", _present(fields.domain)),
        resolvers=_resolvers(words),
        control_address=_control_address(words),
        redundant=words.optional("redundant_router", _flag(_ANY_TRUTH)) or False,
        prefers_master=words.optional("redundant_state", _present(_role)) == "PRIMARY",
        source_nat_address=words.optional("source_nat_ip", _present(fields.ipv4)),
        public_mtu=words.optional("publicMtu", _present(wire_values.number_text(68, 65535))) or 1500,
        routed=words.optional("is_routed", _flag()) or False,
        uses_external_resolvers=words.optional("useextdns", _flag()) or False,
        uses_only_own_resolver=words.optional("userouteripresolver", _flag()) or False,
        password=words.optional("router_password", _secret),
        parameters=_kept(words, _PARAMETERS),
        secret_parameters=_kept(words, dict.fromkeys(_SECRETS, _secret)),
    )
    words.done()
    return config


def _needed(words: Reader, key: str, check: Check[T]) -> T:
    value = words.optional(key, _present(check))
    if value is None:
        raise MalformedInputError("is missing", where=words.at(key))
    return value


def _resolvers(words: Reader) -> tuple[str, ...]:
    found = [words.optional(key, _present(fields.ipv4)) for key in ("dns1", "dns2")]
    found += [words.optional(key, _present(fields.ipv6)) for key in ("ip6dns1", "ip6dns2")]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _control_address(words: Reader) -> str | None:
    address = words.optional("eth0ip", _present(fields.ipv4))
    length = words.optional("eth0mask", _present(fields.prefix_length))
    if address is None and length is None:
        return None
    if address is None or length is None:
        missing = "eth0ip" if address is None else "eth0mask"
        raise MalformedInputError("is missing, and what belongs with it is there", where=words.at(missing))
    return f"{address}/{length}"


def _kept(words: Reader, checks: Mapping[str, Check[T | None]]) -> tuple[tuple[str, T], ...]:
    """Keys and values in the order of the keys."""
    found = ((key, words.optional(key, checks[key])) for key in sorted(checks))
    return tuple((key, value) for key, value in found if value is not None)


def _present(check: Check[T]) -> Check[T | None]:
    """A string that passes the check, or says that there is nothing."""

    def checked(value: object, path: str) -> T | None:
        text = fields.text(value, path)
        return None if text in _ABSENT else check(text, path)

    return checked


def _flag(texts: Mapping[str, bool] = _TRUTH) -> Check[bool | None]:
    """A flag as text; the router itself writes some as JSON booleans."""

    def checked(value: object, path: str) -> bool | None:
        if isinstance(value, bool):
            return value
        text = fields.text(value, path).lower()
        if text in _ABSENT:
            return None
        if text not in texts:
            raise MalformedInputError(f"is none of {', '.join(texts)}", where=path)
        return texts[text]

    return checked


def _kept_flag(value: object, path: str) -> str | None:
    """A flag, kept as text."""
    flag = _flag()(value, path)
    return None if flag is None else str(flag).lower()


def _secret(value: object, path: str) -> Secret | None:
    """A secret text. The error must not show it."""
    if value in _ABSENT:
        return None
    try:
        return Secret(text=fields.word(value, path, _LONGEST_SECRET))
    except MalformedInputError:
        raise MalformedInputError("is not one word of printable ASCII characters", where=path) from None


def _vpc_router(value: object, path: str) -> str:
    if value != "vpcrouter":
        raise MalformedInputError("is not vpcrouter, the only kind of router that there is here", where=path)
    return "vpcrouter"


def _role(value: object, path: str) -> str:
    role = fields.text(value, path)
    if role not in _ROLES:
        raise MalformedInputError(f"is none of {', '.join(_ROLES)}", where=path)
    return role


_PARAMETERS: dict[str, Check[str | None]] = {
    **dict.fromkeys(
        (
            "advert_int",
            "authorized_key",
            "dnssearchorder",
            "eth0ip6",
            "eth0ip6prelen",
            "extra_pubnics",
            "gateway",
            "host",
            "ip6gateway",
            "localgw",
            "logrotatefrequency",
            "mgmtcidr",
            "nic_macs",
            "port",
            "router_id",
            "template",
        ),
        _present(lambda value, path: fields.word(value, path, 65536)),
    ),
    **dict.fromkeys(
        ("disable_rp_filter", "exposedns", "has_public_network", "vpc_firewall_enabled"),
        _kept_flag,
    ),
}
"""The keys that are kept as they are; what is made of them: `values.boot_keys`."""

_SECRETS = ("baremetalnotificationapikey", "baremetalnotificationsecuritykey", "userdata", "vmpassword")
