"""Configurations of any size to measure with, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice

from vpcrouter import events
from vpcrouter.state import State, replay
from vpcrouter.values.config import (
    Acl,
    AclRule,
    PortForward,
    PublicAddress,
    Reservation,
    RouterConfig,
    StaticNat,
    StaticRoute,
    Tier,
)


def configuration(*, redundant: bool = True) -> Iterator[events.Event]:
    """A router with a public address and one wide tier on eth2."""
    yield events.RouterConfigured(
        config=RouterConfig(name="r-1-VM", vpc_network="10.0.0.0/8", redundant=redundant, resolvers=("203.0.113.53",))
    )
    yield events.PublicAddressesChanged(
        put=(
            PublicAddress(
                address="203.0.113.10",
                network="203.0.113.0/24",
                gateway="203.0.113.1",
                device="eth1",
                source_nat=True,
            ),
        )
    )
    yield events.TierAdded(
        tier=Tier(
            device="eth2",
            network="10.1.0.0/16",
            gateway="10.1.0.1",
            address="10.1.0.2",
            domain="bench.example.com",
            resolvers=("203.0.113.53",),
        )
    )


def rules(count: int) -> tuple[AclRule, ...]:
    """Rules of which no two are alike and none can be merged with another.

    The same object stands for the same rule, as the decoder has it (`cloudstack.networkacl`).
    """
    return tuple(_rule(number) for number in range(count))


@cache
def _rule(number: int) -> AclRule:
    return AclRule(
        protocol="tcp",
        first_port=1 + number % 60_000,
        last_port=1 + number % 60_000,
        networks=(f"198.{18 + number // 65_536}.{number // 256 % 256}.{number % 256}/32",),
        allowed=number % 2 == 0,
    )


def reservations(count: int) -> Iterator[events.ReservationPut]:
    """Fixed leases in the tier on eth2, each with a name."""
    for number in range(count):
        high, low = divmod(number + 256, 256)
        yield events.ReservationPut(
            reservation=Reservation(
                address=f"10.1.{high}.{low}", mac=f"02:00:00:00:{high:02x}:{low:02x}", host_name=f"vm-{number}"
            )
        )


def history(count: int) -> Iterator[events.Event]:
    """What a provisioning system sends: mostly leases, now and then an ACL, a forwarding, a route, an address."""
    leases, many_rules = cycle(reservations(2_000)), rules(200)
    yield from islice(configuration(), count)
    for number in range(3, count):
        kind, octet = number % 20, number // 20 % 200 + 1
        if kind == 0:
            yield events.AclReplaced(acl=Acl(device="eth2", ingress=many_rules[octet - 1 : octet + 9]))
        elif kind == 1:
            lap = number // 4000
            before = (_forward(octet, lap - 1),) if lap else ()
            yield events.PortForwardsChanged(put=(_forward(octet, lap),), removed=before)
        elif kind == 2:
            nat = StaticNat(address=f"203.0.113.{octet + 20}", target=f"10.1.2.{octet}")
            yield events.StaticNatsChanged(put=(nat,))
        elif kind == 3:
            route = StaticRoute(network=f"198.51.{octet}.0/24", gateway="10.1.0.9")
            yield events.StaticRoutesChanged(put=(route,))
        else:
            yield next(leases)


def _forward(octet: int, lap: int) -> PortForward:
    """Of one public port, to another port of its guest in each lap."""
    port = 8000 + octet
    return PortForward(
        address="203.0.113.10",
        protocol="tcp",
        first_port=port,
        last_port=port,
        target=f"10.1.1.{octet}",
        target_port=80 + lap % 2,
    )


def state(*, rule_count: int = 0, reservation_count: int = 0, redundant: bool = True) -> State:
    """The state of such a router."""
    acl = events.AclReplaced(acl=Acl(device="eth2", ingress=rules(rule_count)))
    return replay(State(), [*configuration(redundant=redundant), acl, *reservations(reservation_count)])
