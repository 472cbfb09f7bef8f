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
    assert machine.next(tiers(2, 3), None, LATER).carrier is None
    machine.observe("eth2", Role.BACKUP, LATER)
    machine.observe("eth3", Role.BACKUP, LATER)
    assert machine.next(tiers(2, 3), None, LATER + 300 * MS).carrier is None


def test_who_wins_everywhere_carries_on_the_lowest() -> None:
    assert running(0, Role.MASTER, 2, 3).next(tiers(2, 3), None, 0).carrier == "eth2"


def test_who_comes_late_carries_where_the_peer_does() -> None:
    assert running(0, Role.BACKUP, 2, 3).next(tiers(2, 3), peer(3, 3), 0).carrier == "eth3"


def test_where_one_is_backup_somebody_serves_though_nobody_says_so() -> None:
    machine = running(0, Role.MASTER, 2, 3, 4, eth3=Role.BACKUP)
    assert machine.next(tiers(2, 3, 4), None, LATER).carrier == "eth3"


def test_two_that_know_each_other_need_not_wait_for_every_election() -> None:
    for role, other in ((Role.MASTER, Role.BACKUP), (Role.BACKUP, Role.MASTER)):
        machine = running(0, role, 2, 3, eth3=other)
        machine.observe("eth4", Role.BACKUP, LATER)
        known = peer(None, 2, 3, heard=(2, 3), eth2=other, eth3=role)
        assert machine.next(tiers(2, 3, 4), known, LATER).carrier == "eth2"


def test_who_is_not_known_to_the_peer_waits() -> None:
    machine = running(0, Role.MASTER, 2, 3)
    machine.observe("eth4", Role.BACKUP, LATER)
    for other in (
        peer(None, 2, 3, heard=(3,), eth2=Role.BACKUP),
        peer(None, 2, 3, heard=(2, 3), eth2=Role.BACKUP, silent=True),
        peer(None, 2, 3, heard=(2, 3), eth2=Role.MASTER),
        evolve(peer(None, 2, 3, heard=(2, 3), eth2=Role.BACKUP), target="eth3"),
    ):
        assert machine.next(tiers(2, 3, 4), other, LATER).carrier is None


def test_an_elector_in_fault_does_not_keep_the_others_waiting() -> None:
    machine = running(0, Role.MASTER, 2, 3, eth2=Role.FAULT)
    assert machine.next(tiers(2, 3), None, LATER).carrier == "eth3"


# Moves ------------------------------------------------------------------------------------------


def test_a_lower_tier_gets_the_carrier_when_its_elector_has_the_same_role() -> None:
    machine = running(3, Role.MASTER, 3, 4)
    both = peer(3, 2, 3, 4)
    first = machine.next(tiers(2, 3, 4), both, LATER)
    assert first == Carriage(carrier="eth3", link="eth3")
    machine.loaded(first, tiers(2, 3, 4))
    machine.observe("eth2", Role.BACKUP, LATER)
    assert machine.next(tiers(2, 3, 4), both, 2 * LATER).carrier == "eth3"
    machine.observe("eth2", Role.MASTER, 2 * LATER)
    assert machine.next(tiers(2, 3, 4), both, 2 * LATER) == Carriage(carrier="eth2", link="eth3", is_bridged=True)


def test_a_backup_waits_until_it_is_plain_that_somebody_else_is_master_there() -> None:
    machine = running(3, Role.BACKUP, 3, 4)
    machine.observe("eth2", Role.BACKUP, LATER)
    assert machine.next(tiers(2, 3, 4), peer(3, 2, 3, 4), LATER + 599 * MS).carrier == "eth3"
    moved = machine.next(tiers(2, 3, 4), peer(3, 2, 3, 4), LATER + 600 * MS)
    assert moved == Carriage(carrier="eth2", link="eth3")


def test_it_never_moves_to_an_elector_of_another_role() -> None:
    machine = running(3, Role.BACKUP, 2, 3, eth2=Role.MASTER)
    assert machine.next(tiers(2, 3), peer(3, 2, 3), LATER).carrier == "eth3"
    machine = running(3, Role.MASTER, 2, 3, eth2=Role.BACKUP)
    assert machine.next(tiers(2, 3), peer(3, 2, 3), LATER).carrier == "eth3"


def test_a_tier_that_the_peer_has_not_stays_without_the_carrier() -> None:
    machine = running(3, Role.MASTER, 2, 3)
    assert machine.next(tiers(2, 3), peer(3, 3), LATER).carrier == "eth3"


