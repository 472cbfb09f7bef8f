"""Hands the service over and back under load, and counts what guests notice.

Called by the command line and the tests. The load: guests of two tiers send probes of 1 ms to the outside and back,
and every tier has a paced TCP download. What has to be is nothing at all: no probe lost, no stream broken.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from attrs import frozen

from vpcrouter.errors import CallerError, HostError
from vpcrouter.lab.failover import serving_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import OUTSIDE
from vpcrouter.lab.probing import Probe, ProbeReport, Target, Transfer, TransferReport
from vpcrouter.lab.recorder import Recorder
from vpcrouter.timeline import Recording

READY_S = 20.0
"""How long a backup may take to be ready before the drill begins, and between two handovers."""
_PROBED_TIERS = 2
"""More would be the load of a machine with two cores, not of a router."""
_BYTES_PER_S = 500_000
_BEFORE_S, _AFTER_S = 0.7, 1.0


@frozen(kw_only=True)
class HandoverReport:
    """One handover, as the router that gave the service up reports it."""

    giver: str
    taker: str | None
    """Who serves afterwards; None if nobody says so."""
    done: bool
    seconds: float
    reasons: tuple[str, ...]
    began_ns: int
    """CLOCK_MONOTONIC."""


@frozen(kw_only=True)
class DrillReport:
    """What a drill came to."""

    handovers: tuple[HandoverReport, ...]
    probes: dict[str, ProbeReport]
    """By the guest that sent them."""
    streams: dict[str, TransferReport]
    """By the guest that downloads."""
    recording: Recording
    """For a timeline."""

    @property
    def sent(self) -> int:
        """Probes sent."""
        return sum(each.sent for each in self.probes.values())

    @property
    def lost(self) -> int:
        """Probes without an answer."""
        return sum(each.lost for each in self.probes.values())

    @property
    def broken_flows(self) -> int:
        """Streams that did not survive."""
        return sum(not each.survived for each in self.streams.values())

    @property
    def longest_gap_ms(self) -> float:
        """The longest time in which all probes of a guest were lost."""
        return max((each.longest_outage_ms for each in self.probes.values()), default=0.0)

    @property
    def is_good(self) -> bool:
        """Every handover done, nothing lost, nothing broken."""
        return all(each.done and each.taker for each in self.handovers) and not self.lost and not self.broken_flows


def hand_over(laboratory: Laboratory, *, force: bool = False) -> HandoverReport:
    """Ask the master to give its service to the other router, and see who serves then."""
    giver, taker, _ = serving_pair(laboratory.status())
    began_ns = time.monotonic_ns()
    with laboratory.connect(giver) as agent:
        answer: dict[str, Any] = agent.call({"op": "handover", "force": force})
    serves = laboratory.wait(
        lambda status: (status[taker].get("role"), status[giver].get("role")) == ("master", "backup"), _AFTER_S * 3
    )
    return HandoverReport(
        giver=giver,
        taker=taker if answer["done"] and serves else None,
        done=bool(answer["done"]),
        seconds=float(answer["seconds"]),
        reasons=tuple(answer["reasons"]),
        began_ns=began_ns,
    )


def is_ready(status: dict[str, dict[str, Any]]) -> bool:
    """One master, and one backup that could take over now."""
    roles = sorted(str(each.get("role")) for each in status.values())
    return (
        roles.count("master") == 1
        and all(each.get("settled") and each.get("ready") is not False for each in status.values())
        and "backup" in roles
    )


def run_drill(laboratory: Laboratory, *, rounds: int = 2, force: bool = False) -> DrillReport:
    """Hand over `rounds` times under load. HostError if there is no pair of a master and a backup that is ready."""
    if rounds < 1:
        raise CallerError(f"{rounds} handovers are none", where="--rounds")
    serving_pair(laboratory.status())
    guests = _guests(laboratory)
    with ExitStack() as stack:
        streams = {
            guest: stack.enter_context(Transfer(laboratory, OUTSIDE, guest, bytes_per_s=_BYTES_PER_S))
            for guest in guests
        }
        _await_ready(laboratory)
        recorder = stack.enter_context(Recorder(laboratory))
        probes = {
            guest: stack.enter_context(Probe(laboratory, guest, Target.parse(OUTSIDE)))
            for guest in guests[:_PROBED_TIERS]
        }
        handovers = []
        for number in range(1, rounds + 1):
            time.sleep(_BEFORE_S)
            _await_ready(laboratory)
            laboratory.tell(f"handover {number} of {rounds}")
            with recorder.deed("handover"):
                handovers.append(hand_over(laboratory, force=force))
        time.sleep(_AFTER_S)
        reports = {guest: probe.stop() for guest, probe in probes.items()}
        return DrillReport(
            handovers=tuple(handovers),
            probes=reports,
            recording=recorder.recording(
                f"drill: {rounds} handovers", {f"{guest} → {OUTSIDE}": [each] for guest, each in reports.items()}
            ),
            streams={guest: stream.stop() for guest, stream in streams.items()},
        )


def _guests(laboratory: Laboratory) -> list[str]:
    devices = next(iter(laboratory.status().values())).get("electors", {})
    return [f"vm{device.removeprefix('eth')}" for device in sorted(devices)]


def _await_ready(laboratory: Laboratory) -> None:
    if not laboratory.wait(is_ready, READY_S):
        lacks = {router: each.get("not_ready", each.get("error")) for router, each in laboratory.status().items()}
        raise HostError(f"no backup is ready after {READY_S:g} s: {lacks}", where="lab drill")
