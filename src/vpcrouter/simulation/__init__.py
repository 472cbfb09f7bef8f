"""A pair of routers in virtual time: the real agent, journal and plans in a modelled world. See docs/simulation.md.

    from vpcrouter.simulation import loads, run

    report = run(loads(Path("burst.case").read_text()))
    assert not report.violations, report.violations

World, clock and threads are in `world`, asyncio's loop in `loop`; the models are `keepalived`, `kernel_model`, `disk`
and `network`; `appliers` and `host` put the real code onto a simulated `machine`; `pair` runs a `case`, and `watch`
says what must never be so.
"""

from vpcrouter.simulation.case import Case, dumps, loads
from vpcrouter.simulation.findings import Outage, Violation
from vpcrouter.simulation.pair import Pair, Report, run
from vpcrouter.simulation.recording import RoleStep, recorded_case, recorded_roles
from vpcrouter.simulation.world import SimulationError

__all__ = [
    "Case",
    "Outage",
    "Pair",
    "Report",
    "RoleStep",
    "SimulationError",
    "Violation",
    "dumps",
    "loads",
    "recorded_case",
    "recorded_roles",
    "run",
]