def test_the_carrier_of_a_removed_tier_moves_at_once_and_its_elector_is_held() -> None:
    machine = running(2, Role.MASTER, 2, 3, 4)
    moved = machine.next(tiers(3, 4), peer(2, 2, 3, 4), LATER)
    assert moved == Carriage(carrier="eth3", link="eth2", held=tuple(tiers(2)), is_bridged=True)
    machine.loaded(moved, tiers(3, 4))
    held = machine.next(tiers(3, 4), peer(2, 2, 3, 4, silent=True), LATER * 3600)
    assert held == Carriage(carrier="eth3", link="eth2", held=tuple(tiers(2))), "its agent may be dead for long"
    assert machine.next(tiers(3, 4), peer(3, 2, 3, 4), LATER) == Carriage(carrier="eth3", link="eth3")


def test_an_elector_is_held_until_the_peer_knows_that_its_tier_is_gone() -> None:
    machine = running(3, Role.MASTER, 2, 3)
    for heard in (None, (2, 3)):
        assert machine.next(tiers(3), peer(3, 2, 3, heard=heard), LATER).held == tuple(tiers(2))
    assert machine.next(tiers(3), peer(3, 2, 3, heard=(3,)), LATER).held == ()


def test_an_elector_is_held_while_the_peer_is_moving_there() -> None:
    machine = running(3, Role.MASTER, 2, 3)
    moving = PeerCarriage(tiers=("eth2", "eth3"), carrier="eth3", target="eth2", heard=("eth3",))
    assert machine.next(tiers(3), moving, LATER).held == tuple(tiers(2))


def test_a_peer_that_was_not_heard_yet_is_not_run_away_from() -> None:
    assert running(3, Role.BACKUP, 2, 3).next(tiers(2, 3), None, LATER).carrier == "eth3"
    assert running(2, Role.BACKUP, 2, 3).next(tiers(3), None, LATER).carrier == "eth3"


def test_a_backup_holds_only_what_it_needs_itself() -> None:
    machine = running(2, Role.BACKUP, 2, 3)
    moved = machine.next(tiers(3), peer(2, 2, 3), LATER)
    assert (moved.carrier, moved.held) == ("eth3", tuple(tiers(2))), "connections still come by it"
    machine.loaded(moved, tiers(3))
    assert machine.next(tiers(3), peer(3, 2, 3), LATER).held == ()


def test_a_device_that_is_unplugged_is_not_held() -> None:
    machine = running(3, Role.MASTER, 2, 3, eth2=Role.FAULT)
    assert machine.next(tiers(3), peer(2, 2, 3), LATER).held == ()


def test_without_a_tier_there_is_nothing_to_elect() -> None:
    assert running(2, Role.MASTER, 2).next([], peer(2, 2), LATER) == Carriage()


def test_a_look_moves_nothing() -> None:
    machine = running(3, Role.MASTER, 2, 3, 4)
    assert machine.stay(tiers(3, 4)) == Carriage(carrier="eth3", link="eth3", held=tuple(tiers(2)))


# Tiers on which the two do not hear each other, or that are lost ---------------------------------

M, B, F = Role.MASTER, Role.BACKUP, Role.FAULT


def test_a_second_master_steps_back_to_an_elector_on_which_it_obeys() -> None:
    machine = running(2, B, 2, 3, 4)
    machine.observe("eth2", M, LATER)
    claim = peer(2, 2, 3, 4, role=M, contested_ns=0)
    assert machine.next(tiers(2, 3, 4), claim, LATER).carrier == "eth2", "VRRP may end it by itself"
    claim = peer(2, 2, 3, 4, role=M, contested_ns=100 * MS)
    back = machine.next(tiers(2, 3, 4), claim, LATER + 100 * MS)
    assert back == Carriage(carrier="eth3", link="eth2")
    machine.loaded(back, tiers(2, 3, 4))
    for later in (200, 2_000):
        claim = peer(2, 2, 3, 4, role=M)
        assert machine.next(tiers(2, 3, 4), claim, LATER + later * MS).carrier == "eth3", "and stays there"


def test_where_all_tiers_in_common_are_split_it_goes_to_none_that_the_peer_lacks() -> None:
    machine = running(2, M, 2, 3)
    split = peer(2, 2, role=M)
    machine.next(tiers(2, 3), split, LATER)
    assert machine.next(tiers(2, 3), split, 2 * LATER).carrier == "eth2"


