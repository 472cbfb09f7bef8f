"""One machine: its appliers, in the order that matters, and what it reports.

    kernel (early) → nftables → daemons, keepalived last → kernel (late) → keepalived's own addresses

Everything a router needs to serve is there before keepalived may make it serve, and nothing goes before keepalived
has let go of it. A failing applier is reported and does not stop the others. A pass ends with a look at what it
did; it is `settled` when nothing differs any more.

Each applier proves cheaply that nobody touched its part, or looks at it; `doubt` says what may have been touched.
What has to be done although the desired part is what was verified last is drift: somebody else did that.

Called by `router` and `agent`, by one thread at a time, except `notifications` and `monitor`, which the agent's
event loop reads. It knows no state, no journal and no command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from attrs import evolve, field, frozen

from vpcrouter.appliers.monitor import LinkMonitor
from vpcrouter.appliers.notify import NotifyFifo, RoleReport
from vpcrouter.appliers.tunnels import SiteReport, TunnelApplier
from vpcrouter.errors import HostError, IncapableError, SeveralError
from vpcrouter.plan import Operation
from vpcrouter.plan.kernel import (
    KernelOperation,
    KernelPlan,
    ObservedKernel,
    Unannounced,
    give_up,
    plan_kernel,
    repair_virtual,
)
from vpcrouter.surroundings import HERE, Surroundings
from vpcrouter.values.carriage import FoundElector
from vpcrouter.values.desired import Daemon, Desired, Kernel
from vpcrouter.values.losses import Fault
from vpcrouter.values.networks import is_ipv6
from vpcrouter.values.priority import generation_of
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings
from vpcrouter.values.traffic import Traffic
from vpcrouter.values.whereabouts import Place

KERNEL = frozenset({"kernel"})
"""The doubt that costs a look at what the kernel has notified of."""
_KERNEL = frozenset({"all", "kernel"})
_LEAVE_KERNEL_ALONE = frozenset({"nftables", "dnsmasq", "radvd", "guestweb", "haproxy", "bgpd"})
"""What is done to these changes no address, route or link; somebody's hand in between is notified of."""
GRACE_S = 0.5
"""How long keepalived's addresses may differ from what its role says before we mend that. A reload needs 44 to 99 ms
for up to 1,000 addresses (findings, 17), and a role that has just changed is known a few milliseconds late."""


@frozen(kw_only=True)
class Outcome:
    """What one pass over the machine found and did."""

    settled: bool
    operations: tuple[Operation, ...] = ()
    drift: tuple[str, ...] = ()
    """What somebody else had changed and this pass repaired."""
    faults: tuple[Fault, ...] = ()
    """What failed, by applier; it will be tried again."""
    waiting: tuple[str, ...] = ()
    """What is not there yet and is somebody else's to do."""
    has_loaded: bool = False
    """Keepalived runs with what was desired, whatever became of the rest."""

    @property
    def differences(self) -> tuple[str, ...]:
        """Why it is not settled."""
        return (*map(str, self.faults), *self.waiting)


@frozen(kw_only=True)
class _Awaited:
    """Keepalived's addresses are not what the role says."""

    serving: bool | None
    since: float
    is_drift: bool
    """They were right when they were last looked at, and nothing has been asked of keepalived since."""


@frozen(kw_only=True)
class _Verified:
    """What the machine was equal to when it was last settled: what has to be done to it again is drift.

    None where something else was wanted since, settled or not: that part is not what it was because we changed it.
    """

    own: Kernel | None = None
    """Whatever the role."""
    kernel: Kernel | None = None
    daemons: tuple[Daemon, ...] | None = None


