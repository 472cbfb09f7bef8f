"""Real keepalived, conntrackd and dnsmasq in a network namespace: started, left alone, told, repaired, taken over."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliers.daemon_router import DaemonRouter, daemon_router, until, words
from vpcrouter.appliers import _files, _process
from vpcrouter.appliers.keepalived import parse_answer
from vpcrouter.appliers.notify import NotifyFifo
from vpcrouter.errors import ApplierError
from vpcrouter.values.desired import Daemon
from vpcrouter.values.role import Role

pytestmark = pytest.mark.lab

NAMES = ("conntrackd", "dnsmasq", "keepalived")


@pytest.fixture
def router(tmp_path: Path) -> Iterator[DaemonRouter]:
    """A machine with one device and no daemon."""
    with daemon_router(tmp_path) as made:
        yield made


def _touched(router: DaemonRouter) -> dict[str, object]:
    """Everything that a write or a signal would change: generated files, records, logs, pid files, processes."""
    directories = (Path(router.settings.config_dir), Path(router.settings.run_dir))
    files = {str(path): _files.file_identity(path) for each in directories for path in each.rglob("*")}
    return {**files, **{name: router.processes(name) for name in NAMES}}


def _wait_for_master(router: DaemonRouter) -> None:
    assert until(lambda: "10.1.2.1/24" in router.addresses())


def test_they_are_started_once_and_then_left_alone(router: DaemonRouter) -> None:
    desired = router.configurations.all()
    applier = router.applier()
    assert words(router.settle(applier, *desired)) == [
        "conntrackd write conntrackd.conf",
        "conntrackd start",
        "dnsmasq write dnsmasq.conf",
        "dnsmasq write dnsmasq.hosts",
        "dnsmasq write dnsmasq.dhcp-hosts",
        "dnsmasq start",
        "keepalived write keepalived.conf",
        "keepalived start",
    ]
    _wait_for_master(router)
    assert router.do(applier.keepalived_reports)[0].role is Role.MASTER
    before, counted = _touched(router), dict(applier.counters)

    assert router.settle(applier, *desired) == ()
    assert router.do(lambda: applier.verify(desired, full=True)) == ()
    assert router.settle(applier, *desired) == ()
    assert _touched(router) == before
    assert applier.counters == counted == {f"{name}_starts": 1 for name in NAMES}


def test_a_plan_touches_nothing(router: DaemonRouter, tmp_path: Path) -> None:
    applier = router.applier()
    planned = router.do(lambda: applier.plan(router.configurations.all()))
    assert [each.target for each in planned if each.action == "start"] == list(NAMES)
    assert list(tmp_path.iterdir()) == []


def test_a_new_address_is_one_reload_and_no_change_of_the_role(router: DaemonRouter) -> None:
    fifo = NotifyFifo(router.settings.notify_fifo)
    conntrackd, dnsmasq, keepalived = router.configurations.all()
    applier = router.applier()
    router.settle(applier, conntrackd, dnsmasq, keepalived)
    _wait_for_master(router)
    told: list[Role] = []

    def is_told() -> bool:
        """The addresses are there before it is."""
        told.extend(each.role for each in fifo.read())
        return len(told) > 1

    assert until(is_told)
    assert told == [Role.BACKUP, Role.MASTER]
    pids = router.processes("keepalived")

    more = router.configurations.keepalived("10.1.2.9/24")
    done = router.settle(applier, conntrackd, dnsmasq, more)
    assert words(done) == ["keepalived write keepalived.conf", "keepalived reload"]
    assert until(lambda: "10.1.2.9/24" in router.addresses())
    assert router.settle(applier, conntrackd, dnsmasq, more) == ()
    assert router.processes("keepalived") == pids
    assert fifo.read() == []
    assert applier.counters["keepalived_reloads"] == 1
    fifo.close()


@pytest.mark.parametrize("log", ["there", "removed", "full"])
def test_a_reload_is_over_when_keepalived_works_with_the_new_file(router: DaemonRouter, log: str) -> None:
    """The parent hands a question on at once, and the SIGHUP after it has read the file itself."""
    applier = router.applier()
    router.settle(applier, router.configurations.keepalived())
    _wait_for_master(router)
    output = Path(router.settings.run_dir / "keepalived.log")
    if log == "removed":
        output.unlink()
    elif log == "full":
        os.truncate(output, _process.OUTPUT_LIMIT)
    answer = Path(router.settings.run_dir / "keepalived" / "keepalived.json")
    for number in range(5, 9):
        address = f"10.1.2.{number}/24"
        router.settle(applier, router.configurations.keepalived(address))
        trusted = parse_answer(answer.read_bytes())
        assert trusted is not None and address in trusted[0].addresses
        assert router.processes("keepalived"), "it did not die of it"


def test_a_changed_restart_file_is_one_restart(router: DaemonRouter) -> None:
    applier = router.applier()
    before = router.configurations.conntrackd()
    router.settle(applier, before)
    old = router.processes("conntrackd")
    file = before.restart_files[0]
    changed = Daemon(
        name="conntrackd",
        restart_files=(router.configurations.file("conntrackd.conf", file.content.replace("1024", "2048")),),
    )
    assert words(router.settle(applier, changed)) == ["conntrackd write conntrackd.conf", "conntrackd restart"]
    (new,) = router.processes("conntrackd")
    assert new not in old
    assert router.settle(applier, changed) == ()


def test_a_refused_configuration_leaves_the_daemon_and_its_files_as_they_were(router: DaemonRouter) -> None:
    conntrackd, dnsmasq, keepalived = router.configurations.all()
    applier = router.applier()
    router.settle(applier, conntrackd, dnsmasq, keepalived)
    _wait_for_master(router)
    path = Path(keepalived.files[0].path)
    before = (router.processes("keepalived"), _files.file_identity(path), _files.read_file(path))

    broken = router.configurations.keepalived("10.1.2.300/24")
    more_guests = router.configurations.dnsmasq("vm7", "vm8", "vm9")
    with pytest.raises(ApplierError, match=r"keepalived: refuses its configuration: .*Line 21.*10\.1\.2\.300"):
        router.settle(applier, conntrackd, more_guests, broken)
    assert (router.processes("keepalived"), _files.file_identity(path), _files.read_file(path)) == before
    assert not list(path.parent.glob(".*"))
    assert applier.counters["dnsmasq_reloads"] == 1, "the others are settled all the same"
    assert "10.1.2.1/24" in router.addresses()
    assert router.settle(applier, conntrackd, more_guests, keepalived) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_daemon_is_noticed_and_started_again_once(router: DaemonRouter, name: str) -> None:
    desired = router.configurations.all()
    applier = router.applier()
    router.settle(applier, *desired)
    _wait_for_master(router)
    pidfds = dict(applier.pidfds())
    assert select.select(list(pidfds.values()), [], [], 0)[0] == []
    old = router.processes(name)
    number = len(old)

    os.kill(old[0], signal.SIGKILL)
    assert select.select(list(pidfds.values()), [], [], 5)[0] == [pidfds[name]]
    assert router.do(lambda: applier.verify(desired, full=False)) == (f"{name}: start since it does not run",)
    assert words(router.settle(applier, *desired)) == [f"{name} start"]

    assert until(lambda: len(router.processes(name)) == number)
    assert not set(old) & set(router.processes(name)), "also its child is another one"
    assert applier.pidfds()[name] != pidfds[name], "an event loop can tell it from the one that died"
    assert (applier.counters[f"{name}_deaths"], applier.counters[f"{name}_starts"]) == (1, 2)
    assert router.settle(applier, *desired) == ()
    _wait_for_master(router)


def test_keepalived_whose_child_is_killed_ends_so_that_it_is_known(router: DaemonRouter) -> None:
    """By itself it would start another child at once, the next time a second later, then two, and tell nobody."""
    desired = router.configurations.all()
    applier = router.applier()
    router.settle(applier, *desired)
    _wait_for_master(router)
    parent, child = router.processes("keepalived")
    os.kill(child, signal.SIGKILL)
    assert select.select([applier.pidfds()["keepalived"]], [], [], 5)[0]
    assert words(router.settle(applier, *desired)) == ["keepalived start"]
    assert until(lambda: len(router.processes("keepalived")) == 2)
    assert not {parent, child} & set(router.processes("keepalived"))


def test_orphaned_addresses_are_gone_after_a_crash_of_all_of_keepalived(router: DaemonRouter) -> None:
    applier = router.applier()
    keepalived = router.configurations.keepalived()
    router.settle(applier, keepalived)
    _wait_for_master(router)
    parent, child = router.processes("keepalived")
    for pid in (parent, child):
        os.kill(pid, signal.SIGSTOP)
    for pid in (parent, child):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: router.processes("keepalived") == [])
    assert "10.1.2.1/24" in router.addresses(), "otherwise this test shows nothing"
    fifo = NotifyFifo(router.settings.notify_fifo)
    router.settle(applier, keepalived)
    assert until(lambda: any(report.role is Role.BACKUP for report in fifo.read()))
    assert "10.1.2.1/24" not in router.addresses()
    fifo.close()


_AGENT = """
import os, pathlib, signal, sys
from tests.appliers.daemon_router import Configurations
from vpcrouter.appliers.daemons import DaemonApplier
from vpcrouter.values.settings import Settings
settings = Settings(root=sys.argv[1])
DaemonApplier(settings).settle(Configurations(settings).all())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_daemons_of_a_killed_agent_are_taken_over_untouched(router: DaemonRouter) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", _AGENT, router.settings.root]
    agent = router.do(lambda: subprocess.run(argv, env=environment, check=False, capture_output=True, timeout=60))
    assert agent.returncode == -signal.SIGKILL, agent.stderr.decode()
    _wait_for_master(router)
    before = _touched(router)

    applier = router.applier()
    assert router.settle(applier, *router.configurations.all()) == ()
    assert _touched(router) == before
    assert set(applier.pidfds()) == set(NAMES)
    os.kill(router.processes("dnsmasq")[0], signal.SIGKILL)
    assert select.select([applier.pidfds()["dnsmasq"]], [], [], 5)[0], (
        "it watches them although they are not its children"
    )
    assert words(router.settle(applier, *router.configurations.all())) == ["dnsmasq start"]


