"""`one master` and `role`: two hold a gateway no longer than they must, and an agent says master only while it is."""

from __future__ import annotations

from attrs import define, field

from vpcrouter.simulation.findings import Findings
from vpcrouter.simulation.keepalived import State as VrrpState
from vpcrouter.simulation.ways import Ways, is_redundant
from vpcrouter.simulation.world import MS, World
from vpcrouter.values.role import Role

_ROLE_LATE_NS = 150 * MS
"""How long an agent may take to follow its keepalived; one that is gone is noticed at once."""


@define
class Masters:
    """Who serves, and who says so."""

    world: World
    ways: Ways
    findings: Findings
    interval_ns: int
    """Between two advertisements."""
    double_ns: int = 0
    """The longest time that both held a gateway."""
    both_served: list[tuple[int, int]] = field(factory=list)
    """From when to when two held a gateway while they could hear each other."""
    _double_since: int | None = None
    _wrong_role_since: dict[str, int] = field(factory=dict)

    def look(self) -> None:
        """Something may have changed."""
        now = self.world.now_ns
        if len(self.ways.holders) < 2 or not (self.ways.hear_each_other() and self.ways.can_agree()):
            self._end_double(now)
        elif self._double_since is None:
            self._double_since = now
        else:
            self._judge_double(now)

    def _judge_double(self, now: int) -> None:
        since = self._double_since
        if since is None:
            return
        self.double_ns = max(self.double_ns, now - since)
        if now - since > 4 * self.interval_ns + 150 * MS:
            self.findings.violate(
                "one master", f"both routers hold the gateways since {since / MS:.1f} ms, and hear each other"
            )

    def _end_double(self, now: int) -> None:
        self._judge_double(now)
        if self._double_since is not None:
            self.both_served.append((self._double_since, now))
        self._double_since = None

    def finish(self) -> None:
        """The end: what goes on now has lasted until now."""
        self._end_double(self.world.now_ns)

    def look_at_roles(self) -> None:
        """Time has passed."""
        for machine in self.ways.networks.machines:
            name, agent, keepalived = machine.name, machine.agent, machine.keepalived
            router = None if agent is None else agent.router
            is_wrong = (
                agent is not None
                and router is not None
                and not agent.is_stopped
                and not agent.is_dead
                and machine.disk.slow_ns == 0
                and is_redundant(router.state)
                and router.role is Role.MASTER
                and (keepalived is None or keepalived.state_of_carrier() is not VrrpState.MASTER)
            )
            if not is_wrong:
                self._wrong_role_since.pop(name, None)
                continue
            since = self._wrong_role_since.setdefault(name, self.world.now_ns)
            allowed_ns = 0 if keepalived is None else _ROLE_LATE_NS
            if self.world.now_ns - since > allowed_ns:
                self.findings.violate(
                    "role", f"{name} says that it is master since {since / MS:.0f} ms, and keepalived does not"
                )
