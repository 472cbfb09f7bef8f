"""The carriage: where the carrier goes, and that no sequence of steps lets two routers serve."""

from __future__ import annotations

from attrs import define, evolve, field
from hypothesis import example, given
from hypothesis import strategies as st

from vpcrouter.machines.carriage import CarriageMachine
from vpcrouter.values.carriage import Carriage, Elector, FoundElector, PeerCarriage
from vpcrouter.values.role import Role

MS = 1_000_000
LATER = 1_000 * MS
"""Long after every election."""


def tiers(*numbers: int) -> list[Elector]:
    return [Elector(device=f"eth{number}", source=f"10.1.{number}.2") for number in numbers]


def running(carrier: int, role: Role, *numbers: int, **others: Role) -> CarriageMachine:
    """A router whose electors have had one role for long."""
    machine = CarriageMachine(advertisement_interval_ms=100)
    machine.learned(
        (
            FoundElector(
                device=f"eth{number}",
                source=f"10.1.{number}.2",
                role=others.get(f"eth{number}", role),
                is_carrier=number == carrier,
            )
            for number in numbers
        ),
        0,
    )
    return machine


def peer(
    carrier: int | None,
    *numbers: int,
    silent: bool = False,
    heard: tuple[int, ...] | None = (),
    role: Role = Role.INIT,
    contested_ns: int | None = None,
    senior: bool = False,
    **roles: Role,
) -> PeerCarriage:
    """Its carrier and tiers; by default it knows that whatever is gone here is gone."""
    return PeerCarriage(
        tiers=tuple(f"eth{number}" for number in numbers),
        carrier=None if carrier is None else f"eth{carrier}",
        target=None if carrier is None else f"eth{carrier}",
        heard=None if heard is None else tuple(f"eth{number}" for number in heard),
        is_silent=silent,
        role=role,
        roles={f"eth{number}": role for number in numbers} | roles,
        contested_ns=contested_ns,
        is_senior=senior,
    )


# The first election -----------------------------------------------------------------------------


def test_nobody_carries_before_the_first_election() -> None:
    machine = CarriageMachine(advertisement_interval_ms=100)
    assert machine.next(tiers(2, 3), (), LATER).carrier is None
    machine.observe("eth2", Role.BACKUP, LATER)
    machine.observe("eth3", Role.BACKUP, LATER)
    assert machine.next(tiers(2, 3), (), LATER + 300 * MS).carrier is None


def test_who_wins_everywhere_carries_on_the_lowest() -> None:
    assert running(0, Role.MASTER, 2, 3).next(tiers(2, 3), (), 0).carrier == "eth2"


def test_who_comes_late_carries_where_the_peer_does() -> None:
    assert running(0, Role.BACKUP, 2, 3).next(tiers(2, 3), [peer(3, 3)], 0).carrier == "eth3"


def test_where_one_is_backup_somebody_serves_though_nobody_says_so() -> None:
    machine = running(0, Role.MASTER, 2, 3, 4, eth3=Role.BACKUP)
    assert machine.next(tiers(2, 3, 4), (), LATER).carrier == "eth3"


def test_two_that_know_each_other_need_not_wait_for_every_election() -> None:
    for role, other in ((Role.MASTER, Role.BACKUP), (Role.BACKUP, Role.MASTER)):
        machine = running(0, role, 2, 3, eth3=other)
        machine.observe("eth4", Role.BACKUP, LATER)
        known = peer(None, 2, 3, heard=(2, 3), eth2=other, eth3=role)
        assert machine.next(tiers(2, 3, 4), [known], LATER).carrier == "eth2"


