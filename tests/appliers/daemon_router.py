"""A router of its own for the tests of daemons: a network namespace, directories, small configurations that work."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen

from tests.appliers.private_network import PrivateNetwork, private_network
from vpcrouter.appliers import _process
from vpcrouter.appliers._daemon_kinds import kinds
from vpcrouter.appliers.daemons import DaemonApplier
from vpcrouter.plan import Operation
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.settings import Settings

_T = TypeVar("_T")

KEEPALIVED = """global_defs {{
    router_id test
    vrrp_version 3
    vrrp_notify_fifo {settings.notify_fifo}
    fifo_write_vrrp_states_on_reload
    dynamic_interfaces
}}
vrrp_instance vpc {{
    interface eth2
    state BACKUP
    nopreempt
    notify_deleted
    virtual_router_id 51
    priority 100
    advert_int 0.05
    virtual_ipaddress {{
        169.254.255.51/32 dev eth2
    }}
    virtual_ipaddress_excluded {{
{excluded}
    }}
}}
"""
CONNTRACKD = """Sync {{
    Mode FTFW {{
        DisableExternalCache On
    }}
    Multicast {{
        IPv4_address 225.0.0.50
        Group 3780
        IPv4_interface 10.1.2.2
        Interface {device}
    }}
}}
General {{
    HashSize 1024
    HashLimit 8192
    LogFile Off
    LockFile {settings.run_dir}/conntrackd.lock
    UNIX {{
        Path {settings.run_dir}/conntrackd.ctl
    }}
}}
"""
DNSMASQ = """pid-file
log-facility=-
port=53
bind-dynamic
interface=eth2
no-hosts
no-resolv
leasefile-ro
addn-hosts={settings.config_dir}/dnsmasq.hosts
dhcp-range=set:eth2,10.1.2.0,static,255.255.255.0,infinite
dhcp-hostsfile={settings.config_dir}/dnsmasq.dhcp-hosts
"""


@frozen
class Configurations:
    """Desired daemons of one router."""

    settings: Settings

    def file(self, name: str, content: str) -> File:
        """A generated file."""
        return File(path=str(self.settings.config_dir / name), content=content)

    def keepalived(self, *addresses: str) -> Daemon:
        """One instance on eth2 that carries these addresses."""
        excluded = "\n".join(f"        {each} dev eth2 no_track" for each in ("10.1.2.1/24", *addresses))
        content = KEEPALIVED.format(settings=self.settings, excluded=excluded)
        return Daemon(name="keepalived", reload_files=(self.file("keepalived.conf", content),))

    def conntrackd(self, device: str = "eth2") -> Daemon:
        """Synchronising over this device."""
        content = CONNTRACKD.format(settings=self.settings, device=device)
        return Daemon(name="conntrackd", restart_files=(self.file("conntrackd.conf", content),))

    def dnsmasq(self, *guests: str) -> Daemon:
        """Serving these guests: vm7 has 10.1.2.7."""
        hosts = "".join(f"10.1.2.{each[2:]} {each}\n" for each in guests)
        leases = "".join(f"02:00:0a:01:02:{each[2:]:0>2},10.1.2.{each[2:]},{each}\n" for each in guests)
        return Daemon(
            name="dnsmasq",
            restart_files=(self.file("dnsmasq.conf", DNSMASQ.format(settings=self.settings)),),
            reload_files=(self.file("dnsmasq.hosts", hosts), self.file("dnsmasq.dhcp-hosts", leases)),
        )

    def all(self) -> tuple[Daemon, ...]:
        """The three, in the order in which they are started."""
        return (self.conntrackd(), self.dnsmasq("vm7", "vm8"), self.keepalived())


@frozen
class DaemonRouter:
    """A machine for the appliers under test."""

    settings: Settings
    network: PrivateNetwork
    configurations: Configurations
    appliers: list[DaemonApplier] = field(factory=list)

    def applier(self) -> DaemonApplier:
        """A new applier, as a new agent would have it."""
        self.appliers.append(DaemonApplier(self.settings))
        return self.appliers[-1]

    def do(self, work: Callable[[], _T]) -> _T:
        """The result of a function that was called on this machine."""
        return self.network.do(work)

    def settle(self, applier: DaemonApplier, *desired: Daemon) -> tuple[Operation, ...]:
        """Settle on this machine."""
        return self.do(lambda: applier.settle(desired))

    def processes(self, name: str) -> list[int]:
        """The numbers of all processes of a daemon of this router."""
        argv = [name, *kinds()[name].arguments(self.settings)]
        found = _process.find_processes(argv)
        for process in found:
            process.close()
        return [process.pid for process in found]

    def addresses(self) -> str:
        """What stands on eth2."""
        return self.network.run("ip", "-4", "-o", "address", "show", "dev", "eth2")

    def kill_all(self) -> None:
        """End every daemon of this router by force."""
        for name, kind in kinds().items():
            for process in _process.find_processes([name, *kind.arguments(self.settings)]):
                process.send(signal.SIGKILL)
                process.wait(5)
                process.close()


@contextmanager
def daemon_router(root: Path, address: str = "10.1.2.2/24") -> Iterator[DaemonRouter]:
    """A machine with eth2 up; nothing of it is left afterwards."""
    with private_network() as network:
        network.add_devices("eth2")
        network.run("ip", "link", "set", "lo", "up")
        network.run("ip", "link", "set", "eth2", "up")
        network.run("ip", "address", "add", address, "dev", "eth2")
        settings = Settings(root=str(root))
        router = DaemonRouter(settings, network, Configurations(settings))
        try:
            yield router
        finally:
            for applier in router.appliers:
                applier.close()
            router.kill_all()


def until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether it came true within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def words(operations: Sequence[Operation]) -> list[str]:
    """Operations without their reasons: `dnsmasq reload`, `dnsmasq write dnsmasq.hosts`."""
    return [
        f"{each.target} {each.action} {Path(each.subject).name}"
        if each.action in ("write", "remove")
        else f"{each.target} {each.action}"
        for each in operations
    ]