@frozen
class _Pass:
    """The notes of one pass."""

    operations: list[Operation] = field(factory=list)
    drift: list[str] = field(factory=list)
    faults: list[Fault] = field(factory=list)
    waiting: list[str] = field(factory=list)

    def did(self, operations: Sequence[Operation], *, is_drift: bool) -> None:
        """These are being done; as drift if the desired part is what was verified before."""
        self.operations.extend(operations)
        if is_drift:
            self.drift.extend(str(each) for each in operations)

    def attempt(self, work: Callable[[], None]) -> None:
        """Do one applier's part; its failure is a fault, not the end."""
        try:
            work()
        except SeveralError as error:
            self.faults.extend(map(_fault, error.errors))
        except HostError as error:
            self.faults.append(_fault(error))


class Host:
    """The machine, or the network namespace, that this process runs in."""

    def __init__(self, settings: Settings, surroundings: Surroundings = HERE) -> None:
        self._surroundings = surroundings
        self._kernel = surroundings.kernel()
        self._nftables = surroundings.nftables()
        self._rescue = surroundings.kernel()
        """For `give_up` alone."""
        self._held: tuple[Kernel, ...] = ()
        """What keepalived may have addresses and routes of: what it has loaded last, and what it is to load."""
        self._daemons = surroundings.daemons(settings)
        self._tunnels: TunnelApplier | None = None
        self._verified = _Verified()
        self._seen: ObservedKernel | None = None
        """The kernel as it is for as long as nothing is done to it in this pass."""
        self._known_kernel: Kernel | None = None
        """What the kernel was equal to at the end of the last pass; it need not be looked at without a doubt."""
        self._unannounced: Unannounced = (), ()
        self._awaited: _Awaited | None = None
        self._settings = settings
        self._notifications: NotifyFifo | None = None
        self._monitor: LinkMonitor | None = None

    # What it reports ----------------------------------------------------------------------------

    @property
    def notifications(self) -> NotifyFifo:
        """What keepalived says; readable when it has said something."""
        if self._notifications is None:
            self._notifications = self._surroundings.notifications(self._settings.notify_fifo)
        return self._notifications

    @property
    def monitor(self) -> LinkMonitor:
        """What changes in the kernel; readable when something has."""
        if self._monitor is None:
            self._monitor = self._surroundings.monitor()
        return self._monitor

    def reports(self) -> list[RoleReport]:
        """What keepalived has said since the last call, of whichever elector."""
        return self.notifications.read()

    def find_electors(self) -> tuple[FoundElector, ...]:
        """The electors of a keepalived that runs already; none if it does not.

        The source of an elector is the first address of its device that is none of keepalived's.
        """
        found = self._daemons.keepalived_reports()
        if not found:
            return ()
        virtual = {address for each in found for address in each.addresses}
        sources: dict[str, str] = {}
        for address in self._kernel.observe(Kernel()).addresses:
            if address.address not in virtual and not is_ipv6(address.address):
                sources.setdefault(address.device, address.address.partition("/")[0])
        return tuple(
            FoundElector(
                device=each.instance,
                source=sources.get(each.instance, ""),
                role=each.role,
                is_carrier=each.carries,
                generation=generation_of(each.base_priority),
            )
            for each in found
        )

    def find_places(self, table: str, places: str, closed: str) -> tuple[Place, ...]:
        """The peer's places that the loaded ruleset takes for proven, by the names of its sets."""
        proven = {each[0] for each in self._nftables.elements(table, closed)}
        found = (each for each in self._nftables.elements(table, places) if len(each) == 3 and each[0] in proven)
        return tuple(Place(device=device, address=address, mac=mac) for device, address, mac in found)

    def find_peers(self, table: str, name: str) -> tuple[tuple[str, str], ...]:
        """Devices and addresses that the loaded ruleset takes for the peer's by unicast; none without that set."""
        return tuple((each[0], each[1]) for each in self._nftables.elements(table, name) if len(each) == 2)

    def wait(self, seconds: float) -> None:
        """Wait until keepalived or the kernel says something, `seconds` at most."""
        self._surroundings.wait_readable([self.notifications.fileno(), self.monitor.fileno()], seconds)
        self.monitor.drain()

    # Settling -----------------------------------------------------------------------------------

    def settle(
        self,
        desired: Desired,
        doubt: frozenset[str] = KERNEL,
        is_current: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        """One pass: make the machine equal to `desired`, as far as it can be done now, and look at the result.

        `is_current` says whether the role that `desired` was made for is still the role: a pass takes time, and
        virtual addresses must not be touched for a role of yesterday. Where `doubt` has "all", what is there is listed
        anew, whatever the kernel notified of.
        """
        notes = _Pass()
        self._held = (*self._held[:1], desired.kernel)
        was_known, self._known_kernel = self._known_kernel == desired.kernel, None
        wanted = _Verified(own=_without_role(desired.kernel), kernel=desired.kernel, daemons=tuple(desired.daemons))
        own_was_equal = self._verified.own == wanted.own
        kernel_was_equal = self._verified.kernel == wanted.kernel
        daemons_were_equal = self._verified.daemons == wanted.daemons
        self._verified = _Verified(
            own=wanted.own if own_was_equal else None,
            kernel=wanted.kernel if kernel_was_equal else None,
            daemons=wanted.daemons if daemons_were_equal else None,
        )
        look_at_kernel = (
            not was_known
            or not doubt.isdisjoint(_KERNEL)
            or self._kernel.unannounced(desired.kernel) != self._unannounced
        )
        notes.attempt(lambda: self._clear_orphans(desired, notes))
        self._seen = None
        if look_at_kernel:
            if "all" in doubt:
                notes.attempt(lambda: self._look_anew(desired.kernel))
            notes.attempt(lambda: self._make_device(desired.kernel, notes, is_drift=own_was_equal))
            notes.attempt(lambda: self._add_to_kernel(desired.kernel, notes, is_drift=own_was_equal))
        notes.attempt(lambda: self._load_ruleset(desired, notes))
        notes.attempt(lambda: self._clear_orphans(desired, notes))  # of one that died since, in a long pass
        notes.attempt(lambda: self._run_daemons(desired, notes, is_drift=daemons_were_equal))
        touched = any(each.target not in _LEAVE_KERNEL_ALONE for each in notes.operations)
        if touched:
            self._seen = None
        if look_at_kernel or touched:
            notes.attempt(lambda: self._take_from_kernel(desired.kernel, notes, is_drift=own_was_equal))
            notes.attempt(lambda: self._mend_virtual(desired.kernel, notes, is_current, is_drift=kernel_was_equal))
        has_loaded = all(self._daemons.has_loaded(each) for each in desired.daemons if each.name == "keepalived")
        if has_loaded:
            self._held = (desired.kernel,)
        settled = not notes.faults and not notes.waiting
        if settled:
            self._verified, self._known_kernel = wanted, desired.kernel
        return Outcome(
            settled=settled,
            operations=tuple(notes.operations),
            drift=tuple(notes.drift),
            faults=tuple(notes.faults),
            waiting=tuple(notes.waiting),
            has_loaded=has_loaded,
        )

    def _make_device(self, kernel: Kernel, notes: _Pass, *, is_drift: bool) -> None:
        self._apply(plan_kernel(kernel, self._observe(kernel)).first, notes, is_drift=is_drift)

    def _add_to_kernel(self, kernel: Kernel, notes: _Pass, *, is_drift: bool) -> None:
        self._apply(plan_kernel(kernel, self._observe(kernel)).early, notes, is_drift=is_drift)

    def _look_anew(self, kernel: Kernel) -> None:
        self._seen = self._kernel.observe(kernel, full=True)

    def _observe(self, kernel: Kernel) -> ObservedKernel:
        """What is there; what was seen in this pass already, unless something was done since."""
        if self._seen is None:
            self._seen = self._kernel.observe(kernel)
        return self._seen

    def _apply(self, operations: Sequence[KernelOperation], notes: _Pass, *, is_drift: bool) -> None:
        if operations:
            self._seen = None
        notes.did(operations, is_drift=is_drift)
        self._kernel.apply(operations)

    def _clear_orphans(self, desired: Desired, notes: _Pass) -> None:
        """What a keepalived left behind that was killed: the peer serves, or is about to.

        The next keepalived clears what stands in its file, but its first file has no carrier yet. Whatever role this
        pass was made for: without a keepalived nobody serves.
        """
        kernel = desired.kernel
        if not kernel.virtual_addresses or self._daemons.is_running("keepalived"):
            return
        orphans = repair_virtual(evolve(kernel, serving=False), self._kernel.observe(kernel))
        notes.did(orphans, is_drift=False)
        self._kernel.apply(orphans)

    def give_up(self) -> None:
        """Take away what a keepalived had that was killed, beside a pass that may take its time; by another thread.

        Without a look, which takes time as well: whatever it may have been told to have. The pass, or the next one,
        finds it gone and does not put it back, since no keepalived agrees.
        """
        self._rescue.apply(tuple(each for kernel in self._held for each in give_up(kernel)))

    def _load_ruleset(self, desired: Desired, notes: _Pass) -> None:
        outcome = self._nftables.settle(desired.ruleset)
        if outcome.changed:
            subject = f"table inet {desired.ruleset.table} ({outcome.script_bytes} bytes)"
            notes.operations.append(Operation(target="nftables", action="load", subject=subject))
        if outcome.drift:
            notes.drift.extend(outcome.differences or (f"nftables: table inet {desired.ruleset.table} was changed",))

    def _run_daemons(self, desired: Desired, notes: _Pass, *, is_drift: bool) -> None:
        done = self._daemons.settle(desired.daemons, desired.undecided)
        for each in done:
            # Nobody here stops a daemon by a signal, so that is drift also where something else is new.
            notes.did([each], is_drift=is_drift or each.action == "continue")
        if any(each.target == "keepalived" and each.action != "write" for each in done):
            self._awaited = None

    def _take_from_kernel(self, kernel: Kernel, notes: _Pass, *, is_drift: bool) -> None:
        self._apply(plan_kernel(kernel, self._observe(kernel)).late, notes, is_drift=is_drift)

    def _mend_virtual(self, kernel: Kernel, notes: _Pass, is_current: Callable[[], bool], *, is_drift: bool) -> None:
        """Do what keepalived has failed to do for too long, and note what differs in the end."""
        observed = self._observe(kernel)
        plan = plan_kernel(kernel, observed)
        self._note_awaited(kernel, plan, is_drift=is_drift)
        has_waited = self._awaited is not None and self._surroundings.monotonic() - self._awaited.since >= GRACE_S
        if self._awaited is not None and has_waited and is_current() and self._keepalived_agrees(kernel):
            repair = repair_virtual(kernel, observed)
            notes.did(repair, is_drift=self._awaited.is_drift)
            self._kernel.apply(repair)
            observed = self._kernel.observe(kernel)
            plan = plan_kernel(kernel, observed)
        self._unannounced = observed.unannounced
        notes.waiting.extend(_unsettled(plan))

    def _keepalived_agrees(self, kernel: Kernel) -> bool:
        """Whether keepalived, asked now, has the role that its addresses are to be mended for.

        What it says by itself can be late: one that is ending gives its addresses up at once and says so a second
        later, when the peer has them long since.
        """
        try:
            found = self._daemons.keepalived_reports()
        except HostError:
            return not kernel.serving
        return any(each.carries and each.role is Role.MASTER for each in found) is bool(kernel.serving)

    def _note_awaited(self, kernel: Kernel, plan: KernelPlan, *, is_drift: bool) -> None:
        """Since when keepalived's addresses have been wrong without a pause, under one and the same role."""
        if not plan.awaited:
            self._awaited = None
        elif self._awaited is None or self._awaited.serving is not kernel.serving:
            self._awaited = _Awaited(serving=kernel.serving, since=self._surroundings.monotonic(), is_drift=is_drift)

    # Comparing ----------------------------------------------------------------------------------

    def verify(self, desired: Desired) -> tuple[str, ...]:
        """Everything that differs, in words. Looks at all of the machine and touches nothing."""
        plan = plan_kernel(desired.kernel, self._kernel.observe(desired.kernel, full=True))
        return (
            *_unsettled(plan),
            *self._nftables.verify(desired.ruleset, full=True),
            *self._daemons.verify(desired.daemons, desired.undecided, full=True),
        )

    def traffic(self, table: str) -> Mapping[str, Traffic]:
        """What the counters of the nftables table have counted, by name."""
        return self._nftables.traffic(table)

    def plan(self, desired: Desired) -> tuple[Operation, ...]:
        """The operations that would make the machine equal to `desired`, in order. Touches nothing."""
        observed = self._kernel.observe(desired.kernel, full=True)
        kernel = plan_kernel(desired.kernel, observed)
        differs = self._nftables.verify(desired.ruleset, full=True)
        load = Operation(target="nftables", action="load", subject=f"table inet {desired.ruleset.table}")
        return (
            *kernel.first,
            *kernel.early,
            *((load,) if differs else ()),
            *self._daemons.plan(desired.daemons, desired.undecided),
            *kernel.late,
            *repair_virtual(desired.kernel, observed),
        )

    # The daemons --------------------------------------------------------------------------------

    def resync_connections(self) -> None:
        """Ask the peer's conntrackd for all its connections."""
        self._daemons.resync_connections()

    def share_connections(self) -> None:
        """Tell the peer's conntrackd all connections that the kernel has, those taken over from it included."""
        self._daemons.share_connections()

    def repeat_connections(self) -> None:
        """Tell the peer's conntrackd once more all connections that ours knows."""
        self._daemons.repeat_connections()

    def end_keepalived(self) -> None:
        """Make keepalived give its service up at once; the next pass starts it again."""
        self._daemons.end_keepalived()

    def tunnels(self, desired: Desired) -> tuple[SiteReport, ...]:
        """How the tunnels to other sites are, now. Touches nothing."""
        return self._tunnel_applier().reports(desired.tunnels) if desired.tunnels.sites else ()

    def tend_tunnels(self, desired: Desired) -> tuple[SiteReport, ...]:
        """Begin the tunnels that should stand and do not, and end what should not; how they were before."""
        if not any(each.name == "charon-systemd" for each in desired.daemons):
            return ()
        return self._tunnel_applier().tend(desired.tunnels)

    def _tunnel_applier(self) -> TunnelApplier:
        if self._tunnels is None:
            self._tunnels = self._surroundings.tunnels(self._settings)
        return self._tunnels

    def pidfds(self) -> dict[str, int]:
        """A descriptor for each running daemon, readable when it has died."""
        return dict(self._daemons.pidfds())

    def ended_by_itself(self, name: str, pidfd: int) -> bool:
        """Whether the daemon with that descriptor, which has ended, was not told to."""
        return self._daemons.ended_by_itself(name, pidfd)

    def counters(self) -> dict[str, int]:
        """How often each daemon was started, reloaded and restarted by this process."""
        return dict(self._daemons.counters)

    # The end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the sockets back; everything on the machine stays."""
        self._kernel.close()
        self._rescue.close()
        self._nftables.close()
        self._daemons.close()
        for each in (self._notifications, self._monitor):
            if each is not None:
                each.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fault(error: HostError) -> Fault:
    return Fault(what=str(error), is_of_kind=isinstance(error, IncapableError))


def _without_role(kernel: Kernel) -> Kernel:
    return evolve(kernel, serving=None)


def _unsettled(plan: KernelPlan) -> tuple[str, ...]:
    """What differs in the kernel, in words."""
    return (
        *(str(each) for each in (*plan.first, *plan.early, *plan.late)),
        *(f"kernel: {each}" for each in plan.awaited),
        *(f"kernel: there is no device {name}" for name in plan.missing_links),
        *(f"kernel: there is no setting {path}" for path in plan.missing_sysctls),
    )