def test_who_is_not_known_to_the_peer_waits() -> None:
    machine = running(0, Role.MASTER, 2, 3)
    machine.observe("eth4", Role.BACKUP, LATER)
    for other in (
        peer(None, 2, 3, heard=(3,), eth2=Role.BACKUP),
        peer(None, 2, 3, heard=(2, 3), eth2=Role.BACKUP, silent=True),
        peer(None, 2, 3, heard=(2, 3), eth2=Role.MASTER),
        evolve(peer(None, 2, 3, heard=(2, 3), eth2=Role.BACKUP), target="eth3"),
    ):
        assert machine.next(tiers(2, 3, 4), [other], LATER).carrier is None


def test_an_elector_in_fault_does_not_keep_the_others_waiting() -> None:
    machine = running(0, Role.MASTER, 2, 3, eth2=Role.FAULT)
    assert machine.next(tiers(2, 3), (), LATER).carrier == "eth3"


# Moves ------------------------------------------------------------------------------------------


def test_a_lower_tier_gets_the_carrier_when_its_elector_has_the_same_role() -> None:
    machine = running(3, Role.MASTER, 3, 4)
    both = peer(3, 2, 3, 4)
    first = machine.next(tiers(2, 3, 4), [both], LATER)
    assert first == Carriage(carrier="eth3", link="eth3")
    machine.loaded(first, tiers(2, 3, 4))
    machine.observe("eth2", Role.BACKUP, LATER)
    assert machine.next(tiers(2, 3, 4), [both], 2 * LATER).carrier == "eth3"
    machine.observe("eth2", Role.MASTER, 2 * LATER)
    assert machine.next(tiers(2, 3, 4), [both], 2 * LATER) == Carriage(carrier="eth2", link="eth3", is_bridged=True)


def test_a_backup_waits_until_it_is_plain_that_somebody_else_is_master_there() -> None:
    machine = running(3, Role.BACKUP, 3, 4)
    machine.observe("eth2", Role.BACKUP, LATER)
    assert machine.next(tiers(2, 3, 4), [peer(3, 2, 3, 4)], LATER + 599 * MS).carrier == "eth3"
    moved = machine.next(tiers(2, 3, 4), [peer(3, 2, 3, 4)], LATER + 600 * MS)
    assert moved == Carriage(carrier="eth2", link="eth3")


def test_it_never_moves_to_an_elector_of_another_role() -> None:
    machine = running(3, Role.BACKUP, 2, 3, eth2=Role.MASTER)
    assert machine.next(tiers(2, 3), [peer(3, 2, 3)], LATER).carrier == "eth3"
    machine = running(3, Role.MASTER, 2, 3, eth2=Role.BACKUP)
    assert machine.next(tiers(2, 3), [peer(3, 2, 3)], LATER).carrier == "eth3"


def test_a_tier_that_the_peer_has_not_stays_without_the_carrier() -> None:
    machine = running(3, Role.MASTER, 2, 3)
    assert machine.next(tiers(2, 3), [peer(3, 3)], LATER).carrier == "eth3"


def test_the_carrier_of_a_removed_tier_moves_at_once_and_its_elector_is_held() -> None:
    machine = running(2, Role.MASTER, 2, 3, 4)
    moved = machine.next(tiers(3, 4), [peer(2, 2, 3, 4)], LATER)
    assert moved == Carriage(carrier="eth3", link="eth2", held=tuple(tiers(2)), is_bridged=True)
    machine.loaded(moved, tiers(3, 4))
    held = machine.next(tiers(3, 4), [peer(2, 2, 3, 4, silent=True)], LATER * 3600)
    assert held == Carriage(carrier="eth3", link="eth2", held=tuple(tiers(2))), "its agent may be dead for long"
    assert machine.next(tiers(3, 4), [peer(3, 2, 3, 4)], LATER) == Carriage(carrier="eth3", link="eth3")


def test_an_elector_is_held_until_the_peer_knows_that_its_tier_is_gone() -> None:
    machine = running(3, Role.MASTER, 2, 3)
    for heard in (None, (2, 3)):
        assert machine.next(tiers(3), [peer(3, 2, 3, heard=heard)], LATER).held == tuple(tiers(2))
    assert machine.next(tiers(3), [peer(3, 2, 3, heard=(3,))], LATER).held == ()


