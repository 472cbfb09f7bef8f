"""A pair of simulated routers and what happens to it: `run(case)` gives a `Report`.

    Case ──▶ Pair: two machines with the real agent on each ──▶ Watch (what must never be so) ──▶ Report

`Pair` can be used without a case: let time pass, submit, crash, look. Everything of it lies in one directory that is
removed by `close`.
"""

from __future__ import annotations

import gc
import logging
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from attrs import evolve, field, frozen

from vpcrouter.journal import write_snapshot
from vpcrouter.router import Router
from vpcrouter.simulation.case import (
    EVERY_DEVICE,
    PROCESSES,
    ROLES,
    ROUTERS,
    Ask,
    Case,
    Crash,
    CutCable,
    DiskFault,
    Drift,
    Network,
    Pause,
    PowerOff,
    SetClock,
    Snapshot,
    Step,
    Submit,
    Unplug,
    question,
)
from vpcrouter.simulation.drift import drift
from vpcrouter.simulation.excuses import Disturbance
from vpcrouter.simulation.findings import Outage, Violation
from vpcrouter.simulation.host import AgentProcess, Client, SimulatedSurroundings
from vpcrouter.simulation.loop import Descriptors
from vpcrouter.simulation.machine import DEVICES, Machine
from vpcrouter.simulation.network import Cut, Networks
from vpcrouter.simulation.recording import RoleStep, role_steps
from vpcrouter.simulation.watch import Watch
from vpcrouter.simulation.world import MORNING_NS, MS, SECOND, Process, SimulationError, World, virtual_clocks
from vpcrouter.values.settings import Settings

Result = TypeVar("Result")
Held = TypeVar("Held", Network, DiskFault)

LOOK_NS = 100 * MS
"""How often it is asked whether everything is at rest."""
PATIENCE_NS = 12 * SECOND
_PATIENCE_INTERVALS = 30
"""After the last disturbance everything is at rest within this and so many advertisements, or never: an election, the
moves that follow it, and the calm by which rest is known."""
RESTART_NS = SECOND
"""An agent that ended is started again after this, as an init would."""


@frozen(kw_only=True)
class Report:
    """What came of a case. Times are virtual."""

    violations: tuple[Violation, ...]
    settle_ms: float | None
    """From the last step until everything was at rest; None if it never was."""
    reloads: int
    """Of keepalived, on both routers."""
    role_changes: int
    roles: tuple[RoleStep, ...]
    """Who became what and when, as the journals tell."""
    outages: tuple[Outage, ...]
    """All, also those that a fault excuses."""
    double_master_ms: float
    """The longest time that both held a gateway."""
    both_serve: tuple[tuple[float, float], ...]
    """All of these times, from when to when."""
    lost_connections: int
    """Of guests, that the router which came to serve did not know."""
    ended_ms: float
    master: str | None
    """Who served in the end."""
    unknown: tuple[str, ...] = ()
    """Words of keepalived.conf that the model passes over."""
    happened: Case = field(default=Case(steps=()), repr=False)
    """The case with the routers that were hit, where it says master or backup; it runs the same."""
    trace: tuple[str, ...] = field(default=(), repr=False)
    """Line by line what happened: the same for the same case."""


