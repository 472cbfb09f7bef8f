"""An event loop of asyncio in virtual time: one for each simulated process, on the thread of that process.

Implements what the agent and asyncio's own classes ask of a loop. Descriptors are objects of the simulation, known by
number; there are no sockets.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events as asyncio_events
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any

from vpcrouter.simulation.world import Call, Process, SimulationError, Thread, World, unwind


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


class _Handle(Call):
    """A callback that is to be called; `cancel` makes it not happen."""

    __slots__ = ("_arguments", "_callback", "_context", "_loop", "_when")

    def __init__(
        self,
        loop: Loop,
        callback: Callable[..., object],
        arguments: tuple[object, ...],
        context: contextvars.Context | None,
        when: float = 0.0,
    ) -> None:
        self.run = self._is_due
        self._loop = loop
        self._callback = callback
        self._arguments = arguments
        self._context = contextvars.copy_context() if context is None else context
        self._when = when

    def when(self) -> float:
        """The loop's time at which it is called."""
        return self._when

    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self.run is None

    def _is_due(self) -> None:
        loop = self._loop
        process = loop.process
        if not process.is_dead and not process.is_stopped:
            loop.main.do(self._call)
        else:
            process.enter(lambda: loop.main.do(self._call))

    def _call(self) -> None:
        if self.run is None:
            return
        loop = self._loop
        if asyncio_events._get_running_loop() is not loop:
            asyncio_events._set_running_loop(loop)
        try:
            self._context.run(self._callback, *self._arguments)
        except Exception as error:  # noqa: BLE001 - as asyncio does: it is told of, and the loop goes on
            loop.call_exception_handler({"exception": error})


class Loop(asyncio.AbstractEventLoop):
    """asyncio for one process."""

    def __init__(self, world: World, process: Process, descriptors: Descriptors) -> None:
        self._world = world
        self.process = process
        self.main: Thread = process.thread()
        self._descriptors = descriptors
        self._readers: dict[int, Callable[[], object]] = {}
        self.signal_handlers: dict[int, Callable[[], object]] = {}
        self._watchers: dict[int, Callable[[], object]] = {}
        self.default_executor: Executor | None = None
        self.failures: list[BaseException] = []
        """What nobody caught: bugs."""

    # Time ---------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._world.now_ns / 1e9

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> _Handle:
        handle = _Handle(self, callback, args, context)
        self._world.put(0, handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> _Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> _Handle:
        handle = _Handle(self, callback, args, context, when)
        self._world.put(round(when * 1e9), handle)
        return handle

    # Futures, tasks, threads --------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        return asyncio.Task(coro, loop=self)

    def abandon(self) -> None:
        """The process is dead."""
        for task in asyncio.all_tasks(self):
            coroutine: Any = task.get_coro()
            if coroutine.cr_frame is not None and not coroutine.cr_running:
                unwind(coroutine)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        executor = executor or self.default_executor
        if executor is None:
            raise SimulationError("this process has no default executor", where="run_in_executor")
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
        return self.process.is_dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not self.process.is_dead:
            self.failures.append(error)
