"""What routers tell each other of commands: as it was, sealed, bounded, and nothing else is believed."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines import traces as wire
from vpcrouter.machines.beacon import Beacon, unpack_beacon
from vpcrouter.machines.traces import pack_traces, seal, unpack_traces
from vpcrouter.values.agreement import MAX_COMMAND_ID, MAX_KEY, TRACES, WINDOW_SIZE, Thing, Touch, Trace, Window
from vpcrouter.values.beacon import Saying
from vpcrouter.values.connections import SAMPLE_SIZE, ConnectionSample
from vpcrouter.values.role import Role

KEY, NONCE = b"k" * 32, b"12345678"
PRINTABLE = st.text(st.characters(categories=["L", "N", "P"]), max_size=40)
TRACED = st.builds(
    Trace,
    thing=st.builds(Thing, PRINTABLE, PRINTABLE),
    hash=st.none() | st.integers(0, 2**32 - 1),
    touch=st.builds(
        Touch,
        seq=st.integers(0, 2**63 - 1),
        event=PRINTABLE,
        time_ms=st.integers(0, 2**47),
        command_id=PRINTABLE,
    ),
)
ONE = Trace(
    thing=Thing("vpn-users", "carol"), hash=7, touch=Touch(seq=58, event="vpn-users-changed", time_ms=1_800_000_000_000)
)
LONGEST = Trace(
    thing=Thing("k" * 40, "x" * MAX_KEY),
    hash=2**32 - 1,
    touch=Touch(seq=2**63 - 1, event="e" * 40, time_ms=2**47, command_id="c" * MAX_COMMAND_ID),
)


def beacon(saying: Saying) -> Beacon:
    return Beacon(instance=NONCE, number=1, nonce=NONCE, echoes=(), saying=saying, served_ms_ago=None)


@given(st.lists(TRACED, max_size=TRACES))
def test_traces_arrive_as_they_were(traces: list[Trace]) -> None:
    assert unpack_traces(pack_traces(traces, KEY, NONCE), KEY, NONCE) == tuple(traces)
    found = unpack_beacon(beacon(Saying(traces=tuple(traces))).pack(KEY), KEY)
    assert found is not None
    assert found.saying.traces == tuple(traces)


def test_a_guest_does_not_read_them() -> None:
    datagram = beacon(Saying(traces=(ONE,), carrier="eth7")).pack(KEY)
    assert b"eth7" in datagram
    assert b"carol" not in datagram
    assert b"vpn-users" not in datagram


@pytest.mark.parametrize(("key", "nonce"), [(b"j" * 32, NONCE), (KEY, b"87654321")])
def test_what_was_sealed_otherwise_is_nothing(key: bytes, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="not sealed with this key"):
        unpack_traces(pack_traces([ONE], KEY, NONCE), key, nonce)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_traces_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not sealed"):
        unpack_traces(data, KEY, NONCE)


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("strange", [-1, 2**63, 0.5, [], {}, b"carol", "a\nb", "\x1b[2J", "x" * 81, True])
def test_strange_values_are_refused(place: int, strange: Any) -> None:
    """A pair without a router password has a key that everybody knows."""
    fields = [*wire._pack(ONE)]
    fields[place] = strange
    sealed = seal(msgpack.packb([fields]), KEY, NONCE)
    with pytest.raises((ValueError, TypeError)):
        unpack_traces(sealed, KEY, NONCE)


@pytest.mark.parametrize("content", [None, 5, "x", {}, [5], [[]], [["a"] * 8], [wire._pack(ONE)] * (TRACES + 1)])
def test_a_strange_shape_is_refused(content: Any) -> None:
    sealed = seal(msgpack.packb(content), KEY, NONCE)
    with pytest.raises((ValueError, TypeError)):
        unpack_traces(sealed, KEY, NONCE)


def test_who_tells_too_much_tells_what_fits() -> None:
    long_key = Trace(thing=Thing("reservation", "x" * (MAX_KEY + 1)), hash=1, touch=Touch(seq=1))
    told = unpack_traces(pack_traces([long_key, *[LONGEST] * 9], KEY, NONCE), KEY, NONCE)
    assert told == (LONGEST,) * TRACES


def test_the_longest_that_is_told_of_differences_fits_beside_forty_tiers() -> None:
    devices = tuple(f"eth{number}" for number in range(2, 42))
    saying = Saying(
        tiers=devices,
        roles=tuple((device, Role.MASTER) for device in devices),
        digest="f" * 64,
        sample=ConnectionSample(number=2**40, epoch=2**40, total=2**20, hashes=(2**32 - 1,) * SAMPLE_SIZE),
        window=Window(low=0, high=2**32, hashes=tuple(range(2**32 - WINDOW_SIZE, 2**32))),
        traces=(LONGEST,) * TRACES,
    )
    found = unpack_beacon(beacon(saying).pack(KEY), KEY)
    assert found is not None
    assert found.saying == saying
