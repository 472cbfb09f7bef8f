"""The real agent on a simulated machine: its surroundings, its process, its door, and the client that knocks there.

`AgentProcess` runs `vpcrouter.agent.Agent` and `vpcrouter.router.Router` as they are. When it ends by itself (a disk
that refuses) the machine's init starts another one a second later, as systemd would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path, PurePath
from typing import Any

from attrs import define, field

from vpcrouter.agent import Agent
from vpcrouter.appliers.arp import ArpSpeaker
from vpcrouter.appliers.beacons import BeaconSockets
from vpcrouter.appliers.claims import ClaimListener
from vpcrouter.appliers.connections import ConnectionTable
from vpcrouter.appliers.daemons import DaemonApplier
from vpcrouter.appliers.kernel import KernelApplier
from vpcrouter.appliers.links import LinkObserver
from vpcrouter.appliers.machine_facts import MachineFacts
from vpcrouter.appliers.monitor import LinkMonitor
from vpcrouter.appliers.nftables import NftablesApplier
from vpcrouter.appliers.notify import NotifyFifo
from vpcrouter.appliers.tunnels import TunnelApplier
from vpcrouter.errors import JournalError, VpcRouterError
from vpcrouter.guest_door import Answer as GuestAnswer
from vpcrouter.guest_door import GuestDoor
from vpcrouter.host import Outcome
from vpcrouter.journal.disk import Disk
from vpcrouter.router import Router
from vpcrouter.simulation.appliers import (
    SimulatedArp,
    SimulatedClaims,
    SimulatedConnections,
    SimulatedFifo,
    SimulatedKernel,
    SimulatedLinks,
    SimulatedMonitor,
    SimulatedNftables,
    SimulatedTunnels,
    write_penalty,
)
from vpcrouter.simulation.beacons import SimulatedBeacons
from vpcrouter.simulation.daemons import SimulatedDaemons
from vpcrouter.simulation.loop import Loop
from vpcrouter.simulation.machine import Machine
from vpcrouter.simulation.world import MORNING_NS, MS, SECOND, Call, Process, Thread, die_if_dead
from vpcrouter.surroundings import Surroundings
from vpcrouter.values.desired import Desired
from vpcrouter.values.settings import Settings

START_NS = 250 * MS
"""From the start of the process until it opens its journal: Python and the imports."""
RESTART_NS = SECOND
REQUEST_NS = 100_000
"""One way by the agent's socket."""
PATIENCE_NS = 1_500 * MS
"""Without an answer for so long, a client asks again."""


class SimulatedSurroundings(Surroundings):
    """What a process on a simulated machine finds."""

    def __init__(self, machine: Machine, process: Process) -> None:
        self._machine = machine
        self._process = process
        self.beacon_sockets: SimulatedBeacons | None = None
        self.worked: Worked = lambda *_: None

    def monotonic_ns(self) -> int:
        return self._machine.world.now_ns

    def time_ns(self) -> int:
        return MORNING_NS + self._machine.world.now_ns + self._machine.clock_offset_ns

    def boot_ns(self) -> int:
        return self._machine.world.now_ns - self._machine.booted_ns

    def boot_id(self) -> str:
        return f"{self._machine.name}-{self._machine.boots}"

    def random_bytes(self, count: int) -> bytes:
        return self._machine.world.random.randbytes(count)

    def wait_readable(self, descriptors: Sequence[int], seconds: float) -> None:
        deadline = self._machine.world.now_ns + round(seconds * 1e9)
        found = [self._machine.descriptors.find(number) for number in descriptors]
        while not any(each.is_readable for each in found) and self._machine.world.now_ns < deadline:
            self._machine.world.sleep(min(2 * MS, deadline - self._machine.world.now_ns))

    def worker(self) -> Executor:
        return _Worker(self._process, self._machine, lambda *done: self.worked(*done))

    def disk(self) -> Disk:
        return self._machine.disk

    def kernel(self) -> KernelApplier:
        return SimulatedKernel(self._machine)

    def nftables(self) -> NftablesApplier:
        return SimulatedNftables(self._machine)

    def daemons(self, settings: Settings) -> DaemonApplier:
        return SimulatedDaemons(self._machine, settings)

    def connections(self) -> ConnectionTable:
        return SimulatedConnections(self._machine)

    def tunnels(self, settings: Settings) -> TunnelApplier:
        return SimulatedTunnels(self._machine)

    def answers(self, condition: str) -> bool:
        """Whoever is asked is outside, and answers as long as the way out serves."""
        self._machine.world.sleep(MS)
        die_if_dead()
        return self._machine.networks.is_linked(self._machine, "eth1")

    def notifications(self, fifo: PurePath) -> NotifyFifo:
        return SimulatedFifo(self._machine)

    def monitor(self) -> LinkMonitor:
        return SimulatedMonitor(self._machine)

    def beacons(self) -> BeaconSockets:
        self.beacon_sockets = SimulatedBeacons(self._machine)
        return self.beacon_sockets

    def links(self) -> LinkObserver:
        return SimulatedLinks(self._machine)

    def arp(self) -> ArpSpeaker:
        return SimulatedArp(self._machine)

    def claims(self) -> ClaimListener:
        return SimulatedClaims()

    def write_penalty(self, path: Path, penalty: int) -> None:
        write_penalty(self._machine, path, penalty)

    def examine(self, directory: Path, gateways: Sequence[str], given_up: Callable[[], bool]) -> MachineFacts:
        return MachineFacts()

    def publish(self, path: Path, text: str) -> None:
        self._machine.files.write(str(path), text)