def test_the_first_master_leaves_the_tier_that_is_split() -> None:
    machine = running(2, M, 2, 3, 4)
    other = peer(2, 2, 3, 4, role=M, contested_ns=300 * MS, eth3=B, eth4=B)
    assert machine.next(tiers(2, 3, 4), other, LATER).carrier == "eth2"
    assert machine.next(tiers(2, 3, 4), other, LATER + 100 * MS).carrier == "eth3"


def test_a_tier_that_is_whole_again_carries_again() -> None:
    machine = running(3, M, 2, 3)
    split = peer(3, 2, 3, role=B, eth2=M)
    machine.next(tiers(2, 3), split, LATER)
    assert machine.next(tiers(2, 3), split, 2 * LATER).carrier == "eth3"
    assert machine.next(tiers(2, 3), peer(3, 2, 3, role=B), 3 * LATER).carrier == "eth2"


def test_of_two_that_both_could_step_back_the_junior_one_does() -> None:
    for senior in (True, False):
        machine = running(2, M, 2, 3, eth3=B)
        claim = peer(3, 2, 3, role=M, contested_ns=LATER, senior=senior, eth2=B)
        assert machine.next(tiers(2, 3), claim, LATER).carrier == ("eth3" if senior else "eth2")


def test_a_peer_that_obeys_where_its_tier_is_gone_cannot_step_back_there() -> None:
    """Its elector on eth3 is held; if it counted, each would wait for the other one."""
    machine = running(3, M, 2, 3, eth2=B)
    claim = peer(2, 2, role=M, contested_ns=100 * MS, senior=False, eth3=B)
    assert machine.next(tiers(2), claim, LATER).carrier == "eth2"


def test_of_two_that_both_obey_the_one_on_the_higher_tier_takes_the_service() -> None:
    high = running(3, B, 2, 3, eth2=M)
    assert high.next(tiers(2, 3), peer(2, 2, 3, role=B, eth3=M), LATER).carrier == "eth2"
    low = running(2, B, 2, 3, eth3=M)
    assert low.next(tiers(2, 3), peer(3, 2, 3, role=B, eth2=M), LATER).carrier == "eth2"


def test_when_both_have_lost_the_carrier_s_tier_the_service_moves_on_where_it_was() -> None:
    machine = running(2, M, 2, 3, eth2=F)
    assert machine.next(tiers(2, 3), peer(2, 2, 3, role=B), 0).carrier == "eth2", "the peer is taking over"
    assert machine.next(tiers(2, 3), peer(2, 2, 3, role=M), 0).carrier == "eth2", "the peer has taken over"
    assert machine.next(tiers(2, 3), peer(2, 2, 3, role=F, eth3=B), 0).carrier == "eth3"
    backup = running(2, B, 2, 3, eth2=F)
    assert backup.next(tiers(2, 3), peer(2, 2, 3, role=F, eth3=M), LATER).carrier == "eth3"


def test_who_is_alone_with_a_lost_tier_waits_for_whoever_may_be_there() -> None:
    for other in (None, peer(2, 2, 3, role=B, silent=True)):
        machine = running(2, M, 2, 3, eth2=F)
        assert machine.next(tiers(2, 3), other, 1_999 * MS).carrier == "eth2"
        assert machine.next(tiers(2, 3), other, 2_000 * MS).carrier == "eth3"


def test_each_master_is_of_a_newer_generation_than_the_one_before() -> None:
    machine = running(2, B, 2, 3)
    other = evolve(peer(2, 2, 3, role=M), generation=6)
    assert machine.next(tiers(2, 3), other, 0).generation == 0
    machine.observe("eth2", M, LATER)
    assert machine.next(tiers(2, 3), other, LATER).generation == 0, "after six comes zero"
    machine.observe("eth2", B, LATER)
    assert machine.next(tiers(2, 3), evolve(other, generation=3), LATER).generation == 0
    machine.observe("eth2", M, LATER)
    assert machine.next(tiers(2, 3), other, LATER).generation == 4
    machine.observe("eth2", M, LATER)
    assert machine.generation == 4, "to say it again is not to be elected again"


