"""A shorter history that leads to the same state, whatever the state is that it begins with.

Of a row of puts of one thing only the last one counts, in the place of the first, if nothing in between took the
thing away. So a part of a history can be abridged by somebody who knows nothing of what came before (`sharing`), and
what is left of a million leases is some thousand. Every event is loaded, so what is none is found here as it is by
`folding`. Events of which nothing is known here stay as they are. Pure.

In a row of puts of a reservation address and MAC are the same: nothing else in it changes what an event does
(`state.EVOLVE`), so it makes no difference that the last one stands where the first one was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from vpcrouter import events
from vpcrouter.events import stored
from vpcrouter.state import EVOLVE

_Key = tuple[object, object] | None
"""What is put, and what else has to be the same in a row of puts; None: this is no put that may stand in a row."""


def _acl(fields: Any) -> _Key:
    return fields.acl.device, None


def _reservation(fields: Any) -> _Key:
    new = fields.reservation
    return None if fields.displaced else (new.address, new.mac)


def _only(key: str) -> Callable[[Any], _Key]:
    """Of one thing, with that attribute as its key, and nothing taken away."""

    def put(fields: Any) -> _Key:
        return (getattr(fields.put[0], key), None) if len(fields.put) == 1 and not fields.removed else None

    return put


_place = attrgetter("address", "protocol", "first_port", "last_port", "sources")


def _forward(fields: Any) -> _Key:
    """One that comes in the place of another; `state` puts it there even if that one is not."""
    put, removed = fields.put, fields.removed
    if len(put) != 1 or len(removed) != 1:
        return None
    place = _place(put[0])
    return (place, None) if _place(removed[0]) == place else None


_PUTS: Mapping[type, tuple[str, Callable[[Any], _Key]]] = {
    stored.LATER[kind]: (mapping, key)
    for kind, mapping, key in (
        (events.AclReplaced, "acls", _acl),
        (events.ReservationPut, "reservations", _reservation),
        (events.PortForwardsChanged, "forwards", _forward),
        (events.StaticNatsChanged, "static_nats", _only("address")),
        (events.StaticRoutesChanged, "routes", _only("network")),
        (events.FirewallRulesChanged, "firewall_rules", _only("rule_id")),
        (events.Ipv6FirewallRulesChanged, "ipv6_firewall_rules", _only("rule_id")),
    )
}
"""The events that put one thing into a mapping of the state, and nothing else that depends on what it is."""

_WRITES: Mapping[type, tuple[str, ...]] = {struct: EVOLVE[kind][1] for kind, struct in stored.STRUCTS.items()}


class Abridged:
    """A history being abridged: the bytes of the events that are left, in order, and what restores each of them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.seqs: list[int] = []
        """The number of each record; of a row of puts, the first one's. A put needs no number to be restored."""
        self._rows: dict[str, dict[object, tuple[object, int]]] = {mapping: {} for mapping, _ in _PUTS.values()}

    def take(self, first_seq: int, bodies: Sequence[bytes]) -> None:
        """Go on with the events of these bytes, the first being record `first_seq`."""
        load, puts, left, seqs = stored.load, _PUTS.get, self.bodies, self.seqs
        for seq, body in enumerate(bodies, first_seq):
            try:
                event = load(body)
            except stored.Unlike:
                self._end_rows(tuple(self._rows))
            else:
                known = puts(type(event))
                if known is None:
                    self._end_rows(_WRITES[type(event)])
                else:
                    mapping, key_of = known
                    rows = self._rows[mapping]
                    key = key_of(event.fields)
                    if key is None:
                        rows.clear()
                    else:
                        thing, same = key
                        row = rows.get(thing)
                        if row is not None and row[0] == same:
                            left[row[1]] = body
                            continue
                        rows[thing] = same, len(left)
            left.append(body)
            seqs.append(seq)

    def hand_over(self) -> tuple[list[bytes], list[int]]:
        """What there is so far, in order, to begin anew after it."""
        handed = self.bodies, self.seqs
        self.bodies, self.seqs = [], []
        self._end_rows(tuple(self._rows))
        return handed

    def _end_rows(self, mappings: tuple[str, ...]) -> None:
        for mapping in mappings:
            if mapping in self._rows:
                self._rows[mapping].clear()
