"""The model of keepalived: the measured behaviour that the electors rely on, one test for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpcrouter.simulation.keepalived import Keepalived
from vpcrouter.simulation.keepalived_file import parse
from vpcrouter.simulation.loop import Descriptors
from vpcrouter.simulation.machine import Machine
from vpcrouter.simulation.network import Cut, Networks
from vpcrouter.simulation.world import MS, SECOND, SimulationError, World
from vpcrouter.values.desired import InterfaceAddress, Link

CONFIG = "keepalived.conf"


def instance(
    device: str,
    own: int,
    *,
    priority: int = 100,
    preempts: bool = False,
    carried: tuple[str, ...] = (),
    extra: str = "",
) -> str:
    number = device.removeprefix("eth")
    return f"""
vrrp_instance {device} {{
    interface {device}
    mcast_src_ip 10.1.{number}.{own}
    state BACKUP
    {"" if preempts else "nopreempt"}
    virtual_router_id 51
    priority {priority}
    advert_int 0.10
    virtual_ipaddress {{
        169.254.255.{number}/32 dev {device}
        {extra}
    }}
    virtual_ipaddress_excluded {{
        {"".join(f"{each}{chr(10)}" for each in carried)}
    }}
}}
"""


def carrier(device: str, own: int, **others: object) -> str:
    return instance(device, own, carried=("10.1.9.1/24 dev eth9 no_track",), **others)  # type: ignore[arg-type]


GATEWAY = InterfaceAddress(device="eth9", address="10.1.9.1/24")


class Two:
    """Two machines with the devices up and addressed, and keepalived on request."""

    def __init__(self, tmp_path: Path) -> None:
        self.world = World(1)
        self.networks = Networks(self.world)
        descriptors = Descriptors(self.world)
        self.machines = {}
        for name, own in (("rA", 2), ("rB", 3)):
            machine = Machine(self.world, self.networks, descriptors, name, tmp_path / name)
            self.networks.machines.append(machine)
            self.machines[name] = machine
            for device in ("eth2", "eth3", "eth9"):
                machine.kernel._set_link(Link(name=device, up=True))
                machine.kernel.add_address(
                    InterfaceAddress(device=device, address=f"10.1.{device.removeprefix('eth')}.{own}/24")
                )

    def start(self, name: str, text: str) -> None:
        machine = self.machines[name]
        machine.files.write(CONFIG, text)
        machine.spawn("keepalived", lambda: machine.files.text(CONFIG))

    def reload(self, name: str, text: str) -> None:
        self.machines[name].files.write(CONFIG, text)
        self.keepalived(name).reload()

    def keepalived(self, name: str) -> Keepalived:
        found = self.machines[name].keepalived
        assert found is not None
        return found

    def run(self, ms: int) -> None:
        self.world.run_until(self.world.now_ns + ms * MS)

    def serving(self) -> list[str]:
        return [name for name, machine in self.machines.items() if GATEWAY in machine.kernel.addresses]

    def states(self, name: str) -> dict[str, str]:
        return {each.instance: each.role.value for each in self.keepalived(name).reports()}

    def lines(self, name: str) -> list[str]:
        return [line.split(" ", 2)[2] for line in self.world.trace if f"{name}/keepalived INSTANCE" in line]


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_alone_it_is_master_after_a_master_down_time(two: Two) -> None:
    two.start("rA", carrier("eth2", 2))
    two.run(30 + 300)
    assert two.serving() == []
    two.run(70)
    assert two.serving() == ["rA"]


def test_the_higher_priority_wins_the_first_election_and_keeps_it(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=110))
    two.start("rB", carrier("eth2", 3))
    two.run(1000)
    assert (two.states("rA"), two.states("rB")) == ({"eth2": "master"}, {"eth2": "backup"})
    two.keepalived("rA").end()
    two.run(100)
    assert two.serving() == ["rB"], "priority 0: the other waits for its skew only"
    two.run(1500)
    two.start("rA", carrier("eth2", 2, priority=110))
    two.run(1000)
    assert two.serving() == ["rB"], "nopreempt"


def test_a_crash_is_noticed_after_the_master_down_time(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=150))
    two.start("rB", carrier("eth2", 3))
    two.run(1000)
    two.machines["rA"].lose_power()
    two.run(250)
    assert two.serving() == []
    two.run(150)
    assert two.serving() == ["rB"]


def test_lists_that_differ_make_two_masters(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=110))
    two.start("rB", carrier("eth2", 3, extra="10.1.2.1/24 dev eth2"))
    two.run(2000)
    assert two.serving() == ["rA", "rB"]


def test_a_reload_keeps_the_master_and_applies_the_difference(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=110))
    two.start("rB", carrier("eth2", 3))
    two.run(1000)
    before = two.lines("rA")
    two.reload("rA", instance("eth2", 2, carried=("10.1.9.1/24 dev eth9", "10.1.3.1/24 dev eth3")))
    two.run(500)
    assert InterfaceAddress(device="eth3", address="10.1.3.1/24") in two.machines["rA"].kernel.addresses
    assert two.lines("rA") == before, "a master says nothing after a reload"
    assert two.states("rB") == {"eth2": "backup"}


def test_a_backup_repeats_its_line_after_a_reload(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=110))
    two.start("rB", carrier("eth2", 3))
    two.run(1000)
    count = len(two.lines("rB"))
    two.reload("rB", carrier("eth2", 3, priority=90))
    two.run(200)
    assert two.lines("rB")[count:] == ['INSTANCE "eth2" BACKUP 90']


def test_another_interface_is_another_instance(two: Two) -> None:
    two.start("rA", carrier("eth2", 2))
    two.run(1000)
    two.reload("rA", carrier("eth3", 2))
    two.run(100)
    assert two.serving() == []
    two.run(500)
    assert two.serving() == ["rA"]


@pytest.mark.parametrize(("first", "stays"), [("eth2", True), ("eth3", False)])
def test_the_list_moves_only_if_the_old_carrier_stands_first(two: Two, first: str, stays: bool) -> None:
    """Finding 7: the old file is walked in its order."""
    own = {"eth2": carrier("eth2", 2), "eth3": instance("eth3", 2)}
    order = (first, "eth3" if first == "eth2" else "eth2")
    two.start("rA", "".join(own[each] for each in order))
    two.run(1000)
    assert two.serving() == ["rA"]
    moved = {"eth2": instance("eth2", 2), "eth3": carrier("eth3", 2)}
    two.reload("rA", "".join(moved[each] for each in order))
    two.run(200)
    assert (two.serving() == ["rA"]) is stays


def test_a_sync_group_goes_through_backup_when_it_grows(two: Two) -> None:
    def group(*members: str) -> str:
        return "vrrp_sync_group all {\n group {\n" + "\n".join(members) + "\n}\n}\n"

    two.start("rA", carrier("eth2", 2) + group("eth2"))
    two.run(1000)
    two.reload("rA", carrier("eth2", 2) + instance("eth3", 2) + group("eth2", "eth3"))
    two.run(100)
    assert two.serving() == []


def test_a_lost_link_is_fault_at_once_and_backup_when_it_is_back(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=110))
    two.start("rB", carrier("eth2", 3))
    two.run(1000)
    two.networks.cut(two.machines["rA"], "eth2", Cut.CARRIER)
    two.run(10)
    assert two.states("rA") == {"eth2": "fault"}
    assert two.serving() == []
    two.run(400)
    assert two.serving() == ["rB"]
    two.networks.mend(two.machines["rA"], "eth2")
    two.run(10)
    assert two.states("rA") == {"eth2": "backup"}


def test_killed_it_leaves_its_addresses_and_its_next_start_takes_them_away(two: Two) -> None:
    two.start("rA", carrier("eth2", 2))
    two.run(1000)
    two.machines["rA"].daemons["keepalived"].signal(9)
    two.run(100)
    assert two.serving() == ["rA"]
    two.start("rA", carrier("eth2", 2))
    two.run(40)
    assert two.serving() == []


def test_stopped_it_keeps_them_and_steps_back_when_it_goes_on(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=110))
    two.start("rB", carrier("eth2", 3, priority=150))
    two.run(1000)
    master = two.serving()
    other = "rB" if master == ["rA"] else "rA"
    two.machines[master[0]].daemons["keepalived"].process.stop()
    two.run(500)
    assert sorted(two.serving()) == ["rA", "rB"]
    two.reload(other, carrier("eth2", 3 if other == "rB" else 2, priority=160))
    two.run(100)
    two.machines[master[0]].daemons["keepalived"].process.go_on()
    two.run(120)
    assert two.serving() == [other]


def test_without_an_own_address_it_is_in_fault(two: Two) -> None:
    two.machines["rA"].kernel.remove_address(InterfaceAddress(device="eth2", address="10.1.2.2/24"))
    two.start("rA", carrier("eth2", 2))
    two.run(1000)
    assert two.states("rA") == {"eth2": "fault"}


def test_a_device_that_came_later_never_makes_a_master_before_a_reload(two: Two) -> None:
    kernel = two.machines["rA"].kernel
    kernel.unplug("eth2")
    two.start("rA", carrier("eth2", 2))
    two.run(100)
    kernel.plug("eth2")
    kernel._set_link(Link(name="eth2", up=True))
    kernel.add_address(InterfaceAddress(device="eth2", address="10.1.2.2/24"))
    two.run(1000)
    assert two.serving() == []
    two.reload("rA", carrier("eth2", 2))
    two.run(600)
    assert two.serving() == ["rA"]


def test_words_that_the_model_passes_over_are_told() -> None:
    file = parse("global_defs {\n  vrrp_strict\n}\nvrrp_instance a {\n  interface eth2\n  authentication {\n  }\n}\n")
    assert file.unknown == ("authentication", "vrrp_strict")


def test_a_file_that_does_not_end_is_refused() -> None:
    with pytest.raises(SimulationError):
        parse("vrrp_instance a {\n")


def test_a_second_is_a_second() -> None:
    assert parse("vrrp_instance a {\n interface eth2\n advert_int 1\n}\n").instances[0].interval_ns == SECOND


def test_what_is_lost_elsewhere_is_told_to_the_peer(two: Two) -> None:
    """A tracked device: the own one is well, so priority 0 goes out, and the peer waits for its skew only."""
    tracks = "}\n track_interface {\n eth9\n"
    two.start("rA", instance("eth2", 2, priority=110, carried=("10.1.9.1/24 dev eth9",), extra=tracks))
    two.start("rB", carrier("eth2", 3))
    two.run(1000)
    assert two.serving() == ["rA"]
    two.networks.cut(two.machines["rA"], "eth9", Cut.CARRIER)
    two.run(90)
    assert two.serving() == ["rB"]


def test_a_child_whose_parent_is_killed_says_good_bye(two: Two) -> None:
    two.start("rA", carrier("eth2", 2, priority=199))
    two.start("rB", carrier("eth2", 3, priority=199, preempts=True))
    two.run(1000)
    (master,) = two.serving()
    other = "rB" if master == "rA" else "rA"
    two.machines[master].daemons["keepalived"].lose_parent()
    two.run(40)
    assert two.serving() == [other], "priority 0: a skew and no master-down time"


def test_a_parent_whose_child_is_killed_ends_and_the_addresses_stay(two: Two) -> None:
    two.start("rA", carrier("eth2", 2))
    two.run(1000)
    daemon = two.machines["rA"].daemons["keepalived"]
    daemon.lose_child()
    assert not daemon.is_dead
    two.run(60)
    assert daemon.is_dead
    assert two.serving() == ["rA"]
