"""What an operator asks of a simulated pair: a handover, a change that has to be confirmed, a step back."""

from __future__ import annotations

from attrs import evolve

from tests.simulation.test_pair import ROUTERS, case, sound
from vpcrouter.simulation.case import Ask, Step, Submit
from vpcrouter.simulation.pair import Pair, Report, run
from vpcrouter.simulation.services import password
from vpcrouter.simulation.strategies import add_tier, boot, for_both, public


def answers(report: Report, what: str) -> list[str]:
    return [line.partition(f"answers {what}: ")[2] for line in report.trace if f" answers {what}: " in line]


def test_the_service_is_handed_over_and_no_guest_notices() -> None:
    report = sound(run(case(Ask(at_ms=4_500, router="master", what="handover"))))
    assert answers(report, "handover") == ["done, reasons, not refused, seconds"]
    assert [step.role for step in report.roles if step.at_ms > 4_500] == ["backup", "master"] or [
        step.role for step in report.roles if step.at_ms > 4_500
    ] == ["master", "backup"]
    assert report.outages == ()


def test_a_backup_hands_nothing_over() -> None:
    report = sound(run(case(Ask(at_ms=4_500, router="backup", what="handover"))))
    assert answers(report, "handover") == ["not done, reasons, refused, seconds"]


def changed(within_ms: int, condition: str, *more: Step) -> tuple[Report, list[bool]]:
    """A tier is added with a deadline on both; with what the two know in the end."""
    change = [evolve(add_tier(4).to(router, 2_000), within_ms=within_ms, condition=condition) for router in ROUTERS]
    wanted = case(*change, *more)
    report = sound(run(wanted))
    with Pair(seed=wanted.seed) as pair:
        for step in wanted.steps:
            pair.world.at(step.at_ms * 1_000_000, lambda step=step: pair.do(step))  # type: ignore[misc]
        pair.run_for(8)
        known = [router.state.tiers for name in ROUTERS if (router := pair.router(name)) is not None]
    return report, ["eth4" in tiers for tiers in known]


def test_a_change_that_nobody_confirms_is_taken_back_on_both() -> None:
    assert changed(900, "")[1] == [False, False]


def test_a_change_that_settles_confirms_itself() -> None:
    assert changed(6_000, "settled")[1] == [True, True]


def test_a_change_that_somebody_confirms_or_takes_back() -> None:
    for what, stays in (("confirm", True), ("take-back", False)):
        asked = [Ask(at_ms=2_500, router=router, what=what, about="add-eth4") for router in ROUTERS]
        report, known = changed(1_500, "", *asked)
        assert known == [stays, stays]
        assert len(answers(report, what)) == 2


def test_the_newest_events_are_reverted() -> None:
    with Pair(seed=1) as pair:
        pair.run_for(0.5)
        for command in (boot(), public(10), add_tier(2)):
            pair.do(command.to("rA", 0))
        pair.run_for(2)
        router = pair.router("rA")
        assert router is not None
        pair.do(Submit(at_ms=0, router="rA", name="add-eth3", text=add_tier(3).texts["rA"]))
        pair.run_for(0.3)
        assert "eth3" in router.state.tiers
        pair.do(Ask(at_ms=0, router="rA", what="revert", about="1"))
        pair.run_for(0.3)
        assert "eth3" not in router.state.tiers


def test_a_guest_fetches_its_password_once_whichever_router_it_asks() -> None:
    waits = for_both("password", lambda own: password(2, 0, own))
    asked = [Ask(at_ms=at_ms, router=name, what="guest-password") for at_ms, name in ((3_000, "rA"), (4_500, "rB"))]
    report = sound(run(case(*(waits.to(router, 2_000) for router in ROUTERS), *asked)))
    assert answers(report, "guest-password") == ["saved_password"]  # the other one heard of it