class Pair:
    """Two routers."""

    def __init__(self, *, seed: int = 0, settings: Settings | None = None) -> None:
        self.world = World(seed)
        self.networks = Networks(self.world)
        self.settings = settings or Settings()
        self._descriptors = Descriptors(self.world)
        self._directory = Path(tempfile.mkdtemp(prefix="vpcrouter-simulation-", dir=_memory()))
        self.machines: dict[str, Machine] = {}
        self.clients: dict[str, Client] = {}
        for name in ROUTERS:
            machine = Machine(self.world, self.networks, self._descriptors, name, self._directory / name / "journal")
            self.networks.machines.append(machine)
            self.machines[name] = machine
        self.watch = Watch(self.world, self.networks, self.settings)
        for name, machine in self.machines.items():
            self.clients[name] = Client(machine, partial(self._answered, name))
        self.done: list[Step] = []
        """The steps so far, with the routers that they hit."""
        self._bad_networks: list[Network] = []
        """What holds now."""
        self._bad_disks: dict[str, list[DiskFault]] = {name: [] for name in ROUTERS}
        self._submitted: list[Submit] = []
        self._answers: list[Callable[[list[dict[str, Any]]], None] | None] = []

    # Life ---------------------------------------------------------------------------------------

    def __enter__(self) -> Pair:
        for machine in self.machines.values():
            self.start_agent(machine)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything and remove the journals."""
        for machine in self.machines.values():
            if machine.agent is not None:
                machine.agent.kill()
            for daemon in list(machine.daemons.values()):
                daemon.process.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start_agent(self, machine: Machine) -> None:
        """Start the agent of a machine that is on and has none."""
        if machine.is_on and machine.agent is None:
            agent = AgentProcess(machine, self.settings)
            agent.on_open = self.watch.opened
            agent.on_pass = self.watch.passed
            agent.on_end = lambda ended: self._agent_ended(machine, ended)

    def _agent_ended(self, machine: Machine, ended: AgentProcess) -> None:
        self.watch.ended(ended)
        self.world.after(RESTART_NS, lambda: self.start_agent(machine))

    def router(self, name: str) -> Router | None:
        """The Router of a machine; None while it has none."""
        agent = self.machines[name].agent
        return None if agent is None else agent.router

    def status(self, name: str) -> dict[str, Any] | None:
        """What the agent's status says; None while there is none."""
        agent = self.machines[name].agent
        return None if agent is None or agent.agent is None else agent.agent.status()

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.run_until(self.world.now_ns + round(seconds * 1e9))

    def run_script(self, name: str, script: Callable[[Router], Result], *, limit_s: float = 120.0) -> Result:
        """Run a control script that is written against `Router` on one machine, in virtual time; returns its result.

        The script is the router's only process there: its agent, if it has one, is ended first, and started again when
        the script has ended. `time.sleep` and the clocks of `time` are virtual for it. What it raises is raised here;
        SimulationError if it has not ended after `limit_s` seconds of virtual time.
        """
        if name not in self.machines:
            raise SimulationError(f"is none of {', '.join(self.machines)}", where=name)
        machine = self.machines[name]
        had_agent = machine.agent is not None
        if machine.agent is not None:
            machine.agent.kill()
        process = Process(self.world, f"{name}/script")
        surroundings = SimulatedSurroundings(machine, process)
        done: Future[Result] = Future()

        def work() -> None:
            try:
                with Router.open(machine.directory, settings=self.settings, surroundings=surroundings) as router:
                    done.set_result(script(router))
            except Exception as error:  # noqa: BLE001 - it is the caller's
                done.set_exception(error)

        thread = process.thread()
        self.world.after(0, lambda: thread.do(work))
        with virtual_clocks(process, surroundings.time_ns):
            self.world.run_until(
                self.world.now_ns + round(limit_s * SECOND), stop=lambda: done.done() and not thread.is_busy
            )
            process.kill()
        if had_agent:
            self.start_agent(machine)
        if not done.done():
            raise SimulationError(f"the script has not ended after {limit_s:g} s", where=name)
        return done.result()

    # Steps --------------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Have this happen now."""
        step = self._addressed(step)
        self.done.append(step)
        self.world.note(step.router, f"step {type(step).__name__}")
        match step:
            case Submit():
                self.submit(step)
            case Network():
                self._disturb(step, step.for_ms)
                self._blur(step)
            case _:
                self._do(self.machines[step.router], step)

    def _addressed(self, step: Step) -> Step:
        if isinstance(step, Submit | Network) or step.router not in ROLES:
            return step
        master = self.watch.served_last
        return evolve(step, router=next(name for name in ROUTERS if (name == master) is (step.router == "master")))

    def submit(self, step: Submit, answered: Callable[[list[dict[str, Any]]], None] | None = None) -> None:
        """Hand a command file in; it is sent again until it is answered."""
        self._submitted.append(step)
        self._answers.append(answered)
        self.watch.submitted(step)
        number = len(self._submitted) - 1
        request: dict[str, Any] = {"op": "submit", "name": step.name, "data": step.text}
        if step.within_ms:  # that is done once, though it may be sent again
            request |= {"confirm_within_ms": step.within_ms, "confirmation": step.name, "command_id": f"case-{number}"}
            request |= {"confirm_if": [step.condition]} if step.condition else {}
        self.clients[step.router].send(number, request)

    def _answered(self, name: str, number: int, results: list[dict[str, Any]]) -> None:
        step = self._submitted[number]
        statuses = ",".join(str(line["status"]) for line in results)
        self.world.note(name, f"answers {step.name}: {statuses}")
        self.watch.answered(self.machines[name], step, results)
        if (answered := self._answers[number]) is not None:
            answered(results)

    def _do(self, machine: Machine, step: Step) -> None:
        match step:
            case Crash():
                self._disturb(step, 0)
                self._crash(machine, step.process)
            case PowerOff() if machine.is_on:
                self._disturb(step, step.for_ms)
                machine.lose_power()
                self._later(step.for_ms, lambda: self._power_on(machine))
            case Pause():
                self._disturb(step, step.for_ms)
                self._pause(machine, step)
            case CutCable():
                self._disturb(step, step.for_ms)
                devices = DEVICES if step.device == EVERY_DEVICE else (step.device,)
                for device in devices:
                    self.networks.cut(machine, device, Cut(step.how))
                self._later(step.for_ms, lambda: self._mend(machine, devices))
            case Unplug() if step.device in machine.kernel.links:
                self._disturb(step, step.for_ms)
                machine.kernel.unplug(step.device)
                self._later(step.for_ms, lambda: self._plug(machine, step.device))
            case DiskFault():
                self._disturb(step, step.for_ms)
                self._spoil(machine, step)
            case SetClock():
                machine.clock_offset_ns += step.by_s * SECOND
            case Drift():
                self._disturb(step, 0)
                drift(machine, step.what)
            case Ask():
                self._disturb(step, 0)
                self._ask(machine, step)
            case Snapshot() if machine.agent is not None and machine.agent.router is not None:
                router = machine.agent.router
                write_snapshot(router.journal.directory, router.snapshot())

    def _ask(self, machine: Machine, step: Ask) -> None:
        agent = machine.agent
        if agent is None or agent.answer is None or agent.router is None:
            return
        if step.what == "guest-password":
            waiting = [each for each, found in agent.router.state.guest_passwords.items() if not found.fetched]
            if address := step.about or next(iter(waiting), ""):
                agent.let_fetch(address, lambda words: self._was_told(machine, step, words))
            return
        request = question(step, seq=agent.router.seq, waiting=list(agent.router.state.confirmations))
        if request is None:
            return
        agent.ask(request, lambda words: self._was_told(machine, step, words))

    def _was_told(self, machine: Machine, step: Ask, words: str) -> None:
        self.world.note(machine.name, f"answers {step.what}: {words}")
        self.watch.asked(machine, step)

    def _later(self, delay_ms: int, run: Callable[[], object]) -> None:
        self.world.after(delay_ms * MS, run)

    def _disturb(self, step: Step, for_ms: int) -> None:
        self.watch.disturbed(
            Disturbance(step=step, from_ns=self.world.now_ns, until_ns=self.world.now_ns + for_ms * MS)
        )

    def _crash(self, machine: Machine, process: str) -> None:
        if process == "agent":
            if machine.agent is not None:
                machine.agent.kill()
                self.world.after(RESTART_NS, lambda: self.start_agent(machine))
        elif process == "keepalived-parent":
            if (daemon := machine.daemons.get("keepalived")) is not None:
                daemon.lose_parent()
        elif process == "keepalived-child":
            if (daemon := machine.daemons.get("keepalived")) is not None:
                daemon.lose_child()
        elif (daemon := machine.daemons.get(process)) is not None:
            daemon.signal(signal.SIGKILL)

    def _power_on(self, machine: Machine) -> None:
        if not machine.is_on:
            machine.start()
            self.world.after(RESTART_NS, lambda: self.start_agent(machine))

    def _pause(self, machine: Machine, step: Pause) -> None:
        stopped: list[Process] = []
        for name in PROCESSES if step.process == "all" else (step.process,):
            if name == "agent" and machine.agent is not None:
                stopped.append(machine.agent)
                machine.agent.stop()
            elif (daemon := machine.daemons.get(name)) is not None:
                stopped.append(daemon.process)
                daemon.signal(signal.SIGSTOP)

        def go_on() -> None:
            for process in stopped:
                process.go_on()

        self._later(step.for_ms, go_on)

    def _mend(self, machine: Machine, devices: tuple[str, ...]) -> None:
        for device in devices:
            self.networks.mend(machine, device)

    def _plug(self, machine: Machine, device: str) -> None:
        if machine.is_on and device not in machine.kernel.links:
            machine.kernel.plug(device)

    def _spoil(self, machine: Machine, step: DiskFault) -> None:
        """Of faults that overlap, each lasts for its own time, and what any of them does is done."""
        held = self._bad_disks[machine.name]

        def judge() -> None:
            hows, disk = {each.how for each in held}, machine.disk
            disk.slow_ns = 200 * MS if "slow" in hows else 0
            disk.is_full = "full" in hows
            disk.fails_writes, disk.fails_syncs = "refuses-writes" in hows, "refuses-syncs" in hows

        self._hold(held, step, judge)

    def _blur(self, step: Network) -> None:
        """Of those that overlap, each lasts for its own time, and the worst of what holds counts."""
        held, networks = self._bad_networks, self.networks

        def judge() -> None:
            networks.loss = max((each.loss for each in held), default=0.0)
            networks.copies = max((each.copies for each in held), default=0.0)
            networks.delay_ns = max((each.delay_ms for each in held), default=0) * MS

        self._hold(held, step, judge)

    def _hold(self, held: list[Held], step: Held, judge: Callable[[], None]) -> None:
        held.append(step)
        judge()

        def let_go() -> None:
            held.remove(step)
            judge()

        self._later(step.for_ms, let_go)

    # Rest ---------------------------------------------------------------------------------------

    def is_at_rest(self) -> bool:
        """Whether all is done, settled and calm."""
        # A carrier moves up to five advertisements and a tenth of a second after its elector was decided, on both.
        # A router that was stopped is heard on each of its tiers again within a second, however short the interval.
        calm_ns = max(12 * self.settings.advertisement_interval_ms * MS + 500 * MS, 1_500 * MS)
        if self.world.now_ns - self.watch.changed_ns < calm_ns:
            return False
        if not all(client.is_done for client in self.clients.values()):
            return False
        for name, machine in self.machines.items():
            if not machine.is_on:
                return False
            status = self.status(name)
            if status is None or not status["settled"]:
                return False
            if (router := self.router(name)) is not None and router.state.confirmations:
                return False  # a change waits for its confirmation or its end
            if status["lost"]:
                # What was lost counts for a while after it is back; who is well again then may take the service.
                self.watch.changed_ns = self.world.now_ns
                return False
            if status["held"] and self.watch.ledger.gave_both_the_same():
                return False  # else it is held for a router that has not heard of the command
        return True

    def verify(self) -> dict[str, tuple[str, ...]]:
        """What differs between each machine and its state, by the router's own full comparison."""
        found: dict[str, tuple[str, ...]] = {}
        for name, machine in self.machines.items():
            agent = machine.agent
            if agent is None or agent.answer is None:
                found[name] = ("the agent does not run",)
                continue
            answer = agent.answer

            async def ask(name: str = name, answer: Any = answer) -> None:
                found[name] = tuple((await answer({"op": "verify"}))["differences"])

            agent.loop.call_soon(lambda ask=ask, agent=agent: agent.loop.create_task(ask()))
        deadline = self.world.now_ns + 2 * SECOND
        self.world.run_until(deadline, stop=lambda: len(found) == len(self.machines))
        return found


