"""Virtual time: order, threads that wait, processes that are killed, stopped and continued, and asyncio on top."""

from __future__ import annotations

import asyncio

import pytest

from vpcrouter.simulation.loop import Descriptors, Loop
from vpcrouter.simulation.world import MS, Process, SimulationError, World


def test_what_is_due_at_one_moment_happens_in_the_order_asked() -> None:
    world, seen = World(0), []
    world.at(2, lambda: seen.append("c"))
    world.at(1, lambda: seen.append("a"))
    world.at(1, lambda: seen.append("b"))
    world.at(1, lambda: seen.append("never")).cancel()
    world.run_until(5)
    assert seen == ["a", "b", "c"]
    assert world.now_ns == 5


def test_who_waits_lets_the_world_go_on() -> None:
    world, seen = World(0), []
    process = Process(world, "p")

    def work() -> None:
        seen.append(("begins", world.now_ns))
        world.sleep(3 * MS)
        seen.append(("goes on", world.now_ns))

    thread = process.thread()
    world.after(0, lambda: thread.do(work))
    world.after(0, lambda: thread.do(lambda: seen.append(("second", world.now_ns))))
    world.after(MS, lambda: seen.append(("meanwhile", world.now_ns)))
    world.run_until(10 * MS)
    assert seen == [("begins", 0), ("meanwhile", MS), ("goes on", 3 * MS), ("second", 3 * MS)]


def test_nobody_can_wait_outside_of_a_thread() -> None:
    with pytest.raises(SimulationError, match="outside of a simulated thread"):
        World(0).sleep(1)


def test_a_killed_process_unwinds_and_does_nothing_more() -> None:
    world, seen = World(0), []
    process = Process(world, "p")

    def work() -> None:
        try:
            world.sleep(5 * MS)
            seen.append("after")
        finally:
            seen.append("unwound")

    thread = process.thread()
    world.after(0, lambda: thread.do(work))
    world.after(MS, process.kill)
    world.run_until(10 * MS)
    assert seen == ["unwound"]


def test_a_stopped_process_goes_on_where_it_was() -> None:
    world, seen = World(0), []
    process = Process(world, "p")

    def work() -> None:
        world.sleep(2 * MS)
        seen.append(world.now_ns // MS)

    thread = process.thread()
    world.after(0, lambda: thread.do(work))
    world.after(MS, process.stop)
    world.after(7 * MS, process.go_on)
    world.run_until(10 * MS)
    assert seen == [7]


def test_asyncio_runs_in_virtual_time() -> None:
    world = World(0)
    process = Process(world, "p")
    descriptors = Descriptors(world)
    loop = Loop(world, process, descriptors)  # type: ignore[abstract]
    readable = descriptors.open()
    seen: list[object] = []

    def read() -> None:
        seen.append("readable")
        readable.clear()

    async def main() -> None:
        loop.add_reader(readable.number, read)
        queue: asyncio.Queue[str] = asyncio.Queue()
        loop.call_later(0.25, queue.put_nowait, "late")
        seen.append(await queue.get())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 1.0)
        seen.append(loop.time())

    loop.call_soon(lambda: loop.create_task(main()))
    world.at(100 * MS, readable.set)
    world.run_until(3_000 * MS)
    assert seen == ["readable", "late", 1.25]
