"""Three routers with one secret: each hears the two others, in whatever order they come and go."""

from __future__ import annotations

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.appliers.beacons import Arrival
from vpcrouter.machines.peer import SILENT_NS
from vpcrouter.machines.peers import GONE_NS, Heard, PeersMachine, derive_key
from vpcrouter.peering import Peering
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.beacon import MOST_ROUTERS, Saying
from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import Place

KEY = derive_key("secret", "10.1.0.0/16")
MS = 1_000_000
ROUTERS = "ABC"
PACE_NS = 30 * MS


@define
class World(Surroundings):
    """One clock, and sockets without a wire."""

    now_ns: int = 10 * SILENT_NS
    number: int = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def random_bytes(self, count: int) -> bytes:
        self.number += 1
        return self.number.to_bytes(count, "big")

    def beacons(self) -> Sockets:  # type: ignore[override]
        return Sockets()


@define
class Sockets:
    places: tuple[Place, ...] = ()
    sent: list[bytes] = field(factory=list)
    arrived: list[Arrival] = field(factory=list)

    def follow(self, sources: object, peers: object = None) -> None:
        """Nothing to do."""

    def send(self, datagram: bytes, also: object = ()) -> None:
        self.sent.append(datagram)

    def read(self) -> list[Arrival]:
        taken, self.arrived = self.arrived, []
        return taken


@define
class Router:
    name: str
    role: Role
    peering: Peering
    sockets: Sockets

    @property
    def hears(self) -> set[str]:
        return {where.mac[-1] for each in self.peering.heard for where in each.places}


def place(name: str) -> Place:
    number = ROUTERS.index(name) + 2
    return Place(device="eth2", address=f"10.1.2.{number}", mac=f"02:00:00:00:00:0{number}")


@define
class Wire:
    """A tier with the routers that are on it."""

    world: World = field(factory=World)
    routers: dict[str, Router] = field(factory=dict)
    cut: set[frozenset[str]] = field(factory=set)

    def boot(self, name: str, role: Role = Role.BACKUP) -> Router:
        peering = Peering(self.world)
        sockets: Sockets = peering._sockets  # type: ignore[assignment]
        sockets.places = (place(name),)
        peering.listen((), KEY, is_secret=True)
        self.routers[name] = Router(name, role, peering, sockets)
        return self.routers[name]

    def talk(self, rounds: int, *names: str) -> None:
        """All say in turn what they are, and hear what the others say, each from its place."""
        for _ in range(rounds):
            for name in names or tuple(self.routers):
                self.world.now_ns += PACE_NS
                each = self.routers[name]
                each.peering.announce(Saying(role=each.role, tiers=("eth2",), carrier="eth2"))
                self.deliver()

    def deliver(self) -> None:
        """Until nobody answers any more."""
        for _ in range(5):
            for sender in self.routers.values():
                for datagram in sender.sockets.sent:
                    for other in self.routers.values():
                        if other is not sender and frozenset({sender.name, other.name}) not in self.cut:
                            other.sockets.arrived.append(Arrival("eth2", datagram, is_marked=True))
                sender.sockets.sent.clear()
            for router in self.routers.values():
                router.peering.hear()


def last(*names: str) -> set[str]:
    return {place(name).mac[-1] for name in names}


@given(st.permutations(list(ROUTERS)), st.sampled_from(ROUTERS), st.integers(0, 3), st.integers(0, 3))
def test_each_hears_the_others_and_is_closed_to_all_else(order: list[str], master: str, first: int, then: int) -> None:
    wire = Wire()
    for name, rounds in zip(order, (first, then, 4), strict=True):
        wire.boot(name, Role.MASTER if name == master else Role.BACKUP)
        wire.talk(rounds)
    for name, router in wire.routers.items():
        others = [each for each in ROUTERS if each != name]
        assert router.hears == last(*others)
        known = router.peering.whereabouts
        assert (set(known.places), known.closed, known.attended) == (set(map(place, others)), ("eth2",), ("eth2",))
        assert router.peering.knows_all
        if name != master:
            assert router.peering.heard[0].saying.serves, "the one that serves comes first"
            assert router.peering.describe()[0]["role"] == "master"


def three() -> Wire:
    wire = Wire()
    for name in ROUTERS:
        wire.boot(name)
    wire.talk(4)
    return wire


def test_an_agent_that_starts_again_is_the_same_router() -> None:
    wire = three()
    before = {each.number for each in wire.routers["A"].peering.heard}
    wire.boot("B")
    wire.talk(4)
    assert {each.number for each in wire.routers["A"].peering.heard} == before
    assert all(each.hears == last(*set(ROUTERS) - {name}) for name, each in wire.routers.items())


