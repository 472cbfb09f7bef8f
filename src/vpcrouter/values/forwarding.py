"""Which port forwardings are the same rule, and how those of one address are put in order.

Called wherever forwardings are read, decided upon and kept: a command names no number of a rule, only what it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from vpcrouter.values import networks
from vpcrouter.values.config import PortForward


def forward_key(forward: PortForward) -> tuple[str, str, int, int]:
    """The public ports of a forwarding; those of one key differ in their clients only."""
    return forward.address, forward.protocol, forward.first_port, forward.last_port


def same_forward(one: PortForward, other: PortForward) -> bool:
    """Whether two forwardings are the same rule: the same public ports, and a client in common.

    CloudStack's rule (both source lists empty, or one CIDR in both) says the same of the lists that it sends; this
    one also takes a list that was narrowed, widened or emptied for the same rule.
    """
    return forward_key(one) == forward_key(other) and sources_meet(one, other)


def sources_meet(one: PortForward, other: PortForward) -> bool:
    """Whether a client may use both forwardings; an empty list means anybody."""
    if not one.sources or not other.sources:
        return True
    return any(networks.overlap(a, b) for a in one.sources for b in other.sources)


def sort_forwards(forwards: Iterable[PortForward]) -> tuple[PortForward, ...]:
    """The order in which the forwardings of one address are kept: it does not tell in which order they came."""
    return tuple(sorted(forwards, key=place_among_forwards))


place_among_forwards = attrgetter("protocol", "first_port", "last_port", "sources")
"""Where a forwarding stands among those of its address."""
