"""A thousand commands at once to a pair that is in use: quick, and nobody notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.busy import share_of_a_processor
from vpcrouter.lab.burst import run_burst
from vpcrouter.lab.drill import READY_S, is_ready
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.load import burst_of, write_files
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.lab.provision import Provisioner, taken_back

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timed]

COMMANDS = 1000
LONG_DELAY_MS = 2000
"""Of the default settings. A quiet machine takes the burst in 1.2 s."""
WITHIN_MS = 2000
"""From the first command until all are applied and verified on both, on processors that nobody else uses; 1.1 to 1.2 s
were seen at a load of 2."""
ATTEMPTS = 2


def test_a_thousand_commands_are_two_reloads_and_no_lost_packet(routers: Laboratory, tmp_path: Path) -> None:
    burst = burst_of(COMMANDS)
    files = write_files(burst, tmp_path)
    took: list[float] = []
    while not took or (min(took) > WITHIN_MS and len(took) < ATTEMPTS):
        if took:
            Provisioner(routers).put_both(taken_back(burst))
        before = share_of_a_processor()
        took_ms = hand_in_unnoticed(routers, files)
        took.append(took_ms * min(before, share_of_a_processor()))
    assert min(took) <= WITHIN_MS, took
    again = run_burst(routers, files)
    for part in again.routers.values():
        assert (part.accepted, part.keepalived_reloads, part.role_changes) == (0, 0, 0)


def hand_in_unnoticed(routers: Laboratory, files: dict[str, list[Path]]) -> float:
    """How long it took until it was applied and verified on both, in ms."""
    assert routers.wait(is_ready, READY_S), routers.status()
    with Probe(routers, "vm2", Target.parse("ext")) as lowest, Probe(routers, "vm4", Target.parse("ext")) as other:
        report = run_burst(routers, files)
        lost = [lowest.stop().lost, other.stop().lost]
    for router, part in report.routers.items():
        assert (part.accepted, part.settled) == (COMMANDS, True), (router, part.rejections, part.differences)
        # Two, and two more each time that a command has waited for as long as a setting lets it: where the machine
        # holds up who sends, one burst has ended and another one begins.
        assert part.keepalived_reloads <= 2 + 2 * (part.from_first.durable_ms // LONG_DELAY_MS)
        assert (part.keepalived_starts, part.role_changes) == (0, 0)
    assert lost == [0, 0]
    return max(part.from_first.verified_ms for part in report.routers.values())
