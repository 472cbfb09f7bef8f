"""VRRP priorities: an order of who is to serve, which the routers' keepalived compare on the wire without us.

What a router has lost counts first, then whether it serves, then which of two that serve does so for the shorter time:

    199 | 200 + generation | 230 when the service is handed to it      − 8 × what it has lost, in points

So a router that has lost more than its peer hands over, whichever served; of two that have lost the same, the serving
one stays; and of two that both serve when they hear each other again, the one that took over last goes on, since it
has the connections. Generations are counted modulo `GENERATIONS`, and anew while the other one obeys: the order is
wrong only after three takeovers in a row without a word between the two.
"""

from __future__ import annotations

from vpcrouter.values.carriage import GENERATIONS

WAITING_PRIORITY = 198
"""Of a router that was not elected yet, unless the server that sent its configuration would have it first."""
BACKUP_PRIORITY = 199
SERVING_PRIORITY = 200
HANDOVER_PRIORITY = 230
"""Of a router that another one hands its service to, until that one is backup."""
POINT = 8
"""More than there are generations, and one more for whether it serves."""
MAX_POINTS = (BACKUP_PRIORITY - 1) // POINT
"""Less than 1 is no priority (RFC 9568, 5.2.4: 0 is the farewell of a master)."""


def serving_priority(generation: int) -> int:
    """Of a router that serves, as long as it has lost nothing."""
    return SERVING_PRIORITY + generation % GENERATIONS


def generation_of(priority: int) -> int | None:
    """The generation of a serving router's priority; None for another one's."""
    generation = priority - SERVING_PRIORITY
    return generation if 0 <= generation < GENERATIONS else None


FAULT_PENALTY = 254
"""What keepalived takes for a fault, whatever the priority was (keepalived.conf(5), track_file)."""


def penalty(points: int) -> int:
    """What so many lost points take from a priority."""
    return POINT * min(points, MAX_POINTS)
