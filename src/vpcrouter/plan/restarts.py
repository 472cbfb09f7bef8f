"""When a daemon that died may be started again: at once the first time, ever later if it keeps dying. Pure.

Asked by the applier of the daemons, which notes when each died and passes the time in.
"""

from __future__ import annotations

from collections.abc import Sequence

FORGOTTEN_S = 60.0
"""A death so long ago does not count any more."""
FIRST_WAIT_S = 0.25
"""After the second death; doubled with each further one."""
LONGEST_WAIT_S = 5.0
"""A router without this daemon must not wait longer for the next try."""


def wait_s(deaths: Sequence[float], now: float) -> float:
    """Seconds from now until the next start; `deaths` are times in seconds, oldest first, on the clock of `now`."""
    recent = [death for death in deaths if now - death < FORGOTTEN_S]
    if len(recent) < 2:
        return 0.0
    # The exponent is bounded: what is more than the cap needs no exact number.
    wait = min(FIRST_WAIT_S * (1 << min(len(recent) - 2, 16)), LONGEST_WAIT_S)
    return max(0.0, recent[-1] + wait - now)
