"""Which devices there are, and whether each has a carrier: one dump, read whenever the kernel has announced something.

Used by `fitness`, in the agent's own thread, with a socket of its own. It does not know what a device is good for.
"""

from __future__ import annotations

import socket

from vpcrouter.appliers import _netlink
from vpcrouter.appliers._sockets import NetlinkSocket
from vpcrouter.errors import ApplierError


class LinkObserver:
    """The links of this network namespace."""

    def __init__(self) -> None:
        self._socket: NetlinkSocket | None = None

    def carriers(self) -> dict[str, bool]:
        """By device: whether it has a carrier. True as well of one that is set down, which cannot be told.

        Raises ApplierError.
        """
        try:
            if self._socket is None:
                self._socket = NetlinkSocket(socket.NETLINK_ROUTE)
            dump = self._socket.dump(_netlink.RTM_GETLINK, _netlink.link_query())
        except OSError as error:
            raise ApplierError(f"cannot list the links: {error.strerror}", where="netlink") from None
        return {each.name: each.has_carrier or not each.up for each in _netlink.links(dump)}

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
