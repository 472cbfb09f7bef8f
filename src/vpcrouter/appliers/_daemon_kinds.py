"""What is particular about each daemon: a table, so that the next one is a few lines and no code.

Read by `daemons` and `_supervised`. The text of a configuration is not known here, only where it lies. Every figure
was measured with Debian 12's keepalived 2.2.7, conntrackd 1.4.7 and dnsmasq 2.90; see docs/daemons.md.
"""

from __future__ import annotations

import pwd
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
from attrs import frozen

from vpcrouter.appliers import _kernel_features
from vpcrouter.values.settings import Settings


@frozen(kw_only=True)
class DaemonKind:
    """One daemon program and how it is to be treated."""

    name: str
    """Of the daemon, and of its program unless that is named."""
    program: str = attrs.field(default=attrs.Factory(lambda self: self.name, takes_self=True))
    config: str
    """The name of its main file."""
    arguments: Callable[[Settings], tuple[str, ...]]
    """The command line after the program. Its words name files of this router only: that makes it recognisable."""
    test: Callable[[str], tuple[str, ...]] | None = None
    """The command line that judges a main file without using it."""
    tests_all_files: bool = False
    """It reads the other files too when it judges."""
    lacks: Callable[[], str | None] = lambda: None
    """Why it cannot work on this machine at all; None if it can."""
    can_reload: bool = True
    """A signal, or a command, makes it read its reload files again."""
    reload_signal: int = signal.SIGHUP
    says_when_told: bytes = b""
    """What it prints after that signal, and without that the reload has failed: when it works with what it has read, or
    when it begins to read and answers nobody until it does. Empty: it prints nothing, and is believed."""
    reload_by: Callable[[Settings], tuple[str, ...]] | None = None
    """The command that has it do so; None: the signal."""
    takes_files_from_command: bool = False
    """It does not read its reload files when it starts: the command has to follow."""
    ready: bytes = b""
    """What it prints when it is at work."""
    ready_socket: Callable[[Settings], Path] | None = None
    """The socket that is there when it is at work, if it prints nothing."""
    ready_s: float = 2.0
    """Not at work after so long is a failure; they take 12 to 30 ms."""
    stop_s: float = 3.0
    """How long it may take to end in order."""
    starts_last: bool = False
    """Is started only when the others are at work."""
    keeps_lines: frozenset[str] = frozenset()
    """Files of which it remembers a line that is gone, until it is restarted."""
    watches_devices: bool = False
    """A device that is named in its files and was made after it read them is unknown to it."""
    fifos: Callable[[Settings], Mapping[str, Path]] = lambda _: {}
    """FIFOs that must be there before it starts, and that it has opened for good."""
    leftovers: frozenset[str] = frozenset()
    """Files in the run directory that keep it from starting, or mislead, after a crash."""
    environment: Callable[[Settings], Mapping[str, str]] = lambda _: {}
    shelf: Callable[[Settings], Path] | None = None
    """The directory of files that it reads whenever it needs one."""
    control_socket: str = ""
    """The name of the socket that it makes in the run directory. If another one is there, so is another daemon."""
    directories: Callable[[Settings], tuple[Path, ...]] = lambda _: ()
    """Directories of its own, which only it may enter."""
    files_elsewhere: Callable[[Settings], tuple[Path, ...]] = lambda _: ()
    """Generated files outside of the configuration directory; ours if they say so in their first line."""


def kinds() -> Mapping[str, DaemonKind]:
    """All daemons that are known, by name."""
    return {
        kind.name: kind for kind in (CONNTRACKD, DNSMASQ, GUESTWEB, HAPROXY, RADVD, BGPD, CHARON, XL2TPD, KEEPALIVED)
    }


def keepalived_directory(settings: Settings) -> Path:
    """Where keepalived writes what it is asked for; its TMPDIR."""
    return Path(settings.run_dir) / "keepalived"


def _config(settings: Settings, name: str) -> str:
    return str(settings.config_dir / name)


