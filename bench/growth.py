"""One thing more on routers of any size: submitted, settled, looked at again. Does the cost follow the change?

Each round has another thing, so that nothing of it has been made before; it is taken away again between the rounds.
Router, kernel, nftables and dnsmasq as they are, in a network namespace and below a directory of their own. The router
has no peer, so that no election takes part. Each size is a router of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import evolve, frozen

from bench import samples
from bench.namespace import in_own_namespace
from bench.row import Reach, Row, side_by_side, timed
from vpcrouter import Router, Settings
from vpcrouter.commands import (
    ChangeFirewallRules,
    ChangePortForwards,
    ChangePublicAddresses,
    ChangeStaticRoutes,
    Command,
    ConfigureRouter,
    PutReservation,
    PutTier,
    RemoveReservation,
    RemoveTier,
    ReplaceAcl,
)
from vpcrouter.values.config import Acl, FirewallRule, PortForward, Reservation, StaticRoute

SIZES = (10, 100, 1_000, 10_000)
_TIMEOUT_S = 60.0


@frozen
class _Kind:
    """Things of one kind: the commands that put `count` of them, one more in a round, and take that one away."""

    name: str
    fill: Callable[[int], Iterable[Command]]
    add: Callable[[int, int], Command]
    take: Callable[[int, int], Command]
    parameters: tuple[tuple[str, str], ...] = ()
    """What the boot parameters have to say."""


def rows(smoke: bool) -> Iterable[Row]:
    """Each kind at each size, beside the smallest."""
    for kind in KINDS:
        figures = [_measured(kind, size, rounds=1 if smoke else _ROUNDS) for size in (SIZES[::3] if smoke else SIZES)]
        for size, figure in zip(SIZES[::3] if smoke else SIZES, figures, strict=True):
            if size != SIZES[0]:
                what = f"one more {kind.name} among {size:,}, submitted and settled"
                reach = Reach(at_most=30) if kind is _ACL_RULES else None
                yield Row(what=what, peer_name=f"among {SIZES[0]}", peer=figures[0], ours=figure, reach=reach)


def _measured(kind: _Kind, size: int, *, rounds: int) -> float:
    return in_own_namespace(lambda: _added_to(kind, size, rounds))


def _added_to(kind: _Kind, size: int, rounds: int) -> float:
    for device in ("eth1", "eth2"):
        subprocess.run(["ip", "link", "add", device, "type", "veth", "peer", "name", f"{device}-peer"], check=True)
    base = samples.state(redundant=False)
    assert base.router is not None
    with (
        TemporaryDirectory() as directory,
        Router.open(Path(directory) / "journal", settings=Settings(root=directory)) as router,
    ):
        try:
            router.submit_many(
                [
                    ConfigureRouter(config=evolve(base.router, parameters=kind.parameters)),
                    ChangePublicAddresses(put=tuple(base.public_addresses.values())),
                    *(PutTier(tier=tier) for tier in base.tiers.values()),
                    *kind.fill(size),
                ]
            )
            router.settle(_TIMEOUT_S)

            numbers = count()

            def add() -> float:
                number = next(numbers)
                more, less = kind.add(size, number), kind.take(size, number)
                took_ms = timed(lambda: (router.submit(more), router.settle(_TIMEOUT_S)))
                router.submit(less)
                router.settle(_TIMEOUT_S)
                return took_ms

            return side_by_side(add, rounds=rounds)[0]
        finally:
            # Without a tier nothing runs any more.
            router.submit_many(RemoveTier(device=t.device, network=t.network) for t in base.tiers.values())
            router.settle(_TIMEOUT_S)


def _acl(count: int, more: int | None = None) -> Command:
    added = () if more is None else (_RULES[SIZES[-1] + more],)
    return ReplaceAcl(acl=Acl(device="eth2", ingress=(*_RULES[:count], *added)))


def _forward(number: int) -> PortForward:
    high, low = divmod(number + 256, 256)
    return PortForward(
        address="203.0.113.10",
        protocol="tcp",
        first_port=1 + number,
        last_port=1 + number,
        target=f"10.1.{high}.{low}",
        target_port=1 + number,
    )


def _lease(number: int) -> Reservation:
    high, low = divmod(number + 256, 256)
    return Reservation(address=f"10.1.{high}.{low}", mac=f"02:00:00:00:{high:02x}:{low:02x}", host_name=f"vm-{number}")


def _route(number: int) -> StaticRoute:
    high, low = divmod(number, 256)
    return StaticRoute(network=f"172.{16 + high // 256}.{high % 256}.{low}/32", gateway="10.1.0.9")


def _firewall_rule(number: int) -> FirewallRule:
    return FirewallRule(
        rule_id=number,
        address="203.0.113.10",
        protocol="tcp",
        first_port=1 + number,
        last_port=1 + number,
        sources=("198.51.100.0/24",),
    )


_ROUNDS = 5
_RULES = samples.rules(SIZES[-1] + _ROUNDS + 1)
_ACL_RULES = _Kind(
    name="ACL rule",
    fill=lambda count: [_acl(count)],
    add=_acl,
    take=lambda count, _: _acl(count),
)
_FORWARDS = _Kind(
    name="port forwarding",
    fill=lambda count: [ChangePortForwards(put=tuple(_forward(number) for number in range(count)))],
    add=lambda count, more: ChangePortForwards(put=(_forward(count + more),)),
    take=lambda count, more: ChangePortForwards(remove=(_forward(count + more),)),
)
_LEASES = _Kind(
    name="DHCP entry",
    fill=lambda count: [PutReservation(reservation=_lease(number)) for number in range(count)],
    add=lambda count, more: PutReservation(reservation=_lease(count + more)),
    take=lambda count, more: RemoveReservation(address=_lease(count + more).address, mac=_lease(count + more).mac),
)
_ROUTES = _Kind(
    name="static route",
    fill=lambda count: [ChangeStaticRoutes(put=tuple(_route(number) for number in range(count)))],
    add=lambda count, more: ChangeStaticRoutes(put=(_route(count + more),)),
    take=lambda count, more: ChangeStaticRoutes(remove=(_route(count + more).network,)),
)
_FIREWALL_RULES = _Kind(
    name="firewall rule of an address",
    fill=lambda count: [ChangeFirewallRules(put=tuple(_firewall_rule(number) for number in range(count)))],
    add=lambda count, more: ChangeFirewallRules(put=(_firewall_rule(count + more),)),
    take=lambda count, more: ChangeFirewallRules(remove=(count + more,)),
    parameters=(("vpc_firewall_enabled", "true"),),
)
KINDS = (_ACL_RULES, _FORWARDS, _LEASES, _ROUTES, _FIREWALL_RULES)
