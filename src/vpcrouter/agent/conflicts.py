"""Whether anybody else has an address of this router: told in the status, the log and the metrics."""

from __future__ import annotations

import logging

from vpcrouter.machines.conflicts import ConflictMachine
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.desired import Kernel
from vpcrouter.values.networks import is_ipv6, split_prefix

LOG = logging.getLogger("vpcrouter.agent")


class Conflicts:
    """Looks now and then."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._listener = surroundings.claims()
        self._machine = ConflictMachine()
        self._is_deaf = False
        self._own: tuple[Kernel, bool, frozenset[str]] | None = None
        """The addresses of the last look, and what they were made of."""

    def look(self, kernel: Kernel, *, serves: bool) -> None:
        """Take in what was heard since the last look, of the addresses that this router has now."""
        if self._own is None or self._own[0] is not kernel or self._own[1] is not serves:
            found = (*kernel.addresses, *(kernel.virtual_addresses if serves else ()))
            addresses = frozenset(split_prefix(each.address)[0] for each in found if not is_ipv6(each.address))
            self._own = kernel, serves, addresses
        own = self._own[2]
        try:
            self._listener.watch(own)
        except OSError as error:
            if not self._is_deaf:
                LOG.error("nobody listens for conflicts of addresses: %s", error)
            self._is_deaf = True
        else:
            self._is_deaf = False
        for each in self._machine.hear(self._listener.claims(), own, self._surroundings.monotonic_ns()):
            LOG.error("%s on %s is used by %s too", each.address, each.device, each.mac)

    def describe(self) -> list[dict[str, str]]:
        """What a status says of it."""
        return [{"device": each.device, "address": each.address, "mac": each.mac} for each in self._machine.conflicts]

    def close(self) -> None:
        """Look no more."""
        self._listener.close()