def run(case: Case, *, settings: Settings | None = None) -> Report:
    """Let everything of a case happen, wait until all is at rest, and judge."""
    settings = evolve(settings or Settings(), advertisement_interval_ms=case.advertisement_ms)
    with _quiet(), _uncollected():  # which ends when nothing holds the pair any more, and so has less to look at
        return _run(case, settings)


def _run(case: Case, settings: Settings) -> Report:
    with Pair(seed=case.seed, settings=settings) as pair:
        world, watch = pair.world, pair.watch
        for step in case.steps:
            world.at(step.at_ms * MS, lambda step=step: pair.do(step))  # type: ignore[misc]
        last_ns = max((_end_ms(step) for step in case.steps), default=0) * MS
        world.run_until(last_ns)
        deadline = last_ns + PATIENCE_NS + _PATIENCE_INTERVALS * case.advertisement_ms * MS
        while not (rests := pair.is_at_rest()) and world.now_ns < deadline:
            world.run_until(world.now_ns + LOOK_NS)
        rested_ns = watch.changed_ns
        if rests:
            watch.at_rest({name: pair.status(name) for name in pair.machines}, pair.verify())
        else:
            watch.never_rested({name: pair.status(name) for name in pair.machines})
        watch.finish()
        reloads, changes = pair_counters(pair)
        return Report(
            violations=tuple(watch.violations),
            settle_ms=max(0.0, round((rested_ns - last_ns) / MS, 1)) if rests else None,
            reloads=reloads,
            role_changes=changes,
            roles=role_steps({name: machine.directory for name, machine in pair.machines.items()}, MORNING_NS),
            outages=tuple(watch.outages),
            double_master_ms=round(watch.masters.double_ns / MS, 1),
            both_serve=tuple(
                (round(since / MS, 1), round(until / MS, 1)) for since, until in watch.masters.both_served
            ),
            lost_connections=watch.guests.lost,
            ended_ms=round(world.now_ns / MS, 1),
            master=watch.serving(),
            unknown=tuple(sorted({word for machine in pair.machines.values() for word in machine.unknown})),
            happened=evolve(case, steps=tuple(pair.done)),
            trace=tuple(world.trace),
        )


def pair_counters(pair: Pair) -> tuple[int, int]:
    """Reloads of keepalived and changes of role, as the present agents count them."""
    statuses = [status for name in pair.machines if (status := pair.status(name)) is not None]
    counters = [status["counters"] for status in statuses]
    return (
        sum(each.get("keepalived_reloads", 0) for each in counters),
        sum(each.get("role_changes", 0) for each in counters),
    )


def _end_ms(step: Step) -> int:
    return step.at_ms + int(getattr(step, "for_ms", 0)) + int(getattr(step, "within_ms", 0))


def _memory() -> str | None:
    """A file system in memory, if there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - mkdtemp makes a private directory there


@contextmanager
def _quiet() -> Iterator[None]:
    """The simulated agents' log is not this process's log."""
    loggers = [logging.getLogger(name) for name in ("vpcrouter", "transitions")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles while a case runs: what it makes is nearly all in use until it ends."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