def test_an_elector_is_held_while_the_peer_is_moving_there() -> None:
    machine = running(3, Role.MASTER, 2, 3)
    moving = PeerCarriage(tiers=("eth2", "eth3"), carrier="eth3", target="eth2", heard=("eth3",))
    assert machine.next(tiers(3), [moving], LATER).held == tuple(tiers(2))


def test_a_peer_that_was_not_heard_yet_is_not_run_away_from() -> None:
    assert running(3, Role.BACKUP, 2, 3).next(tiers(2, 3), (), LATER).carrier == "eth3"
    assert running(2, Role.BACKUP, 2, 3).next(tiers(3), (), LATER).carrier == "eth3"


def test_a_backup_holds_only_what_it_needs_itself() -> None:
    machine = running(2, Role.BACKUP, 2, 3)
    moved = machine.next(tiers(3), [peer(2, 2, 3)], LATER)
    assert (moved.carrier, moved.held) == ("eth3", tuple(tiers(2))), "connections still come by it"
    machine.loaded(moved, tiers(3))
    assert machine.next(tiers(3), [peer(3, 2, 3)], LATER).held == ()


def test_a_device_that_is_unplugged_is_not_held() -> None:
    machine = running(3, Role.MASTER, 2, 3, eth2=Role.FAULT)
    assert machine.next(tiers(3), [peer(2, 2, 3)], LATER).held == ()


def test_without_a_tier_there_is_nothing_to_elect() -> None:
    assert running(2, Role.MASTER, 2).next([], [peer(2, 2)], LATER) == Carriage()


def test_a_look_moves_nothing() -> None:
    machine = running(3, Role.MASTER, 2, 3, 4)
    assert machine.stay(tiers(3, 4)) == Carriage(carrier="eth3", link="eth3", held=tuple(tiers(2)))


# Tiers on which the two do not hear each other, or that are lost ---------------------------------

M, B, F = Role.MASTER, Role.BACKUP, Role.FAULT


def test_a_second_master_steps_back_to_an_elector_on_which_it_obeys() -> None:
    machine = running(2, B, 2, 3, 4)
    machine.observe("eth2", M, LATER)
    claim = peer(2, 2, 3, 4, role=M, contested_ns=0)
    assert machine.next(tiers(2, 3, 4), [claim], LATER).carrier == "eth2", "VRRP may end it by itself"
    claim = peer(2, 2, 3, 4, role=M, contested_ns=100 * MS)
    back = machine.next(tiers(2, 3, 4), [claim], LATER + 100 * MS)
    assert back == Carriage(carrier="eth3", link="eth2")
    machine.loaded(back, tiers(2, 3, 4))
    for later in (200, 2_000):
        claim = peer(2, 2, 3, 4, role=M)
        assert machine.next(tiers(2, 3, 4), [claim], LATER + later * MS).carrier == "eth3", "and stays there"


def test_where_all_tiers_in_common_are_split_it_goes_to_none_that_the_peer_lacks() -> None:
    machine = running(2, M, 2, 3)
    split = peer(2, 2, role=M)
    machine.next(tiers(2, 3), [split], LATER)
    assert machine.next(tiers(2, 3), [split], 2 * LATER).carrier == "eth2"


def test_the_first_master_leaves_the_tier_that_is_split() -> None:
    machine = running(2, M, 2, 3, 4)
    other = peer(2, 2, 3, 4, role=M, contested_ns=300 * MS, eth3=B, eth4=B)
    assert machine.next(tiers(2, 3, 4), [other], LATER).carrier == "eth2"
    assert machine.next(tiers(2, 3, 4), [other], LATER + 100 * MS).carrier == "eth3"