def test_a_start_that_was_not_recorded_any_more_makes_no_second_copy(router: DaemonRouter) -> None:
    desired = router.configurations.all()
    router.settle(router.applier(), *desired)
    _wait_for_master(router)
    keepalived = router.processes("keepalived")
    for record in Path(router.settings.run_dir).glob("*.loaded.json"):
        record.unlink()

    applier = router.applier()
    done = router.settle(applier, *desired)
    assert words(done) == ["conntrackd restart", "dnsmasq restart", "keepalived reload"]
    assert [len(router.processes(name)) for name in NAMES] == [1, 1, 2]
    assert router.processes("keepalived") == keepalived, "a reload is enough to know, and keeps the master"
    assert router.settle(applier, *desired) == ()


@pytest.mark.parametrize("record", [b"", b"{}", b"[1]", b'{"version": 99}', b'{"version": 1, "pid": "x"}', b"\xff"])
def test_a_record_that_makes_no_sense_is_no_record(router: DaemonRouter, record: bytes) -> None:
    desired = router.configurations.dnsmasq("vm7")
    router.settle(router.applier(), desired)
    path = Path(router.settings.run_dir) / "dnsmasq.loaded.json"
    path.write_bytes(record)
    applier = router.applier()
    assert words(router.settle(applier, desired)) == ["dnsmasq restart"]
    assert len(router.processes("dnsmasq")) == 1


