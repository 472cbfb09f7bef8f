"""`traffic`: a tier that both routers have and that no command touches has a way out without a gap, faults excepted."""

from __future__ import annotations

from attrs import define, field

from vpcrouter.simulation.excuses import Excuses
from vpcrouter.simulation.findings import Findings, Outage
from vpcrouter.simulation.ways import Ways
from vpcrouter.simulation.world import MS, World


@define
class Traffic:
    """What guests notice."""

    world: World
    ways: Ways
    excuses: Excuses
    findings: Findings
    outages: list[Outage] = field(factory=list)
    _up: dict[str, int] = field(factory=dict)
    """Ways with service, and since when."""
    _down: dict[str, tuple[int, frozenset[str]]] = field(factory=dict)
    """Ways that had service and have none, since when, and which machines were fit to give it then."""

    def look(self) -> None:
        """Something may have changed."""
        now = self.world.now_ns
        served = self.ways.served
        for way in [*self._up, *self._down]:
            if way not in served:
                self._up.pop(way, None)
                self._down.pop(way, None)
        for way, is_served in served.items():
            if is_served:
                began = self._down.pop(way, None)
                if began is not None:
                    self._outage(way, *began, now)
                    self._up[way] = now
                self._up.setdefault(way, now)
            elif way in self._up:
                del self._up[way]
                self._down[way] = now, self.ways.fit

    def finish(self) -> None:
        """The end: what goes on now has lasted until now."""
        for way, began in self._down.items():
            self._outage(way, *began, self.world.now_ns)

    def _outage(self, way: str, since_ns: int, fit: frozenset[str], until_ns: int) -> None:
        if until_ns == since_ns:
            return
        excused_ns = self.excuses.excused_ns(way.partition(" ")[0], since_ns, fit)
        length_ms = round((until_ns - since_ns) / MS, 2)
        is_excused = until_ns - since_ns <= excused_ns
        self.outages.append(
            Outage(tier=way, from_ms=round(since_ns / MS, 2), length_ms=length_ms, is_excused=is_excused)
        )
        if not is_excused:
            what = f"guests of {way} had no way out for {length_ms:g} ms from {since_ns / MS:.1f} ms on"
            if excused_ns:
                what += f", and faults excuse {excused_ns / MS:.0f} ms"
            self.findings.violate("traffic", what)
