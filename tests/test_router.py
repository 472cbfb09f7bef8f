"""The library as its users meet it: one real journal in a real directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vpcrouter
from tests.strategies import additive_commands, config, tier
from tests.surroundings import Turned
from vpcrouter import DamagedJournalError, LockedJournalError, RejectedCommandError, Role, Router, events
from vpcrouter.commands import ConfigureRouter, PutTier, RemoveTier
from vpcrouter.errors import MalformedInputError
from vpcrouter.journal import (
    Entry,
    Journal,
    Snapshot,
    first_at,
    read_batches,
    repair,
    verify,
    write_snapshot,
)
from vpcrouter.machines.role import Report
from vpcrouter.past import replay
from vpcrouter.projections.digest import digest
from vpcrouter.projections.electors import electors
from vpcrouter.state import State
from vpcrouter.state import evolve as evolve_state
from vpcrouter.state_codec import SCHEMA, pack_state
from vpcrouter.values.carriage import Carriage
from vpcrouter.values.config import StaticNat, Tier
from vpcrouter.values.settings import Settings

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


@given(st.lists(st.integers(0, 30), min_size=1, max_size=25), st.lists(st.integers(0, 25), max_size=4), st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_time_travel_with_snapshots_is_the_slow_way(
    tmp_path: Path, pauses: list[int], snapshots: list[int], data: st.DataObject
) -> None:
    """By number and by time, on a journal of many small segments; the slow way reads it from its beginning."""
    directory = tmp_path / secrets.token_hex(8)
    moments, states, now, state = [], [State()], 1_000, State()
    with Journal.open(directory, segment_bytes=400) as journal:
        for number, pause in enumerate(pauses):
            now += pause
            event = events.StaticNatsChanged(put=(StaticNat(address="203.0.113.10", target=f"10.1.2.{number + 10}"),))
            journal.append([Entry(event=event)], time_ns=now)
            state = evolve_state(state, event)
            moments.append(now)
            states.append(state)
            if number in snapshots:
                taken = Snapshot(
                    seq=journal.seq,
                    time_ns=now,
                    chain=journal.chain,
                    schema=SCHEMA,
                    digest=digest(state),
                    body=pack_state(state),
                )
                write_snapshot(directory, taken)
    seq = data.draw(st.integers(0, len(pauses)))
    assert replay(directory, until=seq).state == states[seq]
    when = data.draw(st.integers(990, now + 10))
    passed = sum(moment <= when for moment in moments)
    past = replay(directory, until_ns=when)
    assert (past.seq, past.state) == (passed, states[passed])
    assert first_at(directory, when) == sum(moment < when for moment in moments) + 1


def test_a_look_at_the_past_does_not_read_what_a_snapshot_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "journal"
    world = Turned()
    with Router.open(directory, surroundings=world) as router:
        router.submit(ConfigureRouter(config=config()))
        for number in range(40):
            world.pass_ms(1_000)
            router.submit(PutTier(tier=tier(2, mtu=1400 + number)))
            if number == 30:
                write_snapshot(directory, router.snapshot())
    read: list[int] = []

    def counted(directory: Path, after: int = 0, *rest: Any) -> Any:
        for batch in read_batches(directory, after, *rest):
            read.append(batch.first_seq)
            yield batch

    monkeypatch.setattr("vpcrouter.replaying.read_batches", counted)
    assert replay(directory, until=35).state.tiers["eth2"].mtu == 1433
    assert read == [33]
    read.clear()
    assert replay(directory, until_ns=world.time_ns() - 5_000_000_000).state.tiers["eth2"].mtu == 1434
    assert read[0] == 33


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


def test_what_an_elector_was_is_forgotten_with_the_only_tier(tmp_path: Path) -> None:
    """Its keepalived ends for a second, and nothing serves meanwhile, though the tier may be there again."""
    carriage = Carriage(carrier="eth2", link="eth2")
    with Router.open(tmp_path) as router:
        router.submit(ConfigureRouter(config=config(redundant=True)))
        router.submit(PutTier(tier=tier(2)))
        router.loaded(carriage, electors(router.state))
        router.hear("eth2", Role.MASTER, "it says so")
        assert router.role is Role.MASTER
        router.submit(RemoveTier(device="eth2", network=tier(2).network))
        router.submit(PutTier(tier=tier(2)))
        router.judge("")
        assert (router.role, router.electors.roles) == (Role.INIT, {})
        router.hear("eth2", Role.MASTER, "the next one says so")
        assert router.role is Role.MASTER


def test_a_router_without_boot_parameters_does_not_serve(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        router.submit(PutTier(tier=tier(2)))
        roles = [router.role]
        router.submit(ConfigureRouter(config=config(redundant=False)))
        assert [*roles, router.role] == [Role.INIT, Role.MASTER]


def test_a_single_router_serves_as_soon_as_it_has_a_tier(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        router.submit(ConfigureRouter(config=config(redundant=False)))
        roles = [router.role]
        router.submit(PutTier(tier=tier(2)))
        assert [*roles, router.role] == [Role.INIT, Role.MASTER]


def test_a_command_id_is_done_once_also_after_a_restart(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        first = router.submit(PutTier(tier=tier(2)), command_id="tf-1")
        router.submit(RemoveTier(device="eth2", network="10.1.2.0/24"))
        assert router.submit(PutTier(tier=tier(2)), command_id="tf-1") == first
        assert router.state.tiers == {}
    with Router.open(tmp_path / "journal") as router:
        assert router.submit(PutTier(tier=tier(2)), command_id="tf-1") == first
        assert router.seq == 2


def test_an_expected_sequence_number_is_demanded(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        router.submit(PutTier(tier=tier(2)), expected_seq=0)
        with pytest.raises(RejectedCommandError, match="the newest event is 1, not 0"):
            router.submit(PutTier(tier=tier(3)), expected_seq=0)
        assert router.seq == 1


def test_a_snapshot_saves_the_replay_and_changes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    with Router.open(directory) as router:
        for command in additive_commands(2):
            router.submit(command)
        write_snapshot(directory, router.snapshot())
        router.submit(RemoveTier(device="eth6", network="10.1.6.0/24"))
        before = (router.state, router.seq, router.digest)
    with Router.open(directory) as router:
        assert router.events_since_snapshot == 1
        assert (router.state, router.seq, router.digest) == before
        assert router.at(3).digest == replay(directory, until=3).digest


@pytest.mark.parametrize("damage", ["flipped", "empty", "digest"])
def test_a_wrong_snapshot_costs_time_not_truth(tmp_path: Path, damage: str) -> None:
    directory = tmp_path / "journal"
    with Router.open(directory) as router:
        for command in additive_commands(2):
            router.submit(command)
        before = (router.state, router.seq, router.digest)
        snapshot = router.snapshot()
        if damage == "digest":
            snapshot = evolve(snapshot, body=pack_state(State()))
        path = write_snapshot(directory, snapshot)
    if damage == "flipped":
        content = bytearray(path.read_bytes())
        content[-40] ^= 1
        path.write_bytes(content)
    if damage == "empty":
        path.write_bytes(b"")
    with Router.open(directory) as router:
        assert router.events_since_snapshot == router.seq
        assert (router.state, router.seq, router.digest) == before


def test_a_revert_is_new_events(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        router.submit(ConfigureRouter(config=config()))
        router.submit(PutTier(tier=tier(2)))
        then = router.digest
        for command in additive_commands(2):
            router.submit(command)
        seq = router.seq
        receipts = router.revert(2)
        assert router.digest == then
        assert router.seq > seq
        assert {receipt.status for receipt in receipts} == {"accepted"}
        assert router.revert(seq)
        assert router.digest == router.at(seq).digest
        for never in (0, -1, router.seq + 1):
            with pytest.raises(RejectedCommandError):
                router.revert(never)


@pytest.mark.parametrize("loss", ["cut", "emptied", "deleted"])
def test_a_journal_that_is_shorter_than_its_snapshot_is_damaged(tmp_path: Path, loss: str) -> None:
    directory = tmp_path / "journal"
    with Router.open(directory) as router:
        for command in additive_commands(2):
            router.submit(command)
        write_snapshot(directory, router.snapshot())
    (segment,) = directory.glob("*.journal")
    if loss == "deleted":
        segment.unlink()
    else:
        os.truncate(segment, 0 if loss == "emptied" else 500)
    for attempt in (lambda: Router.open(directory), lambda: replay(directory)):
        with pytest.raises(DamagedJournalError):
            attempt()
    assert verify(directory).fault is not None
    assert repair(directory).seq < len(additive_commands(2))
    assert verify(directory).fault is None
    Router.open(directory).close()


def test_a_root_without_room_for_sockets_is_refused_before_the_machine_is_touched(tmp_path: Path) -> None:
    root = tmp_path / ("d" * 80)
    with (
        Router.open(tmp_path / "journal", settings=Settings(root=str(root))) as router,
        pytest.raises(MalformedInputError, match="too long for the sockets"),
    ):
        router.settle()
    assert not root.exists()
