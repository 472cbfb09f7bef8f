"""The role machine against two oracles that share nothing with its table: the history, and rules in words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vpcrouter.machines.role import GRID, TABLE, Intent, Report, RoleMachine, Standing
from vpcrouter.values.role import Role

CONFIGURATION = {Report.NO_TIER, Report.PAIRED, Report.ALONE}
SAID: dict[Report, Role] = {
    Report.BACKUP: Role.BACKUP,
    Report.MASTER: Role.MASTER,
    Report.FAULT: Role.FAULT,
    Report.LOST: Role.FAULT,
}
WAY_TO: dict[Standing, list[Report]] = {
    Standing.NO_TIER: [],
    Standing.WAITING: [Report.PAIRED],
    Standing.BACKUP: [Report.PAIRED, Report.BACKUP],
    Standing.MASTER: [Report.PAIRED, Report.MASTER],
    Standing.FAULT: [Report.PAIRED, Report.FAULT],
    Standing.ALONE: [Report.ALONE],
}


def told(reports: Sequence[Report]) -> RoleMachine:
    """A machine that has heard these."""
    machine = RoleMachine()
    for report in reports:
        machine.observe(report)
    return machine


def role_by_history(reports: Sequence[Report]) -> Role:
    """Without any table: the newest configuration, and keepalived's newest word since the router is in a pair."""
    configuration = [i for i, report in enumerate(reports) if report in CONFIGURATION]
    if not configuration or reports[configuration[-1]] is Report.NO_TIER:
        return Role.INIT
    if reports[configuration[-1]] is Report.ALONE:
        return Role.MASTER
    pair_since = max((i for i in configuration if reports[i] is not Report.PAIRED), default=-1)
    pair_since = next(i for i in configuration if i > pair_since)
    words = [report for report in reports[pair_since:] if report in SAID]
    return SAID[words[-1]] if words else Role.INIT


@pytest.mark.parametrize("report", Report, ids=lambda report: report.value)
@pytest.mark.parametrize("standing", Standing, ids=lambda standing: standing.value)
def test_every_row_leads_to_the_role_of_its_history(standing: Standing, report: Report) -> None:
    machine = told(WAY_TO[standing])
    assert machine.standing is standing
    before = machine.role

    change = machine.observe(report, "because")

    assert machine.role is role_by_history([*WAY_TO[standing], report])
    assert (change.previous, change.role, change.changed) == (before, machine.role, machine.role is not before)
    assert (machine.reason == "because") is change.changed


@given(st.lists(st.sampled_from(Report), max_size=12))
def test_any_sequence_of_reports_leads_to_the_role_of_its_history(reports: list[Report]) -> None:
    assert told(reports).role is role_by_history(reports)


@given(st.lists(st.sampled_from(Report), max_size=8), st.sampled_from(Report))
def test_a_report_that_is_repeated_changes_nothing(reports: list[Report], report: Report) -> None:
    machine = told([*reports, report])
    standing, reason = machine.standing, machine.reason

    change = machine.observe(report, "again")

    assert (machine.standing, machine.reason) == (standing, reason)
    assert change.intents == ()


def test_the_table_is_total_and_each_row_stands_once() -> None:
    assert set(GRID) == set(Standing)
    rows = [(row["source"], row["trigger"]) for row in TABLE]
    assert sorted(rows, key=str) == sorted(
        ((standing, report.value) for standing in Standing for report in Report), key=str
    )


def test_no_row_names_its_own_standing_as_destination() -> None:
    """Staying is written as such, so that the drawing has no loops and a reader sees what is left alone."""
    assert [row for row in TABLE if row["dest"] is row["source"]] == []


def test_a_new_machine_is_in_init_and_asks_for_nothing() -> None:
    machine = RoleMachine()
    assert (machine.role, machine.standing) == (Role.INIT, Standing.NO_TIER)
    assert machine.reason


def test_two_machines_share_nothing() -> None:
    one, other = told([Report.ALONE]), RoleMachine()
    assert (one.role, other.role) == (Role.MASTER, Role.INIT)


def test_master_straight_from_init() -> None:
    """An agent that starts beside a running keepalived hears `master` first."""
    assert told([Report.PAIRED, Report.MASTER]).role is Role.MASTER


def test_a_master_whose_keepalived_died_is_no_master_and_says_why() -> None:
    machine = told([Report.PAIRED, Report.MASTER])
    change = machine.observe(Report.LOST, "keepalived was killed by signal 9")
    assert (change.role, change.reason) == (Role.FAULT, "keepalived was killed by signal 9")
    assert machine.observe(Report.FAULT, "eth2 is down").reason == "keepalived was killed by signal 9"


