"""Hypothesis strategies of cases: bursts of commands on a growing and shrinking VPC, their timing, and faults.

    from hypothesis import given
    from vpcrouter.simulation import run, strategies

    @given(strategies.cases())
    def test_my_pair(case): assert not run(case).violations

Everything is drawn from small pools, so that commands meet; a case that fails shrinks to few steps at round times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from attrs import evolve, frozen
from hypothesis import strategies as st

from vpcrouter import commands
from vpcrouter.command_json import dumps, loads
from vpcrouter.errors import CallerError
from vpcrouter.simulation import wire
from vpcrouter.simulation.case import ROUTERS, Case, Submit
from vpcrouter.simulation.faults import ESTABLISHED_MS, planned_faults
from vpcrouter.simulation.faults import FAULTS as FAULTS
from vpcrouter.simulation.faults import fault_steps as fault_steps
from vpcrouter.simulation.services import SERVICES, Make
from vpcrouter.values.config import (
    Acl,
    AclRule,
    PortForward,
    PublicAddress,
    Reservation,
    RouterConfig,
    Secret,
    StaticNat,
    StaticRoute,
    Tier,
    TierIpv6,
)

BASE_MS = 300
"""The agents are there, and the first commands come."""
_OWN = {"rA": 2, "rB": 3}
_TIERS = (2, 3, 4, 5)


@frozen
class Command:
    """A command as each router gets it."""

    name: str
    texts: Mapping[str, str]

    def in_cloudstacks_form(self) -> Command:
        """The same as CloudStack writes it, if it does."""
        try:
            texts = {router: wire.dumps(loads(text)) for router, text in self.texts.items()}
        except CallerError:
            return self
        written = {router: text for router, text in texts.items() if text is not None}
        return Command(f"{self.name}-by-cloudstack", written) if len(written) == len(texts) else self

    def to(self, router: str, at_ms: int) -> Submit:
        """It is handed in there."""
        return Submit(at_ms=at_ms, router=router, name=self.name, text=self.texts[router])


# The VPC ------------------------------------------------------------------------------------------


def for_both(name: str, make: Callable[[int], commands.Command]) -> Command:
    """The command that `make` gives for a router whose own addresses end in 2 (rA) or 3 (rB)."""
    return Command(name, {router: dumps(make(own)) for router, own in _OWN.items()})


def boot(*, redundant: bool = True) -> Command:
    """The boot parameters; rA is preferred."""
    return for_both("boot", lambda own: commands.ConfigureRouter(config=evolve(_config(own), redundant=redundant)))


def _config(own: int) -> RouterConfig:
    return RouterConfig(
        name=f"r-{own}-VM",
        vpc_network="10.1.0.0/16",
        domain="vpc1.example.com",
        resolvers=("203.0.113.53",),
        control_address=f"169.254.0.{own}/16",
        redundant=True,
        prefers_master=own == 2,
        source_nat_address="203.0.113.10",
        password=Secret(text="1029137816800961"),
    )


def public(last: int) -> Command:
    """A public address on eth1."""
    put = (
        PublicAddress(
            address=f"203.0.113.{last}", network="203.0.113.0/24", gateway="203.0.113.1", device="eth1", mac=None
        ),
    )
    return for_both(f"public-{last}", lambda _: commands.ChangePublicAddresses(put=put))


def add_tier(number: int, *, ipv6: bool = False) -> Command:
    """The tier on ethN; with `ipv6` it has that too, and a way out for it."""
    return for_both(
        f"add-eth{number}-with-ipv6" if ipv6 else f"add-eth{number}",
        lambda own: commands.PutTier(tier=evolve(_tier(number, own), ipv6=_ipv6(number, own) if ipv6 else None)),
    )


def _tier(number: int, own: int) -> Tier:
    return Tier(
        device=f"eth{number}",
        network=f"10.1.{number}.0/24",
        gateway=f"10.1.{number}.1",
        address=f"10.1.{number}.{own}",
        mac=f"02:01:00:00:{number:02x}:{own:02x}",
        domain="vpc1.example.com",
        resolvers=("203.0.113.53",),
        mtu=1500,
        network_id=200 + number,
    )


def _ipv6(number: int, own: int) -> TierIpv6:
    return TierIpv6(
        network=f"2001:db8:{number}::/64",
        gateway=f"2001:db8:{number}::1",
        address=f"2001:db8:{number}::{own}",
        resolvers=("2001:db8::53", "2001:db8::54")[: 1 + number % 2],
        public_network="2001:db8:100::/64",
        public_gateway="2001:db8:100::1" if number != 5 else "fe80::1",
        public_address=f"2001:db8:100::{number}0",
    )


def remove_tier(number: int) -> Command:
    """The tier on ethN goes."""
    command = commands.RemoveTier(device=f"eth{number}", network=f"10.1.{number}.0/24")
    return for_both(f"remove-eth{number}", lambda _: command)


def replace_acl(number: int, kind: int) -> Command:
    """An ACL of the tier on ethN with `kind` rules."""
    rules = tuple(
        AclRule(protocol="tcp", first_port=80 + each, last_port=80 + each, networks=("0.0.0.0/0",))
        for each in range(kind)
    )
    return for_both(
        f"acl-eth{number}-{kind}", lambda _: commands.ReplaceAcl(acl=Acl(device=f"eth{number}", ingress=rules))
    )


def add_lease(number: int, kind: int) -> Command:
    """The reservation of guest `kind` on ethN."""
    lease = Reservation(
        address=f"10.1.{number}.{10 + kind}",
        mac=f"02:02:00:00:{number:02x}:{kind:02x}",
        host_name=f"vm-{number}-{kind}",
    )
    return for_both(f"lease-{number}-{kind}", lambda _: commands.PutReservation(reservation=lease))


def add_forward(number: int, kind: int) -> Command:
    """A public port is forwarded to a guest on ethN."""
    port = 2200 + kind
    forward = PortForward(
        address="203.0.113.11",
        protocol="tcp",
        first_port=port,
        last_port=port,
        target=f"10.1.{number}.10",
        target_port=22,
    )
    return for_both(f"forward-{number}-{kind}", lambda _: commands.ChangePortForwards(put=(forward,)))


def add_static_nat(number: int, kind: int) -> Command:
    """A public address is a guest's on ethN."""
    nat = StaticNat(address=f"203.0.113.{12 + kind}", target=f"10.1.{number}.{10 + kind}")
    return for_both(f"nat-{number}-{kind}", lambda _: commands.ChangeStaticNats(put=(nat,)))


