"""Runs a case of the simulator in the laboratory: the same commands and faults, on real daemons, in real time.

Called by the command line (`replay_alone`), and by the suite that compares the two, in a laboratory that is up and
bare. Of the faults, those that a laboratory can make are made: crashes, pauses, cables, a reboot for a loss of power.
The others (bad disks and networks, clocks, drift, snapshots) are named in the result and left out. Who `master` and
`backup` are is known when the step begins: from the journals, which tell it also of a router whose agent is dead.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from vpcrouter.appliers import _process
from vpcrouter.errors import HostError
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS, cables_of
from vpcrouter.simulation.case import (
    EVERY_DEVICE,
    PROCESSES,
    ROLES,
    Ask,
    Case,
    Crash,
    CutCable,
    Pause,
    PowerOff,
    Step,
    Submit,
    question,
)
from vpcrouter.simulation.recording import RoleStep, role_steps, served_last

LEAD_MS = 300
"""In a case the agents start at 0 and are there at this time; in the laboratory they are there already."""
RESTART_S = 1.0
"""An agent that was killed is started again after this, as in the simulator."""
REST_S = 15.0
NOTICED_S = 2.0


@frozen(kw_only=True)
class Start:
    """An agent was started again."""

    router: str
    began_ms: float
    took_ms: float
    """Until it answered."""


@frozen(kw_only=True)
class Replayed:
    """What the laboratory made of a case. Times count as in the case."""

    roles: tuple[RoleStep, ...]
    rejected: tuple[str, ...]
    """Commands that a router refused, by name."""
    left_out: tuple[str, ...]
    """Steps that a laboratory cannot make."""
    hits: tuple[str, ...]
    """Which router a step that goes by the role has hit."""
    rests: bool
    """In the end there was one master and one backup, both settled."""
    digests: tuple[str, ...]
    starts: tuple[Start, ...] = ()


def replay_alone(laboratory: Laboratory, case: Case) -> Replayed:
    """Build the laboratory, run the case, and remove the laboratory, whatever happens."""
    try:
        laboratory.up(advertisement_ms=case.advertisement_ms)
        laboratory.tell(f"replaying {len(case.steps)} steps")
        return replay(laboratory, case)
    finally:
        laboratory.tell("removing the laboratory")
        laboratory.down()


def replay(laboratory: Laboratory, case: Case) -> Replayed:
    """Run it; returns when all is at rest, or after REST_S."""
    began, began_ns = time.monotonic() - LEAD_MS / 1000, time.time_ns() - LEAD_MS * 1_000_000
    rejected: list[str] = []
    left_out: list[str] = []
    hits: list[str] = []
    starts: list[Start] = []
    starting: list[threading.Thread] = []

    def start(router: str) -> None:
        """No step waits for it."""
        begin_beside(partial(_start, laboratory, began, starts, router))

    def begin_beside(work: Callable[[], None]) -> None:
        starting.append(threading.Thread(target=work))
        starting[-1].start()

    threads = [threading.Thread(target=_submit, args=(laboratory, case, router, began, rejected)) for router in ROUTERS]
    for thread in threads:
        thread.start()

    def who(role: str) -> str:
        roles = role_steps({router: laboratory.machines[router].journal for router in ROUTERS}, began_ns)
        master = served_last(roles) or ROUTERS[0]
        return next(name for name in ROUTERS if (name == master) is (role == ROLES[0]))

    def begin(step: Step) -> list[Due]:
        hit = evolve(step, router=who(step.router)) if step.router in ROLES else step
        if hit is not step:
            hits.append(f"{_name(step)}: {step.router} is {hit.router}")
        due = list(_make(laboratory, hit, start, begin_beside))
        if not due:
            left_out.append(_name(step))
        return due

    carry_out(case.faults, begin, lambda at_ms: _sleep_until(began + at_ms / 1000))
    for thread in (*threads, *starting):
        thread.join()
    # What has just happened may not be known yet, and an old word of both would look like rest.
    time.sleep(NOTICED_S)
    rests = laboratory.wait(is_pair, REST_S)
    status = laboratory.status()
    return Replayed(
        roles=role_steps({router: laboratory.machines[router].journal for router in ROUTERS}, began_ns),
        rejected=tuple(sorted(rejected)),
        left_out=tuple(left_out),
        hits=tuple(hits),
        rests=rests,
        digests=tuple(str(each.get("digest")) for each in status.values()),
        starts=tuple(starts),
    )


def _submit(laboratory: Laboratory, case: Case, router: str, began: float, rejected: list[str]) -> None:
    for step in case.steps:
        if isinstance(step, Submit) and step.router == router:
            _sleep_until(began + step.at_ms / 1000)
            if any(line["status"] == "rejected" for line in _ask(laboratory, step)):
                rejected.append(f"{router} {step.name}")


def _ask(laboratory: Laboratory, step: Submit) -> Sequence[dict[str, Any]]:
    """Hand a command in; again, if the agent is just not there."""
    deadline = time.monotonic() + REST_S
    while True:
        try:
            with laboratory.connect(step.router) as client:
                if not step.within_ms:
                    return client.submit(step.name, step.text)
                conditions = [step.condition] if step.condition else []
                return client.submit_files(
                    [(step.name, step.text)],
                    confirm_within_ms=step.within_ms,
                    confirm_if=conditions,
                    confirmation=step.name,
                )
        except HostError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


Due = tuple[int, Callable[[], object]]
"""What is to be done, and when, in the case's milliseconds."""