def test_without_a_reason_the_report_speaks_for_itself() -> None:
    reasons = [told([*way, report]).reason for way in WAY_TO.values() for report in Report]
    assert all(reasons)
    assert told([Report.PAIRED, Report.MASTER]).reason == "keepalived reports master"


@pytest.mark.parametrize(
    ("reports", "intents"),
    [
        ([Report.PAIRED], ()),
        ([Report.PAIRED, Report.BACKUP], (Intent.SETTLE, Intent.RESYNC, Intent.RECORD)),
        ([Report.PAIRED, Report.MASTER, Report.BACKUP], (Intent.SETTLE, Intent.RESYNC, Intent.RECORD)),
        ([Report.PAIRED, Report.MASTER], (Intent.SETTLE, Intent.SHARE, Intent.RECORD)),
        ([Report.PAIRED, Report.BACKUP, Report.MASTER], (Intent.SETTLE, Intent.SHARE, Intent.RECORD)),
        ([Report.ALONE], (Intent.SETTLE, Intent.RECORD)),
        ([Report.PAIRED, Report.MASTER, Report.LOST], (Intent.SETTLE, Intent.RECORD)),
        ([Report.PAIRED, Report.MASTER, Report.ALONE], ()),
        ([Report.ALONE, Report.NO_TIER], (Intent.SETTLE, Intent.RECORD)),
    ],
    ids=lambda value: "-".join(item.value for item in value) or "nothing",
)
def test_what_is_to_be_done_about_a_change(reports: list[Report], intents: tuple[Intent, ...]) -> None:
    assert told(reports[:-1]).observe(reports[-1]).intents == intents


@pytest.mark.parametrize(
    ("has_tier", "redundant", "report"),
    [
        (False, False, Report.NO_TIER),
        (False, True, Report.NO_TIER),
        (True, False, Report.ALONE),
        (True, True, Report.PAIRED),
    ],
)
def test_the_report_of_a_configuration(has_tier: bool, redundant: bool, report: Report) -> None:
    assert Report.of_configuration(has_tier=has_tier, redundant=redundant) is report


class AgentsLife(RuleBasedStateMachine):
    """Configuration and keepalived take turns at random; what must hold at every moment is written in words."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = RoleMachine()
        self.has_tier = False
        self.redundant = True
        self.keepalived_lives = False
        self.recorded = [Role.INIT]
        self.due: list[Intent] = []

    def observe(self, report: Report) -> None:
        change = self.machine.observe(report)
        assert change.previous is self.recorded[-1]
        if Intent.RECORD in change.intents:
            self.recorded.append(change.role)
        self.due.extend(change.intents)

    @rule(has_tier=st.booleans(), redundant=st.booleans())
    def configure(self, has_tier: bool, redundant: bool) -> None:
        self.has_tier, self.redundant = has_tier, redundant
        self.observe(Report.of_configuration(has_tier=has_tier, redundant=redundant))

    @rule(report=st.sampled_from([Report.BACKUP, Report.MASTER, Report.FAULT]))
    def keepalived_reports(self, report: Report) -> None:
        self.keepalived_lives = True
        self.observe(report)

    @rule(in_order=st.booleans())
    def keepalived_ends(self, in_order: bool) -> None:
        if in_order:
            self.observe(Report.STOPPED)
        self.keepalived_lives = False
        self.observe(Report.LOST)

    @rule()
    def a_predecessors_last_word_comes_late(self) -> None:
        before = self.machine.role
        self.observe(Report.STOPPED)
        assert self.machine.role is before

    @rule()
    def agent_is_killed(self) -> None:
        """The new agent knows the configuration from the journal, and no role."""
        self.machine = RoleMachine()
        self.recorded = [Role.INIT]
        self.observe(Report.of_configuration(has_tier=self.has_tier, redundant=self.redundant))

    @invariant()
    def init_while_there_is_no_guest_network(self) -> None:
        if not self.has_tier:
            assert self.machine.role is Role.INIT

    @invariant()
    def alone_is_master(self) -> None:
        if self.has_tier and not self.redundant:
            assert self.machine.role is Role.MASTER

    @invariant()
    def no_master_in_a_pair_without_keepalived(self) -> None:
        if self.redundant and not self.keepalived_lives:
            assert self.machine.role in (Role.INIT, Role.FAULT)

    @invariant()
    def the_records_tell_the_role(self) -> None:
        assert self.recorded[-1] is self.machine.role
        assert all(one is not other for one, other in zip(self.recorded, self.recorded[1:], strict=False))

    @invariant()
    def every_change_is_settled(self) -> None:
        assert self.due.count(Intent.SETTLE) == self.due.count(Intent.RECORD)


TestAgentsLife = AgentsLife.TestCase
TestAgentsLife.settings = settings(max_examples=60, stateful_step_count=25)
