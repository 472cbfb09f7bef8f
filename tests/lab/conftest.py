"""Laboratories for the tests: unique prefixes, taken down whatever happens."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.example import BURST, state_after
from vpcrouter.appliers import _kernel_features
from vpcrouter.appliers._process import SEARCH_PATH
from vpcrouter.lab.burst import burst_files, run_burst
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import PROGRAMS, Laboratory
from vpcrouter.projections.digest import digest

SETTLED_S = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, and say what is missing."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=SEARCH_PATH) is None]
    reason = "needs root" if os.geteuid() != 0 else f"not installed: {', '.join(missing)}" if missing else ""
    for item in items:
        why = reason
        if item.get_closest_marker("vm") and (lacks := _kernel_features.lacks_ppp()):
            why = why or f"{lacks}; `make test-vm` emulates a machine that has it"
        if why and "/lab/" in item.nodeid and item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the agents said last beside a failure: it may not come again."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for laboratory in {each for each in item.funcargs.values() if isinstance(each, Laboratory)}:
            for router, machine in laboratory.machines.items():
                report.sections.append((f"{laboratory.names.prefix} {router}", tail_of(machine.output)))
    return report


def tail_of(path: Path, lines: int = 60) -> str:
    """The end of a text file, or why there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


def new_laboratory(*agent_options: str) -> Laboratory:
    """One that nobody else uses."""
    return Laboratory(f"t{os.getpid()}-{secrets.token_hex(2)}", agent_options=agent_options)


def hand_in(laboratory: Laboratory, router: str, files: list[Path]) -> None:
    """Command files to one router; waits for nothing but their acknowledgement."""
    with laboratory.connect(router) as agent:
        for path in files:
            assert all(line["status"] != "rejected" for line in agent.submit(path.name, path.read_text())), path


@pytest.fixture
def bare() -> Iterator[Laboratory]:
    """Machines and cables; no agents."""
    laboratory = new_laboratory()
    try:
        laboratory.build()
        yield laboratory
    finally:
        laboratory.down()


@pytest.fixture(scope="session")
def running() -> Iterator[Laboratory]:
    """A laboratory with both agents, shared by the tests of a session; each leaves it whole."""
    laboratory = new_laboratory()
    try:
        laboratory.up()
        yield laboratory
    finally:
        laboratory.down()


@pytest.fixture(scope="module")
def routers() -> Iterator[Laboratory]:
    """A laboratory for the tests of one module, with the example burst on both routers."""
    laboratory = new_laboratory()
    try:
        laboratory.up()
        assert run_burst(laboratory, burst_files(BURST)).is_good
        yield laboratory
    finally:
        laboratory.down()


@pytest.fixture(scope="session")
def example_digest() -> str:
    """What a router's digest is after the example burst and nothing else."""
    return digest(state_after(burst_files(BURST)["rA"]))


@pytest.fixture
def pair(running: Laboratory, example_digest: str) -> Iterator[Laboratory]:
    """The running laboratory with the example burst on it; made whole again after the test.

    If an earlier test left another configuration, the laboratory is built anew.
    """
    if any(status.get("digest") != example_digest for status in running.status().values()):
        if any(status.get("seq") != 0 for status in running.status().values()):
            running.up()
        assert run_burst(running, burst_files(BURST)).is_good
    assert running.wait(is_pair, SETTLED_S), running.status()
    yield running
    running.heal()
    assert running.wait(is_pair, SETTLED_S), running.status()
