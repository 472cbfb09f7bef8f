"""A daemon that takes its files from a command has them when the command has succeeded, whatever happened before.

The daemon is a shell that says a while after its start that it is at work, as charon does on a slow machine.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from vpcrouter.appliers._daemon_kinds import DaemonKind
from vpcrouter.appliers._supervised import Supervised
from vpcrouter.errors import ApplierError
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.settings import Settings

SLOW = DaemonKind(
    name="slow",
    program="sh",
    config="slow.conf",
    arguments=lambda settings: ("-c", "sleep 0.5; echo at work; exec sleep 60", str(settings.config_dir / "slow.conf")),
    reload_by=lambda settings: ("cp", str(settings.config_dir / "slow.conf"), str(settings.run_dir / "told")),
    takes_files_from_command=True,
    ready=b"at work",
    ready_s=10.0,
)
IMPATIENT = attrs.evolve(SLOW, ready_s=0.05)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path))


@pytest.fixture
def daemon(settings: Settings) -> Daemon:
    """Its files, which are on the disk."""
    file = File(path=str(settings.config_dir / "slow.conf"), content="connections\n")
    Path(file.path).parent.mkdir(parents=True)
    Path(file.path).write_text(file.content)
    fixed = File(path=str(settings.config_dir / "slow.settings"), content="settings\n")
    return Daemon(name="slow", restart_files=(fixed,), reload_files=(file,))


@pytest.fixture
def impatient(settings: Settings) -> Iterator[Supervised]:
    supervised = Supervised(IMPATIENT, settings)
    yield supervised
    supervised.stop()
    supervised.close()


def lacks(supervised: Supervised, daemon: Daemon) -> list[str]:
    return [Path(file.path).name for file in daemon.files if not supervised.has_loaded(file)]


def test_one_that_is_told_after_its_start_has_all_its_files(settings: Settings, daemon: Daemon) -> None:
    supervised = Supervised(SLOW, settings)
    try:
        supervised.start(daemon)
        assert lacks(supervised, daemon) == ["slow.conf"]
        supervised.wait_until_ready(daemon)
        assert lacks(supervised, daemon) == []
        assert Path(settings.run_dir, "told").read_text() == "connections\n"
    finally:
        supervised.stop()
        supervised.close()


def test_one_that_was_not_at_work_in_time_is_still_to_be_told(impatient: Supervised, daemon: Daemon) -> None:
    impatient.start(daemon)
    with pytest.raises(ApplierError, match=r"is not at work 0\.05 s after its start"):
        impatient.wait_until_ready(daemon)
    assert lacks(impatient, daemon) == ["slow.conf"]
    impatient.reload(daemon)
    assert lacks(impatient, daemon) == []


def test_one_whose_agent_died_before_it_told_is_still_to_be_told(
    settings: Settings, impatient: Supervised, daemon: Daemon
) -> None:
    impatient.start(daemon)
    next_agent = Supervised(SLOW, settings)
    next_agent.take_over()
    assert next_agent.process is not None
    assert lacks(next_agent, daemon) == ["slow.conf"]
    next_agent.close()


def test_after_an_agent_that_died_within_a_reload_neither_the_new_nor_the_old_content_is_believed(
    settings: Settings, impatient: Supervised, daemon: Daemon
) -> None:
    """It may have read the new one; where that is taken back, it has to be told as well."""
    with pytest.raises(ApplierError):
        impatient.start(daemon)
        impatient.wait_until_ready(daemon)
    impatient.reload(daemon)
    (file,) = daemon.reload_files
    changed = attrs.evolve(daemon, reload_files=(attrs.evolve(file, content="more connections\n"),))

    def dies() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        impatient.reload(changed, dies)
    next_agent = Supervised(SLOW, settings)
    next_agent.take_over()
    assert (lacks(next_agent, changed), lacks(next_agent, daemon)) == (["slow.conf"], ["slow.conf"])
    next_agent.close()


def test_whoever_notices_first_one_that_was_killed_has_ended_by_itself(impatient: Supervised, daemon: Daemon) -> None:
    impatient.start(daemon)
    process = impatient.process
    assert process is not None
    process.send(signal.SIGKILL)
    assert process.wait(5.0)
    assert impatient.has_died()
    assert (impatient.process, impatient.ended_by_itself(process.pidfd)) == (None, True)


def test_one_that_was_told_to_end_has_not_ended_by_itself(impatient: Supervised, daemon: Daemon) -> None:
    impatient.start(daemon)
    assert impatient.process is not None
    pidfd = impatient.process.pidfd
    impatient.stop()
    assert not impatient.ended_by_itself(pidfd)