def carry_out(faults: Iterable[Step], begin: Callable[[Step], list[Due]], wait_until: Callable[[int], None]) -> None:
    """Begin each fault at its time, and do what it comes to, at once or later; one after the other."""
    order = count()
    heap: list[tuple[int, int, Step | Callable[[], object]]] = [(step.at_ms, next(order), step) for step in faults]
    heapify(heap)
    while heap:
        at_ms, _, next_one = heappop(heap)
        wait_until(at_ms)
        if callable(next_one):
            next_one()
        else:
            for due_ms, work in begin(next_one):
                if due_ms <= at_ms:
                    work()
                else:
                    heappush(heap, (due_ms, next(order), work))


def _make(
    laboratory: Laboratory,
    step: Step,
    start: Callable[[str], None],
    begin_beside: Callable[[Callable[[], None]], None],
) -> Iterator[Due]:
    """What is to be done when for one fault, which may have an end; nothing if a laboratory cannot make it."""
    match step:
        case CutCable():
            devices = [cable.device for cable in cables_of(step.router)]
            for device in devices if step.device == EVERY_DEVICE else (step.device,):
                yield step.at_ms, partial(_cut, laboratory, step, device)
                yield step.at_ms + step.for_ms, partial(laboratory.heal, step.router, device)
        case Crash(process="guestweb") | Pause(process="guestweb"):
            return  # nothing but its files tells it from the load balancer
        case Crash():
            yield step.at_ms, partial(_signal, laboratory, step.router, step.process, signal.SIGKILL)
            if step.process == "agent":
                yield step.at_ms + round(RESTART_S * 1000), partial(start, step.router)
        case Pause():
            for process in PROCESSES if step.process == "all" else (step.process,):
                yield step.at_ms, partial(_signal, laboratory, step.router, process, signal.SIGSTOP)
                yield step.at_ms + step.for_ms, partial(_signal, laboratory, step.router, process, signal.SIGCONT)
        case Ask() if step.what != "guest-password":
            yield step.at_ms, partial(begin_beside, partial(_question, laboratory, step))
        case PowerOff():
            yield step.at_ms, partial(laboratory.reboot, [step.router])
        case _:
            return


def _question(laboratory: Laboratory, step: Ask) -> None:
    """What an operator asks; an agent that is not there, or refuses, says no."""
    with suppress(HostError), laboratory.connect(step.router) as client:
        waiting = [str(each["confirmation"]) for each in client.unconfirmed()]
        request = question(step, seq=int(client.status()["seq"]), waiting=waiting)
        if request is not None:
            client.call(request)


def _name(step: Step) -> str:
    return f"{type(step).__name__} at {step.at_ms} ms"


def _cut(laboratory: Laboratory, step: CutCable, device: str) -> None:
    laboratory.cut(step.router, device, silent=step.how == "silent")


def _start(laboratory: Laboratory, began: float, starts: list[Start], router: str) -> None:
    machine, now = laboratory.machines[router], time.monotonic()
    machine.wait_until_it_answers(machine.start(laboratory.record.advertisement_ms))
    took_s = time.monotonic() - now
    starts.append(Start(router=router, began_ms=(now - began) * 1000, took_ms=took_s * 1000))


def _signal(laboratory: Laboratory, router: str, target: str, number: int) -> None:
    """Signal every process of that name in the router's namespace; nothing happens where none runs."""
    name, _, which = target.partition("-")
    if name == "agent":
        pids = laboratory.machines[router].pids(name)
    else:
        listed = _process.run(["ip", "netns", "pids", laboratory.names.namespace(router)]).split()
        pids = [pid for pid in map(int, listed) if _stat(pid)[:1] == [name]]
    if which:
        pids = [pid for pid in pids if (int(_stat(pid)[2]) in pids) == (which == "child")]
    processes = [process for pid in pids if (process := _process.open_process(pid)) is not None]
    if number == signal.SIGKILL:
        # All at once: a child that lives for a millisecond longer than its parent still says good-bye.
        for process in processes:
            process.send(signal.SIGSTOP)
    for process in processes:
        process.send(number)
        process.close()


def _stat(pid: int) -> list[str]:
    """Name, state, parent, … (proc(5)); nothing if it has ended since it was listed."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition(" (")[2].rpartition(") ")
    except OSError:
        return []
    return [name, *rest.split()]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
