"""A network of its own for a measurement: a thread in a new network namespace, gone when the thread ends.

Programs that the thread starts run in its namespace; nothing outside is touched. Needs root.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bench.row import NotMeasuredError

_CLONE_NEWNET = 0x40000000  # linux/sched.h

Result = TypeVar("Result")


def in_own_namespace(measure: Callable[[], Result]) -> Result:
    """What `measure` returns when it is called in a new, empty network namespace."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(_enter_and_call, measure).result()


def _enter_and_call(measure: Callable[[], Result]) -> Result:
    # os.unshare exists from Python 3.12 on only.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise NotMeasuredError(f"no network namespace of its own: {os.strerror(ctypes.get_errno())}; needs root")
    return measure()
