"""A model of keepalived 2.2.7: the VRRP of RFC 9568, and what was measured of the program itself.

    SIGHUP, SIGTERM, SIGJSON ──▶ Keepalived ──▶ the kernel's addresses and routes, the notify FIFO, advertisements
    advertisements, links    ──▶   instances

Each figure and each oddity is from docs/daemons.md and docs/redundancy.md; tests/lab compares the model with the
program. What it leaves out: VRRP over IPv6, scripts, authentication. This is the process that does VRRP; its
parent is in `machine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, frozen

from vpcrouter.appliers.keepalived import InstanceReport
from vpcrouter.simulation.keepalived_file import Instance, KeepalivedFile, parse, tracked_number
from vpcrouter.simulation.peer_guard import place
from vpcrouter.simulation.world import MS, SECOND, Call, Process
from vpcrouter.values.desired import InterfaceAddress
from vpcrouter.values.role import Role

if TYPE_CHECKING:
    from vpcrouter.simulation.machine import Machine

FIRST_STATE_NS = 30 * MS
"""From its start until the first BACKUP."""
READY_NS = 17 * MS
RELOAD_NS = 40 * MS
RELOAD_EACH_NS = 60_000
"""For each address: 10 take 44 ms, 250 take 71, 1,000 take 99."""
NOTIFY_NS = (MS, 3 * MS)
"""From a change of state until its line is in the FIFO."""
ANSWER_NS = 3 * MS
"""To SIGJSON."""
LINK_NS = 4 * MS
"""From a change of a link until the instance follows."""
STOP_NS = SECOND
"""In order: the addresses go at once, then it waits a second."""
PRIORITY_STOP = 0
SECOND_GARP_NS = 5 * SECOND
"""vrrp_garp_master_delay."""


class State(Enum):
    """Of an instance; the names are the FIFO's."""

    FAULT = "FAULT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"


_ROLES = {State.FAULT: Role.FAULT, State.BACKUP: Role.BACKUP, State.MASTER: Role.MASTER}


@frozen
class Advertisement:
    """One on the wire."""

    virtual_router_id: int
    priority: int
    interval_ns: int
    addresses: frozenset[str]
    source: str
    to: tuple[str, ...] | None = None
    """The addresses that it is sent to; None: the group."""


@define(eq=False)
class _Running:
    """An instance and its timers."""

    file: Instance
    state: State = State.BACKUP
    interval_ns: int = 0
    """The master's (Master_Adver_Interval)."""
    timer: Call | None = None
    is_dazed: bool = False
    """Its device was not there when the file was read, or came back since: never master before the next reload."""
    weighed: tuple[int, Instance, int] | None = None
    """The version of the machine's files, what it is by its own file, and the priority that both come to."""


