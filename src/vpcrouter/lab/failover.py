"""Crashes the master while a guest talks through the pair, and tells how long it was cut off.

Called by the command line and the demo. The outage is what the guest sees, not what a router reports: probes of
1 ms from the guest on the VRRP interface's tier to the Internet host and back.
"""

from __future__ import annotations

import time
from itertools import permutations
from typing import Any

from attrs import frozen

from vpcrouter.errors import CallerError, HostError
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import OUTSIDE
from vpcrouter.lab.probing import Outage, Probe, ProbeReport, Target

WAYS = ("links", "kill", "namespace")
_BEFORE_S = 0.5
_AFTER_S = 1.5
_TAKE_OVER_S = 15.0
_TRIAL = 25
"""Probes that show, before the crash, that traffic passes at all."""


@frozen(kw_only=True)
class Failover:
    """One crash of a master. Times of `outages` count from the crash."""

    how: str
    crashed: str
    new_master: str | None
    reported_ms: float | None
    """From the crash until the new master's agent says so."""
    outage_ms: float
    """The longest window without an answer that was open at or after the crash."""
    outages: tuple[Outage, ...]
    probe: ProbeReport


def serving_pair(status: dict[str, dict[str, Any]]) -> tuple[str, str, str]:
    """The master, a backup and the guest on the VRRP interface's tier; HostError if there are not the two."""
    roles = {router: str(each.get("role", each.get("error"))) for router, each in status.items()}
    for master, backup in permutations(roles, 2):
        if roles[master] == "master" and roles[backup] == "backup":
            return master, backup, f"vm{str(status[master]['interface']).removeprefix('eth')}"
    said = ", ".join(f"{router} is {role}" for router, role in roles.items())
    raise HostError(
        f"there is no pair of master and backup: {said}",
        where="lab",
        hint="'lab burst' makes one, 'lab heal' mends one",
    )


def is_pair(status: dict[str, dict[str, Any]]) -> bool:
    """One master and nothing but backups beside it, all settled."""
    expected = ["backup"] * (len(status) - 1) + ["master"]
    return sorted(str(each.get("role")) for each in status.values()) == expected and all(
        each.get("settled") for each in status.values()
    )


def _master_beside(crashed: str, status: dict[str, dict[str, Any]]) -> str | None:
    return next((each for each, said in status.items() if each != crashed and said.get("role") == "master"), None)


def fail_over(laboratory: Laboratory, how: str) -> Failover:
    """Crash the master and measure. The crashed router stays crashed until `lab heal` or `lab reboot`."""
    if how not in WAYS:
        raise CallerError(f"{how!r} is no way to crash", where="--how", hint=", ".join(WAYS))
    master, _, guest = serving_pair(laboratory.status())
    target = Target.parse(OUTSIDE)
    with Probe(laboratory, guest, target, count=_TRIAL) as trial:
        if not trial.wait().received:
            raise HostError(
                f"nothing passes from {guest} to {OUTSIDE} even before the crash",
                where="lab failover",
                hint="does the tier have its configuration, and does its ACL let UDP out?",
            )
    with Probe(laboratory, guest, target) as probe:
        laboratory.tell(f"crashing {master} ({how}) while {guest} sends probes")
        time.sleep(_BEFORE_S)
        crash_ns = time.monotonic_ns()
        laboratory.crash(master, how)
        took_over = laboratory.wait(lambda status: _master_beside(master, status) is not None, _TAKE_OVER_S)
        reported_ns = time.monotonic_ns()
        time.sleep(_AFTER_S)
        report = probe.stop()
    after_ms = (crash_ns - report.started_ns) / 1e6
    outages = tuple(
        Outage(start_ms=round(outage.start_ms - after_ms, 1), length_ms=outage.length_ms, lost=outage.lost)
        for outage in report.outages
        if outage.start_ms + outage.length_ms >= after_ms
    )
    return Failover(
        how=how,
        crashed=master,
        new_master=_master_beside(master, laboratory.status()),
        reported_ms=round((reported_ns - crash_ns) / 1e6, 1) if took_over else None,
        outage_ms=max((outage.length_ms for outage in outages), default=0.0),
        outages=outages,
        probe=report,
    )
