"""Virtual time: what happens next, and who waits for what. The same seed gives the same run, byte for byte.

    World     a heap of (time, number, call); the clock jumps from one to the next
    Process   something that can be killed, stopped and continued; has threads
    Thread    does one thing after the other; code in it may wait, and waits in virtual time

A thread is a greenlet: blocking code runs unchanged in it, and where it would wait the world goes on. Only one of
them runs at a time, and changes happen nowhere but where somebody waits. Nothing here knows what is simulated.

Known hole: computing costs no virtual time; what takes long has to say so by waiting.
"""

from __future__ import annotations

import time
from asyncio import events as asyncio_events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from heapq import heappop, heappush
from random import Random
from typing import Any

import greenlet

from vpcrouter.errors import VpcRouterError

MS = 1_000_000
"""Nanoseconds."""
SECOND = 1_000 * MS
_MOST_WAITS = 10
"""Times that a dead coroutine may wait in its last words."""
MORNING_NS = 1_767_225_600 * SECOND
"""The time of day at the beginning: 2026-01-01."""


class SimulationError(VpcRouterError):
    """The simulation itself cannot go on: a bug of it, or something that its models do not know."""


class Call:
    """Something that is to happen; `cancel` makes it not happen."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[[], object]) -> None:
        self.run: Callable[[], object] | None = run

    def cancel(self) -> None:
        """It does not happen, if it has not yet."""
        self.run = None


class World:
    """The clock, the dice, and what is still to come."""

    def __init__(self, seed: int) -> None:
        self.now_ns = 0
        self.random = Random(seed)  # noqa: S311 - chance that can be repeated is the point
        self.hub = greenlet.getcurrent()
        self.trace: list[str] = []
        """What happened, in order: two runs are the same if these are."""
        self._heap: list[tuple[int, int, Call]] = []
        self._soon: deque[Call] = deque()
        """What was asked for this moment since it began, most of all that happens: it comes after the heap's part."""
        self._number = 0
        self._free_until_ns = 0
        """Until then nobody looks how far it is but who is in the heap."""

    def at(self, when_ns: int, run: Callable[[], object]) -> Call:
        """Have this happen then, after everything that was asked for the same moment before."""
        call = Call(run)
        self.put(when_ns, call)
        return call

    def after(self, delay_ns: int, run: Callable[[], object]) -> Call:
        """Have this happen in so long."""
        call = Call(run)
        self.put(self.now_ns + delay_ns, call)
        return call

    def put(self, when_ns: int, call: Call) -> None:
        """Have this call happen then, after everything that was asked for the same moment before."""
        if when_ns <= self.now_ns:
            self._soon.append(call)
        else:
            self._number = number = self._number + 1
            heappush(self._heap, (when_ns, number, call))

    def run_until(self, when_ns: int, stop: Callable[[], bool] | None = None) -> None:
        """Let time pass until then, or until `stop` says so."""
        self.hub = greenlet.getcurrent()
        loop = asyncio_events._get_running_loop()
        self._free_until_ns = when_ns if stop is None else 0
        try:
            if not self._run_until(when_ns, stop):
                return
        finally:
            self._free_until_ns = 0
            asyncio_events._set_running_loop(loop)
        if stop is None or not stop():
            self.now_ns = max(self.now_ns, when_ns)

    def _run_until(self, when_ns: int, stop: Callable[[], bool] | None) -> bool:
        heap, soon = self._heap, self._soon
        while soon or (heap and heap[0][0] <= when_ns):
            if stop is not None and stop():
                return False
            if soon and not (heap and heap[0][0] <= self.now_ns):
                call = soon.popleft()
                if call.run is not None:
                    call.run()
                continue
            at_ns, _, call = heappop(heap)
            if call.run is not None:
                self.now_ns = at_ns
                call.run()
        return True

    def sleep(self, delay_ns: int) -> None:
        """Wait, in a thread."""
        thread, heap = current_thread(), self._heap
        wakes_ns = self.now_ns + delay_ns
        is_alone = wakes_ns <= self._free_until_ns and not self._soon and (not heap or wakes_ns < heap[0][0])
        if is_alone and delay_ns >= 0 and thread.process.is_running:
            self.now_ns = wakes_ns  # nothing happens meanwhile: this thread would be the next to go on
            return
        self.after(delay_ns, thread.wake)
        thread.wait()

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.now_ns / MS:.3f} {who} {what}")

    def jitter(self, least_ns: int, most_ns: int) -> int:
        """A time between these two."""
        return self.random.randrange(least_ns, most_ns + 1)


