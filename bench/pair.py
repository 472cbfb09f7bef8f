"""The main job on a real pair in the laboratory: a burst to both routers, a move of the carrier, the master's crash.

The peer's figures are quoted, for its scripts do not run here: CloudStack's main branch of July 2026 with real
keepalived and conntrackd, on a machine with two cores, the same kinds of commands in the same number. Ours are the
medians of whole laboratories, each built anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import frozen

from bench.row import NotMeasuredError, Reach, Row
from vpcrouter.errors import MissingProgramError
from vpcrouter.lab.burst import BurstReport, Files, burst_files, run_burst
from vpcrouter.lab.demo import split_at_first_tier
from vpcrouter.lab.drill import READY_S, is_ready
from vpcrouter.lab.failover import fail_over, is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import OUTSIDE
from vpcrouter.lab.load import burst_of, write_files
from vpcrouter.lab.probing import Probe, Target
from vpcrouter.lab.provision import Provisioner, five_tiers, tier_of

_FILES = Path(__file__).resolve().parent.parent / "examples" / "burst"
_MANY = 1_000
_PREFIX = "bench"
_QUOTED = "CloudStack (quoted)"
_PAIR_S = 15.0
_QUIET_S = 0.3
_LOWEST, _NEXT = "eth2", "eth3"
_GUEST = "vm4"
"""Of a tier that nothing happens to."""


@frozen
class _Figures:
    burst_ms: float
    removed_ms: float
    added_ms: float
    outage_ms: float


def rows(smoke: bool) -> Iterable[Row]:
    """Fifteen commands to each router, a move there and back, everything from the first boot, and two crashes."""
    if os.geteuid() != 0:
        raise NotMeasuredError("the laboratory needs root")
    rounds = 1 if smoke else 3
    try:
        bursts = [_fifteen_and_moves_and_crash() for _ in range(rounds)]
        boots = [_from_first_boot() for _ in range(rounds)]
        fast = [_crash_at_10_ms() for _ in range(rounds)]
        large = [_thousand_more() for _ in range(rounds)]
    except MissingProgramError as error:
        raise NotMeasuredError(str(error)) from None
    yield Row(
        what="15 commands to each of two routers that serve one tier, applied and verified",
        peer_name=_QUOTED,
        peer=21_500,
        ours=median(each.burst_ms for each in bursts),
        reach=Reach(at_most=250),
    )
    yield Row(
        what=f"{_MANY:,} commands to each of two routers that serve, applied and verified",
        ours=median(large),
        reach=Reach(at_most=2_000),
    )
    yield Row(
        what="a whole configuration to each from first boot, until one serves (ours 40 commands, the peer's 58)",
        peer_name=_QUOTED,
        peer=66_000,
        ours=median(boots),
        reach=Reach(at_most=1_000),
    )
    yield Row(
        what="lowest tier removed on both, longest outage seen by a guest of another tier",
        peer_name=_QUOTED,
        peer=6_600,
        ours=max(each.removed_ms for each in bursts),
        reach=Reach(at_most=0),
    )
    yield Row(
        what="a lower tier added on both, longest outage seen by a guest of another tier",
        peer_name=_QUOTED,
        peer=3_600,
        ours=max(each.added_ms for each in bursts),
        reach=Reach(at_most=0),
    )
    yield Row(
        what="crash of the master, outage seen by a guest, advertisements every 100 ms",
        peer_name=f"{_QUOTED}, every 1 s",
        peer=3_700,
        ours=median(each.outage_ms for each in bursts),
        reach=Reach(at_most=400),
    )
    yield Row(
        what="crash of the master, outage seen by a guest, advertisements every 10 ms",
        ours=median(fast),
        reach=Reach(at_most=60),
    )


def _fifteen_and_moves_and_crash() -> _Figures:
    with _laboratory(100) as laboratory, TemporaryDirectory() as directory:
        boot, _ = split_at_first_tier(burst_files(_FILES))
        _burst(laboratory, boot)
        assert laboratory.wait(is_ready, READY_S), laboratory.status()
        report = _burst(laboratory, write_files(five_tiers(_FILES), Path(directory)))
        _burst(laboratory, burst_files(_FILES))
        removed_ms, added_ms = (
            _move_ms(laboratory, add=add, ends_on=on) for add, on in ((False, _NEXT), (True, _LOWEST))
        )
        return _Figures(_verified_ms(report), removed_ms, added_ms, _outage_ms(laboratory))


def _move_ms(laboratory: Laboratory, *, add: bool, ends_on: str) -> float:
    """The longest time without an answer to the probes of 1 ms, until both carry on that tier."""
    assert laboratory.wait(is_ready, READY_S), laboratory.status()
    with Probe(laboratory, _GUEST, Target.parse(OUTSIDE)) as probing:
        time.sleep(_QUIET_S)
        Provisioner(laboratory).put_both(tier_of(_FILES, _LOWEST, add=add))
        assert laboratory.wait(
            lambda status: is_pair(status) and all(each["interface"] == ends_on for each in status.values()), _PAIR_S
        ), laboratory.status()
        time.sleep(_QUIET_S)
        return probing.stop().longest_outage_ms


def _from_first_boot() -> float:
    with _laboratory(100) as laboratory:
        report = _burst(laboratory, burst_files(_FILES))
        assert report.serving_ms is not None
        return report.serving_ms


def _thousand_more() -> float:
    with _laboratory(100) as laboratory, TemporaryDirectory() as directory:
        _burst(laboratory, burst_files(_FILES))
        return _verified_ms(_burst(laboratory, write_files(burst_of(_MANY), Path(directory))))


def _crash_at_10_ms() -> float:
    with _laboratory(10) as laboratory:
        _burst(laboratory, burst_files(_FILES))
        return _outage_ms(laboratory)


@contextmanager
def _laboratory(advertisement_ms: int) -> Iterator[Laboratory]:
    with TemporaryDirectory() as directory:
        laboratory = Laboratory(_PREFIX, parent=Path(directory))
        try:
            laboratory.up(advertisement_ms=advertisement_ms)
            yield laboratory
        finally:
            laboratory.down()


def _burst(laboratory: Laboratory, files: Files) -> BurstReport:
    report = run_burst(laboratory, files)
    assert report.is_good, report
    return report


def _verified_ms(report: BurstReport) -> float:
    return max(part.from_first.verified_ms for part in report.routers.values())


def _outage_ms(laboratory: Laboratory) -> float:
    assert laboratory.wait(is_pair, _PAIR_S), laboratory.status()
    return fail_over(laboratory, "links").outage_ms
