"""Makes and unmakes namespaces and cables, with as few processes as possible: one `ip -batch` for each step.

Called by `laboratory`. It knows nothing of agents and daemons. The texts of the batches are pure functions of
the layout; the functions below them run them. Both ends of a cable are created where they belong, so the
namespace that the lab is started from never holds a device of it, and a device's name needs no prefix.

Known hole: the kernel leaves the checksums of UDP over veth to the receiver. A DHCP client on a raw socket that
neither reads PACKET_AUXDATA nor tolerates a wrong checksum will not hear dnsmasq.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vpcrouter.appliers import _process
from vpcrouter.errors import ApplierError, HostError
from vpcrouter.lab.layout import (
    ADDRESSES,
    ALL_ROUTERS,
    BRIDGES,
    GATEWAYS,
    NODES,
    SWITCH,
    Cable,
    Names,
    cables_of,
)

NAMESPACES = Path("/run/netns")
_GROUPS = {router: 11 + index for index, router in enumerate(ALL_ROUTERS)}
"""The device group of a router's ports: all cables of a router go with one call."""


def namespace_lines(names: Iterable[str]) -> list[str]:
    """Make namespaces."""
    return [f"netns add {name}" for name in names]


def cable_lines(names: Names, cables: Iterable[Cable]) -> list[str]:
    """Make cables: the node's end down and bare, the switch's end not plugged in yet."""
    switch = names.namespace(SWITCH)
    return [
        f"link add name {cable.device} address {cable.mac} netns {names.namespace(cable.node)}"
        f" type veth peer name {cable.port} netns {switch}"
        for cable in cables
    ]


def bridge_lines() -> list[str]:
    """In the switch: a bridge for each network, without spanning tree and without looking into multicast."""
    lines = ["link set lo up"]
    for bridge in BRIDGES:
        lines += [f"link add {bridge} type bridge stp_state 0 mcast_snooping 0", f"link set {bridge} up"]
    return lines


def plug_lines(cables: Iterable[Cable]) -> list[str]:
    """In the switch: put ports into their bridges."""
    return [f"link set {cable.port} group {_GROUPS.get(cable.node, 0)} master {cable.bridge} up" for cable in cables]


def cut_lines(cables: Iterable[Cable], *, silent: bool) -> list[str]:
    """In the switch: take ports out of their bridges (`silent`: the other end keeps its carrier) or down."""
    return [f"link set {cable.port} {'nomaster' if silent else 'down'}" for cable in cables]


def host_lines(node: str) -> list[str]:
    """In a host: its addresses and its default route."""
    lines = ["link set lo up", "link set eth0 up"]
    lines += [f"address add {address} dev eth0" for address in ADDRESSES[node]]
    if node in GATEWAYS:
        lines.append(f"route add default via {GATEWAYS[node]}")
    return lines


def build(names: Names) -> None:
    """Make everything. Nothing of it may exist."""
    _batch(namespace_lines(names.namespace(node) for node in names.nodes))
    _silence_ipv6(names.namespace(SWITCH))
    # The bridges first: they take the switch's low interface numbers. If both ends of a cable had the same number,
    # the kernel would report the carrier of a device that comes up not at once but up to 1 s later (is it "urgent",
    # net/core/link_watch.c), and keepalived would start in fault; a hardware NIC's carrier is always urgent.
    _batch(bridge_lines(), names.namespace(SWITCH))
    _batch(cable_lines(names, names.cables))
    _batch(plug_lines(names.cables), names.namespace(SWITCH))
    for node in ADDRESSES:
        _batch(host_lines(node), names.namespace(node))
    for router in names.routers:
        _batch(["link set lo up"], names.namespace(router))


def remove(names: Names) -> tuple[str, ...]:
    """Remove those namespaces that exist, with their cables; returns their names."""
    present = tuple(name for name in names.all if (NAMESPACES / name).exists())
    if present:
        _batch([f"netns delete {name}" for name in present])
    return present


def remove_router(names: Names, router: str) -> None:
    """Remove a router's cables and its namespace, those parts that are there.

    The cables by name first: the kernel clears a deleted namespace some time later, and the new machine needs
    their names at once.
    """
    switch, group = names.namespace(SWITCH), str(_GROUPS[router])
    if _process.run(["ip", "-n", switch, "-oneline", "link", "show", "group", group]).strip():
        _process.run(["ip", "-n", switch, "link", "delete", "group", group])
    if (NAMESPACES / names.namespace(router)).exists():
        _batch([f"netns delete {names.namespace(router)}"])


def build_router(names: Names, router: str) -> None:
    """Make the namespace and the cables of a router that was removed."""
    cables = cables_of(router)
    _batch([*namespace_lines([names.namespace(router)]), *cable_lines(names, cables)])
    _batch(plug_lines(cables), names.namespace(SWITCH))
    _batch(["link set lo up"], names.namespace(router))


def cut(names: Names, cables: Iterable[Cable], *, silent: bool) -> None:
    """Cut cables; ten take 1 ms, so to a failover they are cut at once."""
    _batch(cut_lines(cables, silent=silent), names.namespace(SWITCH))


def plug(names: Names, cables: Iterable[Cable]) -> None:
    """Undo either kind of cut."""
    _batch(plug_lines(cables), names.namespace(SWITCH))


def inodes(names: Names) -> dict[str, int]:
    """What identifies the namespaces that exist, by node; a process carries the same number."""
    found = {}
    for node in NODES:
        try:
            found[node] = (NAMESPACES / names.namespace(node)).stat().st_ino
        except FileNotFoundError:
            continue
    return found


def _batch(lines: list[str], namespace: str = "") -> None:
    if not lines:
        return
    inside = ["-n", namespace] if namespace else []
    try:
        _process.run(["ip", *inside, "-batch", "-"], stdin="".join(f"{line}\n" for line in lines).encode())
    except ApplierError as error:
        raise HostError(
            f"the kernel refused a part of the laboratory: {error.what}",
            where=f"ip {' '.join(inside)}".strip(),
            hint="'vpcrouter lab down' clears what is left, then try again",
        ) from None


def _silence_ipv6(namespace: str) -> None:
    """No neighbour discovery of the switch's own ports: one of its frames could move a MAC to another port."""
    settings = Path("/proc/sys/net/ipv6/conf")
    if settings.exists():
        files = [str(settings / scope / "disable_ipv6") for scope in ("all", "default")]
        _process.run(["ip", "netns", "exec", namespace, "tee", *files], stdin=b"1\n")
