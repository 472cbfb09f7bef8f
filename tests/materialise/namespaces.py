"""A router in network namespaces, configured by hand from a Desired: real packets for the tests beside this file.

    ext (203.0.113.1, 198.51.100.1) ── eth1 ┐
    hosts on one bridge per device  ── ethN ┴ router ── eth0: control

Sockets are opened inside a namespace from this process (`socket_in`), so a packet costs no program. Leaves nothing
behind: everything lives in the namespaces, and `close` removes them.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from attrs import frozen

from vpcrouter.plan.nftables import replace_script
from vpcrouter.values.desired import Desired, Kernel

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def run(argv: Iterable[str], text: str = "") -> str:
    """The standard output of a program that must succeed."""
    done = subprocess.run(list(argv), input=text, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread is in the namespace meanwhile."""
    with Path("/proc/thread-self/ns/net").open() as home, Path("/run/netns", namespace).open() as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def socket_in(
    namespace: str, kind: socket.SocketKind, address: str, port: int, *, timeout: float = 1.0
) -> socket.socket:
    """An IPv4 socket of that namespace, bound to the address if it is one of its own (else to any)."""
    with inside(namespace):
        opened = socket.socket(socket.AF_INET, kind)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.settimeout(timeout)
    try:
        opened.bind((address, port))
    except OSError:
        if not address:
            raise
        opened.bind(("", port))
    if kind is socket.SOCK_STREAM:
        opened.listen()
    return opened


@frozen
class Host:
    """A machine on the bridge of a device, known by its address; with none (0.0.0.0) only its link is up."""

    address: str
    device: str
    gateway: str = ""


