"""What this router has lost of what it needs to serve, and what keepalived is told of it.

Used by the agent, which calls `look` when the kernel announces something, after each settle, when the peer says
something new, and at `next_ns`. What counts is `machines.losses`. The points become a penalty in a file that keepalived
tracks, which it takes from its priority: it alone decides what that means (`values.priority`), so nobody hands over to
a router that has lost as much, and nobody has to ask whether there is one.

A router that must obey at once, whatever it has lost, is put into fault by the same file (`obey`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vpcrouter.machines.losses import GatewayMachine, LossMachine, gateway_loss, link_losses, own_losses, way_out
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.beacon import Peer, Saying
from vpcrouter.values.desired import Kernel, Route
from vpcrouter.values.losses import GATEWAY, Fault, Loss
from vpcrouter.values.networks import network_of, split_prefix
from vpcrouter.values.priority import FAULT_PENALTY, penalty
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings


class Fitness:
    """How fit this router is to serve."""

    def __init__(self, settings: Settings, surroundings: Surroundings = HERE) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._links = surroundings.links()
        self._arp = surroundings.arp()
        self._losses = LossMachine(found_after_ms=settings.found_after_ms)
        self._gateway = GatewayMachine()
        self._asked: Route | None = None
        self._penalty: int | None = None
        self._next_gateway_ns: int | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What counts as lost."""
        return self._losses.counting

    @property
    def reaches_gateway(self) -> bool | None:
        """Whether the gateway of the way out answers; None if that is not known."""
        return self._gateway.reaches

    @property
    def next_ns(self) -> int | None:
        """When to look again, if nothing happens before."""
        return min((each for each in (self._losses.next_ns, self._next_gateway_ns) if each is not None), default=None)

    def look(
        self,
        kernel: Kernel,
        role: Role,
        peers: Sequence[Peer],
        faults: Sequence[Fault],
        journal_error: str | None,
        *,
        is_paired: bool,
    ) -> None:
        """See what is lost, and tell keepalived. `peers`: those that are heard. Raises HostError."""
        now_ns = self._surroundings.monotonic_ns()
        found: list[Loss] = []
        if is_paired:
            found += link_losses(kernel, self._links.carriers(), after_ms=self._settings.lost_after_ms)
            found += self._look_at_gateway(kernel, role, [each.saying for each in peers], now_ns)
            found += own_losses(faults, journal_error)
        self._losses.observe(found, now_ns)

    def obey(self, must: bool) -> None:
        """Write what keepalived is to take from its priority. Raises HostError."""
        wanted = FAULT_PENALTY if must else penalty(sum(each.points for each in self.losses))
        if wanted != self._penalty:
            self._surroundings.write_penalty(Path(self._settings.penalty_file), wanted)
            self._penalty = wanted

    def announce(self, kernel: Kernel) -> None:
        """Tell everyone that the virtual addresses are here: somebody else, who serves no more, has said so too."""
        self._arp.announce(kernel.virtual_addresses)

    def close(self) -> None:
        """Look no more."""
        self._links.close()
        self._arp.close()

    def _look_at_gateway(self, kernel: Kernel, role: Role, peers: Sequence[Saying], now_ns: int) -> list[Loss]:
        """A serving router asks all the time; another one when that one has lost it, or it has itself."""
        route = way_out(kernel)
        serves = role is Role.MASTER
        has_lost = any(each.subject == GATEWAY for each in self.losses)
        is_asked = serves or has_lost or any(each.serves and each.reaches_gateway is False for each in peers)
        if route is None or not is_asked or not self._settings.watch_gateway:
            self._gateway.forget()
            self._next_gateway_ns = None
            return []
        if route != self._asked:
            self._gateway.forget()
            self._asked = route
        if self._arp.answered(route.gateway):
            self._gateway.answered()
        if self._gateway.due_ns(now_ns) <= now_ns:
            self._arp.ask(route.device, route.gateway, _source(kernel, route) if serves else None)
            self._gateway.asked(now_ns)
        self._next_gateway_ns = self._gateway.due_ns(now_ns)
        return list(
            gateway_loss(
                route.gateway,
                self._gateway.reaches,
                any(each.reaches_gateway for each in peers),
                peer_is_heard=bool(peers),
            )
        )


def _source(kernel: Kernel, route: Route) -> str | None:
    """The own address on the way out: the first of its device that is in the gateway's network."""
    for each in kernel.virtual_addresses:
        address, length = split_prefix(each.address)
        if each.device == route.device and network_of(address, length) == network_of(route.gateway, length):
            return address
    return None