def test_a_tier_that_is_whole_again_carries_again() -> None:
    machine = running(3, M, 2, 3)
    split = peer(3, 2, 3, role=B, eth2=M)
    machine.next(tiers(2, 3), [split], LATER)
    assert machine.next(tiers(2, 3), [split], 2 * LATER).carrier == "eth3"
    assert machine.next(tiers(2, 3), [peer(3, 2, 3, role=B)], 3 * LATER).carrier == "eth2"


def test_of_two_that_both_could_step_back_the_junior_one_does() -> None:
    for senior in (True, False):
        machine = running(2, M, 2, 3, eth3=B)
        claim = peer(3, 2, 3, role=M, contested_ns=LATER, senior=senior, eth2=B)
        assert machine.next(tiers(2, 3), [claim], LATER).carrier == ("eth3" if senior else "eth2")


def test_a_peer_that_obeys_where_its_tier_is_gone_cannot_step_back_there() -> None:
    """Its elector on eth3 is held; if it counted, each would wait for the other one."""
    machine = running(3, M, 2, 3, eth2=B)
    claim = peer(2, 2, role=M, contested_ns=100 * MS, senior=False, eth3=B)
    assert machine.next(tiers(2), [claim], LATER).carrier == "eth2"


def test_of_two_that_both_obey_the_one_on_the_higher_tier_takes_the_service() -> None:
    high = running(3, B, 2, 3, eth2=M)
    assert high.next(tiers(2, 3), [peer(2, 2, 3, role=B, eth3=M)], LATER).carrier == "eth2"
    low = running(2, B, 2, 3, eth3=M)
    assert low.next(tiers(2, 3), [peer(3, 2, 3, role=B, eth2=M)], LATER).carrier == "eth2"


def test_when_both_have_lost_the_carrier_s_tier_the_service_moves_on_where_it_was() -> None:
    machine = running(2, M, 2, 3, eth2=F)
    assert machine.next(tiers(2, 3), [peer(2, 2, 3, role=B)], 0).carrier == "eth2", "the peer is taking over"
    assert machine.next(tiers(2, 3), [peer(2, 2, 3, role=M)], 0).carrier == "eth2", "the peer has taken over"
    assert machine.next(tiers(2, 3), [peer(2, 2, 3, role=F, eth3=B)], 0).carrier == "eth3"
    backup = running(2, B, 2, 3, eth2=F)
    assert backup.next(tiers(2, 3), [peer(2, 2, 3, role=F, eth3=M)], LATER).carrier == "eth3"


def test_who_is_alone_with_a_lost_tier_waits_for_whoever_may_be_there() -> None:
    for others in ([], [peer(2, 2, 3, role=B, silent=True)], [peer(2, 2, 3, role=B, silent=True)] * 2):
        machine = running(2, M, 2, 3, eth2=F)
        assert machine.next(tiers(2, 3), others, 1_999 * MS).carrier == "eth2"
        assert machine.next(tiers(2, 3), others, 2_000 * MS).carrier == "eth3"


def test_each_master_is_of_a_newer_generation_than_the_one_before() -> None:
    machine = running(2, B, 2, 3)
    other = evolve(peer(2, 2, 3, role=M), generation=6)
    assert machine.next(tiers(2, 3), [other], 0).generation == 0
    machine.observe("eth2", M, LATER)
    assert machine.next(tiers(2, 3), [other], LATER).generation == 0, "after six comes zero"
    machine.observe("eth2", B, LATER)
    assert machine.next(tiers(2, 3), [evolve(other, generation=3)], LATER).generation == 0
    machine.observe("eth2", M, LATER)
    assert machine.next(tiers(2, 3), [other], LATER).generation == 4
    machine.observe("eth2", M, LATER)
    assert machine.generation == 4, "to say it again is not to be elected again"


