"""Each rule is broken by something: a router that does it is found by one plain case.

What takes a search to be found is in `test_historical_faults`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from tests.simulation.test_pair import case
from vpcrouter.agent import Agent
from vpcrouter.errors import CallerError
from vpcrouter.events import GuestPagesRemoved
from vpcrouter.journal import Entry
from vpcrouter.plan import Operation
from vpcrouter.plan.daemons import ObservedDaemon, plan_daemon
from vpcrouter.router import Router
from vpcrouter.simulation.case import Ask, Crash, PowerOff, SetClock, Step, Submit
from vpcrouter.simulation.pair import run
from vpcrouter.simulation.strategies import add_tier
from vpcrouter.values.desired import Daemon

TAKEN = add_tier(2).texts["rA"].replace("eth2", "eth7")
"""A tier whose network another device has."""
REFUSED: list[Step] = [Submit(at_ms=at_ms, router="rA", name="x", text=TAKEN) for at_ms in (2_500, 2_700)]
LATER: list[Step] = [SetClock(at_ms=20_000, router="rA", by_s=0)]


def state_of_what_was_refused(patch: pytest.MonkeyPatch) -> None:
    submit = Router.submit_each

    def submit_each(router: Router, *args: Any, **words: Any) -> Any:
        results = submit(router, *args, **words)
        if any(isinstance(each, CallerError) for each in results):
            router._state = evolve(router._state, monitoring=None)
        return results

    patch.setattr(Router, "submit_each", submit_each)


def record_of_what_was_refused(patch: pytest.MonkeyPatch) -> None:
    from vpcrouter import desk

    submit = desk.submit

    def and_record(router: Router, *args: Any, **words: Any) -> Any:
        answers = submit(router, *args, **words)
        if any(line["status"] == "rejected" for lines in answers for line in lines):
            router._append([Entry(event=GuestPagesRemoved(address="10.1.2.10"), origin="socket")])
        return answers

    patch.setattr("vpcrouter.agent.intake.desk.submit", and_record)


def digest_of_what_is_ones_own(patch: pytest.MonkeyPatch) -> None:
    shared = Router.digest.fget  # type: ignore[attr-defined]

    def digest(router: Router) -> str:
        config = router.state.router
        return str(shared(router)) if config is None else f"{shared(router)}-{config.name}"

    patch.setattr(Router, "digest", property(digest))


def carrier_of_ones_own(patch: pytest.MonkeyPatch) -> None:
    """A status that names another carrier than the peer's."""
    status = Agent.status

    def named(agent: Agent) -> dict[str, Any]:
        found = status(agent)
        return {**found, "interface": agent._router.state.router and agent._router.state.router.name}

    patch.setattr(Agent, "status", named)


def reload_for_every_look(patch: pytest.MonkeyPatch) -> None:
    plan = plan_daemon

    def restless(daemon: Daemon, observed: ObservedDaemon) -> tuple[Operation, ...]:
        if daemon.name == "keepalived" and observed.running:
            return (*plan(daemon, observed), Operation(target="keepalived", action="reload", subject="again"))
        return plan(daemon, observed)

    patch.setattr("vpcrouter.appliers.daemons.plan_daemon", restless)


def part_that_ends(patch: pytest.MonkeyPatch) -> None:
    settle_all = Agent._settle_all

    def broken(agent: Agent) -> None:
        agent._spawn(_fails())
        settle_all(agent)

    async def _fails() -> None:
        raise ZeroDivisionError

    patch.setattr(Agent, "_settle_all", broken)


BROKEN: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], list[Step], str]] = {
    "a state that a refused command changed": (state_of_what_was_refused, REFUSED, "rejection"),
    "a record of a refused command": (record_of_what_was_refused, REFUSED, "rejection"),
    "digests that differ": (digest_of_what_is_ones_own, [], "converged"),
    "carriers that differ": (carrier_of_ones_own, [], "converged"),
    "reloads without a cause": (reload_for_every_look, LATER, "settled"),
    "an error that nobody expects": (part_that_ends, [Ask(at_ms=2_500, router="rA", what="settle")], "agent"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, steps, rule = BROKEN[name]
    assert rule not in {each.rule for each in run(case(*steps)).violations}
    broken(monkeypatch)
    assert rule in {each.rule for each in run(case(*steps)).violations}


def test_a_promise_that_nobody_keeps_is_found_though_who_gave_it_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is under way when the power fails, and the record was never synced."""
    from tests.simulation.faults import acknowledged_before_it_is_on_the_disk

    acknowledged_before_it_is_on_the_disk(monkeypatch)
    steps: list[Step] = [add_tier(4).to("rA", 2_500), PowerOff(at_ms=2_501, router="rA", for_ms=300)]
    reports = (run(case(*steps, seed=seed)) for seed in range(30))
    assert any(each.rule == "durable" for report in reports for each in report.violations)


def test_a_killed_agent_is_no_failure_of_the_code() -> None:
    assert run(case(Crash(at_ms=2_500, router="rA", process="agent"))).violations == ()
