"""What the machines of the talk remember is what they would find anew, whatever was said, heard and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.carriage import CarriageMachine
from vpcrouter.machines.peer import SILENT_NS
from vpcrouter.machines.peers import PeersMachine, derive_key
from vpcrouter.machines.whereabouts import ALONE_NS, WhereaboutsMachine
from vpcrouter.values.beacon import Saying
from vpcrouter.values.carriage import Carriage, Elector, FoundElector, PeerCarriage
from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import Place

Machine = TypeVar("Machine")

MS = 1_000_000
KEY = derive_key("secret", "10.1.0.0/16")
DEVICES = ("eth2", "eth3")
TIERS = tuple(Elector(device=device, source=f"10.1.{device[3:]}.2") for device in DEVICES)
waits = st.sampled_from((0, MS, 100 * MS, 300 * MS, 300 * MS + 1, 600 * MS, SILENT_NS, ALONE_NS))
devices = st.sampled_from(DEVICES)
roles = st.sampled_from((Role.MASTER, Role.MASTER, Role.BACKUP, Role.FAULT, Role.INIT))
some_devices = st.sampled_from((DEVICES, DEVICES, DEVICES[:1], DEVICES[1:], ()))


def forgetful(machine: Machine, *memories: str) -> Machine:
    """A twin of the same history that remembers no answer."""
    twin = deepcopy(machine)
    for each in memories:
        assert hasattr(twin, each)
        setattr(twin, each, None)
    return twin


peers = st.lists(
    st.builds(
        PeerCarriage,
        tiers=some_devices,
        carrier=st.none() | devices,
        target=st.none() | devices,
        heard=st.none() | some_devices,
        is_silent=st.booleans(),
        role=roles,
        roles=st.dictionaries(devices, roles),
        generation=st.integers(0, 6),
        contested_ns=st.none() | st.sampled_from((0, 200 * MS)),
        is_senior=st.booleans(),
    ),
    max_size=2,
).map(tuple)
elector_steps = st.one_of(
    st.tuples(st.just("observe"), devices, roles),
    st.tuples(st.just("ask"), some_devices, peers),
    st.tuples(st.just("load"), some_devices, st.none() | devices),
    st.tuples(st.just("learn"), some_devices, roles),
    st.tuples(st.just("lose"), st.none(), st.none()),
)


@given(st.lists(st.tuples(waits, elector_steps, st.booleans()), max_size=12))
def test_a_carriage(steps: Sequence[tuple[int, tuple[str, tuple[str, ...] | str, object], bool]]) -> None:
    machine, now_ns = CarriageMachine(advertisement_interval_ms=100), 0
    tiers, known = TIERS, ()
    for wait_ns, step, knows_all in steps:
        now_ns += wait_ns
        match step:
            case "observe", str() as device, Role() as role:
                machine.observe(device, role, now_ns)
            case "ask", tuple() as found, tuple() as others:
                tiers, known = tuple(each for each in TIERS if each.device in found), others
            case "load", tuple() as found, str() | None as carrier:
                tiers = tuple(each for each in TIERS if each.device in found)
                machine.loaded(Carriage(carrier=carrier, link=carrier), tiers)
            case "learn", tuple() as found, Role() as role:
                machine.learned(
                    (FoundElector(device=each, source="", role=role, is_carrier=False) for each in found), 0
                )
            case _:
                machine.lost()
        for later_ns in (0, 99 * MS, MS, 500 * MS, 1_400 * MS):  # an election, patience, who is alone for long
            now_ns += later_ns
            anew = forgetful(machine, "_newest").next(tiers, known, now_ns, knows_all=knows_all)
            assert machine.next(tiers, known, now_ns, knows_all=knows_all) == anew


@given(st.lists(st.tuples(waits, st.booleans(), roles, some_devices), max_size=12))
def test_peers(steps: Sequence[tuple[int, bool, Role, tuple[str, ...]]]) -> None:
    one, other, now_ns = PeersMachine(b"a" * 8), PeersMachine(b"b" * 8), 10 * SILENT_NS
    for number, (wait_ns, is_ours, role, tiers) in enumerate(steps):
        now_ns += wait_ns
        speaker, hearer = (one, other) if is_ours else (other, one)
        beacon = speaker.beacon(Saying(role=role, tiers=tiers, seq=number), KEY, number.to_bytes(8), now_ns)
        hearer.hear(beacon, KEY, now_ns)
        for each in (one, other):
            for later_ns in (0, 300 * MS, SILENT_NS):
                twin = forgetful(each, "_present")
                for peer in twin.known():
                    peer._peer = peer._carriage = None
                then_ns = now_ns + later_ns
                assert each.heard(then_ns) == twin.heard(then_ns)
                assert each.carriages(then_ns) == twin.carriages(then_ns)
                assert each.knows_all(then_ns) is twin.knows_all(then_ns)


places = st.lists(
    st.builds(
        Place,
        device=devices,
        address=st.just("10.1.2.3"),
        mac=st.sampled_from(("02:00:00:00:00:01", "02:00:00:00:00:02")),
    ),
    max_size=3,
)
place_steps = st.one_of(
    st.tuples(st.just("told"), st.integers(1, 2), places),
    st.tuples(st.just("came"), st.integers(1, 2), devices),
    st.tuples(st.just("serves"), st.just(0), st.booleans()),
    st.tuples(st.just("forget"), st.integers(0, 2), st.none()),
    st.tuples(st.just("recall"), st.just(0), places),
)


@given(st.booleans(), st.lists(st.tuples(waits, place_steps), max_size=12))
def test_whereabouts(remembers: bool, steps: Sequence[tuple[int, tuple[str, int, object]]]) -> None:
    machine, now_ns = WhereaboutsMachine(remembers=remembers), 0
    for wait_ns, step in steps:
        now_ns += wait_ns
        match step:
            case "told", number, list() as found:
                machine.told(number, found)
            case "came", number, str() as device:
                machine.came(number, device, now_ns)
            case "serves", _, bool() as serves:
                machine.serves(serves, now_ns)
            case "recall", _, list() as found:
                machine.recall(found)
            case _, number, _:
                machine.forget({number})
        for later_ns in (0, SILENT_NS - 1, SILENT_NS, ALONE_NS):
            assert machine.now(now_ns + later_ns) == forgetful(machine, "_known").now(now_ns + later_ns)
