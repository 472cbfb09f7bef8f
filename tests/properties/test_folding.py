"""The fast way from stored events to a state agrees with the slow one, `state.replay`, whatever the history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.test_aggregate import run, streams
from vpcrouter import commands, events
from vpcrouter.errors import MalformedInputError
from vpcrouter.events import Event
from vpcrouter.events.codec import encode
from vpcrouter.folding import Fold
from vpcrouter.state import State, replay
from vpcrouter.state_codec import pack_state, unpack_state
from vpcrouter.values.config import Acl, AclRule, Reservation


def folded(start: State, history: list[Event], *, batch: int = 1000, unknown: frozenset[int] = frozenset()) -> State:
    """The state after the history, batch by batch; those with an index in `unknown` are in no form that it knows."""
    fold = Fold(start)
    for first in range(0, len(history), batch):
        part = history[first : first + batch]
        bodies = [b"\xc1" if first + index in unknown else encode(event) for index, event in enumerate(part)]
        fold.take(bodies, part.__getitem__)
    return fold.finish()


@given(streams, st.integers(0, 40), st.integers(1, 9), st.frozensets(st.integers(0, 40)))
def test_folding_gives_what_replaying_gives(
    stream: list[commands.Command], cut: int, batch: int, unknown: frozenset[int]
) -> None:
    """From nothing and from a snapshot, in batches of any size, some of the events not in the newest form."""
    state, history = run(stream)
    assert folded(State(), history, batch=batch, unknown=unknown) == state
    early = replay(State(), history[:cut])
    packed = pack_state(early)
    assert folded(unpack_state(packed), history[cut:], batch=batch) == state
    assert folded(early, history[cut:]) == state
    assert pack_state(early) == packed, "the state that it began with is as it was"


def test_a_stored_thing_that_is_none_is_an_error_if_it_stays() -> None:
    rule = AclRule(protocol="tcp", first_port=1, last_port=1, networks=("0.0.0.0/0",), allowed=True)
    body = encode(events.AclReplaced(acl=Acl(device="eth2", ingress=(rule,))))
    assert body.count(b"\xa3tcp") == 1
    fold = Fold(State())
    fold.take([body.replace(b"\x97\xa3tcp", b"\x96")], lambda _: pytest.fail("it is not looked at yet"))
    with pytest.raises(MalformedInputError, match="not a stored AclRule"):
        fold.finish()


def test_an_event_of_another_shape_is_left_to_the_careful_way() -> None:
    """Longer or shorter, another version, another type: each is restored, which says what is wrong."""
    put = events.ReservationPut(reservation=Reservation(address="10.1.2.3", mac="02:00:00:00:00:01", host_name="a"))
    body = encode(put)
    for changed in (body[:-1], body + b"\x90", body.replace(b"\x01\x92", b"\x02\x92"), body.replace(b"\xa1a", b"\x01")):
        asked: list[int] = []

        def restore(index: int, asked: list[int] = asked) -> Event:
            asked.append(index)
            return put

        Fold(State()).take([body, changed], restore)
        assert asked == [1]
