"""A thousand commands at once to a pair that is in use: quick, and nobody notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpcrouter.lab.burst import run_burst
from vpcrouter.lab.drill import READY_S, is_ready
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.load import burst_of, write_files
from vpcrouter.lab.probing import Probe, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

COMMANDS = 1000
LONG_DELAY_MS = 2000
"""Of the default settings. A quiet machine takes the burst in 1.2 s."""


def test_a_thousand_commands_are_two_reloads_and_no_lost_packet(routers: Laboratory, tmp_path: Path) -> None:
    files = write_files(burst_of(COMMANDS), tmp_path)
    assert routers.wait(is_ready, READY_S), routers.status()
    with Probe(routers, "vm2", Target.parse("ext")) as lowest, Probe(routers, "vm4", Target.parse("ext")) as other:
        report = run_burst(routers, files)
        lost = [lowest.stop().lost, other.stop().lost]
    for router, part in report.routers.items():
        assert (part.accepted, part.settled) == (COMMANDS, True), (router, part.rejections, part.differences)
        # Two, and one more each time that a command has waited for as long as a setting lets it.
        assert part.keepalived_reloads <= 2 + part.from_first.durable_ms // LONG_DELAY_MS
        assert (part.keepalived_starts, part.role_changes) == (0, 0)
    assert lost == [0, 0]
    again = run_burst(routers, files)
    for part in again.routers.values():
        assert (part.accepted, part.keepalived_reloads, part.role_changes) == (0, 0, 0)
