"""The library as its users meet it: one real journal in a real directory."""

from __future__ import annotations

from pathlib import Path

import pytest

import vpcrouter
from tests.strategies import additive_commands, config, tier
from vpcrouter import LockedJournalError, RejectedCommandError, Role, Router
from vpcrouter.commands import ConfigureRouter, PutTier, RemoveTier
from vpcrouter.machines.role import Report
from vpcrouter.values.config import Tier

OVERLAPPING = PutTier(tier=Tier(device="eth5", network="10.1.2.128/25", gateway="10.1.2.129", address="10.1.2.130"))


def test_the_public_names_are_the_promised_ones() -> None:
    assert set(vpcrouter.__all__) == {
        *("ApplierError", "CallerError", "DamagedJournalError", "HostError", "JournalError"),
        *("JournalWriteError", "LockedJournalError", "MalformedInputError", "MissingProgramError"),
        *("Past", "Receipt", "RejectedCommandError", "Role", "Router", "SettleTimeoutError", "Settings"),
        *("UnsupportedTypeError", "VpcRouterError", "__version__"),
    }
    assert all(getattr(vpcrouter, name) for name in vpcrouter.__all__)


def test_a_receipt_tells_what_became_of_a_command(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        added = router.submit(PutTier(tier=tier(2)))
        assert (added.seq, added.status, added.event) == (1, "accepted", "tier-added")
        again = router.submit(PutTier(tier=tier(2)))
        assert (again.seq, again.status, again.event) == (1, "unchanged", None)
        with pytest.raises(RejectedCommandError, match="overlaps the tier"):
            router.submit(OVERLAPPING)
        assert router.seq == 1


def test_everything_is_there_again_after_reopening(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        for command in additive_commands(2):
            router.submit(command)
        before = (router.state, router.seq, router.digest)
    with Router.open(tmp_path / "journal") as router:
        assert (router.state, router.seq, router.digest) == before
        assert router.role is Role.INIT


def test_a_group_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        with pytest.raises(RejectedCommandError):
            router.submit_many([PutTier(tier=tier(2)), PutTier(tier=tier(3)), OVERLAPPING])
        assert (router.seq, router.state.tiers) == (0, {})
        receipts = router.submit_many([PutTier(tier=tier(2)), PutTier(tier=tier(2)), PutTier(tier=tier(3))])
        assert [(r.seq, r.status) for r in receipts] == [(1, "accepted"), (1, "unchanged"), (2, "accepted")]


def test_time_travel(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        digests = [router.digest]
        for command in additive_commands(2):
            router.submit(command)
            digests.append(router.digest)
        assert [router.at(seq).digest for seq in range(router.seq + 1)] == digests


def test_one_writer(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal"), pytest.raises(LockedJournalError):
        Router.open(tmp_path / "journal")
    Router.open(tmp_path / "journal").close()


def test_a_role_is_recorded_and_never_restored(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        router.submit(ConfigureRouter(config=config()))
        router.submit(PutTier(tier=tier(2)))
        digest, state = router.digest, router.state
        change = router.observe(Report.MASTER, "keepalived says so")
        router.record(change)
        assert (router.role, router.seq) == (Role.MASTER, 3)
        assert (router.digest, router.state) == (digest, state)
    with Router.open(tmp_path / "journal") as router:
        assert (router.role, router.seq) == (Role.INIT, 3)


def test_a_router_without_a_tier_has_no_redundancy(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        router.submit(ConfigureRouter(config=config()))
        assert router.observe(Report.MASTER).role is Role.INIT
        router.submit(PutTier(tier=tier(2)))
        assert router.observe(Report.MASTER).role is Role.MASTER
        router.submit(RemoveTier(device="eth2", network="10.1.2.0/24"))
        assert router.role is Role.INIT


def test_a_single_router_serves_as_soon_as_it_has_a_tier(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        router.submit(ConfigureRouter(config=config(redundant=False)))
        roles = [router.role]
        router.submit(PutTier(tier=tier(2)))
        assert [*roles, router.role] == [Role.INIT, Role.MASTER]
