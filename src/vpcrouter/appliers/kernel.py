"""Links, addresses, routes, policy rules and sysctls of this network namespace: look, do, say what was refused.

Called by `router.py`, which plans in between (`plan.kernel`). It knows what an operation means to the kernel and
nothing of why it is wanted. The first look costs one dump of links, addresses, routes and rules, a later one what the
kernel has notified of since (`_kernel_view`); doing costs one acknowledged message for each operation, many to a system
call. rtnetlink has no transactions: each operation succeeds or fails
alone, all are tried, and what was refused is one ApplierError. Look again to be sure.

What is already as an operation wants it is not an error, nor is a device that was unplugged meanwhile: the next
plan names it as missing.

Known hole: an address with a peer of its own (point-to-point, made by hand) is seen but cannot be removed.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import evolve

from vpcrouter.appliers import _netlink, _overlay
from vpcrouter.appliers._kernel_view import KernelNews, KernelView, SeenRoute, seen_route
from vpcrouter.appliers._netlink import AddressRecord, RouteRecord
from vpcrouter.appliers._sockets import NetlinkSocket
from vpcrouter.errors import ApplierError
from vpcrouter.plan.kernel import (
    CONNECTED_PROTOCOL,
    MAIN_TABLE,
    ConnectedRoute,
    KernelOperation,
    ObservedKernel,
    Remote,
    RouteEntry,
    RuleEntry,
    Unannounced,
    rule_words,
)
from vpcrouter.plan.sysctls import Sysctl, sysctl_paths
from vpcrouter.values.desired import OVERLAY, InterfaceAddress, Kernel, Link, Overlay, PolicyRule

_GONE = {errno.ENODEV, errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT}
_ALREADY_TRUE = {"add": {errno.EEXIST, errno.ENODEV}, "set": {errno.ENODEV}, "remove": _GONE}

_Message = tuple[int, int, bytes]


class KernelApplier:
    """The kernel's network configuration in the namespace of the calling thread; one thread at a time."""

    def __init__(self, *, sysctl_root: Path = Path("/proc/sys")) -> None:
        self._sysctl_root = sysctl_root
        self._socket: NetlinkSocket | None = None
        self._news: KernelNews | None = None
        self._view: KernelView | None = None
        """What the last look has found, with what the kernel notified of since."""

    def close(self) -> None:
        """Close the netlink sockets; a later call opens them again."""
        for each in (self._socket, self._news):
            if each is not None:
                each.close()
        self._socket = self._news = self._view = None

    def observe(self, desired: Kernel, *, full: bool = False) -> ObservedKernel:
        """What there is now; of the sysctls, those that `desired` is about.

        Unless `full`, what was seen before and no notification contradicts is proof enough.
        """
        view, self._view = self._view, None
        news = self._subscription().read()
        if view is None or full or news is None or not view.take_in(news):
            view = self._look(view)
        self._view = view
        sysctls, remotes = self.unannounced(desired)
        return ObservedKernel(
            links=view.links,
            addresses=view.addresses,
            routes=view.routes,
            connected=view.connected,
            rules=view.rules,
            sysctls=sysctls,
            overlay=None if view.overlay is None else evolve(view.overlay, remotes=remotes),
        )

    def _look(self, before: KernelView | None) -> KernelView:
        names: dict[int, str] = {}
        links, overlay = [], None
        dump = self._dump(_netlink.RTM_GETLINK, _netlink.link_query())
        for link, (_, payload) in zip(_netlink.links(dump), dump, strict=True):
            names[link.index] = link.name
            links.append(Link(name=link.name, up=link.up, mtu=link.mtu))
            if link.name == OVERLAY:
                overlay = payload
        addresses = tuple(self._addresses(names))
        # The kernel says the same of a route that did not change, and the same objects are compared without looking
        # into them.
        known = before.described if before is not None and before.names == names else {}
        described: dict[bytes, SeenRoute] = {}
        for version in (4, 6):
            for _, payload in self._dump(_netlink.RTM_GETROUTE, _netlink.route_query(version)):
                described[payload] = known[payload] if payload in known else seen_route(payload, names)
        return KernelView(
            links=tuple(links),
            addresses=addresses,
            rules=tuple(self._rules()),
            names=names,
            described=described,
            overlay=None if overlay is None else _overlay.overlay(overlay, names),
        )

    def apply(self, operations: Sequence[KernelOperation]) -> None:
        """Do all of them, in order. Raises ApplierError naming those that were refused, after trying all."""
        refused: list[str] = []
        batch: list[tuple[KernelOperation, _Message]] = []
        indexes: dict[str, int] = {}
        for operation in operations:
            item = operation.item
            if isinstance(item, Sysctl):
                self._send(batch, refused)
                self._write(operation, item, refused)
            elif (message := _message(operation.action, item, indexes)) is not None:
                batch.append((operation, message))
        self._send(batch, refused)
        if refused:
            shown = "; ".join(refused[:10]) + (f"; and {len(refused) - 10} more" if len(refused) > 10 else "")
            raise ApplierError(shown, where="kernel", hint="`vpcrouter plan` lists what is still to do")

    def _addresses(self, names: dict[int, str]) -> Iterator[InterfaceAddress]:
        for version in (4, 6):
            dump = self._dump(_netlink.RTM_GETADDR, _netlink.address_query(version))
            for record in _netlink.addresses(dump):
                if (device := names.get(record.index)) is not None:
                    yield InterfaceAddress(device=device, address=record.address)

    def _rules(self) -> Iterator[RuleEntry]:
        for record in _netlink.rules(self._dump(_netlink.RTM_GETRULE, _netlink.rule_query())):
            rule = None
            if record.mark is not None:
                rule = PolicyRule(mark=record.mark, table=record.table, priority=record.priority)
            words = f"priority {record.priority} lookup {record.table}" if rule is None else rule_words(rule)
            yield RuleEntry(
                rule=rule, table=record.table, protocol=record.protocol, words=words, payload=record.payload
            )

    def unannounced(self, desired: Kernel) -> Unannounced:
        """What is there of that which nobody notifies of, as far as `desired` is about it; looking is cheap."""
        return tuple(self._sysctls(desired)), self._remotes()

    def _sysctls(self, desired: Kernel) -> Iterator[Sysctl]:
        for path in sysctl_paths(desired):
            try:
                value = (self._sysctl_root / path).read_text(encoding="ascii")
            except OSError:
                continue  # no such device or module; the plan says which
            yield Sysctl(path=path, value=" ".join(value.split()))

    def _remotes(self) -> tuple[str, ...]:
        try:
            index = socket.if_nametoindex(OVERLAY)
        except OSError:
            return ()
        return tuple(sorted(_overlay.remotes(self._dump(_overlay.RTM_GETNEIGH, _overlay.remote_query()), index)))

    def _dump(self, kind: int, payload: bytes) -> list[tuple[int, bytes]]:
        return self._netlink().dump(kind, payload)

    def _netlink(self) -> NetlinkSocket:
        if self._socket is None:
            try:
                self._socket = NetlinkSocket(socket.NETLINK_ROUTE)
            except OSError as error:
                raise ApplierError(f"no netlink socket: {error.strerror}", where="kernel") from None
        return self._socket

    def _subscription(self) -> KernelNews:
        if self._news is None:
            try:
                self._news = KernelNews()
            except OSError as error:
                raise ApplierError(f"cannot watch for changes: {error.strerror}", where="kernel") from None
        return self._news

    def _send(self, batch: list[tuple[KernelOperation, _Message]], refused: list[str]) -> None:
        if batch:
            answers = self._netlink().request([message for _, message in batch])
            for (operation, _), refusal in zip(batch, answers, strict=True):
                if refusal is not None and refusal.errno not in _ALREADY_TRUE[operation.action]:
                    refused.append(f"{operation.action} {operation.subject}: {refusal}")
            batch.clear()

    def _write(self, operation: KernelOperation, sysctl: Sysctl, refused: list[str]) -> None:
        try:
            file = os.open(self._sysctl_root / sysctl.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(file, sysctl.value.encode("ascii"))
            finally:
                os.close(file)
        except FileNotFoundError:
            pass  # its device was unplugged meanwhile
        except OSError as error:
            refused.append(f"{operation.action} {operation.subject}: {error.strerror}")


def _message(
    action: str,
    item: Link | InterfaceAddress | RouteEntry | ConnectedRoute | RuleEntry | Overlay | Remote,
    indexes: dict[str, int],
) -> _Message | None:
    """The netlink message of an operation; None if its device is not there any more."""
    if isinstance(item, RuleEntry):
        return _rule_message(action, item)
    removal = action == "remove"
    if isinstance(item, Overlay) and removal:
        return _overlay.RTM_DELLINK, 0, _overlay.removal()
    device = _device(item)
    if device not in indexes:
        try:
            indexes[device] = socket.if_nametoindex(device)
        except OSError:
            indexes[device] = 0
    index = indexes[device]
    if index == 0:
        return None
    if isinstance(item, Link):
        return _netlink.RTM_SETLINK, 0, _netlink.link_change(index, up=item.up, mtu=item.mtu)
    if isinstance(item, Overlay):
        return _overlay.RTM_NEWLINK, _netlink.NLM_F_CREATE | _netlink.NLM_F_EXCL, _overlay.addition(item, index)
    if isinstance(item, Remote):
        kind = _overlay.RTM_DELNEIGH if removal else _overlay.RTM_NEWNEIGH
        how = 0 if removal else _netlink.NLM_F_CREATE | _netlink.NLM_F_APPEND
        return kind, how, _overlay.remote_change(index, item.address)
    if isinstance(item, InterfaceAddress):
        payload = _netlink.address_change(AddressRecord(index=index, address=item.address))
        if removal:
            return _netlink.RTM_DELADDR, 0, payload
        return _netlink.RTM_NEWADDR, _netlink.NLM_F_CREATE | _netlink.NLM_F_EXCL, payload
    if isinstance(item, ConnectedRoute):
        record = RouteRecord(
            index=index,
            network=item.network,
            gateway="",
            table=MAIN_TABLE,
            protocol=CONNECTED_PROTOCOL,
            source=item.source,
        )
        payload = _netlink.route_change(record)
        return _netlink.RTM_NEWROUTE, _netlink.NLM_F_CREATE | _netlink.NLM_F_EXCL, payload
    route = item.route
    record = RouteRecord(
        index=index,
        network=route.network,
        gateway=route.gateway,
        table=route.table,
        protocol=item.protocol,
        metric=item.metric,
    )
    payload = _netlink.route_change(record, removal=removal)
    if removal:
        return _netlink.RTM_DELROUTE, 0, payload
    # Only what was seen may be replaced: a route that the kernel made stands under the same key.
    how = _netlink.NLM_F_REPLACE if action == "set" else _netlink.NLM_F_EXCL
    return _netlink.RTM_NEWROUTE, _netlink.NLM_F_CREATE | how, payload


def _rule_message(action: str, item: RuleEntry) -> _Message | None:
    if action == "remove":
        return _netlink.RTM_DELRULE, 0, item.payload
    if item.rule is None:
        return None  # only rules for a mark are ever wanted
    rule = item.rule
    payload = _netlink.rule_change(rule.priority, rule.mark, rule.table, item.protocol)
    return _netlink.RTM_NEWRULE, _netlink.NLM_F_CREATE | _netlink.NLM_F_EXCL, payload


def _device(item: Link | InterfaceAddress | RouteEntry | ConnectedRoute | Overlay | Remote) -> str:
    if isinstance(item, Link):
        return item.name
    if isinstance(item, Remote):
        return OVERLAY
    return item.route.device if isinstance(item, RouteEntry) else item.device