class Keepalived(Process):
    """The running program on one machine."""

    def __init__(self, machine: Machine, read: Callable[[], str]) -> None:
        super().__init__(machine.world, f"{machine.name}/keepalived")
        self._machine = machine
        self._read = read
        self._file: KeepalivedFile = parse(read())
        self._running: dict[str, _Running] = {}
        self._is_reloading = False
        self._reload_again = False
        self._answers: list[Callable[[], None]] = []
        self.on_exit: Callable[[], None] = lambda: None
        self.on_print: Callable[[bytes], None] = lambda _: None
        self.is_ready = False
        self.is_ending = False
        self._told_ns = 0
        """When the last line so far is in the FIFO."""
        machine.tell_unknown(self._file.unknown)
        self._after(READY_NS, self._ready)
        self._after(FIRST_STATE_NS, self._start_instances)
        self._after(self._file.refresh_ns or SECOND, self._refresh)

    # What it is told ----------------------------------------------------------------------------

    def reload(self) -> None:
        """SIGHUP."""
        if self.is_ending:
            return
        if self._is_reloading:
            self._reload_again = True
            return
        self._is_reloading = True
        self.on_print(b"Keepalived_vrrp: Reloading\n")
        self.world.note(self.name, "reloads")
        for each in self._running.values():
            _cancel(each)
        size = sum(len(each.carried) for each in self._file.instances)
        self._after(RELOAD_NS + size * RELOAD_EACH_NS + self.world.jitter(0, 4 * MS), self._reloaded)

    def end(self) -> None:
        """SIGTERM: priority 0, the addresses at once, the process a second later."""
        if self.is_ending:
            return
        self.is_ending = True
        for each in list(self._running.values()):
            if each.state is State.MASTER:
                self._advertise(each, PRIORITY_STOP)
            self._leave(each)
            self._say(each, "STOP")
        self._running.clear()
        self._after(STOP_NS, self._exit)

    def ask(self, answer: Callable[[], None]) -> None:
        """SIGJSON: signals are served one after the other, so a reload comes first."""
        if self._is_reloading:
            self._answers.append(answer)
        else:
            self._after(ANSWER_NS, answer)

    def reports(self) -> tuple[InstanceReport, ...]:
        """What it would write for SIGJSON now."""
        return tuple(
            InstanceReport(
                instance=each.file.name,
                role=_ROLES[each.state],
                priority=self._priority(each),
                base_priority=each.file.priority,
                carries=bool(each.file.carried or each.file.routes),
                addresses=frozenset(address.address for address in (*each.file.advertised, *each.file.carried)),
            )
            for each in self._in_order()
        )

    def runs_with(self, text: str) -> bool:
        """Whether that is the file that counts."""
        return self._file == parse(text)

    def state_of_carrier(self) -> State | None:
        """The state of the instance that carries, or would: the first one, where there is nothing to carry."""
        running = self._in_order()
        carriers = (each.state for each in running if each.file.carried or each.file.routes)
        return next(carriers, running[0].state if running else None)

    # What it hears and sees ---------------------------------------------------------------------

    def hear(self, device: str, heard: Advertisement) -> None:
        """An advertisement came in (RFC 9568, 6.4.2 and 6.4.3)."""
        self.enter(lambda: self._hear(device, heard))

    def _hear(self, device: str, heard: Advertisement) -> None:
        if self._is_reloading or self.is_ending:
            return  # nobody reads the socket just then
        for each in list(self._running.values()):
            if each.file.device == device and each.file.virtual_router_id == heard.virtual_router_id:
                self._hear_as(each, heard)

    def _hear_as(self, each: _Running, heard: Advertisement) -> None:
        if heard.addresses != each.file.told:
            return  # finding 2: "address list mismatch", and it is as if nothing had come
        if not _is_meant(heard, each.file):
            return
        own = self._priority(each)
        if each.state is State.BACKUP:
            if heard.priority == PRIORITY_STOP:
                self._wait_for_master(each, self._skew_ns(each))
            elif not each.file.preempts or heard.priority >= own:
                each.interval_ns = heard.interval_ns
                self._wait_for_master(each, self._master_down_ns(each))
        elif each.state is State.MASTER:
            if heard.priority == PRIORITY_STOP:
                self._advertise_and_wait(each)
            elif (heard.priority, _number(heard.source)) > (own, _number(each.file.source)):
                self._advertise(each)  # vrrp_higher_prio_send_advert
                each.interval_ns = heard.interval_ns
                self._become_backup(each)
            else:
                self._announce(each)  # vrrp_garp_lower_prio_repeat
                self._advertise_and_wait(each)

    def link_changed(self) -> None:
        """A device went up or down, came or went, or an own address did."""
        self._after(LINK_NS, self._look_at_links)

    def _look_at_links(self) -> None:
        if self._is_reloading or self.is_ending:
            return
        for each in self._in_order():
            if not self._is_able(each):
                if each.state is not State.FAULT:
                    if each.state is State.MASTER:
                        self._advertise(each, PRIORITY_STOP)  # arrives if only something tracked is lost
                    self._leave(each)
                    self._change(each, State.FAULT)
            elif each.state is State.FAULT:
                self._become_backup(each)

    def track_files_changed(self) -> None:
        """Somebody wrote a tracked file."""
        self._after(LINK_NS, self._look_at_links)

    # States -------------------------------------------------------------------------------------

    def _ready(self) -> None:
        self.is_ready = True

    def _start_instances(self) -> None:
        """What an earlier life has left behind goes; then each begins as backup, or in fault."""
        if self.is_ending:
            return
        for instance in self._file.instances:
            for address in (*instance.advertised, *instance.carried):
                self._machine.kernel.remove_address(address)
            for route in instance.routes:
                self._machine.kernel.remove_route(route)
        for instance in self._file.instances:
            self._begin(instance)

    def _begin(self, instance: Instance) -> None:
        each = self._running[instance.name] = _Running(file=instance, interval_ns=instance.interval_ns)
        each.is_dazed = instance.device not in self._machine.kernel.links
        if self._is_able(each):
            self._become_backup(each)
        else:
            self._change(each, State.FAULT)

    def _become_backup(self, each: _Running) -> None:
        if each.state is State.MASTER:
            self._leave(each)
        self._change(each, State.BACKUP)
        self._wait_for_master(each, self._master_down_ns(each))
        for other in self._fellows(each):
            if other.state is State.MASTER:
                self._become_backup(other)

    def _become_master(self, each: _Running) -> None:
        if each.is_dazed or self._is_reloading or self.is_ending:
            return
        fellows = list(self._fellows(each))
        if any(other.state is State.FAULT for other in fellows):
            self._wait_for_master(each, self._master_down_ns(each))
            return
        self._change(each, State.MASTER)
        for address in (*each.file.advertised, *each.file.carried):
            self._machine.kernel.add_address(address)
        self._put_routes(each)
        self._advertise_and_wait(each)
        self._announce(each)
        self._after(SECOND_GARP_NS, lambda: self._announce_again(each))
        for other in fellows:
            if other.state is not State.MASTER:
                self._become_master(other)

    def _leave(self, each: _Running) -> None:
        """Give the addresses and routes up."""
        _cancel(each)
        if each.state is State.MASTER:
            for route in each.file.routes:
                self._machine.kernel.remove_route(route)
            for address in reversed((*each.file.advertised, *each.file.carried)):
                self._machine.kernel.remove_address(address)

    def _change(self, each: _Running, state: State) -> None:
        each.state = state
        if state is State.FAULT:
            _cancel(each)
        self._say(each, state.value)

    def _say(self, each: _Running, word: str) -> None:
        line = f'INSTANCE "{each.file.name}" {word} {self._priority(each)}'
        self.world.note(self.name, line)
        # One after the other: what happens at one moment is read at one moment, in its order.
        self._told_ns = max(self._told_ns, self.world.now_ns + self.world.jitter(*NOTIFY_NS))
        self._after(self._told_ns - self.world.now_ns, lambda: self._machine.fifo.write(line))

    def _fellows(self, each: _Running) -> Iterator[_Running]:
        """The others of its sync group."""
        for group in self._file.groups:
            if each.file.name in group:
                yield from (other for name, other in self._running.items() if name in group and other is not each)

    def _is_able(self, each: _Running) -> bool:
        kernel, file = self._machine.kernel, each.file
        if any(self._tracked_weight(name, weight) == -254 for name, weight in file.tracked_files):
            return False
        if file.unicast_peers == ():
            return False  # unicast_fault_no_peer
        if file.device not in kernel.links:
            return not any(device in kernel.links and not self._is_up(device) for device in file.tracked)
        own = any(
            address.device == file.device and address.address.partition("/")[0] == file.source
            for address in kernel.addresses
        )
        tracked = all(self._is_up(device) for device in file.tracked if device in kernel.links)
        return own and tracked and self._is_up(file.device)

    def _is_up(self, device: str) -> bool:
        return self._machine.kernel.is_up(device) and self._machine.networks.has_carrier(self._machine, device)

    def _priority(self, each: _Running) -> int:
        version, weighed = self._machine.files.version, each.weighed
        if weighed is None or weighed[0] != version or weighed[1] is not each.file:
            weight = sum(self._tracked_weight(name, weight) for name, weight in each.file.tracked_files)
            weighed = each.weighed = version, each.file, max(1, min(254, each.file.priority + weight))
        return weighed[2]

    def _tracked_weight(self, name: str, weight: int | None) -> int:
        """A tracked file's number times its weight; weight 0: any other number than 0 is fault (-254)."""
        file = self._file.track_files.get(name)
        if file is None:
            return 0
        number = tracked_number(self._machine.files.text(file.path))
        weight = file.weight if weight is None else weight
        if weight == 0:
            return -254 if number != 0 else 0
        return max(-254, min(254, number * weight))

    # Time ---------------------------------------------------------------------------------------

    def _skew_ns(self, each: _Running) -> int:
        return (256 - self._priority(each)) * each.interval_ns // 256

    def _master_down_ns(self, each: _Running) -> int:
        return 3 * each.interval_ns + self._skew_ns(each)

    def _wait_for_master(self, each: _Running, delay_ns: int) -> None:
        _cancel(each)
        each.timer = timer = self._after(delay_ns + self.world.jitter(0, MS), lambda: self._is_due(each, timer))

    def _is_due(self, each: _Running, timer: Call) -> None:
        # One that was stopped reads what has come in meanwhile before it looks at the time.
        if each.timer is timer:
            self._become_master(each)

    def _advertise_and_wait(self, each: _Running) -> None:
        self._advertise(each)
        _cancel(each)
        each.timer = self._after(each.file.interval_ns, lambda: self._advertise_again(each))

    def _advertise_again(self, each: _Running) -> None:
        if each.state is State.MASTER and not self._is_reloading:
            self._advertise_and_wait(each)

    def _advertise(self, each: _Running, priority: int | None = None) -> None:
        advertisement = Advertisement(
            virtual_router_id=each.file.virtual_router_id,
            priority=self._priority(each) if priority is None else priority,
            interval_ns=each.file.interval_ns,
            addresses=each.file.told,
            source=each.file.source,
            to=each.file.unicast_peers,
        )
        device = each.file.device
        sender = place(self._machine, device, each.file.source)
        self._machine.networks.send(self._machine, device, lambda other: other.hear_vrrp(sender, advertisement))

    def _refresh(self) -> None:
        """Gratuitous ARP now and then (vrrp_garp_master_refresh)."""
        for each in self._running.values():
            if each.state is State.MASTER:
                self._announce(each)
        self._after(self._file.refresh_ns or SECOND, self._refresh)

    def _announce_again(self, each: _Running) -> None:
        # One that ends says nothing more (measured), and neither does an instance that is in the file no more.
        if each.state is State.MASTER and not self.is_ending and self._running.get(each.file.name) is each:
            self._announce(each)

    def _announce(self, each: _Running) -> None:
        addresses = tuple(address for address in (*each.file.advertised, *each.file.carried))
        self._machine.announce(addresses)

    def _after(self, delay_ns: int, run: Callable[[], object]) -> Call:
        return self.world.after(delay_ns, lambda: self.enter(run))

    # Reload -------------------------------------------------------------------------------------

    def _reloaded(self) -> None:
        """The new file counts: the old one is walked in its order, instance by instance (findings 3, 4, 7)."""
        self._is_reloading = False
        if self.is_ending:
            return
        old_file, self._file = self._file, parse(self._read())
        for running in self._running.values():
            running.weighed = None
        self._machine.tell_unknown(self._file.unknown)
        successors = {instance.key: instance for instance in self._file.instances}
        before = self._running
        self._running = {}
        kept: dict[str, _Running] = {}
        for old in old_file.instances:
            each = before.get(old.name)
            if each is None:
                continue
            new = successors.get(old.key)
            if new is None:
                self._leave(each)
                self._say(each, "DELETED")
                continue
            self._exchange(each, old, new)
            kept[new.name] = each
        for instance in self._file.instances:
            each = kept.get(instance.name)
            if each is None:
                self._begin(instance)
                continue
            self._running[instance.name] = each
            each.file = instance
            if instance.device in self._machine.kernel.links:
                each.is_dazed = False
            self._resume(each)
        for group in self._file.groups:
            members = [each for name, each in self._running.items() if name in group]
            if any(each.state is not State.MASTER for each in members):
                # Finding 5: a group goes through backup as a whole.
                for each in members:
                    if each.state is State.MASTER:
                        self._become_backup(each)
        answers, self._answers = self._answers, []
        for answer in answers:
            self._after(ANSWER_NS, answer)
        if self._reload_again:
            self._reload_again = False
            self.reload()

    def _exchange(self, each: _Running, old: Instance, new: Instance) -> None:
        if each.state is not State.MASTER:
            return
        kernel = self._machine.kernel
        had, has = (*old.advertised, *old.carried), (*new.advertised, *new.carried)
        for route in old.routes:
            if route not in new.routes:
                kernel.remove_route(route)
        for address in had:
            if address not in has:
                kernel.remove_address(address)
        fresh = [address for address in has if address not in had]
        for address in fresh:
            kernel.add_address(address)
        each.file = new
        self._put_routes(each)
        if fresh:
            self._machine.announce(tuple(fresh))

    def _resume(self, each: _Running) -> None:
        if not self._is_able(each):
            if each.state is not State.FAULT:
                self._leave(each)
                self._change(each, State.FAULT)
        elif each.state is State.MASTER:
            self._advertise_and_wait(each)  # and no line in the FIFO
        else:
            self._become_backup(each)

    def _put_routes(self, each: _Running) -> None:
        for route in each.file.routes:
            if route not in self._machine.kernel.routes:
                self._machine.kernel.try_route(route)

    def _in_order(self) -> list[_Running]:
        return [self._running[each.name] for each in self._file.instances if each.name in self._running]

    def _exit(self) -> None:
        self.kill()
        self.on_exit()


def addresses_of(file: KeepalivedFile) -> frozenset[InterfaceAddress]:
    """All that is this keepalived's to set."""
    return frozenset(address for each in file.instances for address in (*each.advertised, *each.carried))


def _is_meant(heard: Advertisement, file: Instance) -> bool:
    """By the group, for who has no peers; else to the own address, and from a peer (check_unicast_src)."""
    if heard.to is None or file.unicast_peers is None:
        return heard.to is file.unicast_peers
    return file.source in heard.to and heard.source in file.unicast_peers


def _cancel(each: _Running) -> None:
    if each.timer is not None:
        each.timer.cancel()
        each.timer = None


def _number(address: str) -> tuple[int, ...]:
    return tuple(int(part) for part in address.split(".")) if address.count(".") == 3 else ()
