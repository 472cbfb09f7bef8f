"""The checks of a simulated router are made at their intervals, and at once when something fails: in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vpcrouter.appliers.nftables import NftOutcome
from vpcrouter.errors import ApplierError
from vpcrouter.simulation.appliers import SimulatedNftables
from vpcrouter.simulation.case import Submit
from vpcrouter.simulation.host import SimulatedSurroundings
from vpcrouter.simulation.pair import Pair
from vpcrouter.simulation.strategies import BASE_MS, boot
from vpcrouter.simulation.world import SECOND
from vpcrouter.values.desired import Ruleset

MINUTE_NS = 60 * SECOND
Published = list[tuple[int, str]]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
    """When (virtual ns) the results were written, and as what."""
    found: Published = []

    def publish(self: SimulatedSurroundings, path: Path, text: str) -> None:
        found.append((self.monotonic_ns(), text))

    monkeypatch.setattr(SimulatedSurroundings, "publish", publish)
    return found


def monitor(pair: Pair, name: str = "health", **keys: Any) -> None:
    wanted = {"type": "monitorservice", "health_checks_enabled": True, **keys}
    pair.submit(Submit(router="rA", at_ms=0, name=f"{name}.json", text=json.dumps(wanted)))
    pair.run_for(1.0)


def begin(pair: Pair) -> None:
    pair.do(boot().to("rA", BASE_MS))
    pair.run_for(3.0)


def made(published: Published) -> dict[str, dict[str, Any]]:
    """The newest results, by kind."""
    found: dict[str, dict[str, Any]] = json.loads(published[-1][1].split("MONITOR RESULTS:\n")[1])
    return found


def test_each_kind_is_made_at_its_interval(published: Published) -> None:
    with Pair() as pair:
        begin(pair)
        pair.run_for(30)
        assert published == [], "nobody has asked for checks"
        monitor(pair, health_checks_basic_run_interval=1, health_checks_advanced_run_interval=3)
        pair.run_for(4.5 * 60)
    first = published[0][0]
    minutes = [round((when - first) / MINUTE_NS, 1) for when, _ in published]
    assert minutes == [0, 1, 2, 3, 4]
    both = [json.loads(text.split("MONITOR RESULTS:\n")[1]) for _, text in published]
    assert len({each["basic"]["lastRun"]["start"] for each in both}) == 5
    assert len({each["advanced"]["lastRun"]["start"] for each in both}) == 2


def test_a_kind_with_no_interval_is_never_made_and_disabled_ones_are_not(published: Published) -> None:
    with Pair() as pair:
        begin(pair)
        monitor(pair, health_checks_basic_run_interval=1, health_checks_advanced_run_interval=0)
        pair.run_for(130)
        assert len(published) == 3
        assert set(made(published)) == {"basic"}
        monitor(pair, "off", health_checks_enabled=False)
        pair.run_for(180)
    assert len(published) == 3


def test_what_begins_to_fail_is_told_at_once_and_so_is_that_it_is_well_again(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SimulatedNftables, ruleset: Ruleset) -> NftOutcome:
        raise ApplierError("refuses", where="nftables")

    with Pair() as pair:
        begin(pair)
        monitor(pair, health_checks_basic_run_interval=60, health_checks_advanced_run_interval=60)
        pair.run_for(5)
        with monkeypatch.context() as broken:
            broken.setattr(SimulatedNftables, "settle", refuse)
            broken.setattr(SimulatedNftables, "verify", lambda *_, **__: ("nftables: not there",))
            pair.run_for(30)
            assert published[-1][1].startswith("FAILING CHECKS:\niptables_check.py\n")
            assert made(published)["advanced"]["iptables_check.py"]["success"] == "FAILED"
        pair.run_for(30)
        assert published[-1][1].startswith("FAILING CHECKS:\n\n")
        status = pair.status("rA")
        assert status is not None
        assert [each["what"].partition(":")[0] for each in status["alerts"]] == [
            "iptables_check.py fails",
            "iptables_check.py is well again",
        ]
        assert {each["name"]: each["success"] for each in status["health"]}["iptables_check.py"] == "SUCCESS"
