"""The coalescer: its rules one by one, then an agent's life at random with a clock that is turned by hand."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vpcrouter.machines.coalescer import Coalescer

MS = 1_000_000


def make(quiet_ms: int = 20, max_delay_ms: int = 150, long_delay_ms: int = 2000) -> Coalescer:
    return Coalescer(quiet_ms=quiet_ms, max_delay_ms=max_delay_ms, long_delay_ms=long_delay_ms)


def test_nothing_is_due_before_anything_changed() -> None:
    coalescer = make()
    assert coalescer.deadline() is None
    assert not coalescer.is_pending


def test_a_single_change_waits_for_the_quiet_time() -> None:
    coalescer = make()
    coalescer.notice(1000 * MS)
    assert coalescer.deadline() == 1020 * MS
    assert not coalescer.is_due(1020 * MS - 1)
    assert coalescer.is_due(1020 * MS)


def test_each_change_of_a_burst_pushes_the_settle() -> None:
    coalescer = make()
    for at_ms in (1000, 1010, 1025):
        coalescer.notice(at_ms * MS)
    assert coalescer.deadline() == 1045 * MS


def test_a_long_burst_does_not_push_it_beyond_the_longest_delay_of_the_first_change() -> None:
    coalescer = make()
    for at_ms in range(1000, 1400, 10):
        coalescer.notice(at_ms * MS)
    assert coalescer.deadline() == 1150 * MS


def test_what_changes_during_a_settle_leads_to_exactly_one_more() -> None:
    coalescer = make()
    coalescer.notice(1000 * MS)
    coalescer.started(1020 * MS)
    for at_ms in (1030, 1035, 1040):
        coalescer.notice(at_ms * MS)
    assert coalescer.deadline() is None
    coalescer.finished(1050 * MS)
    assert coalescer.deadline() == 1140 * MS
    coalescer.started(1020 * MS)
    coalescer.finished(1050 * MS)
    assert coalescer.deadline() is None
    assert not coalescer.is_pending


def test_a_burst_that_goes_on_after_its_first_settle_is_settled_once_more_at_its_end() -> None:
    coalescer = make()
    starts = []
    for at_ms in range(1000, 2990, 10):
        coalescer.notice(at_ms * MS)
        if coalescer.is_due(at_ms * MS):
            starts.append(at_ms)
            coalescer.started(at_ms * MS)
            coalescer.finished(at_ms * MS)
    assert starts == [1150]
    assert coalescer.deadline() == (2980 + 100) * MS


def test_one_that_does_not_end_is_settled_after_the_long_delay() -> None:
    coalescer = make()
    coalescer.notice(1000 * MS)
    coalescer.started(1020 * MS)
    coalescer.finished(1050 * MS)
    for at_ms in range(1010, 3000, 10):
        coalescer.notice(at_ms * MS)
    assert coalescer.deadline() == 3010 * MS


def test_the_end_of_a_long_burst_is_as_quiet_as_its_last_settle_was_long() -> None:
    coalescer = make()
    coalescer.notice(1000 * MS)
    coalescer.started(1020 * MS)
    coalescer.notice(1100 * MS)
    coalescer.finished(1320 * MS)
    assert coalescer.deadline() == (1100 + 300) * MS
    coalescer.notice(1390 * MS)
    assert coalescer.deadline() == (1390 + 300) * MS
    coalescer.started(1690 * MS)
    coalescer.finished(1700 * MS)
    coalescer.notice(1750 * MS)
    assert coalescer.deadline() == (1750 + 20) * MS, "the pause was longer than that: a new burst"


def test_a_slow_settle_does_not_keep_what_is_urgent() -> None:
    coalescer = make()
    coalescer.notice(1000 * MS)
    coalescer.started(1020 * MS)
    coalescer.notice(1100 * MS)
    coalescer.urgent(1200 * MS)
    coalescer.finished(1320 * MS)
    assert coalescer.deadline() == 1200 * MS


def test_after_a_pause_it_is_a_new_burst() -> None:
    coalescer = make()
    coalescer.notice(1000 * MS)
    coalescer.started(1020 * MS)
    coalescer.finished(1050 * MS)
    coalescer.notice(1101 * MS)
    assert coalescer.deadline() == 1121 * MS


def test_after_a_long_settle_the_waiting_change_is_overdue() -> None:
    coalescer = make()
    coalescer.started(1020 * MS)
    coalescer.notice(1000 * MS)
    coalescer.finished(1050 * MS)
    assert coalescer.deadline() == 1020 * MS


def test_urgent_is_due_now_and_a_later_change_does_not_push_it() -> None:
    coalescer = make()
    coalescer.notice(1000 * MS)
    coalescer.urgent(1005 * MS)
    coalescer.notice(1010 * MS)
    assert coalescer.deadline() == 1005 * MS


def test_urgent_during_a_settle_is_due_at_its_end() -> None:
    coalescer = make()
    coalescer.started(1020 * MS)
    coalescer.urgent(1000 * MS)
    assert coalescer.deadline() is None
    coalescer.finished(1050 * MS)
    assert coalescer.deadline() == 1000 * MS


def test_a_second_urgent_does_not_push_the_first() -> None:
    coalescer = make()
    coalescer.urgent(1000 * MS)
    coalescer.urgent(1007 * MS)
    assert coalescer.deadline() == 1000 * MS


def test_without_a_quiet_time_each_change_is_due_at_once() -> None:
    coalescer = make(quiet_ms=0)
    coalescer.notice(1000 * MS)
    assert coalescer.deadline() == 1000 * MS


@given(
    gaps_ms=st.lists(st.integers(0, 60), min_size=1, max_size=200),
    quiet_ms=st.integers(1, 50),
    max_delay_ms=st.integers(1, 200),
    long_delay_ms=st.integers(1, 600),
    settle_ms=st.integers(0, 80),
)
def test_the_number_of_settles_and_every_delay_are_bounded(
    gaps_ms: list[int], quiet_ms: int, max_delay_ms: int, long_delay_ms: int, settle_ms: int
) -> None:
    """Play the changes against an agent that starts each settle at its deadline and needs `settle_ms` for it."""
    coalescer = make(quiet_ms, max_delay_ms, long_delay_ms)
    now = 0
    changes = []
    for gap in gaps_ms:
        now += gap * MS
        changes.append(now)
    starts: list[int] = []
    free_at = 0
    waiting: list[int] = []

    def settle_until(limit: float) -> None:
        nonlocal free_at
        while True:
            if free_at <= limit:
                coalescer.finished(free_at)
            if (due := coalescer.deadline()) is None or max(due, free_at) >= limit:
                return
            starts.append(max(due, free_at))
            coalescer.started(starts[-1])
            # No change waits longer than its bound, or than the settle before it let it.
            assert starts[-1] <= max(waiting[0] + max(max_delay_ms, long_delay_ms) * MS, free_at)
            waiting.clear()
            free_at = starts[-1] + settle_ms * MS

    for at in changes:
        settle_until(at)
        coalescer.notice(at)
        waiting.append(at)
    settle_until(float("inf"))

    assert not waiting
    assert not coalescer.is_pending
    assert len(starts) <= len(changes)
    # A settle that had to wait for the one before may start sooner after its first change, so count free ones.
    if settle_ms <= min(quiet_ms, max_delay_ms):
        spread_ms = (changes[-1] - changes[0]) // MS
        assert len(starts) <= 1 + spread_ms // min(quiet_ms, max_delay_ms)


class AgentsLoop(RuleBasedStateMachine):
    """Changes, urgent ones, settles and time at random."""

    def __init__(self) -> None:
        super().__init__()
        self.coalescer = make()
        self.now = 0
        self.unsettled: list[int] = []
        self.in_settle: list[int] | None = None
        self.is_urgent = False
        self.started_at = self.took = 0

    @rule(ms=st.integers(0, 200))
    def time_passes(self, ms: int) -> None:
        self.now += ms * MS

    @rule()
    def change(self) -> None:
        self.coalescer.notice(self.now)
        self.unsettled.append(self.now)

    @rule()
    def urgent_change(self) -> None:
        self.coalescer.urgent(self.now)
        self.unsettled.append(self.now)
        self.is_urgent = True

    @precondition(lambda self: self.in_settle is None)
    @rule()
    def settle_starts(self) -> None:
        self.coalescer.started(self.now)
        self.started_at = self.now
        self.in_settle, self.unsettled, self.is_urgent = self.unsettled, [], False

    @precondition(lambda self: self.in_settle is not None)
    @rule()
    def settle_ends(self) -> None:
        self.coalescer.finished(self.now)
        self.took = self.now - self.started_at
        self.in_settle = None

    @invariant()
    def no_change_is_left_unsettled(self) -> None:
        assert self.coalescer.is_pending is bool(self.unsettled)

    @invariant()
    def a_settle_is_due_in_time_and_never_beside_another(self) -> None:
        deadline = self.coalescer.deadline()
        assert self.coalescer.is_due(self.now) is (deadline is not None and deadline <= self.now)
        assert (deadline is None) is (self.in_settle is not None or not self.unsettled)
        if deadline is None:
            return
        assert self.unsettled[0] <= deadline <= self.unsettled[0] + 2000 * MS
        assert deadline <= self.unsettled[-1] + max(100 * MS, self.took)
        assert not self.is_urgent or deadline <= self.now


TestAgentsLoop = AgentsLoop.TestCase
TestAgentsLoop.settings = settings(max_examples=60, stateful_step_count=30)