class Process:
    """Something that runs on a machine, until it is killed."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.is_dead = False
        self.is_stopped = False
        self.threads: list[Thread] = []
        self._held: deque[Callable[[], object]] = deque()

    @property
    def is_running(self) -> bool:
        """Whether it is neither dead nor stopped."""
        return not (self.is_dead or self.is_stopped)

    def thread(self) -> Thread:
        """A new thread."""
        thread = Thread(self)
        self.threads.append(thread)
        return thread

    def enter(self, run: Callable[[], object]) -> None:
        """Do this now if the process lives; once it goes on, if it was stopped."""
        if self.is_dead:
            return
        if self.is_stopped:
            self._held.append(run)
        else:
            run()

    def kill(self) -> None:
        """It is gone in the middle of whatever it did (SIGKILL)."""
        if not self.is_dead:
            self.is_dead = True
            self._held.clear()
            for thread in self.threads:
                thread.abandon()

    def stop(self) -> None:
        """It does nothing until `go_on` (SIGSTOP)."""
        self.is_stopped = True

    def go_on(self) -> None:
        """Everything that waited is due now (SIGCONT)."""
        if self.is_stopped:
            self.is_stopped = False
            held, self._held = self._held, deque()
            for each in held:
                self.world.after(0, lambda each=each: self.enter(each))  # type: ignore[misc]


class Thread:
    """One thread of a process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._world = process.world
        self._queue: deque[Callable[[], object]] = deque()
        self._is_busy = False
        self._greenlet: greenlet.greenlet = greenlet.greenlet(self._work, self._world.hub)
        _THREADS[self._greenlet] = self

    @property
    def is_busy(self) -> bool:
        """Whether it is in the middle of something."""
        return self._is_busy

    def do(self, work: Callable[[], object]) -> None:
        """Do this when everything before it is done."""
        if self._is_busy:
            self._queue.append(work)
            return
        self._is_busy = True
        if not self.process.is_dead:
            self._mine().switch(work)

    def wait(self) -> None:
        """Let the world go on until `wake`; called in this thread."""
        loop = asyncio_events._get_running_loop()
        self._world.hub.switch()
        asyncio_events._set_running_loop(loop)

    def wake(self) -> None:
        """Go on."""
        self.process.enter(self._switch)

    def abandon(self) -> None:
        """The process is dead: unwind what was going on; nothing of it has an effect any more."""
        _THREADS.pop(self._greenlet, None)
        if greenlet.getcurrent() is not self._greenlet and not self._greenlet.dead:
            self._greenlet.parent = greenlet.getcurrent()
            _UNWINDING.append(True)
            try:
                self._greenlet.throw()
            finally:
                _UNWINDING.pop()
        self._queue.clear()

    def _switch(self) -> None:
        if not self.process.is_dead:
            self._mine().switch()

    def _mine(self) -> greenlet.greenlet:
        mine, hub = self._greenlet, self._world.hub
        if mine.parent is not hub:
            mine.parent = hub
        return mine

    def _work(self, work: Callable[[], object]) -> None:
        while True:
            work()
            while self._queue:
                self._queue.popleft()()
            self._is_busy = False
            work = self._world.hub.switch()


_THREADS: dict[greenlet.greenlet, Thread] = {}


def current_thread() -> Thread:
    """The thread that this code runs in. SimulationError if it runs in none."""
    thread = _THREADS.get(greenlet.getcurrent())
    if thread is None:
        raise SimulationError("nothing can wait outside of a simulated thread", where="simulation")
    return thread


def running_process() -> Process | None:
    """The process whose code is at work; None outside of all of them."""
    thread = _THREADS.get(greenlet.getcurrent())
    return None if thread is None else thread.process


@contextmanager
def virtual_clocks(process: Process, time_ns: Callable[[], int]) -> Iterator[None]:
    """Meanwhile the functions of the module `time` are virtual for code of this process; `time_ns`: its time of day.

    For code that was not written for this: somebody's script. Whoever else asks gets the real time.
    """
    world = process.world
    ours: Mapping[str, Callable[..., object]] = {
        "sleep": lambda seconds: world.sleep(max(0, round(seconds * SECOND))),
        "monotonic_ns": lambda: world.now_ns,
        "perf_counter_ns": lambda: world.now_ns,
        "time_ns": time_ns,
        "monotonic": lambda: world.now_ns / SECOND,
        "perf_counter": lambda: world.now_ns / SECOND,
        "time": lambda: time_ns() / SECOND,
    }
    before = {name: getattr(time, name) for name in ours}

    def either(name: str) -> Callable[..., object]:
        real, virtual = before[name], ours[name]
        return lambda *args: (virtual if running_process() is process else real)(*args)

    for name in ours:
        setattr(time, name, either(name))
    try:
        yield
    finally:
        for name, real in before.items():
            setattr(time, name, real)


_UNWINDING: list[bool] = []


def unwind(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Throw a dead process's coroutine out of whatever it waits for; nothing that it does meanwhile has an effect."""
    _UNWINDING.append(True)
    try:
        for _ in range(_MOST_WAITS):
            coroutine.throw(greenlet.GreenletExit())
    except BaseException:  # noqa: BLE001, S110 - it is dead, whatever it says
        pass
    finally:
        _UNWINDING.pop()


def die_if_dead() -> None:
    """What a killed process still does while it unwinds has no effect: it ends here."""
    thread = _THREADS.get(greenlet.getcurrent())
    if _UNWINDING or (thread is not None and thread.process.is_dead):
        raise greenlet.GreenletExit
