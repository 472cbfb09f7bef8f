"""A process that is killed with -9 around the deadline of its change: the change is whole, and goes once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.changers import WITHIN_MS
from tests.strategies import additive_commands
from vpcrouter import Router
from vpcrouter.events import ChangeReverted, ConfirmationRequired
from vpcrouter.journal import read_journal

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 12


def kill_a_changer(directory: Path, after_s: float) -> None:
    """Start one, and kill it so long after its first change was acknowledged."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    command = [sys.executable, "-m", "tests.changers", str(directory)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("change")
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)


def test_killed_around_the_deadline(tmp_path: Path) -> None:
    directory, chance = tmp_path / "journal", random.Random(5)
    with Router.open(directory) as router:
        router.submit_many(additive_commands(2))
        digest, tiers = router.digest, set(router.state.tiers)
    met = set()
    for _ in range(ROUNDS):
        kill_a_changer(directory, chance.gauss(WITHIN_MS, 10) / 1000)
        with Router.open(directory) as router:
            waiting = router.unconfirmed
            met.add(bool(waiting))
            has_it = set(router.state.tiers) - tiers
            assert has_it == ({"eth7", "eth8"} if waiting else set()), "the change and the duty are one group"
            for _, left_s in waiting:
                assert left_s <= WITHIN_MS / 1000
            time.sleep(max((left_s for _, left_s in waiting), default=0) + 0.002)
            assert len(router.expire()) == len(waiting)
            assert router.digest == digest
    kinds = [type(record.event) for record in read_journal(directory)]
    assert kinds.count(ConfirmationRequired) == kinds.count(ChangeReverted) >= ROUNDS
    assert True in met, "no kill came before the end of a change"
