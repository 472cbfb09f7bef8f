"""An event loop of asyncio in virtual time: one for each simulated process, on the thread of that process.

Implements what the agent and asyncio's own classes ask of a loop. Descriptors are objects of the simulation, known by
number; there are no sockets.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from asyncio import events as asyncio_events
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any

from vpcrouter.simulation.world import Process, SimulationError, Thread, World, unwind


class Readable:
    """Something with a number that can be waited on."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.number = number
        self.is_readable = False
        self._watchers: list[Callable[[], object]] = []

    def set(self) -> None:
        """There is something to read."""
        self.is_readable = True
        for watcher in list(self._watchers):
            watcher()

    def clear(self) -> None:
        """It was read."""
        self.is_readable = False

    def watch(self, watcher: Callable[[], object]) -> None:
        """Be told when there is something."""
        self._watchers.append(watcher)
        if self.is_readable:
            watcher()

    def forget(self, watcher: Callable[[], object]) -> None:
        """Be told no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)


class Descriptors:
    """The open descriptors of the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[int, Readable] = {}
        self._next = 1_000_000  # far from any real one: a mix-up must fail

    def open(self) -> Readable:
        """A new one."""
        self._next += 1
        readable = self._open[self._next] = Readable(self._world, self._next)
        return readable

    def close(self, readable: Readable) -> None:
        """Its number means nothing any more."""
        self._open.pop(readable.number, None)

    def find(self, number: int) -> Readable:
        """The one of that number."""
        return self._open[number]


class Loop(asyncio.AbstractEventLoop):
    """asyncio for one process."""

    def __init__(self, world: World, process: Process, descriptors: Descriptors) -> None:
        self._world = world
        self._process = process
        self._main: Thread = process.thread()
        self._descriptors = descriptors
        self._readers: dict[int, Callable[[], object]] = {}
        self.signal_handlers: dict[int, Callable[[], object]] = {}
        self._watchers: dict[int, Callable[[], object]] = {}
        self._coroutines: weakref.WeakSet[Any] = weakref.WeakSet()
        self.failures: list[BaseException] = []
        """What nobody caught: bugs."""

    # Time ---------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._world.now_ns / 1e9

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._world.at(0, partial(self._enter, handle))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._world.at(round(when * 1e9), partial(self._enter, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the heap and does nothing."""

    def _enter(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            self._process.enter(partial(self._main.do, partial(self._run, handle)))

    def _run(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            asyncio_events._set_running_loop(self)
            try:
                handle._run()
            finally:
                asyncio_events._set_running_loop(None)

    # Futures, tasks, threads --------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        self._coroutines.add(coro)
        return asyncio.Task(coro, loop=self)

    def abandon(self) -> None:
        """The process is dead."""
        for coroutine in list(self._coroutines):
            if coroutine.cr_frame is not None and not coroutine.cr_running:
                unwind(coroutine)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        if executor is None:
            raise SimulationError("the simulation has no default executor", where="run_in_executor")
        answer = self.create_future()
        done = executor.submit(func, *args)
        done.add_done_callback(lambda _: self.call_soon(self._hand_over, done, answer))
        return answer

    @staticmethod
    def _hand_over(done: Any, answer: asyncio.Future[Any]) -> None:
        if answer.done():
            return
        if (error := done.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    # Descriptors and signals --------------------------------------------------------------------

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: object) -> None:
        self.remove_reader(fd)
        readable = self._descriptors.find(fd)

        def ready() -> None:
            if self._readers.get(fd) is ready and readable.is_readable:
                callback(*args)
                if self._readers.get(fd) is ready and readable.is_readable:
                    self.call_soon(ready)  # not all of it was read

        def watcher() -> None:
            self.call_soon(ready)

        self._readers[fd] = ready
        self._watchers[fd] = watcher
        readable.watch(watcher)

    def remove_reader(self, fd: Any) -> bool:
        if self._readers.pop(fd, None) is None:
            return False
        watcher = self._watchers.pop(fd)
        if fd in self._descriptors._open:
            self._descriptors.find(fd).forget(watcher)
        return True

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> None:
        self.signal_handlers[int(sig)] = lambda: callback(*args)

    def remove_signal_handler(self, sig: int) -> bool:
        return self.signal_handlers.pop(int(sig), None) is not None

    # What asyncio asks --------------------------------------------------------------------------

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._process.is_dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not self._process.is_dead:
            self.failures.append(error)
