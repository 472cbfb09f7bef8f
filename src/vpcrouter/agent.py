"""The agent: takes commands over a Unix socket, settles the machine, follows keepalived. All concurrency is here.

One thread runs the event loop and owns the Router: it decides, syncs and acknowledges. While it waits for the
disk, further requests gather in their sockets, and the next sync serves them all. One worker thread owns the Host
and settles; it gets immutable values and returns an Outcome.

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
import os
import signal
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve, frozen

from vpcrouter import desk
from vpcrouter.appliers.tunnels import SiteReport
from vpcrouter.commands import ConfirmGuestPassword
from vpcrouter.confirming import Confirming
from vpcrouter.disagreement import Disagreement
from vpcrouter.door import Answer, Door
from vpcrouter.durations import Durations
from vpcrouter.errors import FullDiskError, HostError, JournalError, JournalWriteError, KeyFileError
from vpcrouter.fitness import Fitness
from vpcrouter.guest_door import Answer as GuestAnswer
from vpcrouter.guest_door import GuestDoor
from vpcrouter.host import Host, Outcome
from vpcrouter.journal import write_snapshot
from vpcrouter.machines.backoff import Backoff
from vpcrouter.machines.coalescer import Coalescer
from vpcrouter.machines.fetched import FetchedMachine
from vpcrouter.machines.handover import HandoverMachine
from vpcrouter.machines.peer import derive_key
from vpcrouter.machines.role import Intent, RoleChange
from vpcrouter.materialise import materialise
from vpcrouter.materialise.nftables import TABLE
from vpcrouter.materialise.peer_guard import CLOSED, PEERS
from vpcrouter.materialise.usage import describe_usage
from vpcrouter.peering import Peering
from vpcrouter.projections.effective import effective, pending
from vpcrouter.projections.electors import electors
from vpcrouter.router import Router
from vpcrouter.standby import Standby
from vpcrouter.state import State
from vpcrouter.values.beacon import Saying
from vpcrouter.values.carriage import Carriage, FoundElector
from vpcrouter.values.config import RouterConfig, Secret
from vpcrouter.values.desired import Desired, Shelf, Tunnels
from vpcrouter.values.role import Role

LOG = logging.getLogger("vpcrouter.agent")

GLANCE_S = 1.0
"""How often files, sysctls and nftables' generation are looked at without a notification: there is none for them,
and drift is to be repaired within 2 s. One look costs well under a millisecond."""
SNAPSHOT_EVENTS = 10_000
"""A snapshot is written after so many events: replaying them takes a few hundredths of a second."""
MIN_PACE_NS = 10_000_000
"""The peer is never told anything more often than so without a reason of our own."""
HANDOVER_LOOK_S = 0.01
"""How often a client that waits for a handover looks for its end; it takes half a second."""
METRICS_S = 10.0
"""How often metrics are written, if they are; Prometheus asks every 15 s or more rarely."""
LEARN_TIMES = 3
"""Each waits five seconds for an answer."""
TEND_S = 5.0
"""How often tunnels are looked at. Charon begins them by itself; only one that the peer has refused waits for this."""
KEPT = 100
"""How many drift reports and settles are remembered."""


class _Door(Protocol):
    async def open(self) -> None: ...
    def close(self) -> None: ...


OpenDoor = Callable[[Path, Answer], _Door]
"""What requests come in by, given its place and who answers them."""


@frozen(kw_only=True)
class _Request:
    handed: desk.Handed
    answer: asyncio.Future[list[dict[str, Any]]]


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
        self._door = open_door(Path(self._settings.agent_socket), self._answer)
        self._guest_door = open_guest_door(Path(self._settings.password_socket), self._answer_guest)
        self._passwords = FetchedMachine()
        self._sent: dict[str, Secret] = {}
        """The password that was last handed to each guest that has not confirmed it."""
        self._worker = self._surroundings.worker()
        self._coalescer = Coalescer(
            quiet_ms=self._settings.quiet_ms,
            max_delay_ms=self._settings.max_delay_ms,
            long_delay_ms=self._settings.long_delay_ms,
        )
        self._backoff = Backoff()
        self._patience = Backoff(first_ms=50, cap_ms=1_000)
        self._doubt: set[str] = {"all"}
        self._outcome: Outcome | None = None
        self._journal_fault: JournalError | None = None
        self._desired: tuple[State, Role, Carriage, Desired] | None = None
        self._peering = Peering(self._surroundings)
        self._standby = Standby(self._surroundings)
        self._disagreement = Disagreement(self._settings.disagreement_s, self._surroundings)
        self._role_since_ns = self._surroundings.time_ns()
        self._settle_times = Durations()
        self._handover = HandoverMachine(advertisement_interval_ms=self._settings.advertisement_interval_ms)
        self._fitness = Fitness(self._settings, self._surroundings)
        self._target: str | None = None
        """The carrier that the newest settle asks for."""
        self._settled: deque[tuple[int, int]] = deque(maxlen=KEPT)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._drift: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._counters: Counter[str] = Counter()
        self._watched: dict[str, int] = {}
        self._deaths: Counter[str] = Counter()
        self._confirming = Confirming(router, changed=self._notice, in_effect=self._in_effect)
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._last_full = 0.0
        self._said = 0
        self._is_contested = False
        self._is_disputed = False
        self._tunnels: tuple[SiteReport, ...] = ()
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
        loop.add_reader(self._host.notifications.fileno(), self._on_notification)
        loop.add_reader(self._host.monitor.fileno(), self._on_kernel)
        loop.add_reader(self._peering.fileno(), self._on_beacon)
        self._spawn(self._write())
        await self._learn_places()  # a role that is learnt makes a settle, which would forget them
        await self._learn_role()
        self._coalescer.urgent(self._surroundings.monotonic_ns())
        self._spawn(self._glance())
        self._announce()
        self._spawn(self._compare())
        if self._settings.metrics_file is not None:
            self._spawn(self._write_metrics(Path(self._settings.metrics_file)))
        self._spawn(self._confirming.watch_deadlines())
        self._spawn(self._confirming.watch_conditions())
        self._spawn(self._tend_tunnels())
        self._arm()
        ready()
        try:
            await self._stop.wait()
        finally:
            self._door.close()
            for timer in (self._turn, self._look):
                if timer is not None:
                    timer.cancel()
            self._guest_door.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._worker.shutdown(wait=True)
            loop.remove_reader(self._peering.fileno())
            self._peering.close()
            self._standby.close()
            self._fitness.close()
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
                self._lose_journal(error)
                return
            # A bug: an agent that lost one of its parts must not look alive.
            self._failure = error
            self._stop.set()

    # Commands -----------------------------------------------------------------------------------

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        match request["op"]:
            case "submit":
                answer = loop.create_future()
                self._requests.put_nowait(_Request(handed=desk.read_request(request), answer=answer))
                return {"results": await answer}
            case "confirm" | "take-back" as which:
                decide = self._router.confirm if which == "confirm" else self._router.take_back
                receipt = decide(str(request["name"]), origin="socket")
                self._confirming.look_again()
                self._notice()
                return {"results": [receipt.as_dict()]}
            case "unconfirmed":
                return {"unconfirmed": self._confirming.describe()}
            case "revert":
                try:
                    receipts = self._router.revert(int(request["seq"]), origin="socket")
                except (FullDiskError, KeyFileError) as error:
                    self._refused(error)
                    raise
                self._notice()
                return {"results": [each.as_dict() for each in receipts]}
            case "status":
                return {"status": self.status()}
            case "usage":
                return {"usage": await self._usage()}
            case "settled":
                return await self._wait_settled(int(request["seq"]), float(request["timeout"]))
            case "settle":
                self._doubt.add("all")
                self._urgent()
                return await self._wait_settled(self._router.seq, float(request["timeout"]), again=True)
            case "plan":
                role = Role(request["role"]) if request.get("role") else self._router.role
                desired = materialise(self._router.state, role, self._settings, self._carriage())
                operations = await loop.run_in_executor(self._worker, self._host.plan, desired)
                return {"operations": [[each.target, each.action, each.subject] for each in operations]}
            case "verify":
                desired = self._materialise()
                return {"differences": await loop.run_in_executor(self._worker, self._host.verify, desired)}
            case "handover":
                return await self._hand_over(forced=bool(request["force"]))
            case "tunnels":
                desired = self._materialise()
                found = await loop.run_in_executor(self._worker, self._host.tunnels, desired)
                return {"tunnels": [_tunnel(each) for each in found]}
            case other:
                raise ValueError(f"{other!r} is not an operation of the agent")

    async def _usage(self) -> list[dict[str, Any]]:
        """What was forwarded by way of each device; see `materialise.usage`."""
        loop = asyncio.get_running_loop()
        counted = await loop.run_in_executor(self._worker, self._host.traffic, TABLE)
        return describe_usage(effective(self._router.state), counted)

    async def _answer_guest(self, verb: str, address: str) -> str:
        """What a guest is told that asks for its password, or says that it has it."""
        found = self._router.state.guest_passwords.get(address)
        if found is None or found.fetched:
            return "saved_password"
        if verb == "send":
            self._sent[address] = found.password
            return found.password.reveal()
        # A password that came after the one that the guest speaks of still waits for it.
        if self._sent.pop(address, found.password) == found.password:
            try:
                self._router.submit_each([ConfirmGuestPassword(address=address)], origin="guest")
            except JournalError as error:
                # What is not durable is not acknowledged: the guest says it again, or asks again.
                LOG.error("the guest %s has its password, and the journal does not know: %s", address, error)
                return "bad_request"
            LOG.info("the guest %s has fetched its password", address)
            self._notice()
            self._say()
        return "saved_password"

    async def _let_guests_ask(self, shelf: Shelf) -> None:
        """Be there for the web server that guests ask; again if somebody has removed the socket."""
        try:
            await self._guest_door.open(shelf.group)
        except OSError as error:
            LOG.error("guests cannot be given passwords: %s", error)

    async def _write(self) -> None:
        while True:
            requests = [await self._requests.get()]
            while not self._requests.empty():
                requests.append(self._requests.get_nowait())
            self._submit(requests)

    def _submit(self, requests: list[_Request]) -> None:
        try:
            answers = desk.submit(self._router, [each.handed for each in requests], origin="socket")
        except JournalError as error:
            is_plain = all(each.handed.is_plain for each in requests)
            if isinstance(error, FullDiskError) and is_plain and len(requests) > 1:
                for request in requests:  # there may be room for one of them
                    self._submit([request])
                return
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(HostError(str(error)))
            if isinstance(error, FullDiskError | KeyFileError):
                self._refused(error)
            elif self._router.journal.refusal:
                self._lose_journal(error)
            else:
                raise
            return
        self._journal_fault = None
        for request, lines in zip(requests, answers, strict=True):
            self._counters["commands"] += len(lines)
            if not request.answer.done():
                request.answer.set_result(lines)
        self._confirming.look_again()
        self._notice()

    async def _in_effect(self, seq: int) -> bool:
        """Whether the machine is at this moment as the events up to `seq` have it."""
        outcome, settled_seq = self._outcome, self._settled[-1][0] if self._settled else 0
        if outcome is None or not outcome.settled or settled_seq < seq:
            return False
        loop = asyncio.get_running_loop()
        try:
            return not await loop.run_in_executor(self._worker, self._host.verify, self._materialise())
        except HostError:
            return False

    def _refused(self, error: JournalError) -> None:
        """Nothing was stored, and the journal can still be written: the router serves on, and says what is wrong."""
        if self._journal_fault is None:
            LOG.error("%s", error)
        self._journal_fault = error

    def _lose_journal(self, error: JournalError) -> None:
        """What the disk holds now, nobody knows: no command is taken any more, and a peer that can take some serves."""
        self._refused(error)
        self._weigh()
        self._consider()

    def _tend_journal(self) -> None:
        """See whether there is room again; end if the journal can be opened anew."""
        journal = self._router.journal
        if journal.refusal:
            if journal.could_be_opened_anew():
                self._failure = self._journal_fault or JournalError(journal.refusal, where=str(journal.directory))
                self._stop.set()
            return
        journal.tend()
        if isinstance(self._journal_fault, FullDiskError) and not journal.shortage_bytes:
            LOG.info("there is room for the journal again")
            self._journal_fault = None
            self._confirming.look_again()

    async def _wait_settled(self, seq: int, timeout: float, *, again: bool = False) -> dict[str, Any]:
        if again or not (self._settled and self._settled[-1][0] >= seq):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((seq, future))
            try:
                await asyncio.wait_for(future, timeout)
            except TimeoutError:
                return {"settled": False, "seq": seq, "differences": self._differences()}
            finally:
                self._waiting = [each for each in self._waiting if each[1] is not future]
        verified = next((when for covered, when in self._settled if covered >= seq), self._surroundings.monotonic_ns())
        return {"settled": True, "seq": seq, "verified_ns": verified}

    # Settling -----------------------------------------------------------------------------------

    def _notice(self) -> None:
        self._coalescer.notice(self._surroundings.monotonic_ns())
        self._arm()

    def _urgent(self) -> None:
        self._coalescer.urgent(self._surroundings.monotonic_ns())
        self._arm()

    def _arm(self) -> None:
        """Sleep until the next settle is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._coalescer.deadline()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline / 1e9, self._start_settle)

    def _start_settle(self) -> None:
        if self._coalescer.is_due(self._surroundings.monotonic_ns() + 500_000):
            self._coalescer.started()
            self._spawn(self._settle())
        else:
            self._arm()

    async def _settle(self) -> None:
        seq, tiers, role = self._router.seq, electors(self._router.state), self._router.role
        carriage, desired = self._plan()
        self._target = carriage.carrier
        self._consider()
        doubt, self._doubt = frozenset(self._doubt), set()
        started = self._surroundings.monotonic()
        outcome = await asyncio.get_running_loop().run_in_executor(
            self._worker, self._host.settle, desired, doubt, lambda: self._router.role is role
        )
        if outcome.operations:
            self._settle_times.note(self._surroundings.monotonic() - started)
        self._coalescer.finished()
        if outcome.has_loaded:
            self._follow(self._router.loaded(carriage, tiers))
        self._take_in(seq, outcome)
        if carriage.is_bridged and not outcome.faults:
            self._handover.bridged(self._surroundings.monotonic_ns())
        for daemon in desired.daemons:
            if daemon.shelf is not None:
                await self._let_guests_ask(daemon.shelf)
        self._weigh()
        self._consider()
        if desired.vrrp_interface is not None and (role in (Role.INIT, Role.FAULT) or "all" in doubt):
            await self._learn_role()  # a line that was missed must not leave the role wrong for ever
        if self._router.events_since_snapshot >= SNAPSHOT_EVENTS:
            await self._write_snapshot()
        self._arm()

    async def _write_snapshot(self) -> None:
        directory, snapshot = self._router.journal.directory, self._router.snapshot()
        try:
            await asyncio.get_running_loop().run_in_executor(self._worker, write_snapshot, directory, snapshot)
        except JournalError as error:
            LOG.warning("%s", error)

    def _materialise(self) -> Desired:
        return self._plan()[1]

    def _plan(self) -> tuple[Carriage, Desired]:
        now = (self._router.state, self._router.role, self._carriage())
        before = self._desired
        if before is None or before[0] is not now[0] or before[1:3] != now[1:]:
            before = self._desired = (*now, materialise(now[0], now[1], self._settings, now[2]))
        return before[2], before[3]

    def _carriage(self) -> Carriage:
        carriage, handover = self._router.carriage(self._peering.carriage), self._handover
        return evolve(
            carriage,
            is_bridged=carriage.is_bridged or handover.is_bridged,
            takes_over=handover.takes_over,
            whereabouts=self._peering.whereabouts,
        )

    def _consider(self) -> None:
        """Settle if the carrier is to move, or an elector to come or go; tell the peer what is so now."""
        self._step_handover()
        carriage = self._carriage()
        self._obey()
        if self._desired is not None and (planned := self._desired[2]) != carriage:
            # Who may be heard is a matter of moments only where the peer is not heard any more.
            is_same = evolve(planned, whereabouts=carriage.whereabouts) == carriage
            if is_same and not planned.whereabouts.shuts_out(carriage.whereabouts):
                self._notice()
            else:
                self._urgent()
        if not self._peering.says(self._saying()):
            self._say()
            self._await_turn()

    def _take_in(self, seq: int, outcome: Outcome) -> None:
        before = self._outcome.faults if self._outcome is not None else ()
        self._outcome = outcome
        self._counters["settles"] += bool(outcome.operations)
        self._counters["glances"] += not outcome.operations
        for what in outcome.drift:
            self._counters["drift"] += 1
            self._drift.append({"time": self._surroundings.time_ns() / 1e9, "what": what})
            LOG.warning("repaired drift: %s", what)
        self._watch_daemons()
        self._tell_deaths()
        if any(each.target == "conntrackd" and each.action not in ("write", "remove") for each in outcome.operations):
            self._standby.doubt()
            if self._router.role is Role.MASTER:
                self._in_background(self._host.share_connections)
            elif self._router.role is Role.BACKUP:
                self._in_background(self._host.resync_connections)
        if outcome.settled:
            self._backoff.succeeded()
            self._patience.succeeded()
            if not self._settled or self._settled[-1][0] != seq:
                self._settled.append((seq, self._surroundings.monotonic_ns()))
            for wanted, future in self._waiting:
                if wanted <= seq and not future.done():
                    future.set_result(None)
            return
        for fault in outcome.faults:
            if fault not in before:
                LOG.error("%s", fault)
        now_ns = self._surroundings.monotonic_ns()
        retry_ns = (self._backoff if outcome.faults else self._patience).failed(now_ns)
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later((retry_ns - now_ns) / 1e9, self._urgent)

    async def _glance(self) -> None:
        """Look for what nobody notifies of: files, sysctls; now and then at everything."""
        while True:
            await asyncio.sleep(GLANCE_S)
            self._tend_journal()
            if self._surroundings.monotonic() - self._last_full >= self._settings.verify_interval_s:
                self._last_full = self._surroundings.monotonic()
                self._doubt.add("all")
            if self._retry is None or self._retry.when() <= asyncio.get_running_loop().time():
                self._notice()

    # Following ----------------------------------------------------------------------------------

    def _on_notification(self) -> None:
        for each in self._host.reports():
            self._said += 1
            because = " (the service was handed over)" if self._handover.offer or self._handover.takes_over else ""
            self._follow(self._router.hear(each.instance, each.role, each.reason + because))
        self._consider()

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

    async def _learn_places(self) -> None:
        """Go on listening where an agent before this one has found the peer."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._host.find_places, TABLE, PEERS, CLOSED
            )
        except HostError as error:
            LOG.warning("%s", error)
            return
        self._peering.recall(found)

    def _announce(self) -> None:
        """Tell the peer what this router is, and see whether time alone has changed what is to be done."""
        self._passwords.next_turn()
        self._say()
        self._consider()
        self._await_turn()
        self._judge_contest()

    def _judge_contest(self) -> None:
        """Both routers serve, and VRRP has not ended it: it does not get through, or a keepalived is stopped."""
        contested_ns = self._peering.contested_ns
        if contested_ns is None:
            if self._is_contested and self._router.role is Role.MASTER and self._desired is not None:
                self._fitness.announce(self._desired[3].kernel)
            self._is_disputed = False
        elif contested_ns > self._settings.advertisement_interval_ms * 1_000_000 and not self._is_disputed:
            self._is_disputed = True
            LOG.error("the peer serves too")
            self._urgent()  # finds a keepalived that is stopped
        self._is_contested = contested_ns is not None
        for length_ms in self._peering.take_both_served():
            if length_ms >= self._settings.advertisement_interval_ms:
                LOG.error("two routers served for %d ms", length_ms)
                self._counters["double_masters"] += 1
                self._counters["double_master_ms"] += length_ms

    def _await_turn(self) -> None:
        """Speak again when it is due; that changes with what is heard and said."""
        if self._turn is not None:
            self._turn.cancel()
        wait_ns = max(MIN_PACE_NS, self._peering.due_ns - self._surroundings.monotonic_ns())
        self._turn = asyncio.get_running_loop().call_later(wait_ns / 1e9, self._announce)

    def _say(self) -> None:
        config, carriage = self._router.state.router, self._carriage()
        if config is None:
            return
        is_secret = config.password is not None
        self._peering.listen((*electors(self._router.state), *carriage.held), _pair_key(config), is_secret=is_secret)
        self._peering.announce(self._saying())

    async def _compare(self) -> None:
        """Compare with the peer, a part at a time: connections, and what is configured where the digests differ."""
        while True:
            await asyncio.sleep(self._standby.pause_s)
            wanted = await self._standby.look(self._router.role, self._peering.heard)
            if wanted.resync:
                self._in_background(self._host.resync_connections)
            if wanted.share:
                self._in_background(self._host.share_connections)
            if wanted.repeat:
                self._in_background(self._host.repeat_connections)
            self._disagreement.look(self._router.state, self._router.digest, self._peering.heard)
            self._consider()

    async def _tend_tunnels(self) -> None:
        """Look after the tunnels to other sites, and know how they are."""
        while True:
            await asyncio.sleep(TEND_S)
            desired = self._materialise()
            if desired.tunnels == Tunnels():
                self._tunnels = ()
                continue
            try:
                self._tunnels = await asyncio.get_running_loop().run_in_executor(
                    self._worker, self._host.tend_tunnels, desired
                )
            except HostError as error:
                LOG.warning("%s", error)

    def _lacks(self) -> tuple[str, ...] | None:
        """Why this router is not ready to take over; None unless it is backup."""
        if self._router.role is not Role.BACKUP:
            return None
        return self._standby.lacks(
            self._peering.heard,
            self._router.digest,
            settled=self._is_settled(),
            synchronises="conntrackd" in self._watched,
        )

    # Handing over -------------------------------------------------------------------------------

    async def _hand_over(self, *, forced: bool) -> dict[str, Any]:
        """Give the service to the peer; refused without force unless the peer is ready."""
        if self._router.role is not Role.MASTER or not self._router.electors.carrier:
            reasons = [f"this router does not serve in a pair, it is {self._router.role.value}"]
            return {"done": False, "refused": True, "reasons": reasons, "seconds": 0.0}
        reasons = self._keeps()
        if reasons and not forced:
            return {"done": False, "refused": True, "reasons": reasons, "seconds": 0.0}
        started = self._surroundings.monotonic()
        if self._peering.heard is None:
            # Nobody would take an offer; what is left is what VRRP has for a router that ends.
            await asyncio.get_running_loop().run_in_executor(self._worker, self._host.end_keepalived)
            self._follow(self._router.lose())
            return {"done": True, "refused": False, "reasons": reasons, "seconds": self._since(started)}
        LOG.info("handing the service over%s", "" if not reasons else f", though {'; '.join(reasons)}")
        self._handover.begin(self._surroundings.monotonic_ns(), forced=forced)
        self._counters["handovers"] += 1
        self._urgent()
        while self._handover.outcome is None:
            await asyncio.sleep(HANDOVER_LOOK_S)
            self._consider()
        done = self._handover.outcome
        if not done:
            reasons.append("the peer has not taken over in time; this router goes on")
            LOG.warning("the handover failed: %s", reasons[-1])
        return {"done": done, "refused": False, "reasons": reasons, "seconds": self._since(started)}

    def _since(self, started: float) -> float:
        return round(self._surroundings.monotonic() - started, 3)

    def _keeps(self) -> list[str]:
        """Why the service should not be handed over now."""
        peer = self._peering.heard
        if peer is None:
            return ["the peer is silent"]
        found = []
        if peer.role is not Role.BACKUP:
            found.append(f"the peer is {peer.role.value}")
        elif not peer.ready:
            found.append("the peer is not ready (its `vpcrouter status` says what it lacks)")
        if peer.carrier != self._router.electors.carrier:
            found.append("the carrier is moving")
        if self._handover.is_under_way:
            found.append("a handover is under way")
        return found

    def _step_handover(self) -> None:
        peer = self._peering.heard
        self._handover.step(
            self._surroundings.monotonic_ns(),
            role=self._router.role,
            ready=self._lacks() == (),
            offer=0 if peer is None else peer.offer,
            peer=None if peer is None else peer.role,
            outranked=bool(self._fitness.losses) and peer is not None and peer.role is Role.BACKUP and not peer.lost,
        )

    def _saying(self) -> Saying:
        router, peer, said = self._router, self._peering.carriage, self._peering.heard
        config = router.state.router
        key = b"" if config is None or config.password is None else _pair_key(config)
        self._passwords.look(router.state.guest_passwords, key)
        return Saying(
            tiers=tuple(each.device for each in electors(router.state) if each.device in router.electors.roles),
            carrier=router.electors.carrier,
            target=self._target,
            heard=None if peer is None else peer.tiers,
            role=router.role,
            seq=router.seq,
            digest=router.digest,
            offer=self._handover.offer,
            ready=self._lacks() == (),
            missing=self._standby.missing,
            sample=self._standby.sample,
            window=self._disagreement.window,
            roles=tuple(sorted(router.electors.roles.items())),
            generation=router.electors.generation,
            waiting_passwords=self._passwords.waiting(),
            fetched_passwords=self._passwords.fetched(() if said is None else said.waiting_passwords),
            lost=tuple(each.reason for each in self._fitness.losses),
            reaches_gateway=self._fitness.reaches_gateway,
        )

    def _on_beacon(self) -> None:
        if not self._peering.hear():
            return
        self._weigh()
        # What keepalived has said by now must be known before anything is answered.
        self._on_notification()
        if self._peering.contested_ns is not None:
            self._say()  # the other one must know that we say so too
        self._learn_fetched()
        self._judge_contest()
        self._consider()
        self._await_turn()

    def _learn_fetched(self) -> None:
        """Do not hand out what a guest has fetched from the peer."""
        said = self._peering.heard
        fetched = () if said is None else self._passwords.learn(said.fetched_passwords)
        if not fetched:
            return
        try:
            self._router.submit_each([ConfirmGuestPassword(address=each) for each in fetched], origin="peer")
        except JournalError as error:
            LOG.error("the journal does not know that the peer handed out a password: %s", error)
            return
        self._notice()

    def _on_kernel(self) -> None:
        doubt = self._host.monitor.drain()
        if doubt:
            self._doubt |= {"all"} if "lost" in doubt else doubt
            self._notice()
            self._weigh()

    def _weigh(self) -> None:
        """See what this router has lost, and what that makes of it."""
        if self._desired is None:
            return
        desired = self._desired[3]
        try:
            self._fitness.look(
                desired.kernel,
                self._router.role,
                self._peering.heard,
                () if self._outcome is None else self._outcome.faults,
                self._router.journal.refusal or None,
                is_paired=desired.vrrp_interface is not None,
            )
        except HostError as error:
            LOG.error("%s", error)
        self._obey()
        self._follow(self._router.judge("; ".join(each.reason for each in self._fitness.losses)))
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if (next_ns := self._fitness.next_ns) is not None:
            wait_ns = max(MIN_PACE_NS, next_ns - self._surroundings.monotonic_ns())
            self._look = asyncio.get_running_loop().call_later(wait_ns / 1e9, self._look_again)

    def _look_again(self) -> None:
        self._weigh()
        self._consider()

    def _obey(self) -> None:
        try:
            self._fitness.obey(self._router.electors.must_obey)
        except HostError as error:
            LOG.error("%s", error)

    def _watch_daemons(self) -> None:
        loop, now = asyncio.get_running_loop(), dict(self._host.pidfds())
        for name, pidfd in self._watched.items():
            if now.get(name) != pidfd:
                loop.remove_reader(pidfd)
        for name, pidfd in now.items():
            if self._watched.get(name) != pidfd:
                loop.add_reader(pidfd, self._on_death, name, pidfd)
        self._watched = now

    def _tell_deaths(self) -> None:
        counters = self._host.counters()
        for name, count in counters.items():
            if name.endswith("_deaths") and count > self._deaths[name]:
                LOG.error("%s died and was started again", name.removesuffix("_deaths"))
                self._deaths[name] = count

    def _on_death(self, name: str, pidfd: int) -> None:
        """A daemon ended. One that a settle ends on purpose is not listed any more by then."""
        asyncio.get_running_loop().remove_reader(pidfd)
        self._watched.pop(name, None)
        if self._host.pidfds().get(name) != pidfd:
            return
        if name == "keepalived":
            self._on_notification()  # what it wrote before it died must not be read after this
            self._follow(self._router.lose())
        self._doubt.add("all")
        self._urgent()

    def _follow(self, change: RoleChange | None) -> None:
        if change is None or not change.changed:
            return
        LOG.info("role %s → %s: %s", change.previous.value, change.role.value, change.reason)
        self._counters["role_changes"] += 1
        self._role_since_ns = self._surroundings.time_ns()
        for intent in change.intents:
            match intent:
                case Intent.SETTLE:
                    self._urgent()
                case Intent.RESYNC:
                    self._in_background(self._host.resync_connections)
                case Intent.SHARE:
                    self._in_background(self._host.share_connections)
                case Intent.RECORD:
                    try:
                        self._router.record(change)
                        self._notice()  # a record has a number, and `settled` is said of a number
                    except JournalError as error:
                        # A router must go on following keepalived when its disk is full.
                        LOG.error("the change of role is not in the journal: %s", error)
                        if isinstance(error, FullDiskError):
                            self._refused(error)

    def _in_background(self, work: Callable[[], None]) -> None:
        def attempt() -> None:
            try:
                work()
            except HostError as error:
                LOG.error("%s", error)

        self._worker.submit(attempt)

    # Reporting ----------------------------------------------------------------------------------

    def _differences(self) -> list[str]:
        return list(self._outcome.differences) if self._outcome is not None else ["not settled yet"]

    async def _write_metrics(self, path: Path) -> None:
        from vpcrouter.appliers._files import write_atomically
        from vpcrouter.metrics import exposition

        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._worker, write_atomically, path, exposition(self.status()), 0o644
                )
            except HostError as error:
                LOG.error("%s", error)
            await asyncio.sleep(METRICS_S)

    def _is_settled(self) -> bool:
        return (
            self._outcome is not None
            and self._outcome.settled
            and bool(self._settled)
            and self._settled[-1][0] == self._router.seq
        )

    def status(self) -> dict[str, Any]:
        """What `vpcrouter status` prints."""
        router, outcome = self._router, self._outcome
        settled, lacks = self._is_settled(), self._lacks()
        runs = router.electors.stay(electors(router.state))  # what is only planned is not so yet
        return {
            "role": router.role.value,
            "role_reason": router.role_reason,
            "role_since": round(self._role_since_ns / 1e9, 3),
            "interface": runs.carrier or self._materialise().vrrp_interface,
            "seq": router.seq,
            "digest": router.digest,
            "settled": settled,
            "settled_seq": self._settled[-1][0] if self._settled else 0,
            "ready": None if lacks is None else not lacks,
            "not_ready": list(lacks or ()),
            "connections": self._standby.total,
            "connections_missing": self._standby.missing,
            "electors": {device: role.value for device, role in router.electors.roles.items()},
            "lost": [each.reason for each in self._fitness.losses],
            "held": [each.device for each in runs.held],
            "peer": self._peering.describe(),
            "differs": self._disagreement.describe(),
            "tunnels": [_tunnel(each) for each in self._tunnels],
            "pending": [str(each) for each in pending(router.state)],
            "unconfirmed": self._confirming.describe(),
            "faults": [
                *([] if self._journal_fault is None else [f"journal: {self._journal_fault}"]),
                *([] if settled or outcome is None else outcome.differences),
            ],
            "journal_reserve": router.journal.has_reserve,
            "drift": list(self._drift),
            "counters": {**self._counters, **self._host.counters()},
            "settle_seconds": self._settle_times.as_dict(),
            "pid": os.getpid(),
        }


def _pair_key(config: RouterConfig) -> bytes:
    return derive_key(None if config.password is None else config.password.reveal(), config.vpc_network)


def _tunnel(report: SiteReport) -> dict[str, Any]:
    return {
        "peer": report.peer,
        "connected": report.is_connected,
        "standing": list(report.standing),
        "missing": list(report.missing),
    }


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
