"""Programs are run to their end or started as daemons, and are never mistaken for one another."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vpcrouter.appliers import _process
from vpcrouter.appliers._process import Process
from vpcrouter.errors import ApplierError, MissingProgramError

Spawn = Callable[..., Process]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts a daemon that is killed after the test."""
    started: list[Process] = []

    def start(*argv: str, output: Path = tmp_path / "out.log") -> Process:
        process = _process.open_process(_process.spawn(argv, output=output))
        assert process is not None
        started.append(process)
        command_line = Path(f"/proc/{process.pid}/cmdline")
        # Empty in the middle of an exec.
        assert _until(
            lambda: not process.is_alive() or bool((words := command_line.read_bytes()) and b"prlimit" not in words)
        )
        return process

    yield start
    for process in started:
        process.send(signal.SIGKILL)
        process.wait(5)
        process.close()


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


# Running to the end ---------------------------------------------------------------------------------


def test_run_returns_what_was_printed_and_nothing_else() -> None:
    assert _process.run(["sh", "-c", "cat; echo said >&2"], stdin=b"given") == b"given"


def test_run_says_what_failed_and_how() -> None:
    with pytest.raises(ApplierError, match=r"^sh: exit status 3: line 2 is bad$"):
        _process.run(["sh", "-c", "echo line 2 is bad >&2; exit 3"])


def test_run_repeats_only_the_end_of_a_long_complaint() -> None:
    with pytest.raises(ApplierError) as caught:
        _process.run(["sh", "-c", "yes complaint | head -n 10000 >&2; echo the end >&2; exit 1"])
    assert str(caught.value).endswith("the end")
    assert len(str(caught.value)) < _process.MESSAGE_LENGTH + 100


def test_run_names_the_signal() -> None:
    with pytest.raises(ApplierError, match="killed by signal 9"):
        _process.run(["sh", "-c", "kill -9 $$"])


def test_run_kills_what_takes_too_long() -> None:
    before = time.monotonic()
    with pytest.raises(ApplierError, match=r"sleep: not done after 0\.1 s"):
        _process.run(["sleep", "60"], timeout=0.1)
    assert time.monotonic() - before < 5


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "SEARCH_PATH", "/nowhere")
    with pytest.raises(MissingProgramError, match=r"nft: program not found \(apt-get install nftables\)"):
        _process.run(["nft", "--version"])


def test_words_stay_words() -> None:
    hostile = "; touch x\n$(id) `id` 'a' \"b\" --flag"
    assert _process.run(["printf", "%s", hostile]).decode() == hostile


def test_nothing_of_our_environment_reaches_a_program(
    monkeypatch: pytest.MonkeyPatch, spawn: Spawn, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    assert b"hunter2" not in _process.run(["env"])
    spawn("sh", "-c", "env; sleep 0.1").wait(5)
    assert "hunter2" not in (tmp_path / "out.log").read_text()
    assert "PATH=" in (tmp_path / "out.log").read_text()


# Daemons --------------------------------------------------------------------------------------------


def test_a_daemon_has_its_own_session_and_no_input_or_open_file_of_ours(spawn: Spawn, tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), False)
        daemon = spawn("sleep", "60")
    assert os.getsid(daemon.pid) == daemon.pid
    descriptors = {path.name: str(path.readlink()) for path in Path(f"/proc/{daemon.pid}/fd").iterdir()}
    log = str(tmp_path / "out.log")
    assert descriptors == {"0": os.devnull, "1": log, "2": log}


def test_a_daemon_survives_the_kill_of_who_started_it(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from vpcrouter.appliers import _process\n"
        "print(_process.spawn(['sleep', '61'], output=Path(sys.argv[1])), flush=True)\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    starter = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out.log")],
        capture_output=True,
        check=False,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert starter.returncode == -signal.SIGKILL
    daemon = _process.open_process(int(starter.stdout))
    assert daemon is not None
    assert daemon.is_alive()
    daemon.end(grace=5)
    assert not daemon.is_alive()
    daemon.close()


def test_output_is_private_and_the_one_before_is_kept(spawn: Spawn, tmp_path: Path) -> None:
    spawn("sh", "-c", "echo first; sleep 0.1").wait(5)
    spawn("sh", "-c", "echo second; echo complaint >&2; sleep 0.1").wait(5)
    assert (tmp_path / "out.log").read_text() == "second\ncomplaint\n"
    assert (tmp_path / "out.log.old").read_text() == "first\n"
    assert (tmp_path / "out.log").stat().st_mode & 0o777 == 0o600


