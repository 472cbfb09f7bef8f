"""Two routers whose tiers are cut and mended one by one: as long as one tier is whole, one router serves at rest.

A model of VRRP on each tier (the higher priority wins, of equals the one that is master) beneath the real machine.
"""

from __future__ import annotations

from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

from vpcrouter.machines.carriage import CarriageMachine
from vpcrouter.values.carriage import Carriage, Elector, PeerCarriage
from vpcrouter.values.priority import BACKUP_PRIORITY, serving_priority
from vpcrouter.values.role import Role

MS = 1_000_000
ROUND = 150 * MS
TIERS = tuple(Elector(device=f"eth{number}", source=f"10.1.{number}.2") for number in (2, 3, 4))
DEVICES = tuple(each.device for each in TIERS)


@define
class Router:
    machine: CarriageMachine = field(factory=lambda: CarriageMachine(advertisement_interval_ms=100))
    loaded: Carriage = field(factory=Carriage)
    priority: int = BACKUP_PRIORITY
    roles: dict[str, Role] = field(factory=dict)
    heard: PeerCarriage | None = None

    @property
    def serves(self) -> bool:
        return self.roles.get(self.loaded.carrier or "") is Role.MASTER


@define
class Pair:
    routers: tuple[Router, Router] = field(factory=lambda: (Router(), Router()))
    cut: set[str] = field(factory=set)
    now_ns: int = 0
    contested_since_ns: int | None = None

    def elect(self) -> None:
        """What VRRP makes of it: also while several tiers are at odds."""
        for device in DEVICES:
            masters = [each for each in self.routers if each.roles.get(device) is Role.MASTER]
            if device in self.cut:
                masters = list(self.routers)
            else:
                best = max(self.routers, key=lambda each: (each.priority, each in masters))
                masters = [best] if best in masters or not masters or best.priority > masters[0].priority else masters
                masters = masters[:1]
            for each in self.routers:
                role = Role.MASTER if any(each is master for master in masters) else Role.BACKUP
                if each.roles.get(device) is not role:
                    each.roles[device] = role
                    each.machine.observe(device, role, self.now_ns)

    def talk(self) -> None:
        if self.cut == set(DEVICES):
            self.contested_since_ns = None
            for router in self.routers:
                router.heard = None if router.heard is None else _silent(router.heard)
            return
        if not all(each.serves for each in self.routers):
            self.contested_since_ns = None
        elif self.contested_since_ns is None:
            self.contested_since_ns = self.now_ns
        for number, (here, there) in enumerate((self.routers, self.routers[::-1])):
            here.heard = PeerCarriage(
                tiers=DEVICES,
                carrier=there.machine.carrier,
                target=there.machine.carrier,
                heard=DEVICES,
                role=there.machine.role or Role.INIT,
                roles=dict(there.machine.roles),
                generation=there.machine.generation,
                contested_ns=None if self.contested_since_ns is None else self.now_ns - self.contested_since_ns,
                is_senior=number == 1,
            )

    def reload(self, number: int) -> None:
        router = self.routers[number]
        router.loaded = router.machine.next(TIERS, [router.heard] if router.heard else [], self.now_ns)
        router.priority = serving_priority(router.loaded.generation) if router.serves else BACKUP_PRIORITY
        router.machine.loaded(router.loaded, TIERS)

    def round(self, order: tuple[int, ...] = (0, 1)) -> None:
        for number in order:
            self.elect()
            self.talk()
            self.reload(number)
        self.now_ns += ROUND


def _silent(heard: PeerCarriage) -> PeerCarriage:
    return PeerCarriage(
        tiers=heard.tiers,
        carrier=heard.carrier,
        target=heard.target,
        heard=heard.heard,
        is_silent=True,
        role=heard.role,
    )


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("cut"), st.sampled_from(DEVICES)),
            st.tuples(st.just("mend"), st.sampled_from(DEVICES)),
            st.tuples(st.just("round"), st.sampled_from(["0", "1", "01", "10"])),
        ),
        max_size=40,
    )
)
@example(steps=[("cut", "eth2")])
@example(steps=[("cut", "eth2"), ("round", "1"), ("mend", "eth2"), ("cut", "eth3")])
@example(steps=[("cut", each) for each in DEVICES] + [("round", "01")] * 5 + [("mend", "eth4")])
def test_where_one_tier_is_whole_one_router_serves(steps: list[tuple[str, str]]) -> None:
    pair = Pair()
    for _ in range(15):
        pair.round()
    assert [each.serves for each in pair.routers].count(True) == 1
    for name, what in steps:
        match name:
            case "cut":
                pair.cut.add(what)
            case "mend":
                pair.cut.discard(what)
            case "round":
                pair.round(tuple(map(int, what)))
    for _ in range(40):
        pair.round()
    serving = [number for number, each in enumerate(pair.routers) if each.serves]
    if pair.cut == set(DEVICES):
        assert serving == [0, 1], "nobody can tell"
        return
    whole = [device for device in DEVICES if device not in pair.cut]
    assert len(serving) == 1, pair
    assert {each.loaded.carrier for each in pair.routers} == {whole[0]}, pair