class Network:
    """A router with eth0, eth1 and further devices with a bridge behind each; hosts on those."""

    def __init__(self, devices: Iterable[str], hosts: Iterable[Host]) -> None:
        """`devices` are those beside eth0 and eth1."""
        self._prefix = f"mt{uuid4().hex[:6]}"
        self._names = {"router": f"{self._prefix}-r", "switch": f"{self._prefix}-s", "ext": f"{self._prefix}-e"}
        hosts = tuple(hosts)
        self._names |= {host.address: f"{self._prefix}-{host.address}" for host in hosts}
        batch = ["link add eth0 type bridge", "link add eth1 type veth peer name out netns {ext}"]
        inner = ["link set out up", "address add 203.0.113.1/24 dev out", "address add 198.51.100.1/32 dev out"]
        bridges = []
        for device in devices:
            batch.append(f"link add {device} type veth peer name r-{device} netns {{switch}}")
            bridges += [f"link add b-{device} type bridge forward_delay 0", f"link set b-{device} up"]
            bridges += [f"link set r-{device} master b-{device} up"]
        try:
            for name in self._names.values():
                run(["ip", "netns", "add", name])
                run(["ip", "-n", name, "link", "set", "lo", "up"])
            self._batch("router", batch)
            self._batch("ext", inner)
            self._batch("switch", bridges)
            for index, host in enumerate(hosts):
                self._plug(host, index)
        except BaseException:
            self.close()
            raise

    def _plug(self, host: Host, index: int) -> None:
        add = f"link add h{index} type veth peer name nic netns {self._names[host.address]}"
        self._batch("switch", [add, f"link set h{index} master b-{host.device} up"])
        self._batch(host.address, ["link set nic up"])
        if host.gateway:
            self._batch(
                host.address, [f"address add {host.address}/24 dev nic", f"route add default via {host.gateway}"]
            )

    def _batch(self, node: str, lines: Iterable[str]) -> None:
        text = "\n".join(line.format(**self._names) for line in lines)
        run(["ip", "-n", self._names[node], "-batch", "-"], text)

    def name(self, node: str) -> str:
        """The namespace of `router`, `ext`, `switch`, or a host by its address."""
        return self._names[node]

    def add_address(self, node: str, address: str) -> None:
        """One more address for a node beside the router."""
        self._batch(node, [f"address add {address}/32 dev {'out' if node == 'ext' else 'nic'}"])

    def add_route(self, node: str, network: str, gateway: str) -> None:
        """A route for a node."""
        self._batch(node, [f"route replace {network} via {gateway}"])

    def configure(self, desired: Desired) -> None:
        """Make the router like that, as if it were bare."""
        kernel = desired.kernel
        self.load(desired)
        self._sysctls(kernel)
        self._batch("router", _kernel_commands(kernel))
        self._sysctls(kernel)

    def load(self, desired: Desired) -> None:
        """Only the ruleset."""
        run(["ip", "netns", "exec", self.name("router"), "nft", "-f", "-"], replace_script(desired.ruleset))

    @contextmanager
    def without(self, device: str, address: str) -> Iterator[None]:
        """The router does not serve there meanwhile: keepalived has taken the address away."""
        self._batch("router", [f"address del {address} dev {device}"])
        try:
            yield
        finally:
            self._batch("router", [f"address add {address} dev {device}"])

    def _sysctls(self, kernel: Kernel) -> None:
        words = [f"{path}={value}" for path, value in kernel.sysctls]
        run(["ip", "netns", "exec", self.name("router"), "sysctl", "-qw", *words])

    def close(self) -> None:
        """Remove every namespace, and what runs in it."""
        for name in self._names.values():
            found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
            for pid in found.stdout.split():
                subprocess.run(["kill", "-9", pid], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def reach(self, sender: str, address: str, port: int, receiver: str, at: int, *, source: str = "") -> str | None:
        """Send UDP from a node to `address:port`, and an answer back; who the receiver sees at port `at`, or None."""
        with (
            socket_in(self.name(receiver), socket.SOCK_DGRAM, address, at, timeout=0.25) as there,
            socket_in(self.name(sender), socket.SOCK_DGRAM, source, 0) as here,
        ):
            here.sendto(b"question", (address, port))
            try:
                _, seen = there.recvfrom(64)
            except TimeoutError:
                return None
            there.sendto(b"answer", seen)
            answer, answered_by = here.recvfrom(64)
            assert (answer, answered_by) == (b"answer", (address, port)), "the answer was not translated back"
            return str(seen[0])

    def connect(self, sender: str, address: str, port: int, receiver: str, at: int) -> str | None:
        """The same by a TCP connection."""
        with socket_in(self.name(receiver), socket.SOCK_STREAM, address, at) as there, inside(self.name(sender)):
            try:
                with socket.create_connection((address, port), timeout=0.4) as here:
                    accepted, seen = there.accept()
                    with accepted:
                        accepted.sendall(b"hello")
                        assert here.recv(5) == b"hello"
                    return str(seen[0])
            except (TimeoutError, OSError):
                return None

    def pings(self, sender: str, address: str) -> bool:
        """Whether one ICMP echo is answered."""
        argv = ["ip", "netns", "exec", self.name(sender), "ping", "-c1", "-W1", "-q", address]
        return self.succeeds(argv)

    def succeeds(self, argv: list[str]) -> bool:
        """Whether a program says so."""
        return subprocess.run(argv, capture_output=True, check=False, timeout=10).returncode == 0


def _kernel_commands(kernel: Kernel) -> Iterator[str]:
    for link in kernel.links:
        mtu = f" mtu {link.mtu}" if link.mtu else ""
        yield f"link set {link.name}{mtu} {'up' if link.up else 'down'}"
    for each in (*kernel.addresses, *(kernel.virtual_addresses if kernel.serving else ())):
        yield f"address add {each.address} dev {each.device}"
    for route in (*kernel.routes, *(kernel.virtual_routes if kernel.serving else ())):
        via = f" via {route.gateway}" if route.gateway else ""
        yield f"route add {route.network}{via} dev {route.device} table {route.table}"
    for rule in kernel.rules:
        yield f"rule add priority {rule.priority} fwmark {rule.mark} lookup {rule.table}"
