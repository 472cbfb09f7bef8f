"""How busy the machine is: what takes processor time takes longer on one that others use."""

from __future__ import annotations

import time

WEIGHED_S = 0.2


def share_of_a_processor() -> float:
    """What a busy process gets of one here and now; all of it on a machine that nobody else uses."""
    began, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < WEIGHED_S:
        pass
    return WEIGHED_S / (time.perf_counter() - began)