def test_an_edited_file_is_repaired_without_disturbing_who_has_not_read_it(router: DaemonRouter) -> None:
    desired = router.configurations.all()
    applier = router.applier()
    router.settle(applier, *desired)
    _wait_for_master(router)
    pids = {name: router.processes(name) for name in NAMES}
    path = Path(desired[2].files[0].path)
    path.write_text("nonsense")
    Path(desired[1].files[1].path).chmod(0o600)
    Path(desired[0].files[0].path).unlink()

    assert router.do(lambda: applier.verify(desired, full=False)) == (
        f"conntrackd: write {desired[0].files[0].path}",
        f"dnsmasq: write {desired[1].files[1].path}",
        f"keepalived: write {path}",
    )
    router.settle(applier, *desired)
    assert path.read_text() == desired[2].files[0].content
    assert router.do(lambda: applier.verify(desired, full=True)) == ()
    assert {name: router.processes(name) for name in NAMES} == pids
    assert sorted(applier.counters) == [f"{name}_starts" for name in NAMES]


def test_what_is_not_desired_is_stopped_and_leaves_nothing(router: DaemonRouter) -> None:
    applier = router.applier()
    router.settle(applier, *router.configurations.all())
    _wait_for_master(router)
    done = router.settle(applier)
    assert [each for each in words(done) if "stop" in each] == ["keepalived stop", "dnsmasq stop", "conntrackd stop"]
    assert [router.processes(name) for name in NAMES] == [[], [], []]
    assert "10.1.2.1/24" not in router.addresses()
    assert applier.pidfds() == {}
    assert list(Path(router.settings.config_dir).iterdir()) == []
    left = {path.name for path in Path(router.settings.run_dir).iterdir()}
    assert left == {"conntrackd.log", "dnsmasq.log", "keepalived", "keepalived.fifo", "keepalived.log"}
    assert router.settle(applier) == ()