# A parent whose child dies ends too (--dont-respawn: else it starts another one, in the end after seconds, and nobody
# knows that there is none), and a child whose parent dies ends by itself, but a second later. Ending in order takes
# 1.0 s: the addresses go at once, then it waits a second. Its log names each gratuitous ARP with -D.
KEEPALIVED = DaemonKind(
    name="keepalived",
    config="keepalived.conf",
    arguments=lambda settings: (
        "--dont-fork", "--dont-respawn", "--log-console", "--no-syslog", "--vrrp",
        "--use-file", _config(settings, "keepalived.conf"),
        "--pid", str(settings.run_dir / "keepalived.pid"),
        "--vrrp_pid", str(settings.run_dir / "keepalived-vrrp.pid"),
    ),
    test=lambda path: ("--config-test", "--use-file", path),
    ready=b"Startup complete",
    # The child's words. The parent reads the file first ("Reloading ...") and may hand a question that was asked after
    # the signal to the child before it, so an answer alone may be of what was loaded before.
    says_when_told=b": Reloading\n",
    starts_last=True,
    # 2.2.7 never becomes master again on a device that was not there when it read its file, nor on one that was
    # taken away and came back, until it reads its file again.
    watches_devices=True,
    fifos=lambda settings: {"notify FIFO": Path(settings.notify_fifo)},
    leftovers=frozenset({"keepalived.pid", "keepalived-vrrp.pid"}),
    environment=lambda settings: {"TMPDIR": str(keepalived_directory(settings))},
    directories=lambda settings: (keepalived_directory(settings),),
)  # fmt: skip

# SIGHUP ends it. The kernel keeps its entries when it ends. A device that was taken away and came back is dead for it.
CONNTRACKD = DaemonKind(
    name="conntrackd",
    config="conntrackd.conf",
    arguments=lambda settings: ("-C", _config(settings, "conntrackd.conf")),
    can_reload=False,
    ready=b"starting in console mode",
    watches_devices=True,
    leftovers=frozenset({"conntrackd.lock", "conntrackd.ctl"}),
    control_socket="conntrackd.ctl",
)

# It follows devices and addresses by itself (bind-dynamic). It reads its files again as the user it runs as. It
# remembers which client has which address, and refuses that address to another one until it is restarted.
DNSMASQ = DaemonKind(
    name="dnsmasq",
    config="dnsmasq.conf",
    arguments=lambda settings: (
        "--keep-in-foreground",
        "--conf-file=" + _config(settings, "dnsmasq.conf"),
        "--log-facility=-",
        "--pid-file=",
        "--user=" + _dnsmasq_user(Path(settings.config_dir)),
    ),
    test=lambda path: ("--test", "--conf-file=" + path),
    ready=b"started, version",
    keeps_lines=frozenset({"dnsmasq.dhcp-hosts"}),
)

# It follows devices and addresses by itself, and reads its file again on SIGHUP. It ends with a last advertisement
# (lifetime 0) only where it has the address to send it from.
RADVD = DaemonKind(
    name="radvd",
    config="radvd.conf",
    arguments=lambda settings: (
        "--nodaemon",
        "--config=" + _config(settings, "radvd.conf"),
        "--pidfile=" + str(settings.run_dir / "radvd.pid"),
        "--logmethod=stderr",
    ),
    test=lambda path: ("--configtest", "--config=" + path),
    ready=b"started",
    leftovers=frozenset({"radvd.pid"}),
)

# Its settings come by the environment. It ignores the words of its command line: that one makes it recognisable. On its
# own it has no connections; what was loaded before and is the same stays as it is, with its tunnels.
CHARON = DaemonKind(
    name="charon-systemd",
    config="charon-systemd.swanctl",
    arguments=lambda settings: (_charon_settings(settings),),
    lacks=_kernel_features.lacks_ipsec,
    reload_by=lambda settings: (
        "swanctl", "--load-all", "--noprompt",
        "--file", _config(settings, "charon-systemd.swanctl"),
        "--uri", f"unix://{vici_socket(settings)}",
    ),
    takes_files_from_command=True,
    ready=b"worker threads",
    leftovers=frozenset({"charon-systemd.vici"}),
    environment=lambda settings: {"STRONGSWAN_CONF": _charon_settings(settings)},
)  # fmt: skip

