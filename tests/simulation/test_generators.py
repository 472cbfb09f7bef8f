"""What is drawn: every type of command with every field, each in CloudStack's form too, and every kind of fault."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from vpcrouter.cloudstack.decoder import decode
from vpcrouter.command_json import NAMES, loads
from vpcrouter.errors import CallerError
from vpcrouter.simulation import wire
from vpcrouter.simulation.case import (
    CUTS,
    DISK_FAULTS,
    DRIFTS,
    MORTALS,
    PROCESSES,
    QUESTIONS,
    Ask,
    Case,
    Crash,
    CutCable,
    DiskFault,
    Drift,
    Network,
    Pause,
    PowerOff,
    SetClock,
    Snapshot,
    Submit,
    Unplug,
)
from vpcrouter.simulation.excuses import touched_by
from vpcrouter.simulation.faults import planned_faults
from vpcrouter.simulation.strategies import (
    FAULTS,
    Timing,
    add_tier,
    boot,
    cases,
    every_command,
    public,
    schedule,
    vpc_commands,
)
from vpcrouter.values.config import Secret

BY_HAND = frozenset({("TierIpv6", "public_network"), ("Certificate", "certificates"), ("Certificate", "key")})
"""One public IPv6 network is enough for a router, and nobody looks into a certificate here."""


def drawn(strategy: SearchStrategy[Any], count: int) -> list[Any]:
    found: list[Any] = []

    @seed(1)
    @settings(max_examples=count, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(strategy)
    def take(value: Any) -> None:
        found.append(value)

    take()
    return found


def readable() -> Iterator[Any]:
    for each in every_command():
        for text in each.texts.values():
            try:
                yield loads(text)
            except CallerError:
                continue


def test_every_type_of_command_is_drawn_with_every_field() -> None:
    values: dict[tuple[str, str], set[object]] = defaultdict(set)
    seen: set[type] = set()

    def walk(value: Any) -> None:
        if isinstance(value, tuple):
            for each in value:
                walk(each)
        elif attrs.has(type(value)) and not isinstance(value, Secret):
            seen.add(type(value))
            for field in attrs.fields(type(value)):
                found = getattr(value, field.name)
                values[type(value).__name__, field.name].add(found.reveal() if isinstance(found, Secret) else found)
                walk(found)

    for command in readable():
        walk(command)
    assert {name for name, kind in NAMES.items() if kind not in seen} == set()
    assert {name for name, found in values.items() if len(found) < 2} - BY_HAND == {("Certificate", "key_label")}


def test_what_is_written_as_cloudstack_does_reads_as_the_same_command() -> None:
    kinds = set()
    for command in readable():
        if (text := wire.dumps(command)) is not None:
            assert decode(text) == command
            kinds.add(type(command).__name__)
    assert len(kinds) == 17


def test_commands_come_in_both_forms_accepted_and_refused() -> None:
    texts = [text for command in drawn(vpc_commands(), 400) for text in command.texts.values()]
    assert sum('"command"' in text for text in texts) > 100
    assert sum('"type"' in text for text in texts) > 100
    assert any(not text.startswith("{") for text in texts)


def test_no_command_but_those_of_tiers_and_addresses_may_interrupt_a_tier() -> None:
    """So a tier that is gone for a moment because of any of the others is an outage."""
    may = {each.texts["rA"] for each in every_command() if touched_by(each.texts["rA"])}
    names = {str(text).partition('"command":"')[2].partition('"')[0] for text in may}
    assert names - {""} == {
        "configure-router",
        "change-public-addresses",
        "put-tier",
        "remove-tier",
        "open-the-pod-bay-doors",
    }


@pytest.fixture(scope="module")
def many() -> list[Case]:
    return drawn(cases(faults=()), 300)


@pytest.mark.slow
def test_every_kind_of_fault_is_drawn() -> None:
    plans = drawn(planned_faults(FAULTS, 3), 2_500)
    steps = [step for plan in plans for each in plan for step in each.steps([2_000])]
    kinds = Counter(type(step) for step in steps)
    wanted = {Ask, Crash, CutCable, DiskFault, Drift, Network, Pause, PowerOff, SetClock, Snapshot, Unplug}
    assert set(kinds) == wanted
    assert {step.process for step in steps if isinstance(step, Crash)} == set(MORTALS)
    assert {step.process for step in steps if isinstance(step, Pause)} == {*PROCESSES, "all"}
    assert {step.how for step in steps if isinstance(step, DiskFault)} == set(DISK_FAULTS)
    assert {step.what for step in steps if isinstance(step, Drift)} == set(DRIFTS)
    assert {step.how for step in steps if isinstance(step, CutCable)} == set(CUTS)
    assert {step.what for step in steps if isinstance(step, Ask)} == set(QUESTIONS)
    assert {step.loss for step in steps if isinstance(step, Network)} >= {0.0, 1.0}


def test_every_shape_of_a_burst_is_drawn(many: list[Case]) -> None:
    submitted = [[step for step in case.steps if isinstance(step, Submit)] for case in many]
    assert any(step.within_ms and step.condition for case in submitted for step in case)
    assert any(step.within_ms and not step.condition for case in submitted for step in case)
    orders = [
        tuple([step.name for step in case if step.router == router] for router in ("rA", "rB")) for case in submitted
    ]
    assert any(first == second for first, second in orders)
    assert any(first != second and sorted(first) == sorted(second) for first, second in orders)
    assert any(not set(first) <= set(second) for first, second in orders)


def test_a_change_is_the_same_on_both_routers() -> None:
    burst = [boot(), public(10), add_tier(2)]
    steps = schedule(burst, Timing(unconfirmed=2, within_ms=400, skew_ms=40))
    assert {(step.router, step.within_ms) for step in steps if step.name == "add-eth2"} == {("rA", 400), ("rB", 400)}
    assert {step.within_ms for step in steps if step.name != "add-eth2"} == {0}
