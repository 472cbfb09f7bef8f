"""The laboratory's results as tables for people. Called by `commands`; it computes nothing but text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from vpcrouter.lab.burst import BurstReport
    from vpcrouter.lab.demo import DemoResult
    from vpcrouter.lab.drill import DrillReport
    from vpcrouter.lab.failover import Failover
    from vpcrouter.lab.laboratory import Rebooted
    from vpcrouter.lab.probing import Outage, ProbeReport
    from vpcrouter.lab.soak import SoakReport
    from vpcrouter.lab.verdict import Finding


def burst_table(report: BurstReport) -> Table:
    """A column for each router."""
    parts = report.routers
    table = Table("", *parts, title="burst")
    rows: list[tuple[str, list[Any]]] = [
        ("commands", [part.commands for part in parts.values()]),
        (
            "accepted / unchanged / rejected",
            [f"{part.accepted} / {part.unchanged} / {part.rejected}" for part in parts.values()],
        ),
        ("last durable after", [f"{part.from_first.durable_ms:.0f} ms" for part in parts.values()]),
        ("applied after", [f"{part.from_first.applied_ms:.0f} ms" for part in parts.values()]),
        ("verified after", [f"{part.from_first.verified_ms:.0f} ms" for part in parts.values()]),
        ("verified after the last command", [f"{part.from_last.verified_ms:.0f} ms" for part in parts.values()]),
        (
            "keepalived starts / reloads",
            [f"{part.keepalived_starts} / {part.keepalived_reloads}" for part in parts.values()],
        ),
        ("role changes", [part.role_changes for part in parts.values()]),
        ("settled", [_yes(part.settled) for part in parts.values()]),
        ("digest", [part.digest[:16] for part in parts.values()]),
    ]
    for label, cells in rows:
        table.add_row(label, *map(str, cells))
    table.caption = "equal digests" if report.equal_digests else "the digests DIFFER"
    if report.serving_ms is not None:
        table.caption += f"; {report.master} serves after {report.serving_ms:.0f} ms"
    return table


def status_table(both: dict[str, dict[str, Any]]) -> Table:
    """A column for each router."""
    table = Table("", *both, title="routers")
    for name in ("role", "interface", "seq", "digest", "settled", "error"):
        cells = [each.get(name) for each in both.values()]
        if any(cell is not None for cell in cells):
            table.add_row(name, *(str("-" if cell is None else cell) for cell in cells))
    for name in ("pending", "faults", "drift"):
        table.add_row(name, *(str(len(each.get(name, ()))) for each in both.values()))
    return table


def failover_table(result: Failover) -> Table:
    """One row for each figure."""
    table = Table("", "", title=f"failover ({result.how})", show_header=False)
    table.add_row("crashed", result.crashed)
    table.add_row("new master", result.new_master or "nobody took over")
    if result.reported_ms is not None:
        table.add_row("it says so after", f"{result.reported_ms:.0f} ms")
    table.add_row("outage", f"{result.outage_ms:.0f} ms")
    table.add_row("windows, after the crash", _windows(result.outages))
    table.add_row("probes sent / lost", f"{result.probe.sent} / {result.probe.lost}")
    return table


def drill_table(report: DrillReport) -> Table:
    """One row for each handover, then one for each figure."""
    table = Table("", "", title="drill: the service is handed over under load", show_header=False)
    for each in report.handovers:
        end = f"{each.seconds * 1000:.0f} ms" if each.done else "; ".join(each.reasons)
        table.add_row(f"{each.giver} → {each.taker or 'nobody'}", end)
    table.add_row("probes sent / lost", f"{report.sent} / {report.lost}")
    for guest, probe in report.probes.items():
        if probe.outages:
            table.add_row(f"outages of {guest}", _windows(probe.outages))
    table.add_row("longest gap", f"{report.longest_gap_ms:.1f} ms")
    table.add_row("streams / broken", f"{len(report.streams)} / {report.broken_flows}")
    longest_ms = max((each.longest_pause_ms for each in report.streams.values()), default=0.0)
    table.add_row("longest pause of a stream", f"{longest_ms:.0f} ms")
    return table


def soak_tables(report: SoakReport) -> list[Table]:
    """The figures; then a row for each outage and each time of two masters."""
    figures = Table("", "", title=f"soak: {report.seconds:.0f} s, {len(report.steps)} steps, seed {report.seed}")
    figures.show_header = False
    for name, sent in report.sent.items():
        figures.add_row(f"{name}: probes sent / lost", f"{sent} / {report.lost[name]}")
    figures.add_row("outages / that may not be", f"{len(report.outages)} / {_bad(report.outages)}")
    figures.add_row("double-master time, partitions included", f"{report.double_master_ms:.0f} ms")
    figures.add_row("times of two masters that may not be", str(_bad(report.both_serve)))
    figures.add_row("at the end", "; ".join(report.problems) or "one master, ready backup, as at the beginning")
    if not report.outages and not report.both_serve:
        return [figures]
    findings = Table("at", "who", "length", "lost", "cause", "may cost", "", title="outages and two masters")
    for each in sorted((*report.outages, *report.both_serve), key=lambda found: found.at_s):
        mark = Text("may be", style="green") if each.may_be else Text("MAY NOT BE", style="red bold")
        cells = (f"{each.at_s:.2f} s", each.watcher, f"{each.length_ms:.1f} ms", str(each.lost), each.cause or "none")
        findings.add_row(*cells, f"{each.may_cost_ms:.0f} ms", mark)
    return [figures, findings]


def _bad(findings: tuple[Finding, ...]) -> int:
    return sum(not each.may_be for each in findings)


def reboot_table(done: dict[str, Rebooted]) -> Table:
    """A column for each router."""
    table = Table("", *done, title="reboot")
    table.add_row("settled", *(_yes(each.settled) for each in done.values()))
    table.add_row("after", *(f"{each.seconds:.2f} s" for each in done.values()))
    table.add_row("role", *(each.role for each in done.values()))
    table.add_row("digest before", *((each.digest_before or "-")[:16] for each in done.values()))
    table.add_row("digest after", *(each.digest_after[:16] for each in done.values()))
    return table


def probe_table(source: str, to: str, report: ProbeReport) -> Table:
    """One row for each figure."""
    table = Table("", "", title=f"{source} → {to} and back", show_header=False)
    table.add_row("sent / received", f"{report.sent} / {report.received}")
    table.add_row("lost", f"{report.lost} ({report.loss_percent:g} %)")
    table.add_row("outages", _windows(report.outages))
    table.add_row("longest round trip", f"{report.max_round_trip_ms:.1f} ms")
    table.add_row("longest gap between probes", f"{report.max_gap_ms:.1f} ms")
    if report.duplicates:
        table.add_row("answered twice", str(report.duplicates))
    return table


def demo_table(result: DemoResult) -> Table:
    """One row for each thing shown, with the limit that it had to keep."""
    table = Table("", "measured", "had to be", "", title="vpcrouter: a redundant pair out of a burst of commands")
    for check in result.checks:
        mark = Text("holds", style="green") if check.holds else Text("FAILED", style="red bold")
        table.add_row(check.what, check.measured, check.wanted, mark)
    return table


def _windows(outages: tuple[Outage, ...]) -> str:
    shown = [f"{outage.start_ms:.0f} ms + {outage.length_ms:.0f} ms ({outage.lost} lost)" for outage in outages[:20]]
    if len(outages) > len(shown):
        shown.append(f"… {len(outages) - len(shown)} more")
    return "\n".join(shown) or "none"


def _yes(answer: bool) -> str:
    return "yes" if answer else "NO"
