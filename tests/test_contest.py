"""Both routers serve: said once, when VRRP has had its time, and counted when it is over."""

from __future__ import annotations

from collections import Counter

from vpcrouter.agent.contest import Contest, Verdict

MS = 1_000_000


def test_a_contest_is_disputed_once_and_ends_once() -> None:
    contest = Contest(advertisement_interval_ms=100)
    said = [contest.judge(contested) for contested in (None, 0, 100 * MS, 101 * MS, 300 * MS, None, None)]
    nothing = Verdict.NOTHING
    assert said == [nothing, nothing, nothing, Verdict.DISPUTED, nothing, Verdict.ENDED, nothing]


def test_the_next_contest_is_disputed_anew() -> None:
    contest = Contest(advertisement_interval_ms=10)
    said = [contest.judge(contested) for contested in (11 * MS, None, 11 * MS)]
    assert said == [Verdict.DISPUTED, Verdict.ENDED, Verdict.DISPUTED]


def test_less_than_an_advertisement_is_no_double_master() -> None:
    counters: Counter[str] = Counter()
    Contest(advertisement_interval_ms=100).count([99, 100, 250], counters)
    assert counters == {"double_masters": 2, "double_master_ms": 350}
