"""Carries out the steps of a soak on a laboratory, and makes the pair whole again after each.

Called by `soak`. Who is master and who is backup is looked up once, when a step begins. Nothing here judges.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vpcrouter.appliers import _process
from vpcrouter.errors import ApplierError, HostError
from vpcrouter.lab.drill import hand_over, is_ready
from vpcrouter.lab.failover import is_pair, serving_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.load import burst_of
from vpcrouter.lab.machines import inside
from vpcrouter.lab.provision import Provisioner, taken_back, tier_of
from vpcrouter.lab.steps import BY_HAND, DAEMONS, PAUSED, Act, Step

LOWEST, NEXT = "eth2", "eth3"
"""The tier that comes and goes, and the one that carries meanwhile."""
QUIET_TIER = "eth5"
WHOLE_S = 30.0
"""How long the pair may take to be whole again: found-after (5 s), a reboot, connections proven, a resend."""
_OWN = {"rA": "2", "rB": "3"}
_OTHER = {"rA": "rB", "rB": "rA"}
_POLL_S = 0.05


class Doer:
    """Does one step after the other."""

    def __init__(self, laboratory: Laboratory, burst: Path) -> None:
        self._laboratory, self._burst = laboratory, burst
        self._has_lowest = True
        self.provisioner = Provisioner(laboratory)

    def do(self, step: Step) -> None:
        """All of a step, until everything that was broken is mended. HostError if the pair is not whole before."""
        master, backup, _ = serving_pair(self._laboratory.status())
        who = {"master": master, "backup": backup}
        if step.harm is None:
            self._act(step.act, who)
            return
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(self._act, step.act, who)
            time.sleep(step.after_s)
            try:
                self._act(step.harm, who)
            finally:
                first.result()

    def make_whole(self, *, ready: bool = True, timeout: float = WHOLE_S) -> str:
        """Mend, start what is dead, hand in what waits; what still lacks after `timeout` seconds, or nothing.

        `ready`: until the backup is that, not just one that is settled.
        """
        deadline = time.monotonic() + timeout
        self._laboratory.heal()
        while lacks := self._lacks(ready):
            if time.monotonic() > deadline:
                return lacks
            time.sleep(_POLL_S)
        return ""

    def restore(self) -> str:
        """All tiers are there, as at the beginning; then the same."""
        if not self._has_lowest:
            self._toggle(ROUTERS[0], 0.0)
        return self.make_whole()

    def _lacks(self, ready: bool) -> str:
        for router in ROUTERS:
            self._revive(router)
            self.provisioner.retry(router)
        status = self._laboratory.status()
        if not self.provisioner.is_done:
            return "a router does not take its commands"
        if not (is_ready if ready else is_pair)(status):
            said = {
                router: each.get("error") or (each["role"], each["not_ready"], each["lost"], each["faults"][:3])
                for router, each in status.items()
            }
            return f"no master with a backup that is ready: {said}"
        if lost := [reason for each in status.values() for reason in each["lost"]]:
            return f"lost: {', '.join(lost)}"
        if len({each["digest"] for each in status.values()}) != 1:
            return "the digests differ"
        wanted = LOWEST if self._has_lowest else NEXT
        if any(each["interface"] != wanted or each["held"] for each in status.values()):
            return f"not both carry on {wanted}: {[(each['interface'], each['held']) for each in status.values()]}"
        return ""

    def _act(self, act: Act, who: Mapping[str, str]) -> None:
        router = who.get(act.role, "")
        match act.what:
            case "burst":
                self._send_burst(int(act.target))
            case "move":
                self._toggle(act.target, act.seconds)
            case "crash":
                self._laboratory.crash(router, act.target)
                time.sleep(act.seconds)
                self._laboratory.heal()
            case "kill":
                self._signal(router, act.target, signal.SIGKILL)
                if act.target == "agent":
                    time.sleep(act.seconds)
                    self._revive(router)
            case "stop":
                resume = self._signal(router, act.target, signal.SIGSTOP)
                time.sleep(act.seconds)
                resume()
            case "silence" | "unplug":
                device = self._device(act.target)
                self._laboratory.cut(router, device, silent=act.what == "silence")
                time.sleep(act.seconds)
                self._laboratory.heal(router, device)
            case "drift":
                words = BY_HAND[act.target].format(own=_OWN[router]).split()
                try:
                    _process.run(inside(self._laboratory.names.namespace(router), words))
                except ApplierError:
                    return  # nothing of it is there at this moment
            case "reboot":
                self._laboratory.reboot([router])
            case "handover":
                self._hand_over()

    def _hand_over(self) -> None:
        try:
            hand_over(self._laboratory)
        except HostError:
            return  # the agent died in the middle of it, or there is no backup any more: that is judged, not this

    def _send_burst(self, count: int) -> None:
        files = burst_of(count)
        self.provisioner.put_both(files)
        self.provisioner.put_both(taken_back(files))

    def _toggle(self, first: str, skew_s: float) -> None:
        """The lowest tier goes, or comes again."""
        self._has_lowest = not self._has_lowest
        files = tier_of(self._burst, LOWEST, add=self._has_lowest)
        self.provisioner.put(first, files[first])
        time.sleep(skew_s)
        self.provisioner.put(_OTHER[first], files[_OTHER[first]])

    def _device(self, target: str) -> str:
        carrier = LOWEST if self._has_lowest else NEXT
        return {"carrier": carrier, "tier": QUIET_TIER}.get(target, target)

    def _signal(self, router: str, daemon: str, number: int) -> Callable[[], None]:
        """Send a signal to all processes of a daemon, or of all daemons; returns what continues them."""
        machine = self._laboratory.machines[router]
        pids = [pid for each in (DAEMONS if daemon == PAUSED else (daemon,)) for pid in machine.pids(each)]
        found = [process for pid in pids if (process := _process.open_process(pid)) is not None]
        for process in found:
            process.send(number)

        def resume() -> None:
            for each in found:
                each.send(signal.SIGCONT)
                each.close()

        return resume

    def _revive(self, router: str) -> None:
        """Start a dead agent, as an init system does."""
        machine, stored = self._laboratory.machines[router], self._laboratory.record
        if router not in stored.crashed and not machine.pids("agent"):
            machine.wait_until_it_answers(machine.start(stored.advertisement_ms))