Worked = Callable[[tuple[Any, ...], object, bool], None]
"""Told of a call in a worker thread: arguments, result, and whether nobody else touched the machine meanwhile."""


class _Worker(Executor):
    """A thread of a simulated process, as an executor."""

    def __init__(self, process: Process, machine: Machine, worked: Worked) -> None:
        self._process = process
        self._machine = machine
        self._worked = worked
        self._thread: Thread = process.thread()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            touched = self._machine.touched
            try:
                result = fn(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
                future.set_exception(error)
            else:
                self._worked(args, result, touched == self._machine.touched)
                future.set_result(result)

        world = self._process.world
        world.after(0, lambda: self._process.enter(lambda: self._thread.do(work)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What runs is waited for in virtual time."""
        while wait and self._thread.is_busy and not self._process.is_dead:
            self._process.world.sleep(MS)


class _Door:
    """Where requests come in."""

    def __init__(self, agent: AgentProcess, answer: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
        self._agent = agent
        self._answer = answer

    async def open(self) -> None:
        """Let them in."""
        self._agent.answer = self._answer

    def close(self) -> None:
        """No more."""
        self._agent.answer = None


class _GuestDoor(GuestDoor):
    """Where the web server for guests asks."""

    def __init__(self, agent: AgentProcess, answer: GuestAnswer) -> None:
        self._agent = agent
        self._take = answer

    async def open(self, group: str) -> None:
        """Let them ask."""
        self._agent.guest_answer = self._take

    def close(self) -> None:
        """No more."""
        self._agent.guest_answer = None


class AgentProcess(Process):
    """The agent of one machine."""

    def __init__(self, machine: Machine, settings: Settings) -> None:
        super().__init__(machine.world, f"{machine.name}/agent")
        self.machine = machine
        self.settings = settings
        self.router: Router | None = None
        self.agent: Agent | None = None
        self.answer: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None = None
        self.guest_answer: GuestAnswer | None = None
        self.surroundings = SimulatedSurroundings(machine, self)
        self.loop = Loop(machine.world, self, machine.descriptors)  # type: ignore[abstract]
        self.loop.default_executor = self.surroundings.worker()
        self.started_ns = machine.world.now_ns
        self.error: BaseException | None = None
        """Why it ended by itself."""
        self.on_open: Callable[[AgentProcess], None] = lambda _: None
        self.on_end: Callable[[AgentProcess], None] = lambda _: None
        self.on_pass: Callable[[AgentProcess, Desired, Outcome, bool], None] = lambda *_: None
        self.surroundings.worked = self._worked
        machine.agent = self
        machine.world.note(self.name, "starts")
        self.loop.call_later(START_NS / 1e9, self._boot)

    @property
    def beacons(self) -> SimulatedBeacons | None:
        """Its sockets."""
        return self.surroundings.beacon_sockets

    def _boot(self) -> None:
        try:
            self.router = Router.open(
                self.machine.directory, settings=self.settings, surroundings=self.surroundings, owner={}
            )
            self.on_open(self)
            self.agent = Agent(
                self.router,
                open_door=lambda _, answer: _Door(self, answer),
                open_guest_door=lambda _, answer: _GuestDoor(self, answer),
            )
        except VpcRouterError as error:
            self._ended(error)
            return
        task = self.loop.create_task(self.agent.run())
        task.add_done_callback(lambda done: self._ended(None if done.cancelled() else done.exception()))

    def _worked(self, arguments: tuple[Any, ...], result: object, was_alone: bool) -> None:
        if isinstance(result, Outcome) and not self.is_dead:
            self.on_pass(self, arguments[0], result, was_alone)

    def _ended(self, error: BaseException | None) -> None:
        """It has ended by itself."""
        self.error = error
        self.world.note(self.name, f"ends: {type(error).__name__ if error is not None else 'in order'}")
        self.world.after(0, self.kill)
        self.on_end(self)

    def ask(self, request: dict[str, Any], told: Callable[[str], object]) -> None:
        """Have an operator ask something; `told` of the answer, in a word or two, if there is one."""
        if (answer := self.answer) is None:
            return

        async def work() -> None:
            try:
                found = await answer(request)
            except VpcRouterError as error:
                told(f"no: {type(error).__name__}")
            else:
                told(", ".join(key if found[key] is not False else f"not {key}" for key in sorted(found)))

        self._do(work)

    def let_fetch(self, address: str, told: Callable[[str], object]) -> None:
        """Have a guest fetch its password; `told` of what it was told when it said that it has it."""
        if (answer := self.guest_answer) is None:
            return

        async def work() -> None:
            await answer("send", address)
            told(await answer("saved", address))

        self._do(work)

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.enter(lambda: self.loop.call_soon(lambda: self.loop.create_task(work())))

    def kill(self) -> None:
        """It is gone; the kernel closes its files, which drops the journal's lock."""
        if self.is_dead:
            return
        super().kill()
        self.loop.abandon()
        self.answer = None
        if self.router is not None:
            self.router.journal.close()
            self.router.host.close()
        if self.machine.agent is self:
            self.machine.agent = None

    @property
    def has_failed(self) -> BaseException | None:
        """A bug: an error that nobody expects an agent to end with."""
        for each in (*self.loop.failures, self.error):
            if each is not None and not isinstance(each, JournalError):
                return each
        return None


@define
class Client:
    """Sends commands to one router's agent, each after the answer to the one before, and again if none comes."""

    machine: Machine
    answered: Callable[[int, list[dict[str, Any]]], None]
    """Told of each file that was answered, by its number."""
    _queue: list[tuple[int, dict[str, Any]]] = field(factory=list)
    _is_waiting: bool = False
    _turn: int = 0
    _patience: Call | None = None

    def send(self, number: int, request: dict[str, Any]) -> None:
        """Hand a file in, after those before it."""
        self._queue.append((number, request))
        self._next()

    @property
    def is_done(self) -> bool:
        """Whether everything was answered."""
        return not self._queue

    def _next(self) -> None:
        if self._is_waiting or not self._queue:
            return
        world, agent = self.machine.world, self.machine.agent
        self._is_waiting = True
        self._turn += 1
        turn = self._turn
        if agent is None or agent.answer is None:
            world.after(100 * MS, lambda: self._again(turn))
            return
        number, request = self._queue[0]
        answer = agent.answer

        async def ask() -> None:
            try:
                result = await answer(request)
            except VpcRouterError:
                return  # as if the connection broke: asked again
            world.after(REQUEST_NS, lambda: self._take(turn, number, result["results"]))

        def knock() -> None:
            agent.loop.call_soon(lambda: agent.loop.create_task(ask()))

        world.after(REQUEST_NS, lambda: agent.enter(knock))
        self._patience = world.after(PATIENCE_NS, lambda: self._again(turn))

    def _again(self, turn: int) -> None:
        if turn == self._turn and self._is_waiting:
            self._is_waiting = False
            self._next()

    def _take(self, turn: int, number: int, results: list[dict[str, Any]]) -> None:
        if turn != self._turn:
            return  # an answer that nobody waits for any more
        if self._patience is not None:
            self._patience.cancel()
        self._is_waiting = False
        self._queue.pop(0)
        self.answered(number, results)
        self._next()
