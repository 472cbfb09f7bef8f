"""Which files are written and what is done to the processes, decided without touching either."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.plan import Operation
from vpcrouter.plan.daemons import (
    LoadedFile,
    ObservedDaemon,
    WrittenFile,
    plan_daemon,
    plan_daemons,
)
from vpcrouter.plan.restarts import FIRST_WAIT_S, FORGOTTEN_S, LONGEST_WAIT_S, wait_s
from vpcrouter.values.desired import Daemon, File

MAIN = File(path="/etc/x.conf", content="main\n")
HOSTS = File(path="/etc/x.hosts", content="one\ntwo\n", mode=0o600)
DAEMON = Daemon(name="x", restart_files=(MAIN,), reload_files=(HOSTS,))


def _loaded(*files: File, keeps: tuple[str, ...] = ()) -> Mapping[str, LoadedFile]:
    return {
        file.path: LoadedFile(
            digest=file.digest,
            is_remembered=file.path in keeps,
            content=file.content if file.path in keeps else None,
        )
        for file in files
    }


def _on_disk(*files: File) -> Mapping[str, WrittenFile]:
    return {file.path: WrittenFile(digest=file.digest, mode=file.mode) for file in files}


def _settled(daemon: Daemon) -> ObservedDaemon:
    return ObservedDaemon(
        name=daemon.name, running=True, loaded=_loaded(*daemon.files), on_disk=_on_disk(*daemon.files)
    )


def _short(operations: tuple[Operation, ...]) -> list[str]:
    return [
        f"{each.action} {each.subject}" if each.action in ("write", "remove") else each.action for each in operations
    ]


def test_nothing_is_done_when_all_is_as_desired() -> None:
    assert plan_daemon(DAEMON, _settled(DAEMON)) == ()


def test_what_does_not_run_is_started_after_its_files_are_written() -> None:
    planned = plan_daemon(DAEMON, ObservedDaemon(name="x"))
    assert _short(planned) == ["write /etc/x.conf", "write /etc/x.hosts", "start"]


def test_a_dead_one_is_started_although_it_had_loaded_everything() -> None:
    assert _short(plan_daemon(DAEMON, evolve(_settled(DAEMON), running=False))) == ["start"]


def test_drift_of_a_file_is_repaired_and_the_daemon_left_alone() -> None:
    edited = evolve(HOSTS, content="edited\n")
    observed = evolve(_settled(DAEMON), on_disk=_on_disk(MAIN, edited))
    assert _short(plan_daemon(DAEMON, observed)) == ["write /etc/x.hosts"]


def test_a_wrong_mode_is_repaired() -> None:
    observed = evolve(_settled(DAEMON), on_disk=_on_disk(MAIN, evolve(HOSTS, mode=0o644)))
    assert _short(plan_daemon(DAEMON, observed)) == ["write /etc/x.hosts"]


def test_a_file_is_on_the_disk_but_was_never_loaded() -> None:
    observed = evolve(_settled(DAEMON), loaded=_loaded(MAIN))
    assert _short(plan_daemon(DAEMON, observed)) == ["reload"]


@pytest.mark.parametrize(("can_reload", "action"), [(True, "reload"), (False, "restart")])
def test_a_changed_reload_file(can_reload: bool, action: str) -> None:
    changed = evolve(DAEMON, reload_files=(evolve(HOSTS, content="one\n"),))
    observed = evolve(_settled(DAEMON), can_reload=can_reload)
    assert _short(plan_daemon(changed, observed)) == ["write /etc/x.hosts", action]


def test_a_changed_restart_file_wins_over_a_changed_reload_file() -> None:
    changed = Daemon(
        name="x", restart_files=(evolve(MAIN, content="new\n"),), reload_files=(evolve(HOSTS, content="new\n"),)
    )
    assert _short(plan_daemon(changed, _settled(DAEMON))) == ["write /etc/x.conf", "write /etc/x.hosts", "restart"]


@pytest.mark.parametrize(
    ("content", "action"),
    [
        ("one\ntwo\nthree\n", "reload"),
        ("zero\none\ntwo\n", "reload"),
        ("two\none\n", "reload"),
        ("one\n", "restart"),
        ("one\nTWO\n", "restart"),
        ("", "restart"),
    ],
)
def test_a_file_whose_lines_are_kept_may_only_grow(content: str, action: str) -> None:
    changed = evolve(DAEMON, reload_files=(evolve(HOSTS, content=content),))
    observed = evolve(_settled(DAEMON), loaded=_loaded(MAIN, HOSTS, keeps=(HOSTS.path,)))
    assert _short(plan_daemon(changed, observed))[-1] == action


def test_a_file_that_is_not_wanted_any_more_goes() -> None:
    gone = File(path="/etc/x.gone", content="")
    observed = evolve(_settled(DAEMON), on_disk=_on_disk(*DAEMON.files, gone))
    assert _short(plan_daemon(DAEMON, observed)) == ["remove /etc/x.gone"]


def test_other_surroundings_are_a_reload() -> None:
    assert _short(plan_daemon(DAEMON, evolve(_settled(DAEMON), surroundings_changed=True))) == ["reload"]


@pytest.mark.parametrize(
    ("daemon", "action"), [(DAEMON, "restart"), (Daemon(name="x", reload_files=(HOSTS,)), "reload")]
)
def test_one_whose_loaded_files_nobody_knows(daemon: Daemon, action: str) -> None:
    assert _short(plan_daemon(daemon, evolve(_settled(daemon), loaded=None))) == [action]


def test_what_is_not_wanted_is_stopped_first_and_in_reverse() -> None:
    observed = {name: _settled(evolve(DAEMON, name=name)) for name in ("a", "b", "x")}
    planned = plan_daemons((evolve(DAEMON, name="new"), DAEMON), observed)
    assert [(each.target, each.action) for each in planned if each.action not in ("write", "remove")] == [
        ("b", "stop"),
        ("a", "stop"),
        ("new", "start"),
    ]


def test_operations_say_what_they_do_and_why() -> None:
    changed = evolve(DAEMON, reload_files=(evolve(HOSTS, content="new\n"),))
    assert [str(each) for each in plan_daemon(changed, _settled(DAEMON))] == [
        "x: write /etc/x.hosts",
        "x: reload since /etc/x.hosts changed",
    ]


CONTENTS = st.text(alphabet="ab\n", max_size=6)


@st.composite
def _daemons(draw: st.DrawFn) -> Daemon:
    paths = draw(st.lists(st.sampled_from(["/1", "/2", "/3"]), unique=True))
    files = [File(path=path, content=draw(CONTENTS), mode=draw(st.sampled_from([0o600, 0o644]))) for path in paths]
    cut = draw(st.integers(0, len(files)))
    return Daemon(name="x", restart_files=tuple(files[:cut]), reload_files=tuple(files[cut:]))


@given(_daemons(), _daemons(), st.booleans(), st.booleans())
def test_a_plan_carried_out_reaches_the_desired_and_then_plans_nothing(
    before: Daemon, after: Daemon, running: bool, known: bool
) -> None:
    observed = evolve(_settled(before), running=running)
    if not known:
        observed = evolve(observed, loaded=None)
    on_disk, loaded = dict(observed.on_disk), observed.loaded
    for operation in plan_daemon(after, observed):
        match operation.action:
            case "write":
                on_disk |= _on_disk(next(file for file in after.files if file.path == operation.subject))
            case "remove":
                del on_disk[operation.subject]
            case "start" | "restart" | "reload":
                assert on_disk == _on_disk(*after.files), "files come before what reads them"
                loaded = _loaded(*after.files)
    reached = evolve(observed, running=True, on_disk=on_disk, loaded=loaded)
    assert plan_daemon(after, reached) == ()


# Restarts -------------------------------------------------------------------------------------------


def test_the_first_death_is_followed_by_a_start_at_once() -> None:
    assert wait_s([], 100.0) == 0.0
    assert wait_s([100.0], 100.0) == 0.0


def test_each_further_death_doubles_the_wait_up_to_the_longest() -> None:
    waits = [wait_s([100.0] * deaths, 100.0) for deaths in range(2, 9)]
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert wait_s([100.0] * 5000, 100.0) == LONGEST_WAIT_S


def test_the_wait_passes_with_time() -> None:
    assert wait_s([100.0, 100.0], 100.0 + FIRST_WAIT_S / 2) == FIRST_WAIT_S / 2
    assert wait_s([100.0, 100.0], 100.0 + FIRST_WAIT_S) == 0.0


def test_old_deaths_are_forgotten() -> None:
    assert wait_s([100.0] * 9 + [100.0 + FORGOTTEN_S], 100.0 + FORGOTTEN_S) == 0.0


@given(st.lists(st.floats(0, 1000), max_size=40).map(sorted), st.floats(0, 100))
def test_no_wait_is_longer_than_the_longest(deaths: list[float], later: float) -> None:
    now = (deaths[-1] if deaths else 0.0) + later
    assert 0.0 <= wait_s(deaths, now) <= LONGEST_WAIT_S
