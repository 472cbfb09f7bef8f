"""vpcrouter's own JSON form of a command: its name and the fields of its class.

    {"command": "put-tier", "tier": {"device": "eth2", "network": "10.1.2.0/24", …}}

Written by `dump`, read by `load`: reading what was written gives an equal command. Names are literals, so that a
class can be renamed and files stay readable. What has its default value is not written and may be left out.
Unknown keys are refused; an error names the field's path, as in `acl.ingress[3].networks[0]`. Nothing is
converted: a number is no text, and a value that is not in its canonical form is refused, not mended. Secrets stand
in plain text, so what is written belongs in a file that only its owner can read. No other module knows cattrs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args, get_origin

import attrs
from cattrs import Converter, ForbiddenExtraKeysError
from cattrs.errors import AttributeValidationNote, BaseValidationError
from cattrs.gen import make_dict_structure_fn

from vpcrouter import commands, strict_json
from vpcrouter.commands import Command
from vpcrouter.errors import MalformedInputError, UnsupportedTypeError
from vpcrouter.strict_json import below, child, kind
from vpcrouter.values import fields
from vpcrouter.values.config import Secret

Structure = Callable[[Any, Any], Any]

NAMES: dict[str, type[Command]] = {
    "configure-router": commands.ConfigureRouter,
    "change-public-addresses": commands.ChangePublicAddresses,
    "put-tier": commands.PutTier,
    "remove-tier": commands.RemoveTier,
    "replace-acl": commands.ReplaceAcl,
    "change-port-forwards": commands.ChangePortForwards,
    "change-static-nats": commands.ChangeStaticNats,
    "change-static-routes": commands.ChangeStaticRoutes,
    "put-reservation": commands.PutReservation,
    "remove-reservation": commands.RemoveReservation,
    "change-firewall-rules": commands.ChangeFirewallRules,
    "change-ipv6-firewall-rules": commands.ChangeIpv6FirewallRules,
    "change-monitoring": commands.ChangeMonitoring,
    "replace-balancer": commands.ReplaceBalancer,
    "put-guest-pages": commands.PutGuestPages,
    "remove-guest-pages": commands.RemoveGuestPages,
    "put-guest-password": commands.PutGuestPassword,
    "confirm-guest-password": commands.ConfirmGuestPassword,
    "remove-guest-password": commands.RemoveGuestPassword,
    "put-site-vpn": commands.PutSiteVpn,
    "remove-site-vpn": commands.RemoveSiteVpn,
    "put-remote-access": commands.PutRemoteAccess,
    "remove-remote-access": commands.RemoveRemoteAccess,
    "change-vpn-users": commands.ChangeVpnUsers,
    "replace-bgp-peerings": commands.ReplaceBgpPeerings,
}
"""The name of each kind of command."""

_NAME_OF = {cls: name for name, cls in NAMES.items()}
_LONGEST_SECRET = 2 * 1024 * 1024


def dump(command: Command) -> dict[str, Any]:
    """The JSON object of a command, with its secrets."""
    return {"command": _NAME_OF[type(command)], **_converter.unstructure(command)}


def dumps(command: Command) -> str:
    """The same as one line of JSON lines, without the line's end."""
    return json.dumps(dump(command), separators=(",", ":"))


def load(document: object) -> Command:
    """The command of a JSON object that has been parsed."""
    if not isinstance(document, dict):
        raise MalformedInputError(f"{kind(document)} stands where an object belongs")
    if "command" not in document:
        raise MalformedInputError("is missing", where="command")
    name = document["command"]
    if not isinstance(name, str):
        raise MalformedInputError(f"{kind(name)} stands where a string belongs", where="command")
    if name not in NAMES:
        raise UnsupportedTypeError(f"{name[:40]!a} is not a known command", where="command")
    values = {key: value for key, value in document.items() if key != "command"}
    try:
        command: Command = _converter.structure(values, NAMES[name])
    except BaseValidationError as error:
        raise _malformed(error) from None
    return command


def loads(data: bytes | str) -> Command:
    """The command of one JSON document."""
    return load(strict_json.load(data))


def _malformed(error: Exception) -> MalformedInputError:
    """The first thing that was wrong, with its path put together from cattrs' notes."""
    match error:
        case MalformedInputError():
            return error
        case BaseValidationError():
            first = error.exceptions[0]
            inner = _malformed(first)
            notes = [note for note in getattr(first, "__notes__", ()) if isinstance(note, AttributeValidationNote)]
            where = below(notes[-1].name, inner.where) if notes else inner.where
            return MalformedInputError(inner.what, where=where, hint=inner.hint)
        case ForbiddenExtraKeysError():
            return MalformedInputError("is not a known key here", where=child("", min(error.extra_fields)))
        case KeyError():
            return MalformedInputError("is missing")
        case _:
            return MalformedInputError("cannot be read")


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise MalformedInputError(f"{kind(value)} stands where a string belongs")
    return value


def _number(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedInputError(f"{kind(value)} stands where a whole number belongs")
    return value


def _flag(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise MalformedInputError(f"{kind(value)} stands where true or false belongs")
    return value


def _secret(value: Any, _: Any) -> Secret:
    try:
        # Whether nothing at all may be a secret is the field's to say.
        return Secret(text="" if value == "" else fields.phrase(value, "", _LONGEST_SECRET))
    except MalformedInputError:  # which shows the value
        raise MalformedInputError("is not a text of printable ASCII characters") from None


def _object(cls: type[Any], converter: Converter) -> Structure:
    """Classes."""
    structure = make_dict_structure_fn(cls, converter)

    def checked(value: Any, type_: Any) -> Any:
        if not isinstance(value, dict):
            raise MalformedInputError(f"{kind(value)} stands where an object belongs")
        return structure(value, type_)

    return checked


def _list(cls: type[Any], converter: Converter) -> Structure:
    """Tuples: of any length and one type, or of one item for each type."""
    types = get_args(cls)
    any_length = types[-1] is Ellipsis
    hooks = [(converter.get_structure_hook(each), each) for each in types if each is not Ellipsis]

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise MalformedInputError(f"{kind(value)} stands where a list belongs")
        if not any_length and len(value) != len(hooks):
            raise MalformedInputError(f"holds {len(value)} values where {len(hooks)} belong")
        items = zip(value, hooks * len(value) if any_length else hooks, strict=True)
        return tuple([_item(hook, type_, item, index) for index, (item, (hook, type_)) in enumerate(items)])

    return structure


def _item(hook: Structure, type_: Any, item: Any, index: int) -> Any:
    try:
        return hook(item, type_)
    except (MalformedInputError, BaseValidationError) as error:
        inner = _malformed(error)
        raise MalformedInputError(inner.what, where=below(f"[{index}]", inner.where), hint=inner.hint) from None


def _is_tuple(type_: Any) -> bool:
    return get_origin(type_) is tuple


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, omit_if_default=True)
    converter.register_structure_hook_factory(attrs.has, _object)
    converter.register_structure_hook_factory(_is_tuple, _list)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _number)
    converter.register_structure_hook(bool, _flag)
    converter.register_structure_hook(Secret, _secret)
    converter.register_unstructure_hook(Secret, Secret.reveal)
    converter.register_unstructure_hook_func(_is_tuple, lambda value: [converter.unstructure(each) for each in value])
    return converter


_converter = _make_converter()
