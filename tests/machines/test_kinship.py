"""Two that do not hear each other's advertisements: one of them does not serve, and always the same one."""

from __future__ import annotations

import pytest
from attrs import evolve

from vpcrouter.machines.kinship import must_not_serve
from vpcrouter.values.beacon import Peer, Saying
from vpcrouter.values.role import Role

JUNIOR, SENIOR = b"a" * 8, b"b" * 8
"""Who is junior gives way where nothing else decides; see `PeerCarriage.is_senior`."""


def peer(instance: bytes, kind: str, *, serves: bool) -> Peer:
    return Peer(number=1, instance=instance, saying=Saying(vrrp=kind, role=Role.MASTER if serves else Role.BACKUP))


def judged(kind: str, *peers: Peer, instance: bytes, serves: bool) -> bool:
    own = Saying(vrrp=kind, role=Role.MASTER if serves else Role.BACKUP)
    return bool(must_not_serve(own, instance=instance, peers=peers))


@pytest.mark.parametrize("one_serves", [True, False])
@pytest.mark.parametrize("other_serves", [True, False])
def test_of_two_kinds_one_gives_way_and_it_is_the_one_that_does_not_serve(one_serves: bool, other_serves: bool) -> None:
    one = judged("ah", peer(SENIOR, "none", serves=other_serves), instance=JUNIOR, serves=one_serves)
    other = judged("none", peer(JUNIOR, "ah", serves=one_serves), instance=SENIOR, serves=other_serves)
    assert one is not other
    if one_serves != other_serves:
        assert other is one_serves


@pytest.mark.parametrize("later_ns", [400_000_000, 10_000_000_000])
@pytest.mark.parametrize("junior_is_later", [True, False])
def test_of_two_that_serve_the_one_goes_on_that_has_done_so_for_longer(later_ns: int, junior_is_later: bool) -> None:
    """The other one was elected before it had heard of it. Each knows the other's time a little late."""
    own = Saying(vrrp="ah", role=Role.MASTER)
    here_ns, there_ns = (later_ns, 0) if junior_is_later else (0, later_ns)
    other = evolve(peer(SENIOR, "none", serves=True), since_ns=there_ns + 20_000_000)
    assert bool(must_not_serve(own, instance=JUNIOR, since_ns=here_ns, peers=[other])) is junior_is_later
    mine = evolve(peer(JUNIOR, "ah", serves=True), since_ns=here_ns + 20_000_000)
    there = evolve(own, vrrp="none")
    assert bool(must_not_serve(there, instance=SENIOR, since_ns=there_ns, peers=[mine])) is not junior_is_later


def test_of_one_kind_or_an_unknown_one_nobody_does() -> None:
    for here, there in (("ah", "ah"), ("none", "none"), ("", "ah"), ("ah", "")):
        assert not judged(here, peer(SENIOR, there, serves=True), instance=JUNIOR, serves=False)
    assert not judged("ah", instance=JUNIOR, serves=False)


def test_of_several_one_is_enough() -> None:
    same, other = (peer(SENIOR, kind, serves=kind == "none") for kind in ("ah", "none"))
    assert judged("ah", same, other, instance=JUNIOR, serves=False)


def test_who_speaks_by_the_other_way_is_as_little_heard_and_both_reasons_are_told() -> None:
    own = Saying(vrrp="ah", way="unicast", role=Role.BACKUP)
    there = Peer(number=1, instance=SENIOR, saying=Saying(vrrp="none", way="multicast", role=Role.MASTER))
    said = must_not_serve(own, instance=JUNIOR, peers=[there])
    assert said.endswith("authentication is none there and ah here; it goes by multicast there and by unicast here")
    for way in ("unicast", ""):
        same = evolve(there, saying=evolve(there.saying, vrrp="ah", way=way))
        assert not must_not_serve(own, instance=JUNIOR, peers=[same])
