"""What the kernel's network configuration is, kept up to date by its notifications: cost follows the change.

Used by the kernel applier. A look lists everything; after it, the routes that came and went are put to what was seen,
as the kernel tells them. It tells each change to whoever listens before it answers the one that made it, so what is
read behind a change is complete.

Only what is certain is put in. Another look is due after a lost notification, after any of a link, an address or a rule
(the kernel is silent about the routes that go with them), for a route that replaced another one, one that stands beside
one with the same network and table (their order counts), and one that went and was not known.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Sequence

from attrs import field, frozen

from vpcrouter.appliers import _netlink
from vpcrouter.appliers._sockets import RTMGRP_ALL, split
from vpcrouter.plan.kernel import RouteEntry, RuleEntry
from vpcrouter.values.desired import InterfaceAddress, Link, Overlay, Route

SeenRoute = RouteEntry | tuple[str, str] | None
"""One that somebody made; a network that the kernel routes, with its device; or nothing that counts."""
Notification = tuple[int, int, bytes]
"""Type, flags and payload."""
_RECEIVE = 64 * 1024
_BUFFER = 128 * 1024
"""Bytes, for some hundred notifications: what does not fit is as well looked at."""


@frozen(kw_only=True)
class KernelView:
    """All that a look has found, with the routes by the kernel's own description."""

    links: tuple[Link, ...]
    addresses: tuple[InterfaceAddress, ...]
    rules: tuple[RuleEntry, ...]
    names: dict[int, str]
    described: dict[bytes, SeenRoute]
    overlay: Overlay | None = None
    """Without its remotes, of which nobody notifies."""
    _places: Counter[tuple[str, int]] = field(factory=Counter, init=False)
    """How many routes stand for a network in a table; counted when it is first asked for."""

    @property
    def routes(self) -> tuple[RouteEntry, ...]:
        """The routes that somebody made, in the kernel's order where that counts."""
        return tuple([each for each in self.described.values() if type(each) is RouteEntry])

    @property
    def connected(self) -> frozenset[tuple[str, str]]:
        """The networks that the kernel routes for its addresses, with the device."""
        return frozenset([each for each in self.described.values() if type(each) is tuple])

    def take_in(self, news: Sequence[Notification]) -> bool:
        """Put in what has come and gone; False if there has to be another look. It is of no use any more then."""
        return all(self._take_in(kind, flags, payload) for kind, flags, payload in news)

    def _take_in(self, kind: int, flags: int, payload: bytes) -> bool:
        if kind == _netlink.RTM_DELROUTE and payload in self.described:
            if type(gone := self.described.pop(payload)) is RouteEntry:
                self._counted()[_place(gone)] -= 1
            return True
        if kind != _netlink.RTM_NEWROUTE or flags & (_netlink.NLM_F_REPLACE | _netlink.NLM_F_APPEND):
            return False
        if payload in self.described:
            return True  # it came while we looked
        came = seen_route(payload, self.names)
        if type(came) is RouteEntry:
            if self._counted()[_place(came)]:
                return False
            self._counted()[_place(came)] += 1
        self.described[payload] = came
        return True

    def _counted(self) -> Counter[tuple[str, int]]:
        if not self._places:
            self._places.update(map(_place, self.routes))
        return self._places


def seen_route(payload: bytes, names: dict[int, str]) -> SeenRoute:
    """What the kernel's description of a route means."""
    record = _netlink.route(payload)
    if record is None or (device := names.get(record.index)) is None:
        return None
    if record.is_connected:
        return record.network, device
    route = Route(network=record.network, gateway=record.gateway, device=device, table=record.table)
    return RouteEntry(route=route, protocol=record.protocol, metric=record.metric)


class KernelNews:
    """A subscription in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, RTMGRP_ALL))
        except OSError:
            self._socket.close()
            raise

    def read(self) -> list[Notification] | None:
        """What was notified of since the last call, without waiting; None if some of it was lost."""
        news: list[Notification] = []
        lost = False
        while True:
            try:
                data = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return None if lost else news
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
            else:
                news.extend((kind, flags, payload) for kind, flags, _, payload in split(data))

    def close(self) -> None:
        """End the subscription."""
        self._socket.close()


def _place(entry: RouteEntry) -> tuple[str, int]:
    return entry.route.network, entry.route.table