def test_one_that_leaves_is_silent_and_the_others_go_on() -> None:
    wire = three()
    del wire.routers["C"]
    wire.talk(2 + SILENT_NS // PACE_NS, "A", "B")
    for name in "AB":
        router = wire.routers[name]
        assert router.hears == last(*set("AB") - {name})
        assert [each["silent"] for each in router.peering.describe()] == [False, True]
        assert [each.is_silent for each in router.peering.carriages].count(True) == 1, "its last word stays"
        assert place("C") in router.peering.whereabouts.places, "its keepalived may live"
    assert wire.routers["A"].peering.knows_all
    wire.boot("C")
    wire.talk(4)
    assert wire.routers["A"].hears == last("B", "C")


def test_one_that_another_one_replaces_is_forgotten_after_a_while() -> None:
    wire = Wire()
    for name in "AB":
        wire.boot(name)
    wire.talk(4)
    del wire.routers["B"]
    wire.talk(2 + SILENT_NS // PACE_NS)
    assert len(wire.routers["A"].peering.carriages) == 1, "nobody has come instead"
    wire.boot("C")
    wire.talk(4)
    assert len(wire.routers["A"].peering.carriages) == 2
    wire.world.now_ns += GONE_NS
    wire.talk(4)
    assert len(wire.routers["A"].peering.carriages) == 1
    assert set(wire.routers["A"].peering.whereabouts.places) == {place("C")}


def test_one_that_is_heard_by_another_only_is_known_to_be_there() -> None:
    wire = Wire()
    wire.cut.add(frozenset("AC"))
    for name in ROUTERS:
        wire.boot(name)
    wire.talk(4)
    assert (wire.routers["A"].hears, wire.routers["B"].hears) == (last("B"), last("A", "C"))
    assert [wire.routers[name].peering.knows_all for name in ROUTERS] == [False, True, False]
    wire.cut.clear()
    wire.talk(4)
    assert all(each.peering.knows_all for each in wire.routers.values())


def test_an_agent_knows_from_the_ruleset_how_many_there_were() -> None:
    wire = three()
    again = wire.boot("A")
    again.peering.recall([place("B"), place("C")])
    assert again.peering.whereabouts.closed == ("eth2",)
    del wire.routers["C"]
    wire.talk(2 + SILENT_NS // PACE_NS)
    assert again.hears == last("B")
    assert not again.peering.knows_all
    assert set(again.peering.whereabouts.places) == {place("B"), place("C")}, "its keepalived may live"
    wire.boot("C")
    wire.talk(4)
    assert again.peering.knows_all


def test_a_change_of_tiers_is_answered_at_once() -> None:
    """The others hold an elector until they know that it is not needed."""
    wire = three()
    one, other = wire.routers["A"].peering, wire.routers["B"].peering
    said = Saying(role=Role.BACKUP, tiers=("eth2",), carrier="eth2")
    assert other.says(said)
    one.announce(Saying(role=Role.BACKUP, tiers=("eth2", "eth3"), carrier="eth2"))
    wire.deliver()
    assert not other.says(said)
    other.announce(said)
    assert other.says(said)
    wire.deliver()
    assert ("eth2", "eth3") in [each.heard for each in one.carriages]


def meet(one: PeersMachine, other: PeersMachine, number: int, where: Place | None = None) -> Heard:
    now, heard = 10 * SILENT_NS, Heard.NOTHING
    for turn in range(3):
        speaker, listener = (one, other) if turn % 2 == 0 else (other, one)
        nonce = bytes([number, turn] * 4)
        found = listener.hear(speaker.beacon(Saying(), KEY, nonce, now, (where,) if where else ()), KEY, now)
        heard = found if listener is one else heard
    return heard


def test_a_set_has_no_more_than_so_many() -> None:
    one = PeersMachine(b"a" * 8)
    for number in range(1, MOST_ROUTERS + 1):
        where = Place(device="eth2", address=f"10.1.2.{number}", mac=f"02:00:00:00:01:{number:02x}")
        heard = meet(one, PeersMachine(bytes([number] * 8)), number, where)
        assert heard is (Heard.NEWS if number < MOST_ROUTERS else Heard.SURPLUS)
    assert len(one.known()) == MOST_ROUTERS - 1


def test_strangers_that_never_answer_crowd_nobody_out() -> None:
    one, other, now = PeersMachine(b"a" * 8), PeersMachine(b"b" * 8), 10 * SILENT_NS
    meet(one, other, 1, place("B"))
    for number in range(20):
        stranger = PeersMachine(bytes([100 + number] * 8))
        old = stranger.beacon(Saying(), KEY, bytes([number] * 8), now, (place("C"),))
        assert one.hear(old, KEY, now) is Heard.GREETING
    said = one.beacon(Saying(carrier="eth2"), KEY, b"n" * 8, now, (place("A"),))
    assert other.hear(said, KEY, now) is Heard.NEWS
    third = PeersMachine(b"c" * 8)
    assert one.hear(third.beacon(Saying(), KEY, b"t" * 8, now, (place("C"),)), KEY, now) is Heard.GREETING
    assert third.hear(one.beacon(Saying(), KEY, b"o" * 8, now, (place("A"),)), KEY, now) is Heard.NEWS


def test_an_old_beacon_of_a_stranger_does_not_take_the_place_of_its_newest() -> None:
    one, other, now = PeersMachine(b"a" * 8), PeersMachine(b"b" * 8), 10 * SILENT_NS
    old = other.beacon(Saying(), KEY, b"o" * 8, now)
    for nonce in (b"1" * 8, b"2" * 8, b"3" * 8, b"4" * 8):
        newest = other.beacon(Saying(), KEY, nonce, now)
    assert [one.hear(each, KEY, now) for each in (old, newest, old)] == [Heard.GREETING, Heard.GREETING, Heard.NOTHING]
    assert other.hear(one.beacon(Saying(), KEY, b"n" * 8, now), KEY, now) is Heard.NEWS
