"""Two that do not hear each other's advertisements: one of them does not serve, and always the same one."""

from __future__ import annotations

import pytest

from vpcrouter.machines.kinship import must_not_serve
from vpcrouter.values.beacon import Peer, Saying
from vpcrouter.values.role import Role

JUNIOR, SENIOR = b"a" * 8, b"b" * 8
"""Who is junior gives way where nothing else decides; see `PeerCarriage.is_senior`."""


def peer(instance: bytes, kind: str, *, serves: bool) -> Peer:
    return Peer(number=1, instance=instance, saying=Saying(vrrp=kind, role=Role.MASTER if serves else Role.BACKUP))


def judged(kind: str, *peers: Peer, instance: bytes, serves: bool) -> bool:
    return bool(must_not_serve(kind, serves=serves, instance=instance, peers=peers))


@pytest.mark.parametrize("one_serves", [True, False])
@pytest.mark.parametrize("other_serves", [True, False])
def test_of_two_kinds_one_gives_way_and_it_is_the_one_that_does_not_serve(one_serves: bool, other_serves: bool) -> None:
    one = judged("ah", peer(SENIOR, "none", serves=other_serves), instance=JUNIOR, serves=one_serves)
    other = judged("none", peer(JUNIOR, "ah", serves=one_serves), instance=SENIOR, serves=other_serves)
    assert one is not other
    if one_serves != other_serves:
        assert other is one_serves


def test_of_one_kind_or_an_unknown_one_nobody_does() -> None:
    for here, there in (("ah", "ah"), ("none", "none"), ("", "ah"), ("ah", "")):
        assert not judged(here, peer(SENIOR, there, serves=True), instance=JUNIOR, serves=False)
    assert not judged("ah", instance=JUNIOR, serves=False)


def test_of_several_one_is_enough() -> None:
    same, other = (peer(SENIOR, kind, serves=kind == "none") for kind in ("ah", "none"))
    assert judged("ah", same, other, instance=JUNIOR, serves=False)