def test_generations_are_counted_anew_while_the_peer_obeys() -> None:
    """Otherwise a router that was cut off as the seventh master takes its service back, and again each time after."""
    machine = running(2, B, 2, 3)
    cut_off = evolve(peer(2, 2, 3, role=M, silent=True), generation=3)
    machine.next(tiers(2, 3), cut_off, 0)
    machine.observe("eth2", M, LATER)
    assert machine.next(tiers(2, 3), cut_off, LATER).generation == 4, "who is cut off may serve too"
    assert machine.next(tiers(2, 3), evolve(cut_off, is_silent=False), LATER).generation == 4
    assert machine.next(tiers(2, 3), evolve(cut_off, role=B), LATER).generation == 4, "its last word, before"
    assert machine.next(tiers(2, 3), evolve(cut_off, role=B, is_silent=False), LATER).generation == 0


# A pair, and everything that can happen to it ---------------------------------------------------


@define
class Router:
    """A router of the model: its machine, its configuration, and what keepalived runs with."""

    machine: CarriageMachine = field(factory=lambda: CarriageMachine(advertisement_interval_ms=100))
    tiers: set[int] = field(factory=set)
    loaded: Carriage = field(factory=Carriage)
    electors: set[str] = field(factory=set)
    heard: PeerCarriage | None = None
    """The other one's last word, since its agent started."""


@define
class Pair:
    """Two routers, of which one serves: the elections as VRRP would have them, without crashes.

    The serving router is master wherever it has an elector (it has the higher priority), the other one where it is
    alone. Two masters that both carry must never come about.
    """

    serving: int
    routers: tuple[Router, Router] = field(factory=lambda: (Router(), Router()))
    now_ns: int = 0

    def master(self, device: str) -> int:
        return self.serving if device in self.routers[self.serving].electors else 1 - self.serving

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
        carriage = router.machine.next(configured, router.heard, self.now_ns)
        router.loaded = carriage
        router.electors = {each.device for each in (*configured, *carriage.held)}
        if load:
            router.machine.loaded(carriage, configured)
        else:
            self.restart(number)
        self.report()

    def restart(self, number: int) -> None:
        router = self.routers[number]
        router.heard, router.machine = None, CarriageMachine(advertisement_interval_ms=100)
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

    def beacon(self, number: int) -> None:
        router = self.routers[number]
        self.routers[1 - number].heard = PeerCarriage(
            tiers=tuple(each.device for each in tiers(*sorted(router.tiers)) if each.device in router.machine.roles),
            carrier=router.machine.carrier,
            target=router.machine.carrier,
            heard=None if router.heard is None else router.heard.tiers,
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
        st.tuples(st.just("add"), st.integers(0, 1), st.integers(2, 6)),
        st.tuples(st.just("remove"), st.integers(0, 1), st.integers(2, 6)),
        st.tuples(st.just("step"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("beacon"), st.integers(0, 1), st.just(0)),
    ),
    max_size=60,
)


@given(serving=st.integers(0, 1), steps=STEPS)
@example(serving=1, steps=[("add", 0, 2), ("kill", 0, 0)])
@example(
    serving=1,
    steps=[("remove", 1, 4), ("beacon", 1, 0), ("kill", 0, 0), ("beacon", 0, 0), ("step", 0, 0), ("step", 1, 0)],
)
@example(serving=0, steps=[("remove", 0, 4), ("step", 0, 0), ("step", 0, 0), ("step", 1, 0)])
def test_the_serving_router_stays_and_is_the_only_one(serving: int, steps: list[tuple[str, int, int]]) -> None:
    pair = Pair(serving=serving)
    for router in pair.routers:
        router.tiers = {4, 5}
    for number in (serving, 1 - serving) * 2:
        pair.step(number, load=True)
        pair.now_ns += LATER
        pair.beacon(number)
    for name, number, tier in steps:
        router = pair.routers[number]
        match name:
            case "add":
                router.tiers.add(tier)
            case "remove" if len(router.tiers) > 1 and tier != 5:
                router.tiers.discard(tier)  # eth5 stays: without any in common there is no way to each other
            case "step":
                pair.step(number, load=True)
            case "kill":
                pair.step(number, load=False)
            case "beacon":
                pair.beacon(number)
        pair.now_ns += LATER
        pair.check()
    for number in (0, 1) * 4:
        pair.step(number, load=True)
        pair.now_ns += LATER
        pair.beacon(number)
        pair.check()
    shared = min(pair.routers[0].tiers & pair.routers[1].tiers)
    assert {router.loaded.carrier for router in pair.routers} == {f"eth{shared}"}, "both end on the lowest in common"
    assert all(router.loaded.held == () for router in pair.routers)
    assert {router.loaded.link for router in pair.routers} == {f"eth{shared}"}