def add_route(number: int, kind: int) -> Command:
    """A network behind a guest on ethN."""
    route = StaticRoute(network=f"192.0.2.{64 * kind}/26", gateway=f"10.1.{number}.14")
    return for_both(f"route-{number}-{kind}", lambda _: commands.ChangeStaticRoutes(put=(route,)))


def _service(make: Make) -> Callable[[int, int], Command]:
    name = make.__name__.replace("_", "-")
    return lambda number, variant: for_both(f"{name}-{number}-{variant}", lambda own: make(number, variant, own))


def _parameters(number: int, kind: int) -> Command:
    """The boot parameters change: something that both routers share, but neither their names nor what they are."""
    changes = _CHANGED[((number - 2) * 4 + kind) % len(_CHANGED)]
    return for_both(
        f"parameters-{number}-{kind}", lambda own: commands.ConfigureRouter(config=evolve(_config(own), **changes))
    )


_CHANGED: tuple[Mapping[str, Any], ...] = (
    {"resolvers": ("203.0.113.53", "203.0.113.54")},
    {"parameters": (("vpc_firewall_enabled", "true"),)},
    {"domain": "vpc2.example.com", "uses_only_own_resolver": True},
    {"public_mtu": 1400},
    {"password": Secret(text="another-example")},
    {"password": None},
    {"source_nat_address": None},
    {"routed": True},
    {"uses_external_resolvers": True, "secret_parameters": (("authorized_key", Secret(text="example")),)},
    {"redundant": False},
    {"vpc_network": "10.0.0.0/8"},
)
"""Of the boot parameters."""


