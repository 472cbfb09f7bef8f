"""The agent: takes commands over a Unix socket, settles the machine, follows keepalived. All concurrency is here.

One thread runs the event loop and owns the Router: it decides, syncs and acknowledges. While it waits for the
disk, further requests gather in their sockets, and the next sync serves them all. One worker thread owns the Host
and settles; it gets immutable values and returns an Outcome. Another one takes a killed keepalived's addresses away:
that does not wait until a pass is done.

    socket ──▶ queue ──▶ desk.submit ──▶ receipts                keepalived's FIFO ──▶ Router.observe
                              │ notice                                 │ urgent
                              ▼                                        ▼
                          Coalescer ──────▶ worker: Host.settle ──▶ Outcome ──▶ status, retries, waiting clients
                              ▲
       netlink, a daemon's death, the clock (urgent, notice)

Nothing here survives a kill -9, and nothing has to: the next agent replays the journal, adopts the running daemons
and asks keepalived for its role.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve

from vpcrouter.agent.answering import Answering
from vpcrouter.agent.conflicts import Conflicts
from vpcrouter.agent.deaths import Deaths
from vpcrouter.agent.examination import Examination
from vpcrouter.agent.guests import Guests
from vpcrouter.agent.handing_over import HandingOver
from vpcrouter.agent.intake import Intake
from vpcrouter.agent.pacing import Pacing
from vpcrouter.agent.planning import Planning
from vpcrouter.agent.reporting import Reporting
from vpcrouter.agent.settlements import Settlements
from vpcrouter.agent.sites import Sites
from vpcrouter.agent.talk import Follows, Talk
from vpcrouter.agent.weighing import Weighing
from vpcrouter.checkup import Checkup
from vpcrouter.confirming import Confirming
from vpcrouter.door import Answer, Door
from vpcrouter.errors import FullDiskError, HostError, JournalError, JournalWriteError
from vpcrouter.fitness import Fitness
from vpcrouter.guest_door import Answer as GuestAnswer
from vpcrouter.guest_door import GuestDoor
from vpcrouter.host import Host, Outcome
from vpcrouter.journal import write_snapshot
from vpcrouter.machines.backoff import Backoff
from vpcrouter.machines.handover import HandoverMachine
from vpcrouter.machines.peer import in_words
from vpcrouter.machines.role import Intent, RoleChange
from vpcrouter.materialise.rendering import prepare
from vpcrouter.peering import Peering
from vpcrouter.projections.electors import electors
from vpcrouter.router import Router
from vpcrouter.values.carriage import FoundElector
from vpcrouter.values.role import Role

LOG = logging.getLogger("vpcrouter.agent")

GLANCE_S = 1.0
"""How often files, sysctls and nftables' generation are looked at without a notification: there is none for them,
and drift is to be repaired within 2 s. One look costs well under a millisecond."""
SNAPSHOT_EVENTS = 10_000
"""A snapshot is written after so many events: replaying them takes a few hundredths of a second."""
MIN_PACE_NS = 10_000_000
"""The peer is never told anything more often than so without a reason of our own."""
METRICS_S = 10.0
"""How often metrics are written, if they are; Prometheus asks every 15 s or more rarely."""
LEARN_TIMES = 3
"""Each waits five seconds for an answer."""


class _Door(Protocol):
    async def open(self) -> None: ...
    def close(self) -> None: ...


OpenDoor = Callable[[Path, Answer], _Door]
"""What requests come in by, given its place and who answers them."""


class Agent:
    """Runs one Router until SIGTERM or SIGINT; daemons and kernel configuration stay as they are then."""

    def __init__(
        self,
        router: Router,
        open_door: OpenDoor = Door,
        open_guest_door: Callable[[Path, GuestAnswer], GuestDoor] = GuestDoor,
    ) -> None:
        self._router = router
        self._surroundings = router.surroundings
        self._host: Host = router.host
        self._settings = router.settings
        self._worker = self._surroundings.worker()
        self._rescuer = self._surroundings.worker()
        """For what cannot wait until a pass is done."""
        self._pacing = Pacing(self._settings, self._surroundings, lambda: self._spawn(self._settle()))
        self._backoff = Backoff()
        self._patience = Backoff(first_ms=50, cap_ms=1_000)
        self._doubt: set[str] = {"all"}
        self._settlements = Settlements(self._surroundings)
        self._peering = Peering(self._surroundings, by_unicast=bool(self._settings.unicast_peers))
        self._handover = HandoverMachine(advertisement_interval_ms=self._settings.advertisement_interval_ms)
        self._planning = Planning(router, self._peering, self._handover)
        self._handing_over = HandingOver(
            router,
            self._handover,
            heard=lambda: self._peering.heard,
            begun=self._handover_begun,
            step=self._consider,
            give_up=self._give_up,
        )
        self._fitness = Fitness(self._settings, self._surroundings)
        self._weighing = Weighing(
            router,
            self._peering,
            self._planning,
            self._settlements,
            self._fitness,
            follow=self._follow,
            consider=self._consider,
        )
        self._target: str | None = None
        """The carrier that the newest settle asks for."""
        self._counters: Counter[str] = Counter()
        self._deaths = Deaths(self._host, died=self._on_death)
        self._intake = Intake(router, stored=self._on_stored, lost=self._on_lost_journal)
        self._guests = Guests(router, open_guest_door, stored=self._on_fetched)
        self._sites = Sites(self._host, self._worker, self._planning.materialise)
        self._checkup = Checkup(
            Examination(router, self._worker, self._planning, self._settlements, settle_all=self._settle_all),
            router.journal.directory,
            Path(self._settings.health_file),
            self._surroundings,
        )
        self._conflicts = Conflicts(self._surroundings)
        self._talk = Talk(
            router,
            self._peering,
            self._planning,
            self._handover,
            self._fitness,
            self._weighing,
            self._guests,
            self._settlements,
            self._counters,
            Follows(
                consider=self._consider,
                take_reports=self._take_reports,
                notice=self._pacing.notice,
                urgent=self._pacing.urgent,
                in_background=self._in_background,
                target=lambda: self._target,
                synchronises=lambda: self._deaths.is_watched("conntrackd"),
            ),
        )
        self._confirming = Confirming(router, changed=self._pacing.notice, in_effect=self._in_effect)
        self._reporting = Reporting(
            router,
            counters=self._counters,
            planning=self._planning,
            settlements=self._settlements,
            peering=self._peering,
            talk=self._talk,
            weighing=self._weighing,
            intake=self._intake,
            sites=self._sites,
            checkup=self._checkup,
            confirming=self._confirming,
            conflicts=self._conflicts,
        )
        self._answering = Answering(
            router,
            self._worker,
            intake=self._intake,
            planning=self._planning,
            settlements=self._settlements,
            confirming=self._confirming,
            handing_over=self._handing_over,
            sites=self._sites,
            checkup=self._checkup,
            reporting=self._reporting,
            notice=self._pacing.notice,
            settle_all=self._settle_all,
        )
        self._door = open_door(Path(self._settings.agent_socket), self._answering.answer)
        self._afterwards: list[Callable[[], None]] = []
        """What a change of role asks for beside its settle, and must not make that wait: conntrackd's commands take the
        one worker 20 to 60 ms."""
        self._retry: asyncio.TimerHandle | None = None
        self._last_full = 0.0
        self._said = 0
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # Life ---------------------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until told to stop. Calls `ready` once the socket is there."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._router.journal.keep_reserve(self._settings.journal_reserve_bytes)
        self._confirming.expire()  # before anything settles what was not confirmed in time
        await self._door.open()
        self._worker.submit(prepare)
        loop.add_reader(self._host.notifications.fileno(), self._on_notification)
        loop.add_reader(self._host.monitor.fileno(), self._on_kernel)
        loop.add_reader(self._peering.fileno(), self._talk.on_beacon)
        self._spawn(self._intake.serve())
        # Before the role: one that is learnt makes a settle, which would forget the places.
        await self._talk.learn_places(self._host, self._worker)
        await self._learn_role()
        self._deaths.look()  # what was learnt of one holds for as long as it lives, and the first settle takes its time
        self._pacing.begin()
        self._spawn(self._glance())
        self._talk.announce()
        self._spawn(self._talk.compare(self._host))
        if self._settings.metrics_file is not None:
            self._spawn(self._write_metrics(Path(self._settings.metrics_file)))
        self._spawn(self._confirming.watch_deadlines())
        self._spawn(self._confirming.watch_conditions())
        self._spawn(self._sites.tend())
        self._spawn(self._checkup.watch())
        ready()
        try:
            await self._stop.wait()
        finally:
            self._door.close()
            self._guests.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._checkup.close()
            self._worker.shutdown(wait=True)
            self._rescuer.shutdown(wait=True)
            self._conflicts.close()
            loop.remove_reader(self._peering.fileno())
            self._talk.close()
            self._weighing.close()
        if self._failure is not None:
            raise self._failure

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, JournalWriteError):
                self._intake.lose(error)
                return
            # A bug: an agent that lost one of its parts must not look alive.
            self._failure = error
            self._stop.set()

    # Commands -----------------------------------------------------------------------------------

    def _settle_all(self) -> None:
        self._doubt.add("all")
        self._pacing.urgent()

    def _on_stored(self, count: int) -> None:
        self._counters["commands"] += count
        self._confirming.look_again()
        self._checkup.look()
        self._pacing.notice()

    def _on_fetched(self) -> None:
        self._pacing.notice()
        self._talk.say()

    def _on_lost_journal(self) -> None:
        self._weighing.weigh()
        self._consider()

    async def _in_effect(self, seq: int) -> bool:
        """Whether the machine is at this moment as the events up to `seq` have it."""
        if not self._settlements.covers(seq):
            return False
        loop = asyncio.get_running_loop()
        try:
            return not await loop.run_in_executor(self._worker, self._host.verify, self._planning.materialise())
        except HostError:
            return False

    # Settling -----------------------------------------------------------------------------------

    async def _settle(self) -> None:
        # What was said before the pass begins is known to it: an agent that was paused has much to hear at once.
        self._take_reports()
        self._take_notifications()
        seq, tiers, role = self._router.seq, electors(self._router.state), self._router.role
        carriage, desired = self._planning.plan()
        self._target = carriage.carrier
        self._consider()
        doubt, self._doubt = frozenset(self._doubt), set()
        started = self._surroundings.monotonic()
        settling = asyncio.get_running_loop().run_in_executor(
            self._worker, self._host.settle, desired, doubt, lambda: self._router.role is role
        )
        while self._afterwards:
            self._in_background(self._afterwards.pop(0))
        outcome = await settling
        if outcome.operations:
            self._settlements.durations.note(self._surroundings.monotonic() - started)
        self._pacing.finished()
        if outcome.has_loaded:
            self._follow(self._router.loaded(carriage, tiers))
        self._take_in(seq, outcome)
        if carriage.is_bridged and not outcome.faults:
            self._handover.bridged(self._surroundings.monotonic_ns())
        for daemon in desired.daemons:
            if daemon.shelf is not None:
                await self._guests.let_ask(daemon.shelf)
        self._checkup.look()
        self._weighing.weigh()
        self._consider()
        if desired.vrrp_interface is not None and (role in (Role.INIT, Role.FAULT) or "all" in doubt):
            await self._learn_role()  # a line that was missed must not leave the role wrong for ever
        if self._router.events_since_snapshot >= SNAPSHOT_EVENTS:
            await self._write_snapshot()
        self._pacing.arm()

    async def _write_snapshot(self) -> None:
        directory, snapshot = self._router.journal.directory, self._router.snapshot()
        try:
            await asyncio.get_running_loop().run_in_executor(self._worker, write_snapshot, directory, snapshot)
        except JournalError as error:
            LOG.warning("%s", error)

    def _consider(self) -> None:
        """Settle if the carrier is to move, or an elector to come or go; tell the peer what is so now."""
        self._talk.step_handover()
        carriage = self._planning.carriage()
        self._weighing.obey()
        if (planned := self._planning.planned) is not None and planned[0] != carriage:
            # Who may be heard is a matter of moments only where the peer is not heard any more.
            is_same = evolve(planned[0], whereabouts=carriage.whereabouts) == carriage
            if is_same and not planned[0].whereabouts.shuts_out(carriage.whereabouts):
                self._pacing.notice()
            else:
                self._pacing.urgent()
        self._talk.say_news()

    def _take_in(self, seq: int, outcome: Outcome) -> None:
        for fault in self._settlements.take_in(seq, outcome):
            LOG.error("%s", fault)
        self._counters["settles"] += bool(outcome.operations)
        self._counters["glances"] += not outcome.operations
        self._counters["drift"] += len(outcome.drift)
        self._deaths.look()
        if any(each.target == "conntrackd" and each.action not in ("write", "remove") for each in outcome.operations):
            self._talk.standby.doubt()
            if self._router.role is Role.MASTER:
                self._in_background(self._host.share_connections)
            elif self._router.role is Role.BACKUP:
                self._in_background(self._host.resync_connections)
        if outcome.settled:
            self._backoff.succeeded()
            self._patience.succeeded()
            return
        now_ns = self._surroundings.monotonic_ns()
        retry_ns = (self._backoff if outcome.faults else self._patience).failed(now_ns)
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later((retry_ns - now_ns) / 1e9, self._pacing.urgent)

    async def _glance(self) -> None:
        """Look for what nobody notifies of: files, sysctls; now and then at everything."""
        while True:
            await asyncio.sleep(GLANCE_S)
            if (error := self._intake.tend()) is not None:
                self._failure = error
                self._stop.set()
            if self._surroundings.monotonic() - self._last_full >= self._settings.verify_interval_s:
                self._last_full = self._surroundings.monotonic()
                self._doubt.add("all")
            if self._retry is None or self._retry.when() <= asyncio.get_running_loop().time():
                self._pacing.notice()
            if self._planning.planned is not None:
                self._conflicts.look(self._planning.planned[1].kernel, serves=self._router.role is Role.MASTER)

    def status(self) -> dict[str, Any]:
        """What `vpcrouter status` prints."""
        return self._reporting.status()

    def lacks(self) -> tuple[str, ...] | None:
        """Why this router is not ready to take over; None unless it is backup."""
        return self._talk.lacks()

    # Following ----------------------------------------------------------------------------------

    def _on_notification(self) -> None:
        self._take_reports()
        self._consider()

    def _take_reports(self) -> None:
        for each in self._host.reports():
            self._said += 1
            because = " (the service was handed over)" if self._handover.offer or self._handover.takes_over else ""
            self._follow(self._router.hear(each.instance, each.role, each.reason + because))

    async def _learn_role(self) -> None:
        """Ask a keepalived that runs already; if it says something by itself meanwhile, which is newer, ask again.

        Who serves and who carries must be known before keepalived's file is touched, so a slow answer is waited for.
        """
        found: tuple[FoundElector, ...] = ()
        for _ in range(LEARN_TIMES):
            self._on_notification()
            said = self._said
            try:
                found = await asyncio.get_running_loop().run_in_executor(self._worker, self._host.find_electors)
            except HostError as error:
                LOG.warning("%s; asking again", error)
                continue
            self._on_notification()
            if self._said == said:
                break
        self._follow(self._router.learn(found))

    # Handing over -------------------------------------------------------------------------------

    def _handover_begun(self) -> None:
        self._counters["handovers"] += 1
        self._pacing.urgent()

    async def _give_up(self) -> None:
        # It gives its addresses up at once, and takes a second to end: meanwhile this router is nothing.
        ended = asyncio.get_running_loop().run_in_executor(self._worker, self._host.end_keepalived)
        self._follow(self._router.lose())
        await ended
        self._on_notification()  # what it wrote before it ended must not be read after this
        self._follow(self._router.lose())

    def _on_kernel(self) -> None:
        if self._take_notifications():
            self._pacing.notice()
            self._weighing.weigh()

    def _take_notifications(self) -> bool:
        doubt = self._host.monitor.drain()
        self._doubt |= {"all"} if "lost" in doubt else doubt
        return bool(doubt)

    def _on_death(self, name: str) -> None:
        if name == "keepalived":
            self._on_notification()  # what it wrote before it died must not be read after this
            self._in_background(self._host.give_up, self._rescuer)
            self._follow(self._router.lose())
        self._settle_all()

    def _follow(self, change: RoleChange | None) -> None:
        if change is None or not change.changed:
            return
        LOG.info("role %s → %s: %s", change.previous.value, change.role.value, change.reason)
        for each in self._peering.describe():
            LOG.info("the peer %s was last %s", each["address"], in_words(each, self._router.digest))
        self._counters["role_changes"] += 1
        self._reporting.role_changed()
        self._talk.role_changed(change)
        for intent in change.intents:
            match intent:
                case Intent.SETTLE:
                    self._pacing.urgent()
                case Intent.RESYNC:
                    self._afterwards.append(self._host.resync_connections)
                case Intent.SHARE:
                    self._afterwards.append(self._host.share_connections)
                case Intent.RECORD:
                    try:
                        self._router.record(change)
                        self._pacing.notice()  # a record has a number, and `settled` is said of a number
                    except JournalError as error:
                        # A router must go on following keepalived when its disk is full.
                        LOG.error("the change of role is not in the journal: %s", error)
                        if isinstance(error, FullDiskError):
                            self._intake.refused(error)

    def _in_background(self, work: Callable[[], None], worker: Executor | None = None) -> None:
        def attempt() -> None:
            try:
                work()
            except HostError as error:
                LOG.error("%s", error)

        (worker or self._worker).submit(attempt)

    # Reporting ----------------------------------------------------------------------------------

    async def _write_metrics(self, path: Path) -> None:
        from vpcrouter.appliers._files import write_atomically
        from vpcrouter.metrics import exposition

        while True:
            try:
                text = exposition(self._reporting.status(), await self._answering.usage())
                await asyncio.get_running_loop().run_in_executor(self._worker, write_atomically, path, text, 0o644)
            except HostError as error:
                LOG.error("%s", error)
            await asyncio.sleep(METRICS_S)


def run_agent(open_router: Callable[[], AbstractContextManager[Router]]) -> None:
    """Run the agent of a router in the foreground until SIGTERM or SIGINT.

    An agent that has lost its journal goes on without it, and ends when the disk can be written again. Then the journal
    is opened anew, by another one, which knows nothing but what the disk holds.
    """
    while True:
        with open_router() as router:
            try:
                asyncio.run(Agent(router).run())
            except JournalError as error:
                if not router.journal.refusal:
                    raise
                LOG.warning("the disk can be written again after this, the journal is opened anew: %s", error)
            else:
                return


__all__ = ["Agent", "run_agent"]