def test_generations_are_counted_anew_while_the_peer_obeys() -> None:
    """Otherwise a router that was cut off as the seventh master takes its service back, and again each time after."""
    machine = running(2, B, 2, 3)
    cut_off = evolve(peer(2, 2, 3, role=M, silent=True), generation=3)
    machine.next(tiers(2, 3), [cut_off], 0)
    machine.observe("eth2", M, LATER)
    assert machine.next(tiers(2, 3), [cut_off], LATER).generation == 4, "who is cut off may serve too"
    assert machine.next(tiers(2, 3), [evolve(cut_off, is_silent=False)], LATER).generation == 4
    assert machine.next(tiers(2, 3), [evolve(cut_off, role=B)], LATER).generation == 4, "its last word, before"
    assert machine.next(tiers(2, 3), [evolve(cut_off, role=B, is_silent=False)], LATER).generation == 0


# Three ------------------------------------------------------------------------------------------


def test_an_elector_is_held_for_whichever_needs_it() -> None:
    machine = running(3, M, 2, 3)
    done, needs = peer(3, 2, 3, heard=(3,)), peer(2, 2, 3, heard=(3,))
    assert machine.next(tiers(3), [done, done], LATER).held == ()
    for others in ([done, needs], [needs, done], [done, evolve(needs, is_silent=True)]):
        assert machine.next(tiers(3), others, LATER).held == tuple(tiers(2))
    assert machine.next(tiers(3), [done], LATER, knows_all=False).held == tuple(tiers(2)), "one was not heard yet"


def test_the_carrier_goes_to_the_lowest_that_all_have_who_are_heard_and_were_elected() -> None:
    machine = running(4, M, 2, 3, 4)
    most, few = peer(4, 2, 3, 4), peer(4, 3, 4)
    assert machine.next(tiers(2, 3, 4), [most, few], LATER).carrier == "eth3"
    assert machine.next(tiers(2, 3, 4), [most, evolve(few, is_silent=True)], LATER).carrier == "eth2"
    assert machine.next(tiers(2, 3, 4), [most, peer(None, 4)], LATER).carrier == "eth2", "it has only just come"
    assert machine.next(tiers(2, 3, 4), [peer(4, 4, 2), peer(4, 3)], LATER).carrier == "eth2", "of none that all have"


def test_connections_go_another_way_when_all_carry_there() -> None:
    machine = running(3, B, 2, 3)
    machine.loaded(Carriage(carrier="eth2", link="eth3"), tiers(2, 3))
    there, not_yet = peer(2, 2, 3), peer(3, 2, 3)
    assert machine.next(tiers(2, 3), [there, not_yet], LATER).link == "eth3"
    assert machine.next(tiers(2, 3), [there, evolve(not_yet, is_silent=True)], LATER).link == "eth2"
    assert machine.next(tiers(2, 3), [there, there], LATER).link == "eth2"


def test_a_contest_with_any_is_one() -> None:
    machine = running(2, M, 2, 3, eth3=B)
    obeys, claims = peer(2, 2, 3, role=B), peer(2, 2, 3, role=M, contested_ns=LATER, senior=True, eth3=B)
    assert machine.next(tiers(2, 3), [obeys, claims], LATER).carrier == "eth3"


def test_a_backup_leaves_a_tier_that_another_backup_has_lost_and_stays_where_the_master_has() -> None:
    master, other = peer(2, 2, 3, role=M, eth2=M, eth3=M), peer(2, 2, 3, role=B, eth2=F)
    assert running(2, B, 2, 3).next(tiers(2, 3), [master, other], LATER).carrier == "eth3"
    lost = evolve(master, roles={"eth2": F, "eth3": M})
    assert running(2, B, 2, 3).next(tiers(2, 3), [lost, peer(2, 2, 3, role=B)], LATER).carrier == "eth2"


def test_nobody_leaves_the_service_for_an_elector_whose_master_carries_elsewhere() -> None:
    machine = running(3, M, 2, 3, eth2=B)
    on_it, its_master = peer(2, 2, 3, role=B), peer(3, 2, 3, role=B, eth2=M)
    assert machine.next(tiers(2, 3), [on_it, its_master], LATER).carrier == "eth3"
    assert machine.next(tiers(2, 3), [on_it, evolve(its_master, carrier="eth2")], LATER).carrier == "eth2"