def _other_tier(number: int, kind: int) -> Command:
    """The tier on ethN with another MTU or network; or one in which somebody else is the gateway."""

    def make(own: int) -> commands.Command:
        tier = _tier(number, own)
        if kind == 3:
            network = f"10.1.{100 + number}"
            return commands.PutTier(
                tier=evolve(
                    tier, network=f"{network}.0/24", gateway=f"{network}.1", address=f"{network}.{own}", mac=None
                )
            )
        changes = ({"mtu": 1400}, {"is_gateway": False}, {"domain": None, "resolvers": ()})
        return commands.PutTier(tier=evolve(tier, **changes[kind]))

    return for_both(f"other-eth{number}-{kind}", make)


_MALFORMED = (
    "this is no JSON",
    '{"command":"put-tier","tier":{"device":"eth2; reboot"}}',
    '{"command":"open-the-pod-bay-doors"}',
    '{"type":"guestnetwork","add":true,"device":"eth3","router_guest_ip":"10.1.999.2"}',
)


def _malformed(_: int, kind: int) -> Command:
    return Command(f"malformed-{kind}", dict.fromkeys(ROUTERS, _MALFORMED[kind]))


def _conflicting(number: int, kind: int) -> Command:
    """A tier whose network another device may have already."""
    device = 6 + kind % 2
    return for_both(
        f"conflicting-{number}-on-eth{device}",
        lambda own: commands.PutTier(
            tier=Tier(
                device=f"eth{device}",
                network=f"10.1.{number}.0/24",
                gateway=f"10.1.{number}.1",
                address=f"10.1.{number}.{own + 10}",
                mac=f"02:01:00:01:{number:02x}:{own:02x}",
                domain="vpc1.example.com",
                resolvers=(),
                mtu=1500,
                network_id=300 + number,
            )
        ),
    )


_KINDS: tuple[Callable[[int, int], Command], ...] = (
    lambda number, _: add_tier(number),
    lambda number, _: remove_tier(number),
    replace_acl,
    add_lease,
    add_forward,
    add_static_nat,
    add_route,
    lambda _, kind: public(11 + kind),
    _malformed,
    _conflicting,
    lambda number, _: add_tier(number, ipv6=True),
    _other_tier,
    _parameters,
)
_MOVING: tuple[Callable[[int, int], Command], ...] = (
    lambda number, _: add_tier(number),
    lambda number, _: remove_tier(number),
)
_SERVICES = tuple(_service(make) for make in SERVICES)


def every_command() -> Iterator[Command]:
    """All that `vpc_commands` draws, in our own form."""
    for kind in (*_KINDS, *_SERVICES):
        for number in _TIERS:
            for variant in range(4):
                yield kind(number, variant)


def vpc_commands() -> st.SearchStrategy[Command]:
    """One command of any type, in our own form or CloudStack's; malformed and contradicting ones are among them."""
    # What moves a carrier or takes something along is worth more.
    kinds = st.one_of(st.sampled_from(_MOVING), st.sampled_from(_KINDS), st.sampled_from(_SERVICES))
    return st.builds(_command, kinds, st.sampled_from(_TIERS), st.integers(0, 3), st.booleans())


def _command(kind: Callable[[int, int], Command], number: int, variant: int, is_by_cloudstack: bool) -> Command:
    made = kind(number, variant)
    return made.in_cloudstacks_form() if is_by_cloudstack else made


# Timing -------------------------------------------------------------------------------------------

GAPS_MS = {"at once": 0, "steady": 8, "trickle": 170, "slow": 700}
"""Between two commands: within the quiet period of a settle, around its longest delay, longer than any move."""
SKEWS_MS = (0, 3, 40, 300, 1_500, 4_000)
"""By how much one router hears of a burst later than the other."""


@frozen(kw_only=True)
class Timing:
    """When the commands of a burst come."""

    start_ms: int = ESTABLISHED_MS
    gap_ms: int = 0
    late: str = "rB"
    skew_ms: int = 0
    is_doubled: bool = False
    swapped: int | None = None
    """The late router gets this command after the one that should follow it."""
    is_reversed: bool = False
    """The late router gets them from the last to the first."""
    lost: int | None = None
    """The late router never gets this one."""
    never: bool = False
    """The late router gets none of them."""
    unconfirmed: int | None = None
    """This one is taken back unless it is confirmed…"""
    within_ms: int = 1_500
    condition: str = ""
    """…by an operator, or by this."""