def test_an_unwanted_daemon_of_another_life_is_stopped(router: DaemonRouter) -> None:
    router.settle(router.applier(), *router.configurations.all())
    _wait_for_master(router)
    done = router.settle(router.applier(), router.configurations.keepalived())
    assert [each for each in words(done) if "stop" in each] == ["dnsmasq stop", "conntrackd stop"]
    assert [len(router.processes(name)) for name in NAMES] == [0, 0, 2]


def test_one_that_cannot_start_says_why_is_held_back_and_stops_nobody(router: DaemonRouter) -> None:
    applier = router.applier()
    desired = (router.configurations.conntrackd(device="eth7"), *router.configurations.all()[1:])
    for _ in range(2):
        with pytest.raises(ApplierError, match=r"conntrackd: does not start: .*can't open channel socket"):
            router.settle(applier, *desired)
    with pytest.raises(ApplierError, match=r"conntrackd: died 2 times, is started again in 0\.2\d s"):
        router.settle(applier, *desired)
    assert [len(router.processes(name)) for name in NAMES] == [0, 1, 2]
    assert words(router.settle(applier, *router.configurations.all()[1:])) == ["conntrackd remove conntrackd.conf"]


def test_half_written_files_of_a_crash_are_cleared_away(router: DaemonRouter) -> None:
    directory = Path(router.settings.config_dir)
    directory.mkdir(parents=True)
    for name in (".dnsmasq.conf.new", ".dnsmasq.conf.candidate", "dnsmasq.of-an-older-version", "other.conf"):
        (directory / name).write_text("half")
    applier = router.applier()
    router.settle(applier, router.configurations.dnsmasq("vm7"))
    assert {path.name for path in directory.iterdir()} == {
        "dnsmasq.conf",
        "dnsmasq.dhcp-hosts",
        "dnsmasq.hosts",
        "other.conf",
    }


def test_a_new_guest_is_a_reload_and_one_that_left_a_restart(router: DaemonRouter) -> None:
    applier = router.applier()
    router.settle(applier, router.configurations.dnsmasq("vm7"))
    more = router.settle(applier, router.configurations.dnsmasq("vm6", "vm7"))
    assert words(more)[-1] == "dnsmasq reload"
    other = router.settle(router.applier(), router.configurations.dnsmasq("vm6"))
    assert words(other)[-1] == "dnsmasq restart", "also by an agent that did not start it"
    assert len(router.processes("dnsmasq")) == 1