def test_a_new_master_follows_the_generation_of_the_last_one() -> None:
    """Of three, A (6) was followed by B (0): after B comes 1, though A's is the higher number."""
    machine = running(2, B, 2, 3)
    first, last = (evolve(peer(2, 2, 3, role=role), generation=each) for role, each in ((B, 6), (M, 0)))
    machine.next(tiers(2, 3), [first, last], 0)
    machine.observe("eth2", M, LATER)
    assert machine.generation == 1
    machine.observe("eth2", B, LATER)
    machine.next(tiers(2, 3), [first, evolve(last, role=B)], LATER)
    machine.observe("eth2", M, LATER)
    assert machine.generation == 1
    machine.observe("eth2", B, LATER)
    machine.next(tiers(2, 3), [evolve(first, generation=3), last], LATER)
    machine.observe("eth2", M, LATER)
    assert machine.generation == 1, "who serves began anew"


# A set, and everything that can happen to it ----------------------------------------------------


@define
class Router:
    """A router of the model: its machine, its configuration, and what keepalived runs with."""

    machine: CarriageMachine = field(factory=lambda: CarriageMachine(advertisement_interval_ms=100))
    tiers: set[int] = field(factory=set)
    loaded: Carriage = field(factory=Carriage)
    electors: set[str] = field(factory=set)
    heard: dict[int, PeerCarriage] = field(factory=dict)
    """The others' last words, since its agent started."""


@define
class Fleet:
    """Two or three routers, of which one serves: the elections as VRRP would have them, without crashes.

    The serving router is master wherever it has an elector (it has the higher priority), and one of the others where
    it has none. Two masters that both carry must never come about.
    """

    serving: int
    routers: list[Router]
    now_ns: int = 0

    def master(self, device: str) -> int:
        if device in self.routers[self.serving].electors:
            return self.serving
        return next(number for number, router in enumerate(self.routers) if device in router.electors)

    def report(self) -> None:
        """keepalived tells every change, and the elections are over before the next thing happens."""
        for number, router in enumerate(self.routers):
            for device in router.electors:
                role = Role.MASTER if self.master(device) == number else Role.BACKUP
                if router.machine.roles.get(device) is not role:
                    router.machine.observe(device, role, self.now_ns)

    def step(self, number: int, *, load: bool) -> None:
        """The agent looks, and keepalived loads what comes of it (or the agent is killed before it hears so)."""
        router = self.routers[number]
        configured = tiers(*sorted(router.tiers))
        knows_all = len(router.heard) == len(self.routers) - 1
        peers = list(router.heard.values())
        carriage = router.machine.next(configured, peers, self.now_ns, knows_all=knows_all)
        router.loaded = carriage
        router.electors = {each.device for each in (*configured, *carriage.held)}
        if load:
            router.machine.loaded(carriage, configured)
        else:
            self.restart(number)
        self.report()

    def restart(self, number: int) -> None:
        router = self.routers[number]
        router.heard, router.machine = {}, CarriageMachine(advertisement_interval_ms=100)
        router.machine.learned(
            (
                FoundElector(
                    device=device,
                    source=f"10.1.{device[3:]}.2",
                    role=Role.MASTER if self.master(device) == number else Role.BACKUP,
                    is_carrier=device == router.loaded.carrier,
                )
                for device in sorted(router.electors)
            ),
            self.now_ns,
        )

    def beacon(self, number: int, missed_by: int | None = None) -> None:
        router = self.routers[number]
        for other, each in enumerate(self.routers):
            if other in (number, missed_by):
                continue
            each.heard[number] = PeerCarriage(
                tiers=tuple(d.device for d in tiers(*sorted(router.tiers)) if d.device in router.machine.roles),
                carrier=router.machine.carrier,
                target=router.machine.carrier,
                heard=router.heard[other].tiers if other in router.heard else None,
                role=router.machine.role or Role.INIT,
                roles=dict(router.machine.roles),
            )

    def check(self) -> None:
        serve = [
            number
            for number, router in enumerate(self.routers)
            if router.loaded.carrier is not None and self.master(router.loaded.carrier) == number
        ]
        assert serve == [self.serving] or self.routers[self.serving].loaded.carrier is None, (serve, self)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(2, 6)),
        st.tuples(st.just("remove"), st.integers(0, 2), st.integers(2, 6)),
        st.tuples(st.just("step"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("beacon"), st.integers(0, 2), st.integers(0, 5)),
    ),
    max_size=60,
)


