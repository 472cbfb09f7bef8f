"""One CloudStack command: JSON becomes a command or a CallerError; nothing else leaves.

Every error of a field carries its path in the file. Nothing is corrected or guessed; what is dropped was checked.
"""

from __future__ import annotations

from collections.abc import Callable

from vpcrouter.cloudstack import (
    cmdline,
    dhcpentry,
    forwardrules,
    guestnetwork,
    ips,
    names,
    networkacl,
    staticnatrules,
    staticroutes,
)
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import Command
from vpcrouter.errors import UnsupportedTypeError
from vpcrouter.strict_json import load
from vpcrouter.values import fields

_DECODERS: dict[str, Callable[[Reader], Command]] = {
    "cmdline": cmdline.decode,
    "ips": ips.decode,
    "guestnetwork": guestnetwork.decode,
    "networkacl": networkacl.decode,
    "forwardrules": forwardrules.decode,
    "staticnatrules": staticnatrules.decode,
    "staticroutes": staticroutes.decode,
    "dhcpentry": dhcpentry.decode,
}

LAST_WINS = ("cmd_line",)
"""A word given twice in the boot line stands twice in the cmd_line.json that today's boot script makes of it."""


def decode(data: bytes | str, *, name: str = "") -> Command:
    """The command in a file; `name` is the file's, and must agree with the type if CloudStack uses that name."""
    return decode_document(load(data, last_wins=LAST_WINS), name=name)


def decode_document(document: object, *, name: str = "") -> Command:
    """The same for a document that has been parsed."""
    top = Reader(document)
    type_ = top.needed("type", fields.text)
    names.check(name, type_)
    if type_ not in _DECODERS:
        known = type_ in names.FILE_NAMES
        what = f"{type_} commands are not built yet" if known else f"{type_[:40]!a} is not a known type of command"
        raise UnsupportedTypeError(what, where="type")
    top.sent("delete_from_processed_cache", fields.flag, False)
    command = _DECODERS[type_](top)
    top.done()
    return command