def test_a_directory_in_the_way_of_its_output_keeps_a_daemon_from_starting(spawn: Spawn, tmp_path: Path) -> None:
    """…each time, and stays where somebody put it; one where the output before is kept does no harm."""
    (tmp_path / "out.log").mkdir()
    for _ in range(2):
        with pytest.raises(ApplierError, match=r"cannot be started: File exists: .*/out\.log \("):
            spawn("true")
    assert (tmp_path / "out.log").is_dir()
    (tmp_path / "out.log").rmdir()
    (tmp_path / "out.log.old").mkdir()
    for _ in range(2):
        spawn("sh", "-c", "echo words; sleep 0.1").wait(5)
        assert (tmp_path / "out.log").read_text() == "words\n"


def test_output_has_a_limit_that_does_not_end_the_daemon(spawn: Spawn, tmp_path: Path) -> None:
    script = 'while [ ! -e "$0" ]; do sleep 0.02; done; yes >&2; sleep 60'
    daemon = spawn("sh", "-c", script, str(tmp_path / "go"))
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (5000, 5000))
    (tmp_path / "go").touch()
    assert _until(lambda: (tmp_path / "out.log").stat().st_size == 5000)
    time.sleep(0.05)
    assert daemon.is_alive()
    assert (tmp_path / "out.log").stat().st_size == 5000


def test_the_limit_is_set_at_the_start(spawn: Spawn) -> None:
    limits = Path(f"/proc/{spawn('sleep', '60').pid}/limits").read_text()
    assert [line.split()[3] for line in limits.splitlines() if line.startswith("Max file size")] == [
        str(_process.OUTPUT_LIMIT)
    ]


def test_a_daemon_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ApplierError, match="sleep: cannot be started: No such file or directory"):
        _process.spawn(["sleep", "1"], output=tmp_path / "no" / "directory.log")


# Identity -------------------------------------------------------------------------------------------


def test_a_process_is_found_by_number_and_start_time_only(spawn: Spawn) -> None:
    daemon = spawn("sleep", "60")
    same = _process.open_process(daemon.pid, daemon.start_time)
    assert same is not None
    same.close()
    assert _process.open_process(daemon.pid, daemon.start_time + 1) is None
    assert _process.open_process(daemon.pid, 0) is None


def test_an_ended_process_is_not_found_and_signals_reach_nobody(spawn: Spawn) -> None:
    daemon = spawn("sleep", "60")
    daemon.end(grace=5)
    assert not daemon.is_alive()
    daemon.send(signal.SIGKILL)
    assert _process.open_process(daemon.pid, daemon.start_time) is None


def test_a_child_that_ended_counts_as_dead_before_anybody_waits_for_it(spawn: Spawn) -> None:
    daemon = spawn("sleep", "0.1")
    assert _until(lambda: not daemon.is_alive())
    assert _process.open_process(daemon.pid, daemon.start_time) is None


def test_a_process_that_ignores_sigterm_is_killed(spawn: Spawn, tmp_path: Path) -> None:
    daemon = spawn("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    assert _until(lambda: (tmp_path / "out.log").read_text() == "ready\n")
    daemon.end(grace=0.1)
    assert not daemon.is_alive()


def test_processes_are_found_by_their_whole_command_line(spawn: Spawn) -> None:
    daemon = spawn("sleep", "60", "0.125")
    spawn("sleep", "60", "0.125", "0")
    spawn("sleep", "600.125")
    found = _process.find_processes(["sleep", "60", "0.125"])
    assert [process.pid for process in found] == [daemon.pid]
    for process in found:
        process.close()


def test_the_oldest_is_first_though_process_numbers_began_anew(spawn: Spawn) -> None:
    older = spawn("sleep", "60", "0.375")
    time.sleep(0.05)
    try:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(older.pid - 50))
    except PermissionError:
        pytest.skip("needs root, to choose the next process number")
    younger = spawn("sleep", "60", "0.375")
    found = _process.find_processes(["sleep", "60", "0.375"])
    assert [each.pid for each in found] == [older.pid, younger.pid]
    for process in found:
        process.close()


def test_a_name_with_spaces_and_parentheses_does_not_hide_the_start_time(spawn: Spawn, tmp_path: Path) -> None:
    program = tmp_path / "a) b (c"
    program.symlink_to("/bin/sleep")
    daemon = spawn(str(program), "60")
    assert _until(lambda: b"a) b (c" in Path(f"/proc/{daemon.pid}/stat").read_bytes())
    same = _process.open_process(daemon.pid, daemon.start_time)
    assert same is not None
    same.close()