@given(count=st.integers(2, 3), serving=st.integers(0, 1), steps=STEPS)
@example(count=2, serving=1, steps=[("add", 0, 2), ("kill", 0, 0)])
@example(
    count=2,
    serving=1,
    steps=[("remove", 1, 4), ("beacon", 1, 5), ("kill", 0, 0), ("beacon", 0, 5), ("step", 0, 0), ("step", 1, 0)],
)
@example(count=2, serving=0, steps=[("remove", 0, 4), ("step", 0, 0), ("step", 0, 0), ("step", 1, 0)])
@example(
    count=3,
    serving=0,
    steps=[("remove", 0, 4), ("step", 0, 0), ("kill", 0, 0), ("beacon", 1, 2), ("step", 0, 0)],
)
def test_the_serving_router_stays_and_is_the_only_one(
    count: int, serving: int, steps: list[tuple[str, int, int]]
) -> None:
    fleet = Fleet(serving=serving, routers=[Router() for _ in range(count)])
    for router in fleet.routers:
        router.tiers = {4, 5}
    others = [number for number in range(count) if number != serving]
    for number in (serving, *others) * 2:
        fleet.step(number, load=True)
        fleet.now_ns += LATER
        fleet.beacon(number)
    for name, number, argument in steps:
        if number >= count:
            continue
        router = fleet.routers[number]
        match name:
            case "add":
                router.tiers.add(argument)
            case "remove" if len(router.tiers) > 1 and argument != 5:
                router.tiers.discard(argument)  # eth5 stays: without any in common there is no way to each other
            case "step":
                fleet.step(number, load=True)
            case "kill":
                fleet.step(number, load=False)
            case "beacon":
                fleet.beacon(number, missed_by=argument)
        fleet.now_ns += LATER
        fleet.check()
    for number in tuple(range(count)) * 4:
        fleet.step(number, load=True)
        fleet.now_ns += LATER
        fleet.beacon(number)
        fleet.check()
    shared = min(set.intersection(*(router.tiers for router in fleet.routers)))
    assert {router.loaded.carrier for router in fleet.routers} == {f"eth{shared}"}, "all end on the lowest in common"
    assert all(router.loaded.held == () for router in fleet.routers)
    assert {router.loaded.link for router in fleet.routers} == {f"eth{shared}"}


def test_what_was_found_last_holds_until_time_alone_changes_it() -> None:
    """Nothing is heard or loaded meanwhile: a split counts after an advertisement, a lonely fault after two seconds."""
    split, own = running(2, Role.MASTER, 2, 3), tuple(tiers(2, 3))
    there = (peer(2, 2, 3, heard=(2, 3), role=Role.MASTER, eth3=Role.BACKUP),)
    found = [split.next(own, there, LATER + ms * MS).carrier for ms in (0, 50, 99, 100)]
    assert found == ["eth2", "eth2", "eth2", "eth3"]
    alone = running(2, Role.FAULT, 2, 3, eth3=Role.MASTER)
    gone = (peer(2, 2, 3, silent=True),)
    found = [alone.next(own, gone, ms * MS).carrier for ms in (700, 1_500, 1_999, 2_000)]
    assert found == ["eth2", "eth2", "eth2", "eth3"]