def timings() -> st.SearchStrategy[Timing]:
    """All shapes of a burst."""
    return st.builds(
        Timing,
        start_ms=st.sampled_from((ESTABLISHED_MS, BASE_MS + 50, 700)),
        gap_ms=st.sampled_from(tuple(GAPS_MS.values())),
        late=st.sampled_from(("rB", "rA")),
        skew_ms=st.sampled_from(SKEWS_MS),
        is_doubled=st.booleans(),
        swapped=st.none() | st.integers(0, 5),
        is_reversed=st.sampled_from((False, False, False, True)),
        lost=st.none() | st.integers(0, 5),
        never=st.sampled_from((False, False, False, False, True)),
        unconfirmed=st.one_of(*[st.none()] * 3, st.integers(0, 5)),
        within_ms=st.sampled_from((300, 1_500, 4_000)),
        condition=st.sampled_from(("", "settled", "ping 203.0.113.1")),
    )


def schedule(burst: Sequence[Command], timing: Timing) -> tuple[Submit, ...]:
    """A burst in that shape."""
    steps = []
    for router in ROUTERS:
        is_late = router == timing.late
        if is_late and timing.never:
            continue
        order = _as_the_late_one_gets_it(burst, timing) if is_late else burst
        for number, command in enumerate(order):
            at_ms = timing.start_ms + number * timing.gap_ms + (timing.skew_ms if is_late else 0)
            step = command.to(router, at_ms)
            if timing.unconfirmed is not None and command is burst[timing.unconfirmed % len(burst)]:
                step = evolve(step, within_ms=timing.within_ms, condition=timing.condition)
            steps += [step] * (2 if timing.is_doubled else 1)
    return tuple(steps)


def _as_the_late_one_gets_it(burst: Sequence[Command], timing: Timing) -> list[Command]:
    order = list(burst)
    if (at := timing.swapped) is not None and at + 1 < len(order):
        order[at], order[at + 1] = order[at + 1], order[at]
    if timing.lost is not None and timing.lost < len(order):
        del order[timing.lost]
    return order[::-1] if timing.is_reversed else order


# Cases --------------------------------------------------------------------------------------------


_TIMINGS = timings()
_HAS_IPV6 = st.sampled_from((False, False, True))
_SOME_TIERS = st.sets(st.sampled_from(_TIERS), min_size=1)
_SEEDS = st.integers(0, 999)


@lru_cache(maxsize=16)
def _some_commands(most: int) -> st.SearchStrategy[list[Command]]:
    return st.lists(vpc_commands(), max_size=most)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    faults: Sequence[str] = FAULTS,
    most_faults: int = 3,
    most_commands: int = 8,
    burst: Sequence[Command] | None = None,
    advertisement_ms: int = 100,
    common_tier: bool = False,
) -> Case:
    """Cases of a pair; with `burst`, of these commands (as many of them as it takes) instead of drawn ones.

    With `common_tier` there is one tier, on eth8, that no drawn command removes.
    """
    timing = draw(_TIMINGS)
    if burst is None:
        ipv6, tiers = draw(_HAS_IPV6), draw(_SOME_TIERS)
        base = [boot(), public(10), *(add_tier(number, ipv6=ipv6) for number in sorted(tiers))]
        if common_tier:
            base.append(add_tier(8))
        chosen = draw(_some_commands(most_commands))
        if draw(st.booleans()):
            base = [command.in_cloudstacks_form() for command in base]
        first = [command.to(router, BASE_MS) for router in ROUTERS for command in base]
    else:
        chosen = [each for each in burst if not draw(st.booleans())] if draw(st.booleans()) else list(burst)
        first = []
    burst_steps = schedule(chosen, timing)
    times = sorted({step.at_ms for step in burst_steps})
    planned = draw(planned_faults(tuple(faults), most_faults)) if faults else []
    bad = [step for each in planned for step in each.steps(times)]
    return Case(
        steps=(*first, *burst_steps, *bad),
        seed=draw(_SEEDS),
        advertisement_ms=advertisement_ms,
    )
