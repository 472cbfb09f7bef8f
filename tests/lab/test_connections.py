"""Connections outlive not one failover only: the router that comes back learns them, and serves them next time."""

from __future__ import annotations

import time

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_drift import roles
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.probing import Transfer

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def fail_over_and_reboot(pair: Laboratory) -> str:
    """Crash the master and boot it again; returns the router that serves then."""
    crashed = roles(pair)["master"]
    pair.crash(crashed, "kill")
    other = {"rA": "rB", "rB": "rA"}[crashed]
    assert pair.wait(lambda status: status[other]["role"] == "master", SETTLED_S)
    pair.reboot([crashed])
    assert pair.wait(is_pair, SETTLED_S), pair.status()
    return str(roles(pair)["master"])


def test_a_download_survives_two_failovers_there_and_back(pair: Laboratory) -> None:
    with Transfer(pair, "ext", "vm2", bytes_per_s=2_000_000) as transfer:
        time.sleep(1)
        first = roles(pair)["master"]
        second = fail_over_and_reboot(pair)
        time.sleep(1.5)  # what the returning router has to learn
        third = fail_over_and_reboot(pair)
        report = transfer.stop()
    assert first == third != second
    assert report.survived, report
