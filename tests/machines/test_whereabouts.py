"""From where the peer is listened to: never from a place that was not proven alone, and never from nowhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.peer import SILENT_NS
from vpcrouter.machines.whereabouts import ALONE_NS, WhereaboutsMachine
from vpcrouter.values.whereabouts import UNKNOWN, Place, Whereabouts

NOW = 100 * SILENT_NS
HERE = Place(device="eth2", address="10.1.2.3", mac="02:01:00:02:00:0b")
NEXT = Place(device="eth3", address="10.1.3.3", mac="02:01:00:03:00:0b")
MOVED = Place(device="eth2", address="10.1.2.3", mac="02:01:00:02:00:cc")


def proven(*places: Place) -> WhereaboutsMachine:
    machine = WhereaboutsMachine()
    machine.told(1, places)
    for each in places:
        machine.came(1, each.device, NOW)
    return machine


def test_a_device_is_closed_when_a_beacon_has_come_from_where_the_peer_says_it_is() -> None:
    machine = WhereaboutsMachine()
    assert machine.now(NOW) == UNKNOWN
    machine.came(1, "eth2", NOW)
    machine.told(1, [HERE, NEXT])
    assert machine.now(NOW) == Whereabouts(places=(HERE, NEXT))
    machine.came(1, "eth2", NOW)
    assert machine.now(NOW) == Whereabouts(places=(HERE, NEXT), closed=("eth2",), attended=("eth2",))


def test_a_silent_peer_s_vrrp_is_believed_and_anybody_may_be_its_agent() -> None:
    machine = proven(HERE, NEXT)
    machine.came(1, "eth3", NOW + SILENT_NS)
    found = machine.now(NOW + SILENT_NS)
    assert (found.closed, found.attended) == (("eth2", "eth3"), ("eth3",))
    assert not proven(HERE, NEXT).now(NOW).shuts_out(found)


def test_who_has_just_begun_to_serve_listens_to_any_agent() -> None:
    machine = proven(HERE)
    machine.serves(True, NOW)
    assert (machine.now(NOW).closed, machine.now(NOW).attended) == (("eth2",), ())
    machine.came(1, "eth2", NOW)
    machine.serves(True, NOW)
    assert machine.now(NOW).attended == ("eth2",)


def test_a_place_that_is_another_opens_its_device_at_once() -> None:
    machine = proven(HERE, NEXT)
    before = machine.now(NOW)
    machine.told(1, [MOVED, NEXT])
    after = machine.now(NOW)
    assert (after.closed, after.attended) == (("eth3",), ("eth3",))
    assert before.shuts_out(after)
    assert not after.shuts_out(before), "closing it has time"
    machine.told(1, [NEXT])
    assert before.shuts_out(machine.now(NOW))


def test_what_an_earlier_agent_had_proven_is_closed_from_the_start_and_open_to_beacons() -> None:
    machine = WhereaboutsMachine()
    machine.recall([HERE])
    assert machine.now(NOW) == Whereabouts(places=(HERE,), closed=("eth2",))


def test_a_router_that_serves_and_hears_nobody_is_alone() -> None:
    machine = WhereaboutsMachine()
    machine.serves(True, NOW)
    assert machine.now(NOW + ALONE_NS - 1) == UNKNOWN
    alone = machine.now(NOW + ALONE_NS)
    assert alone == Whereabouts(is_alone=True)
    machine.told(1, [HERE])
    assert alone.shuts_out(machine.now(NOW + ALONE_NS))
    backup = WhereaboutsMachine()
    backup.serves(False, NOW)
    assert backup.now(NOW + ALONE_NS) == UNKNOWN, "somebody serves, and its agent may be dead"
    heard = WhereaboutsMachine()
    heard.told(1, [])
    heard.serves(True, NOW)
    assert heard.now(NOW + ALONE_NS) == Whereabouts(), "a peer that does not say where it is is one all the same"


@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from([HERE, MOVED, NEXT]), unique_by=lambda each: each.device),
            st.sampled_from(["eth2", "eth3", "eth4"]),
            st.booleans(),
            st.integers(0, 2 * SILENT_NS),
        )
    )
)
def test_whatever_happens_only_what_was_told_last_is_closed_and_only_what_is_closed_is_attended(
    events: list[list[Place] | str | bool | int],
) -> None:
    machine, now_ns, told, marked = WhereaboutsMachine(), NOW, dict[str, Place](), set[Place]()
    for each in events:
        match each:
            case bool():
                machine.serves(each, now_ns)
            case int():
                now_ns += each
            case str():
                machine.came(1, each, now_ns)
                marked |= {told[each]} if each in told else set()
            case list():
                machine.told(1, each)
                told = {place.device: place for place in each}
                marked &= set(each)
        found = machine.now(now_ns)
        assert set(found.places) == set(told.values())
        assert {told[device] for device in found.closed} == marked
        assert set(found.attended) <= set(found.closed)


def test_by_unicast_it_is_spoken_to_where_it_was_last_also_where_it_is_no_more() -> None:
    machine = WhereaboutsMachine(remembers=True)
    machine.recall([], [("eth2", "10.1.2.8"), ("eth4", "10.1.4.3")])
    known = (("eth2", "10.1.2.8"), ("eth4", "10.1.4.3"))
    assert machine.now(NOW).remembered == known
    machine.told(1, [HERE, NEXT])
    machine.told(1, [NEXT])
    told = (("eth2", "10.1.2.3"), ("eth3", "10.1.3.3"), ("eth4", "10.1.4.3"))
    assert machine.now(NOW).remembered == machine.now(NOW + 2 * SILENT_NS).remembered == told
    assert machine.now(NOW).places == (NEXT,)
    assert proven(HERE).now(NOW).remembered == (), "by multicast there is no need"


def test_of_two_others_each_has_to_be_proven_where_it_is() -> None:
    there = Place(device="eth2", address="10.1.2.4", mac="02:01:00:02:00:0c")
    machine = proven(HERE, NEXT)
    before = machine.now(NOW)
    machine.told(2, [there])
    assert before.shuts_out(machine.now(NOW)), "the third must be heard at once"
    assert machine.now(NOW) == Whereabouts(places=(HERE, there, NEXT), closed=("eth3",), attended=("eth3",))
    machine.came(2, "eth2", NOW)
    assert machine.now(NOW).closed == ("eth2", "eth3")
    assert (machine.proven(1), machine.proven(2)) == (("eth2", "eth3"), ("eth2",))
    machine.came(2, "eth2", NOW + SILENT_NS)
    assert machine.now(NOW + SILENT_NS).attended == ("eth2",), "one of the two is heard there"
    machine.forget([2])
    assert machine.now(NOW) == Whereabouts(places=(there,), closed=("eth2",), attended=("eth2",))


def test_what_an_earlier_agent_knew_of_others_stays_until_all_have_told() -> None:
    there = Place(device="eth2", address="10.1.2.4", mac="02:01:00:02:00:0c")
    elsewhere = Place(device="eth2", address="10.1.2.9", mac="02:01:00:02:00:0d")
    machine = WhereaboutsMachine(remembers=True)
    machine.recall([HERE, there, NEXT], [("eth2", HERE.address), ("eth2", there.address)])
    machine.told(1, [HERE])
    assert machine.has_unmet
    assert machine.now(NOW).places == (HERE, there, NEXT)
    assert machine.now(NOW).closed == ("eth2", "eth3")
    assert machine.now(NOW).remembered == (("eth2", HERE.address), ("eth2", there.address))
    machine.told(1, [HERE])
    assert machine.has_unmet
    machine.told(2, [elsewhere])
    assert not machine.has_unmet
    known = (("eth2", HERE.address), ("eth2", elsewhere.address))
    assert machine.now(NOW) == Whereabouts(places=(HERE, elsewhere), closed=(), remembered=known), "there is nobody's"