# A change is put into effect by FRR's own tool, which compares what runs with the file and says the difference: the
# sessions that it does not concern go on. At more than "critical" the backup's log would tell once a second that the
# source NAT address is not there.
BGPD = DaemonKind(
    name="bgpd",
    program="/usr/lib/frr/bgpd",
    config="bgpd.conf",
    arguments=lambda settings: (
        "--no_zebra", "--skip_runas", "--vty_port", "0",
        "--log", "stdout", "--log-level", "critical",
        "--config_file", _config(settings, "bgpd.conf"),
        "--pid_file", str(settings.run_dir / "bgpd.pid"),
        "--vty_socket", str(bgpd_directory(settings)),
    ),
    reload_by=lambda settings: (
        "/usr/lib/frr/frr-reload.py", "--reload", "--stdout", "--log-level", "error", "--daemon", "bgpd",
        "--vty_socket", str(bgpd_directory(settings)),
        "--confdir", str(bgpd_directory(settings)),
        "--rundir", str(bgpd_directory(settings)),
        _config(settings, "bgpd.conf"),
    ),
    ready_socket=lambda settings: bgpd_directory(settings) / "bgpd.vty",
    leftovers=frozenset({"bgpd.pid", "bgpd/bgpd.vty"}),
    directories=lambda settings: (bgpd_directory(settings),),
)  # fmt: skip

# pppd, which it starts for each client, reads the passwords by itself: there is nothing to be told.
XL2TPD = DaemonKind(
    name="xl2tpd",
    config="xl2tpd.conf",
    arguments=lambda settings: (
        "-D",
        "-c", _config(settings, "xl2tpd.conf"),
        "-p", str(settings.run_dir / "xl2tpd.pid"),
        "-C", str(settings.run_dir / "xl2tpd.control"),
    ),
    lacks=_kernel_features.lacks_ppp,
    reload_by=lambda _: ("true",),
    ready=b"Listening on IP address",
    leftovers=frozenset({"xl2tpd.pid", "xl2tpd.control"}),
    files_elsewhere=lambda settings: (Path(settings.chap_secrets),),
)  # fmt: skip


def vici_socket(settings: Settings) -> Path:
    """Where charon is asked and told."""
    return Path(settings.run_dir) / "charon-systemd.vici"


def bgpd_directory(settings: Settings) -> Path:
    """Where bgpd is asked and told."""
    return Path(settings.run_dir) / "bgpd"


def _charon_settings(settings: Settings) -> str:
    """Of the two files of settings the one for this kernel."""
    return _config(settings, f"charon-systemd.{'kernel' if _kernel_features.has_esp() else 'user-space'}.conf")


# A master and a worker. SIGUSR2 has the master read its files and start a new worker, which gets the listening sockets
# of the old one: nobody who connects meanwhile is refused. What cannot be used leaves the old worker at work.
GUESTWEB = DaemonKind(
    name="guestweb",
    program="haproxy",
    config="guestweb.cfg",
    arguments=lambda settings: ("-W", "-f", _config(settings, "guestweb.cfg")),
    test=lambda path: ("-c", "-q", "-f", path),
    tests_all_files=True,
    reload_signal=signal.SIGUSR2,
    says_when_told=b"Loading success.",
    ready=b"Loading success.",
    shelf=lambda settings: Path(settings.guest_pages_dir),
)

# The load balancer: the same program with files of its own. The applier knows them apart by the main file.
HAPROXY = DaemonKind(
    name="haproxy",
    config="haproxy.cfg",
    arguments=lambda settings: ("-W", "-f", _config(settings, "haproxy.cfg")),
    test=lambda path: ("-c", "-q", "-f", path),
    tests_all_files=True,
    reload_signal=signal.SIGUSR2,
    says_when_told=b"Loading success.",
    ready=b"Loading success.",
    directories=lambda settings: (Path(settings.run_dir) / "haproxy",),
)


def _dnsmasq_user(directory: Path) -> str:
    """Its own user, or nobody; root if only root can reach its files, since it could not read them again."""
    for each in (directory, *directory.parents):
        try:
            if not each.stat().st_mode & 0o001:
                return "root"
        except FileNotFoundError:
            continue  # it will be made, and everybody may enter it
    try:
        return pwd.getpwnam("dnsmasq").pw_name
    except KeyError:
        return "nobody"
