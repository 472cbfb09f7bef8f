"""A kernel in memory, with the rules of Linux that plans depend on. It has the applier's interface.

- an address that is added second in its subnet is secondary, and goes with the first one unless the device
  promotes secondaries
- a route needs its gateway inside a network of its device, and the device up
- a device that goes down, or loses its last address, loses its routes
- a rule is there once for each protocol
- a vxlan device goes with the one that it goes by
- adding a route replaces the first one of the same network, table and metric
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Interface, IPv6Interface
from ipaddress import ip_interface as parse_interface

from attrs import evolve

from vpcrouter.errors import ApplierError
from vpcrouter.plan.kernel import (
    ConnectedRoute,
    KernelOperation,
    ObservedKernel,
    Remote,
    RouteEntry,
    RuleEntry,
    Unannounced,
)
from vpcrouter.plan.sysctls import Sysctl, sysctl_paths
from vpcrouter.values.desired import OVERLAY, InterfaceAddress, Kernel, Link, Overlay, Route

_DEVICE_SYSCTLS = ("promote_secondaries", "rp_filter", "arp_ignore")


@lru_cache(maxsize=4096)
def ip_interface(text: str) -> IPv4Interface | IPv6Interface:
    """Parsing one takes longer than everything else here."""
    return parse_interface(text)


@lru_cache(maxsize=4096)
def _network(text: str) -> str:
    return str(ip_interface(text).network)


def _settings_of(device: str) -> dict[str, str]:
    return {f"net/ipv4/conf/{device}/{each}": "0" for each in _DEVICE_SYSCTLS}


class RefusedError(Exception):
    """What the kernel answers to an operation it does not do."""


class KernelModel:
    """Links, addresses in their order, routes, and sysctls."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.addresses: list[InterfaceAddress] = []
        self.routes: list[RouteEntry] = []
        self.rules: list[RuleEntry] = []
        self.overlay: Overlay | None = None
        self.deleted: set[tuple[str, str]] = set()
        """Networks whose connected route somebody deleted."""
        self.sysctls: dict[str, str] = {"net/ipv4/ip_forward": "0", **_settings_of("default")}
        self._read: tuple[tuple[object, ...], tuple[Sysctl, ...]] = (), ()
        self._seen: tuple[tuple[object, ...], ObservedKernel] = (), ObservedKernel()
        """What was read and seen last, and of what it was made: what is the same is not made anew."""

    def plug(self, name: str) -> None:
        """A new device, down and bare."""
        self.links[name] = Link(name=name, up=False, mtu=1500)
        self.sysctls.update(_settings_of(name))

    def unplug(self, name: str) -> None:
        """The device is gone, with all that was on it."""
        self.links.pop(name, None)
        for path in [each for each in self.sysctls if f"/{name}/" in each]:
            del self.sysctls[path]
        self.deleted = {each for each in self.deleted if each[1] != name}
        self.addresses = [each for each in self.addresses if each.device != name]
        self.routes = [each for each in self.routes if each.route.device != name]
        if name == OVERLAY:
            self.overlay = None
        elif self.overlay is not None and self.overlay.device == name:
            self.unplug(OVERLAY)

    def observe(self, desired: Kernel) -> ObservedKernel:
        """What there is."""
        links, addresses = tuple(self.links.values()), tuple(self.addresses)
        routes, rules = tuple(self.routes), tuple(self.rules)
        present = links, addresses, routes, rules, self.settings(desired), self.overlay, frozenset(self.deleted)
        if self._seen[0] != present:
            self._seen = (
                present,
                ObservedKernel(
                    links=links,
                    addresses=addresses,
                    routes=routes,
                    connected=frozenset(self._connected()),
                    rules=rules,
                    sysctls=present[4],
                    overlay=self.overlay,
                ),
            )
        return self._seen[1]

    def unannounced(self, desired: Kernel) -> Unannounced:
        """What nobody is notified of."""
        return self.settings(desired), () if self.overlay is None else self.overlay.remotes

    def settings(self, desired: Kernel) -> tuple[Sysctl, ...]:
        """Of the sysctls that a desired kernel is about, those that have a file."""
        paths = sysctl_paths(desired)
        present = paths, tuple(map(self.sysctl, paths))
        if self._read[0] != present:
            found = zip(*present, strict=True)
            self._read = present, tuple(Sysctl(path=path, value=value) for path, value in found if value is not None)
        return self._read[1]

    def sysctl(self, path: str) -> str | None:
        """A setting; None if it has no file."""
        return self.sysctls.get(path)

    def _connected(self) -> Iterator[tuple[str, str]]:
        for each in self.addresses:
            pair = _network(each.address), each.device
            if ":" not in each.address and self.links[each.device].up and pair not in self.deleted:
                yield pair

    def apply(self, operations: Sequence[KernelOperation]) -> None:
        """Do all, then name the refused ones."""
        refused = []
        for operation in operations:
            try:
                self._do(operation)
            except RefusedError as error:
                refused.append(f"{operation.action} {operation.subject}: {error}")
        if refused:
            raise ApplierError("; ".join(refused), where="kernel")

    def _do(self, operation: KernelOperation) -> None:
        item = operation.item
        removal = operation.action == "remove"
        if isinstance(item, Sysctl):
            if item.path in self.sysctls:
                self.sysctls[item.path] = item.value
        elif isinstance(item, Link):
            self._set_link(item)
        elif isinstance(item, InterfaceAddress):
            (self.remove_address if removal else self.add_address)(item)
        elif isinstance(item, Overlay):
            self._set_overlay(None if removal else item)
        elif isinstance(item, Remote):
            self._set_remote(item.address, is_there=not removal)
        elif isinstance(item, ConnectedRoute):
            self.deleted.discard((item.network, item.device))
        elif isinstance(item, RuleEntry):
            (self.remove_rule if removal else self.put_rule)(item)
        else:
            (self.remove_route if removal else self.put_route)(item)

    def _set_overlay(self, overlay: Overlay | None) -> None:
        if overlay is None:
            self.unplug(OVERLAY)
        elif overlay.device in self.links:
            self.plug(OVERLAY)
            self.overlay = evolve(overlay, remotes=())

    def _set_remote(self, address: str, *, is_there: bool) -> None:
        if self.overlay is not None:
            others = {*self.overlay.remotes} - {address}
            self.overlay = evolve(self.overlay, remotes=tuple(sorted({*others, address} if is_there else others)))

    def _set_link(self, link: Link) -> None:
        if link.name in self.links:
            mtu = link.mtu or self.links[link.name].mtu
            self.links[link.name] = Link(name=link.name, up=link.up, mtu=mtu)
            if not link.up:
                self.routes = [each for each in self.routes if each.route.device != link.name]

    def add_address(self, address: InterfaceAddress) -> None:
        """Add an address to a device that exists."""
        if address.device in self.links and address not in self.addresses:
            self.addresses.append(address)

    def remove_address(self, address: InterfaceAddress) -> None:
        """Remove an address, and perhaps others with it."""
        if address not in self.addresses:
            return
        subnet = [each for each in self.addresses if _same_subnet(each, address)]
        promotes = self.sysctls.get(f"net/ipv4/conf/{address.device}/promote_secondaries") == "1"
        takes_all = subnet[0] == address and not promotes and ":" not in address.address
        gone = subnet if takes_all else [address]
        self.addresses = [each for each in self.addresses if each not in gone]
        if not any(each.device == address.device for each in self.addresses):
            self.routes = [each for each in self.routes if each.route.device != address.device]

    def put_route(self, entry: RouteEntry) -> None:
        """Add a route, or replace the first of its network, table and metric."""
        device = entry.route.device
        if device not in self.links:
            return
        if not self.links[device].up:
            raise RefusedError("Device for nexthop is not up")
        if entry.route.gateway and not self._is_reachable(entry.route):
            raise RefusedError("Nexthop has invalid gateway")
        for index, each in enumerate(self.routes):
            if _key(each) == _key(entry):
                self.routes[index] = entry
                return
        self.routes.append(entry)

    def remove_route(self, entry: RouteEntry) -> None:
        """Remove exactly this route."""
        self.routes = [each for each in self.routes if each != entry]

    def _is_reachable(self, route: Route) -> bool:
        direct = [each.route for each in self.routes if each.route.gateway == "" and each.route.device == route.device]
        networks = [each.network for each in direct if each.table == route.table]
        networks += [each.address for each in self.addresses if each.device == route.device]
        gateway = ip_interface(route.gateway).ip
        return any(gateway in ip_interface(each).network for each in networks)

    def put_rule(self, entry: RuleEntry) -> None:
        """Add a rule, unless it is there."""
        if entry not in self.rules:
            self.rules.append(entry)

    def remove_rule(self, entry: RuleEntry) -> None:
        """Remove exactly this rule."""
        self.rules = [each for each in self.rules if each != entry]

    def remove_connected(self, network: str, device: str) -> None:
        """The route that was made for an address goes; the address stays."""
        self.deleted.add((network, device))


def _same_subnet(one: InterfaceAddress, other: InterfaceAddress) -> bool:
    return one.device == other.device and _network(one.address) == _network(other.address)


def _key(entry: RouteEntry) -> tuple[str, int, int]:
    return entry.route.network, entry.route.table, entry.metric
