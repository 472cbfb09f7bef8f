"""Events as they lie in records, for a replay: nothing is made of a thing before it is known to stay.

`load` turns bytes into a struct whose `fields` have the names of the event's own, in C. The things in them are structs
likewise, good enough to be put under their keys; lists of things within a thing (the rules of an ACL) stay bytes.
`value` makes the real thing of one that is still there when everything was read: of a million leases, some thousand.

That is so for the kinds of which a journal is full, in their newest version (`LATER`). Of any other event `load` tells
no more than that it is one, or raises `Unlike`; `codec.restore` reads it.

As `restore` does, `load` looks at the shape of what was checked before it was stored, and at its types. It does not
look into the lists of a thing that is replaced later; `journal.verify` looks into everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_type_hints

import msgspec

from vpcrouter import events
from vpcrouter.events.registry import EVENTS
from vpcrouter.events.schema import Codec, Many, Record, filling

Unlike = msgspec.DecodeError
"""What `load` raises for bytes that are none of the events it knows."""

_KINDS = (
    events.PublicAddressesChanged,
    events.AclReplaced,
    events.PortForwardsChanged,
    events.StaticNatsChanged,
    events.StaticRoutesChanged,
    events.ReservationPut,
    events.ReservationRemoved,
    events.FirewallRulesChanged,
    events.Ipv6FirewallRulesChanged,
)

_MAKE: dict[type, Callable[[Any], Any]] = {}


def value(thing: Any) -> Any:
    """The real thing, if this one is only stored. Raises MalformedInputError or `Unlike` if it is not one."""
    make = _MAKE.get(type(thing))
    return thing if make is None else make(thing)


def _struct(record: Record, item: Callable[[Codec | None, Any], Any]) -> Any:
    """The struct with the fields of a record; `item` gives the type of each, from its codec and from its class."""
    hints = get_type_hints(record.cls)
    fields = [(name, item(codec, hints[name])) for name, codec in record.fields.items()]
    return msgspec.defstruct(record.cls.__name__, fields, array_like=True, forbid_unknown_fields=True, gc=False)


def _in_event(codec: Codec | None, hint: Any) -> Any:
    match codec:
        case None | Many(item=None):
            return hint
        case Record():
            return _thing(codec)
        case Many(item=Record() as record):
            return tuple[_thing(record), ...]  # type: ignore[misc]
    raise TypeError(f"{type(codec).__name__} cannot wait")


def _in_thing(codec: Codec | None, hint: Any) -> Any:
    match codec:
        case None | Many(item=None):
            return hint
        case Many(item=Record()):
            return tuple[msgspec.Raw, ...]
    raise TypeError(f"{type(codec).__name__} cannot wait")


def _thing(record: Record) -> Any:
    struct = _struct(record, _in_thing)
    names: dict[str, Any] = {"unpack": msgspec.msgpack.decode}
    items = {}
    for name, codec in record.fields.items():
        items[name] = f"thing.{name}"
        if isinstance(codec, Many) and codec.item is not None:
            names[f"restore_{name}"] = codec.item.restore
            items[name] = f"tuple([restore_{name}(unpack(each)) for each in thing.{name}])"
    _MAKE[struct] = filling("make(thing)", record.cls, items, names=names)
    return struct


def _event(name: str, version: int, record: Record) -> Any:
    fields = _struct(record, _in_event) if record.cls in _KINDS else msgspec.Raw
    return msgspec.defstruct(
        name,
        [("version", Literal[version]), ("fields", fields)],
        tag=name,
        array_like=True,
        gc=False,
        forbid_unknown_fields=True,
    )


_NEWEST = {name: (version, record) for (name, version), record in sorted(EVENTS.items())}
STRUCTS: Mapping[type, type] = {
    record.cls: _event(name, version, record) for name, (version, record) in _NEWEST.items()
}
"""What `load` makes of each kind of event."""

LATER: Mapping[type, type] = {kind: STRUCTS[kind] for kind in _KINDS}
"""The struct of each kind of event whose things are made later."""

load: Callable[[bytes], Any] = msgspec.msgpack.Decoder(Union[tuple(STRUCTS.values())]).decode  # noqa: UP007
"""The event of a record's bytes."""