def test_a_device_that_was_taken_away_and_put_back(router: DaemonRouter) -> None:
    applier = router.applier()
    desired = router.configurations.all()
    router.settle(applier, *desired)
    _wait_for_master(router)
    router.network.run("ip", "link", "delete", "eth2")
    assert router.settle(applier, *desired) == (), "nothing helps while it is away"
    router.network.add_devices("eth2")
    router.network.run("ip", "link", "set", "eth2", "up")
    router.network.run("ip", "address", "add", "10.1.2.2/24", "dev", "eth2")
    assert words(router.settle(applier, *desired)) == ["conntrackd restart", "keepalived reload"]
    assert router.settle(applier, *desired) == ()
    _wait_for_master(router)


def test_leftovers_of_a_crash_do_not_keep_them_from_starting(router: DaemonRouter) -> None:
    run_dir = Path(router.settings.run_dir)
    run_dir.mkdir(parents=True)
    for name in ("keepalived.pid", "keepalived-vrrp.pid", "conntrackd.lock", "conntrackd.ctl"):
        (run_dir / name).write_text(f"{os.getpid()}\n")
    router.settle(router.applier(), *router.configurations.all())
    _wait_for_master(router)


def test_two_routers_on_one_machine_do_not_meet(tmp_path: Path) -> None:
    with daemon_router(tmp_path / "a") as a, daemon_router(tmp_path / "b") as b:
        for router in (a, b):
            router.settle(router.applier(), *router.configurations.all())
            _wait_for_master(router)
        a.settle(a.appliers[0])
        assert [len(b.processes(name)) for name in NAMES] == [1, 1, 2]
        assert b.settle(b.appliers[0], *b.configurations.all()) == ()


def test_keepalived_says_nothing_when_it_does_not_run(router: DaemonRouter) -> None:
    assert router.do(router.applier().keepalived_reports) == ()


def test_connections_are_asked_for_only_if_conntrackd_runs(router: DaemonRouter) -> None:
    applier = router.applier()
    router.do(applier.resync_connections)
    router.settle(applier, router.configurations.conntrackd())
    router.do(applier.resync_connections)
    assert router.processes("conntrackd")


def test_an_unknown_daemon_is_refused_by_name(router: DaemonRouter) -> None:
    with pytest.raises(ApplierError, match="httpd: is not a daemon that this version knows"):
        router.settle(router.applier(), Daemon(name="httpd"))


def test_a_copy_that_somebody_starts_by_hand_is_ended(router: DaemonRouter) -> None:
    """It has taken the control socket, so what we ask conntrackd for would go to it."""
    applier = router.applier()
    desired = router.configurations.all()
    router.settle(applier, *desired)
    config = Path(router.settings.config_dir, "conntrackd.conf")
    Path(router.settings.run_dir, "conntrackd.lock").unlink()
    router.do(lambda: subprocess.run(["conntrackd", "-C", str(config), "-d"], check=True, capture_output=True))
    assert until(lambda: len(_copies(config)) == 2)
    assert words(router.settle(applier, *desired)) == ["conntrackd restart"]
    assert len(_copies(config)) == 1
    assert words(router.settle(applier, *desired)) == []


def _copies(config: Path) -> list[int]:
    found = _process.find_users("conntrackd", str(config))
    for each in found:
        each.close()
    return [each.pid for each in found]


def test_the_number_of_a_daemon_that_was_ended_is_not_given_away_before_the_next_pass(router: DaemonRouter) -> None:
    """An event loop that watches it can only let go of it when the pass is over."""
    desired = router.configurations.all()
    applier = router.applier()
    router.settle(applier, *desired)
    watched = dict(applier.pidfds())
    router.settle(applier)
    opened = os.open("/dev/null", os.O_RDONLY)
    os.close(opened)
    assert opened not in watched.values()
    assert dict(applier.pidfds()) == {}
    router.settle(applier)
    assert all(not os.path.exists(f"/proc/self/fd/{number}") for number in watched.values())  # noqa: PTH110
