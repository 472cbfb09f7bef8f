"""What is refused, and in which words; what waits, and what goes along."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve as with_changes

from tests.strategies import config, public_address, tier
from vpcrouter import commands, events
from vpcrouter.commands import (
    ChangePortForwards,
    ChangePublicAddresses,
    ChangeStaticNats,
    ChangeStaticRoutes,
    Command,
    ConfigureRouter,
    PutGuestPages,
    PutGuestPassword,
    PutReservation,
    PutTier,
    RemoveReservation,
    RemoveTier,
    ReplaceAcl,
)
from vpcrouter.decide import Decision, decide
from vpcrouter.errors import MalformedInputError, RejectedCommandError
from vpcrouter.projections.digest import digest
from vpcrouter.projections.effective import effective, pending
from vpcrouter.references import source_nat_address
from vpcrouter.state import State, evolve
from vpcrouter.values.config import (
    Acl,
    AclRule,
    PortForward,
    PublicAddress,
    Reservation,
    Secret,
    StaticNat,
    StaticRoute,
    Tier,
    TierIpv6,
)
from vpcrouter.values.guests import GuestPages


def after(*done: Command) -> State:
    """The state after these commands, none of which may be refused."""
    state = State()
    for command in done:
        decision = decide(state, command)
        if decision.event is not None:
            state = evolve(state, decision.event)
    return state


def forward(
    ports: tuple[int, int] = (2201, 2201), *, target: str = "10.1.2.11", sources: tuple[str, ...] = ()
) -> PortForward:
    return PortForward(
        address="203.0.113.11",
        protocol="tcp",
        first_port=ports[0],
        last_port=ports[1],
        target=target,
        target_port=ports[0],
        sources=sources,
    )


CONFIGURED = ConfigureRouter(config=config())
ETH2 = PutTier(tier=tier(2))
ETH3 = PutTier(tier=tier(3))
PUBLIC_11 = ChangePublicAddresses(put=(public_address("203.0.113.11"),))
FORWARD = ChangePortForwards(put=(forward(),))
NAT_11 = ChangeStaticNats(put=(StaticNat(address="203.0.113.11", target="10.1.2.11"),))
ROUTE = ChangeStaticRoutes(put=(StaticRoute(network="198.51.100.0/24", gateway="10.1.2.14"),))
LEASE = PutReservation(reservation=Reservation(address="10.1.2.11", mac="02:00:00:00:00:01", host_name="web-1"))
ACL_2 = ReplaceAcl(acl=Acl(device="eth2", ingress=(AclRule(protocol="all", networks=("0.0.0.0/0",)),)))


def moved(original: Tier, **changes: Any) -> PutTier:
    return PutTier(tier=with_changes(original, **changes))


def wide(network: str, gateway: str, address: str, device: str = "eth5") -> PutTier:
    return PutTier(tier=Tier(device=device, network=network, gateway=gateway, address=address))


def route(network: str, gateway: str = "10.1.2.14") -> ChangeStaticRoutes:
    return ChangeStaticRoutes(put=(StaticRoute(network=network, gateway=gateway),))


def address_on(device: str, network: str = "192.0.2.0/24", host: int = 10) -> ChangePublicAddresses:
    base = network.rpartition(".")[0]
    each = PublicAddress(address=f"{base}.{host}", network=network, gateway=f"{base}.1", device=device)
    return ChangePublicAddresses(put=(each,))


def password_for(address: str) -> PutGuestPassword:
    return PutGuestPassword(address=address, password=Secret(text="once"))


PUBLIC_1 = PublicAddress(address="203.0.113.1", network="203.0.113.0/24", gateway="203.0.113.2", device="eth1")

CONTRADICTIONS: list[tuple[Command, Command, str]] = [
    (ETH2, wide("10.1.2.128/25", "10.1.2.129", "10.1.2.130"), "overlaps the tier 10.1.2.0/24 on eth2"),
    (CONFIGURED, wide("10.2.2.0/24", "10.2.2.1", "10.2.2.2"), "outside the VPC's network 10.1.0.0/16"),
    (CONFIGURED, wide("10.0.0.0/8", "10.1.2.1", "10.1.2.2"), "outside the VPC's network 10.1.0.0/16"),
    (ETH2, wide("10.1.7.0/24", "10.1.7.1", "10.1.7.2", "eth2"), "eth2 already carries the tier 10.1.2.0/24"),
    (CONFIGURED, moved(tier(2), address="10.1.2.1"), "a redundant router needs an own address"),
    (address_on("eth2"), ETH2, "eth2 cannot carry the tier 10.1.2.0/24 and the public address 192.0.2.10"),
    (NAT_11, FORWARD, "203.0.113.11 already has a static NAT to 10.1.2.11"),
    (FORWARD, ChangePortForwards(put=(forward((2200, 2210)),)), "overlap the port forwarding"),
    (CONFIGURED, ChangePortForwards(put=(forward(target="192.168.1.1"),)), "outside the VPC's network"),
    (
        NAT_11,
        ChangeStaticNats(put=(StaticNat(address="203.0.113.12", target="10.1.2.11"),)),
        "the guest 10.1.2.11 cannot have the static NATs",
    ),
    (ETH2, route("10.1.2.0/24", "10.1.3.14"), "covers the tier 10.1.2.0/24 on eth2"),
    (ETH2, route("10.1.0.0/16", "10.2.0.1"), "covers the tier 10.1.2.0/24 on eth2"),
    (CONFIGURED, route("10.0.0.0/8", "192.0.2.1"), "covers the VPC's network 10.1.0.0/16"),
    (ETH2, route("198.51.100.0/24", "10.1.2.1"), "is the router itself"),
    (ETH2, route("198.51.100.0/24", "198.51.100.7"), "lies behind itself"),
    (ETH2, ChangePortForwards(put=(forward(target="10.1.2.255"),)), "is not a host address of 10.1.2.0/24"),
    (ETH2, ChangePortForwards(put=(forward(target="10.1.2.1"),)), "is the router itself on eth2"),
    (
        ETH2,
        ChangeStaticNats(put=(StaticNat(address="203.0.113.11", target="10.1.2.0"),)),
        "is not a host address of 10.1.2.0/24",
    ),
    (ETH2, route("198.51.100.0/24", "10.1.2.255"), "is not a host address of 10.1.2.0/24"),
    (
        ConfigureRouter(config=with_changes(config(), source_nat_address="10.1.2.9")),
        ETH2,
        "holds the source NAT address 10.1.2.9",
    ),
    (
        ConfigureRouter(config=with_changes(config(), control_address="192.0.2.9/24")),
        route("192.0.2.0/25"),
        "overlaps the control network 192.0.2.0/24",
    ),
    (PUBLIC_11, route("203.0.113.0/24"), "covers the public network 203.0.113.0/24"),
    (
        ETH2,
        PutReservation(reservation=Reservation(address="10.1.2.1", mac="02:00:00:00:00:01", host_name="x")),
        "is the router's own on eth2",
    ),
    (
        ETH2,
        PutReservation(reservation=Reservation(address="10.1.2.255", mac="02:00:00:00:00:01", host_name="x")),
        "not a host address",
    ),
    (address_on("eth7"), address_on("eth8", host=11), "overlaps 192.0.2.0/24 on eth7"),
    (
        PutTier(tier=Tier(device="eth4", network="192.0.2.0/24", gateway="192.0.2.1", address="192.0.2.2")),
        address_on("eth7"),
        "overlaps the public network 192.0.2.0/24",
    ),
    (PUBLIC_11, ChangePublicAddresses(put=(PUBLIC_1,)), "the gateway 203.0.113.1 of 203.0.113.11 is the router itself"),
    (ETH2, PutGuestPages(pages=GuestPages(address="10.1.2.1")), "the guest 10.1.2.1 is the router itself on eth2"),
    (ETH2, password_for("10.1.2.255"), "is not a host address of 10.1.2.0/24"),
    (CONFIGURED, PutGuestPages(pages=GuestPages(address="10.2.2.11")), "outside the VPC's network 10.1.0.0/16"),
    (CONFIGURED, password_for("10.2.2.11"), "outside the VPC's network 10.1.0.0/16"),
]


@pytest.mark.parametrize(("first", "second", "reason"), CONTRADICTIONS)
def test_whichever_of_two_contradicting_commands_is_second_is_refused(
    first: Command, second: Command, reason: str
) -> None:
    with pytest.raises(RejectedCommandError) as refused:
        decide(after(first), second)
    assert reason in str(refused.value)
    assert refused.value.where
    with pytest.raises(RejectedCommandError):
        decide(after(second), first)


def test_a_refused_command_leaves_no_event() -> None:
    state = after(CONFIGURED, ETH2)
    with pytest.raises(RejectedCommandError):
        decide(state, wide("10.1.2.128/25", "10.1.2.129", "10.1.2.130"))
    assert state == after(CONFIGURED, ETH2)


@pytest.mark.parametrize(
    ("command", "waits", "arrives"),
    [
        (ACL_2, "ACL of eth2 waits for a tier or private gateway on eth2", [ETH2]),
        (LEASE, "reservation 10.1.2.11 waits for a tier that holds 10.1.2.11", [ETH2]),
        (FORWARD, "port forwarding 203.0.113.11 tcp 2201 waits for the public address 203.0.113.11", [PUBLIC_11, ETH2]),
        (NAT_11, "static NAT 203.0.113.11 waits for the public address 203.0.113.11", [ETH2, PUBLIC_11]),
        (ROUTE, "static route 198.51.100.0/24 waits for a network that holds the next hop 10.1.2.14", [ETH2]),
    ],
)
def test_a_reference_to_what_is_not_there_waits_for_it(command: Command, waits: str, arrives: list[Command]) -> None:
    decision = decide(State(), command)
    assert decision.event is not None
    assert decision.pending == (waits,)
    state = after(command)
    assert [str(each) for each in pending(state)] == [waits]
    assert decide(state, command).event is None
    configured = ConfigureRouter(config=config(true_source_nat=False))
    assert pending(after(command, configured, *arrives)) == ()


def test_removing_a_tier_names_what_goes_along_and_what_starts_to_wait() -> None:
    state = after(CONFIGURED, PUBLIC_11, ETH2, ETH3, ACL_2, LEASE, FORWARD, ROUTE)
    decision = decide(state, RemoveTier(device="eth2", network="10.1.2.0/24"))
    assert decision.removed == ("ACL of eth2", "reservation 10.1.2.11")
    assert decision.pending == (
        "port forwarding 203.0.113.11 tcp 2201 waits for a tier that holds 10.1.2.11",
        "static route 198.51.100.0/24 waits for a network that holds the next hop 10.1.2.14",
    )


def test_a_late_removal_does_not_hit_the_successor_on_the_device() -> None:
    state = after(ETH2)
    with pytest.raises(RejectedCommandError, match=r"carries the tier 10\.1\.2\.0/24, not"):
        decide(state, RemoveTier(device="eth2", network="10.1.9.0/24"))


def test_a_removal_of_a_tier_that_never_came_takes_its_acl_and_leases() -> None:
    state = after(ACL_2, LEASE)
    decision = decide(state, RemoveTier(device="eth2", network="10.1.2.0/24"))
    assert decision.removed == ("ACL of eth2", "reservation 10.1.2.11")
    assert decision.event is not None
    empty = evolve(state, decision.event)
    assert not empty.acls
    assert not empty.reservations
    assert decide(empty, RemoveTier(device="eth2", network="10.1.2.0/24")) == Decision()


def test_a_tier_can_be_changed_where_it_is() -> None:
    decision = decide(after(ETH2), moved(tier(2), mtu=1400, domain="other.example.com"))
    assert isinstance(decision.event, events.TierChanged)


def test_the_marks_of_a_redundant_routers_commands_do_not_move_the_source_nat_address() -> None:
    first = ChangePublicAddresses(put=(public_address("203.0.113.10", marked=True),))
    second = ChangePublicAddresses(put=(public_address("203.0.113.11", marked=True),))
    orders: list[list[Command]] = [
        [CONFIGURED, first, second],
        [second, first, CONFIGURED],
        [second, CONFIGURED, first],
    ]
    for order in orders:
        assert source_nat_address(after(*order)) == "203.0.113.10"
    dropped = ConfigureRouter(config=config(true_source_nat=False))
    states = [after(*order, dropped) for order in orders]
    assert {source_nat_address(state) for state in states} == {"203.0.113.10"}
    assert len({digest(state) for state in states}) == 1, "what a mark was stored as depends on the order of arrival"


def test_without_a_true_one_the_lowest_marked_address_hides_the_vpc() -> None:
    configured = ConfigureRouter(config=config(true_source_nat=False))
    marked = [ChangePublicAddresses(put=(public_address(f"203.0.113.{n}", marked=True),)) for n in (11, 9)]
    assert source_nat_address(after(configured, *marked)) == "203.0.113.9"
    assert source_nat_address(after(*reversed(marked), configured)) == "203.0.113.9"


def test_a_forwarding_whose_clients_change_is_replaced_not_doubled() -> None:
    narrowed = ChangePortForwards(put=(forward(sources=("198.51.100.0/24",)),))
    assert after(FORWARD, narrowed).forwards == {"203.0.113.11": narrowed.put}
    assert after(narrowed, FORWARD).forwards == {"203.0.113.11": FORWARD.put}
    disjoint = ChangePortForwards(put=(forward(sources=("192.0.2.0/24",)),))
    assert after(narrowed, disjoint).forwards == {"203.0.113.11": disjoint.put}
    both = ChangePortForwards(put=(*narrowed.put, *disjoint.put))
    assert len(after(narrowed, both).forwards["203.0.113.11"]) == 2


def test_growing_lists_only_add() -> None:
    one, two = forward((2201, 2201)), forward((2202, 2202))
    state = after(ChangePortForwards(put=(one,)), ChangePortForwards(put=(one, two)))
    assert state.forwards["203.0.113.11"] == (one, two)
    gone = after(ChangePortForwards(put=(one, two)), ChangePortForwards(put=(two,), remove=(one,)))
    assert gone.forwards["203.0.113.11"] == (two,)
    assert not after(FORWARD, ChangePortForwards(remove=(forward(),))).forwards


def test_a_mac_has_one_lease() -> None:
    other = commands.PutReservation(
        reservation=Reservation(address="10.1.2.12", mac="02:00:00:00:00:01", host_name="web-1")
    )
    decision = decide(after(LEASE), other)
    assert decision.removed == ("reservation 10.1.2.11",)
    assert list(after(LEASE, other).reservations) == ["10.1.2.12"]


def test_a_late_release_does_not_hit_the_next_guest_on_the_address() -> None:
    taken = PutReservation(reservation=Reservation(address="10.1.2.11", mac="02:00:00:00:00:02", host_name="web-2"))
    late = RemoveReservation(address="10.1.2.11", mac="02:00:00:00:00:01")
    assert decide(after(LEASE, taken), late) == Decision()
    assert after(LEASE, late).reservations == {}


NOT_OF_HOSTS = ("0.0.0.0/0", "0.0.0.0/8", "96.0.0.0/3", "127.0.0.0/24", "224.0.0.0/4")
NOT_OF_IPV6_HOSTS = ("::/0", "::ffff:0:0/96", "fe80::/64", "ff00::/8")


def ipv6(**changes: Any) -> TierIpv6:
    """The IPv6 side of a tier, with these changes to what is in order."""
    return with_changes(
        TierIpv6(
            network="2001:db8:2::/64",
            gateway="2001:db8:2::1",
            address="2001:db8:2::2",
            public_network="2001:db8:8::/64",
            public_gateway="fe80::5",
            public_address="2001:db8:8::2",
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: tier(2, mtu=20), "mtu"),
        (lambda: with_changes(tier(2), device="eth2;reboot"), "device"),
        (lambda: with_changes(tier(2), domain='x"}'), "domain"),
        (lambda: with_changes(tier(2), gateway="10.1.3.1"), "gateway"),
        (lambda: with_changes(tier(2), address="10.1.2.255"), "address"),
        (lambda: with_changes(tier(2), resolvers=("10.1.2.3\nx",)), "resolvers[0]"),
        (lambda: forward((2201, 2200)), "first_port"),
        (lambda: with_changes(forward((1, 100)), target_port=65500), "target_port"),
        (lambda: AclRule(protocol="tcp", first_port=0, last_port=5), "first_port"),
        (lambda: AclRule(protocol="gre"), "protocol"),
        (lambda: public_address("203.0.114.1"), "address"),
        (lambda: public_address("203.0.113.1"), "gateway"),
        (lambda: StaticRoute(network="198.51.100.1/24", gateway="10.1.2.3"), "network"),
        (lambda: StaticRoute(network="169.254.0.0/16", gateway="10.1.2.3"), "network"),
        (lambda: StaticRoute(network="0.0.0.0/0", gateway="10.1.2.3"), "network"),
        (lambda: StaticRoute(network="224.0.0.0/4", gateway="10.1.2.3"), "network"),
        (lambda: RemoveTier(device="eth1", network="10.1.2.0/24"), "device"),
        *((lambda network=each: with_changes(tier(2), network=network), "network") for each in NOT_OF_HOSTS),
        *((lambda network=each: with_changes(config(), vpc_network=network), "vpc_network") for each in NOT_OF_HOSTS),
        *(
            (lambda network=each: with_changes(public_address("203.0.113.11"), network=network), "network")
            for each in NOT_OF_HOSTS
        ),
        (lambda: with_changes(config(), control_address="169.254.0.0/16"), "control_address"),
        (lambda: with_changes(config(), control_address="169.254.255.255/16"), "control_address"),
        (lambda: with_changes(config(), control_address="169.254.0.21/1"), "control_address"),
        *((lambda network=each: ipv6(network=network), "network") for each in NOT_OF_IPV6_HOSTS),
        *((lambda network=each: ipv6(public_network=network), "public_network") for each in NOT_OF_IPV6_HOSTS),
        (lambda: ipv6(public_network="2001:db8:2::/56"), "public_network"),
        (lambda: ipv6(public_address="2001:db8:9::2"), "public_address"),
        (lambda: ipv6(public_gateway="2001:db8:9::1"), "public_gateway"),
        (lambda: ipv6(public_gateway="2001:db8:8::2"), "public_gateway"),
        (lambda: ipv6(public_gateway=None), "public_gateway"),
        (lambda: with_changes(tier(2), ipv6="2001:db8::/64"), "ipv6"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_is_wrong_by_itself_cannot_be_made(make: object, where: str) -> None:
    with pytest.raises(MalformedInputError) as refused:
        make()  # type: ignore[operator]
    assert refused.value.where == where


@pytest.mark.parametrize("thing", [None, "put-tier", tier(2), PutTier])
def test_what_is_no_command_is_refused_as_such(thing: Any) -> None:
    with pytest.raises(MalformedInputError, match="is not a command"):
        decide(State(), thing)


def test_a_forwarding_for_ipv6_clients_alone_is_refused() -> None:
    """Nobody could use it; beside others such a client does no harm."""
    with pytest.raises(RejectedCommandError, match="no client has an IPv4 address"):
        decide(State(), ChangePortForwards(put=(forward(sources=("2001:db8::/64",)),)))
    both = forward(sources=("198.51.100.0/24", "2001:db8::/64"))
    assert decide(State(), ChangePortForwards(put=(both,))).event is not None


def test_a_shifted_range_for_some_clients_is_bounded() -> None:
    wide = with_changes(forward((10_000, 12_000), sources=("198.51.100.0/24",)), target_port=20_000)
    with pytest.raises(RejectedCommandError, match="1000 ports at most"):
        decide(State(), ChangePortForwards(put=(wide,)))
    for fits in (
        with_changes(wide, sources=()),
        with_changes(wide, target_port=10_000),
        with_changes(wide, last_port=10_999),
    ):
        assert decide(State(), ChangePortForwards(put=(fits,))).event is not None


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (
            ChangePublicAddresses(
                put=(public_address("203.0.113.11"), with_changes(public_address("203.0.113.11"), device="eth9"))
            ),
            "203.0.113.11",
        ),
        (ChangePortForwards(put=(forward(), forward(target="10.1.2.12"))), "port forwarding 203.0.113.11 tcp 2201"),
        (
            ChangePortForwards(put=(forward(), forward(sources=("198.51.100.0/24",)))),
            "port forwarding 203.0.113.11 tcp 2201",
        ),
        (
            ChangeStaticNats(put=(*NAT_11.put, StaticNat(address="203.0.113.11", target="10.1.2.12"))),
            "static NAT 203.0.113.11",
        ),
        (
            ChangeStaticRoutes(put=(*ROUTE.put, StaticRoute(network="198.51.100.0/24", gateway="10.1.2.15"))),
            "static route 198.51.100.0/24",
        ),
    ],
)
def test_a_command_that_asks_for_two_things_in_one_place_is_refused(command: Command, where: str) -> None:
    with pytest.raises(RejectedCommandError, match="two different things") as refused:
        decide(State(), command)
    assert refused.value.where == where


def test_the_same_thing_twice_in_one_command_is_that_thing() -> None:
    assert after(ChangePortForwards(put=(forward(), forward()))) == after(FORWARD)
    assert after(ChangeStaticNats(put=NAT_11.put * 2)) == after(NAT_11)


@pytest.mark.parametrize("name", ["data-server", "Data-Server", "data-server.vpc1.example.com"])
def test_no_guest_takes_the_routers_own_name(name: str) -> None:
    lease = Reservation(address="10.1.2.11", mac="02:00:00:00:00:01", host_name=name)
    with pytest.raises(RejectedCommandError, match="is the router's own name in every tier"):
        decide(after(ETH2), PutReservation(reservation=lease))
    allowed = with_changes(lease, host_name="data-server-2")
    assert decide(after(ETH2), PutReservation(reservation=allowed)).event is not None


@pytest.mark.parametrize(
    "command",
    [
        PutReservation(reservation=Reservation(address="10.1.2.3", mac="02:00:00:00:00:01", host_name="x")),
        ChangePortForwards(put=(forward(target="10.1.2.3"),)),
        ChangeStaticNats(put=(StaticNat(address="203.0.113.11", target="10.1.2.3"),)),
        route("198.51.100.0/24", "10.1.2.3"),
    ],
)
def test_what_names_the_own_address_of_one_router_fares_alike_on_both(command: Command) -> None:
    """Refused on one and stored on the other, it would part their configurations for good."""
    before: list[Command] = [CONFIGURED, PUBLIC_11]
    one = [after(*before, PutTier(tier=tier(2, own=own)), command) for own in (2, 3)]
    assert digest(one[0]) == digest(one[1]) == digest(after(*before, command, PutTier(tier=tier(2, own=3))))
    works, waits = (effective(state) for state in one)
    assert [len(works.reservations) + len(works.forwards) + len(works.static_nats) + len(works.routes)] == [1]
    assert not (waits.reservations or waits.forwards or waits.static_nats or waits.routes)
    assert [each.waits_for for each in pending(one[1])][1:] == [
        "another address than this router's own on eth2, 10.1.2.3"
    ]
