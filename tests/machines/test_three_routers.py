"""Three routers with one secret: two stay a pair, each tells of the third, and the third hears whoever serves."""

from __future__ import annotations

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.appliers.beacons import Arrival
from vpcrouter.machines.peer import SILENT_NS, Heard, PeerMachine, derive_key
from vpcrouter.peering import Peering
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.beacon import Saying
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

    def send(self, datagram: bytes) -> None:
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
    peers: set[str] = field(factory=set)
    """The last of the MACs that it was closed to, in the second half."""


def place(name: str) -> Place:
    number = ROUTERS.index(name) + 2
    return Place(device="eth2", address=f"10.1.2.{number}", mac=f"02:00:00:00:00:0{number}")


def talk(world: World, master: str, order: list[str], rounds: int) -> dict[str, Router]:
    """All say in turn what they are, and hear what the others say, each from its place."""
    routers: dict[str, Router] = {}
    for each in range(rounds):
        for name in ROUTERS if each else order:
            if name not in routers:
                peering = Peering(world)
                sockets: Sockets = peering._sockets  # type: ignore[assignment]
                sockets.places = (place(name),)
                peering.listen((), KEY, is_secret=True)
                routers[name] = Router(name, Role.MASTER if name == master else Role.BACKUP, peering, sockets)
            world.now_ns += PACE_NS
            routers[name].peering.announce(Saying(role=routers[name].role, tiers=("eth2",), carrier="eth2"))
            deliver(routers)
            if each > rounds // 2:
                for router in routers.values():
                    router.peers |= set(router.peering.whereabouts.closed) and {
                        known.mac[-1] for known in router.peering.whereabouts.places
                    }
    return routers


def deliver(routers: dict[str, Router]) -> None:
    """Until nobody answers any more."""
    for _ in range(5):
        for sender in routers.values():
            for datagram in sender.sockets.sent:
                for other in routers.values():
                    if other is not sender:
                        other.sockets.arrived.append(Arrival("eth2", datagram, is_marked=True))
            sender.sockets.sent.clear()
        for router in routers.values():
            router.peering.hear()


@given(st.permutations(list(ROUTERS)), st.sampled_from(ROUTERS))
def test_two_are_a_pair_and_whoever_serves_is_heard_by_all(order: list[str], master: str) -> None:
    routers = talk(World(), master, order, rounds=200)
    paired = {name for name, each in routers.items() if each.peering.heard is not None}
    assert len(paired) == 2
    for name, router in routers.items():
        assert router.peering.others, name
        closed_to = router.peers
        if name in paired:
            (partner,) = paired - {name}
            assert closed_to == {place(partner).mac[-1]}, "always the same one"
            if master not in paired:
                continue  # found later than the two were: told of, and not prevented
        elif name != master:
            assert closed_to == set(), "the third hears anybody"


def met() -> tuple[PeerMachine, PeerMachine]:
    one, other = PeerMachine(b"a" * 8), PeerMachine(b"b" * 8)
    now = 10 * SILENT_NS
    for number, (speaker, listener, name) in enumerate([(one, other, "A"), (other, one, "B"), (one, other, "A")]):
        said = speaker.beacon(Saying(), KEY, bytes([number] * 8), now, (place(name),))
        listener.hear(said, KEY, now)
    assert one.saying(now) is not None and other.saying(now) is not None
    return one, other


def test_a_peer_whose_agent_was_started_again_is_the_same_router() -> None:
    one, _ = met()
    now = 10 * SILENT_NS
    again = PeerMachine(b"z" * 8)
    assert one.hear(again.beacon(Saying(), KEY, b"n" * 8, now, (place("B"),)), KEY, now) is Heard.GREETING
    assert one.others(now) == ()


@pytest.mark.parametrize("silent", [False, True])
def test_a_third_is_told_of_and_is_the_peer_when_that_one_is_silent(silent: bool) -> None:
    one, _ = met()
    now = 10 * SILENT_NS + (SILENT_NS if silent else 0)
    third = PeerMachine(b"c" * 8)
    heard = one.hear(third.beacon(Saying(), KEY, b"n" * 8, now, (place("C"),)), KEY, now)
    assert heard is (Heard.GREETING if silent else Heard.ANOTHER)
    if not silent:
        assert one.others(now) == (place("C"),)
        assert one.others(now + 20 * SILENT_NS) == (), "it is gone"
