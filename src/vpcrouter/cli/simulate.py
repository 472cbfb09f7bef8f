"""`simulate`: bursts against a simulated pair, and the smallest case that breaks it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpcrouter.cli.output import fail, note, options, say, say_json, say_listing

if TYPE_CHECKING:
    from vpcrouter.simulation.case import Case
    from vpcrouter.simulation.pair import Report
    from vpcrouter.simulation.recording import RoleStep
    from vpcrouter.simulation.search import Figures, Finding
    from vpcrouter.simulation.strategies import Command

_SHOWN = 120
"""Characters of a line of a case on the screen; the file has all of it."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("simulate")(simulate)


def simulate(
    ctx: typer.Context,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]…", help="What comes after the first --commands FILE.")
    ] = None,
    bursts: Annotated[int, typer.Option("--bursts", min=1, help="How many to try.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="The same seed tries the same bursts.")] = 1,
    faults: Annotated[
        str, typer.Option("--faults", metavar="NAMES", help="Kinds of faults with commas between, or all, or none.")
    ] = "all",
    commands: Annotated[
        list[Path] | None,
        typer.Option(
            "--commands",
            metavar="FILE [FILE]…",
            help="Your command files, in order; or a folder with the folders rA and rB.",
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="PATH",
            help="Run this one case and tell what happened; or what two real routers did, from a folder with their"
            " journals as rA and rB.",
        ),
    ] = None,
    save: Annotated[
        Path, typer.Option("--save", metavar="FILE", help="Where a case that breaks the pair is written.")
    ] = Path("broken.case"),
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Processes; 0: one for each processor.")] = 0,
    advertisement_ms: Annotated[int, typer.Option("--advertisement-ms", min=10, max=40950)] = 100,
) -> None:
    """Try bursts of commands, with faults, on two simulated routers; ends with 1 if a rule is broken.

    The agents, the journal and all that is decided are the real code; time, network, keepalived and the kernel are
    models (docs/simulation.md). What breaks is made as small as it gets, printed, and saved: --replay runs it again.

    Example: vpcrouter simulate --bursts 1000 --seed 7 --faults crash,power
    """
    try:
        from vpcrouter.simulation import strategies
    except ImportError as error:
        fail(f"{error}; pip install 'vpcrouter[simulation]'")
    if more and not commands:
        raise typer.BadParameter(f"{more[0]}: command files stand after --commands")
    if replay is not None and commands:
        raise typer.BadParameter("a case has commands of its own: --replay or --commands, not both")
    if replay is not None:
        _replay(replay, advertisement_ms, as_json=options(ctx).json)
        return
    from vpcrouter.simulation.search import Plan

    chosen = {"all": strategies.FAULTS, "none": ()}.get(faults, tuple(faults.split(",")))
    if unknown := [name for name in chosen if name not in strategies.FAULTS]:
        raise typer.BadParameter(f"{', '.join(unknown)}: no such fault; there are {', '.join(strategies.FAULTS)}")
    plan = Plan(
        bursts=bursts,
        seed=seed,
        faults=chosen,
        burst=_burst([*commands, *(more or ())]) if commands else None,
        advertisement_ms=advertisement_ms,
    )
    figures, finding, seconds = _search(plan, jobs or os.cpu_count() or 1, quiet=options(ctx).json)
    if finding is not None:
        _save(finding, save)
        _draw(finding.case, finding.report, save)
    summary = _summary(figures, seconds)
    if options(ctx).json:
        say_json({**summary, "violations": _words(finding), "case": None if finding is None else str(save)})
    else:
        say_listing(summary)
        if finding is not None:
            _tell(finding, save)
        else:
            say("no rule was broken")
    if finding is not None:
        sys.exit(1)


def _search(plan: Any, jobs: int, *, quiet: bool) -> tuple[list[Figures], Finding | None, float]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from vpcrouter.simulation.search import search_blocks

    figures: list[Figures] = []
    finding = None
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("bursts", total=plan.bursts)
        for found in search_blocks(plan, jobs):
            figures += found.figures
            progress.advance(task, len(found.figures))
            finding = finding or found.finding
    return figures, finding, time.monotonic() - began


def _burst(paths: list[Path]) -> tuple[Command, ...]:
    """The files as commands; in a folder with rA and rB, the n-th file of both is one command."""
    from vpcrouter.simulation.case import ROUTERS
    from vpcrouter.simulation.strategies import Command

    if len(paths) == 1 and paths[0].is_dir():
        folders = {router: paths[0] / router for router in ROUTERS}
        files = {router: sorted(folder.iterdir()) if folder.is_dir() else [] for router, folder in folders.items()}
        if not files["rA"] or len({len(each) for each in files.values()}) > 1:
            raise typer.BadParameter(f"{paths[0]}: needs the folders rA and rB with equally many command files")
    else:
        files = dict.fromkeys(ROUTERS, paths)
    try:
        return tuple(
            Command("_".join(first.name.split()), {"rA": first.read_text("utf-8"), "rB": second.read_text("utf-8")})
            for first, second in zip(files["rA"], files["rB"], strict=True)
        )
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error)) from None


def _replay(path: Path, advertisement_ms: int, *, as_json: bool) -> None:
    from vpcrouter.simulation.case import ROUTERS, loads
    from vpcrouter.simulation.pair import run
    from vpcrouter.simulation.recording import recorded_case, recorded_roles

    before: tuple[RoleStep, ...] = ()
    if path.is_dir():
        journals = {router: path / router for router in ROUTERS}
        case, before = recorded_case(journals, advertisement_ms=advertisement_ms), recorded_roles(journals)
    else:
        try:
            case = loads(path.read_text("utf-8"), name=str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(str(error)) from None
    report = run(case)
    picture = _draw(case, report, path) if report.violations else None
    if as_json:
        say_json({**_report(report), "recorded_roles": _roles(before)})
    else:
        for line in report.trace:
            note(line)
        for line in _roles(before):
            say_listing({"recorded": line})
        say_listing(_report(report))
        if picture is not None:
            say_listing({"timeline": picture})
    if report.violations:
        sys.exit(1)


def _report(report: Report) -> dict[str, Any]:
    return {
        "violations": [str(each) for each in report.violations],
        "settle_ms": report.settle_ms,
        "master": report.master,
        "keepalived_reloads": report.reloads,
        "role_changes": report.role_changes,
        "roles": _roles(report.roles),
        "outages": [f"{each.tier} {each.length_ms:g} ms from {each.from_ms:g} ms" for each in report.outages],
        "double_master_ms": report.double_master_ms,
        "lost_connections": report.lost_connections,
        "passed_over": list(report.unknown),
    }


def _roles(steps: tuple[RoleStep, ...]) -> list[str]:
    return [f"{each.at_ms:.0f} ms {each.router} {each.role}" for each in steps]


def _summary(figures: list[Figures], seconds: float) -> dict[str, Any]:
    from vpcrouter.simulation.search import percentile

    settled = [each.settle_ms for each in figures if each.settle_ms is not None]
    return {
        "bursts": len(figures),
        "seconds": round(seconds, 1),
        "commands": sum(each.commands for each in figures),
        "faults": sum(each.faults for each in figures),
        "settle_p50_ms": percentile(settled, 0.5),
        "settle_p99_ms": percentile(settled, 0.99),
        "settle_max_ms": max(settled, default=0.0),
        "keepalived_reloads": sum(each.reloads for each in figures),
        "role_changes": sum(each.role_changes for each in figures),
        "bursts_with_outage": sum(each.outage_ms > 0 for each in figures),
        "longest_outage_ms": max((each.outage_ms for each in figures), default=0.0),
        "bursts_with_lost_connections": sum(each.lost_connections > 0 for each in figures),
        "longest_double_master_ms": max((each.double_master_ms for each in figures), default=0.0),
    }


def _words(finding: Finding | None) -> list[str]:
    return [] if finding is None else [str(each) for each in finding.violations]


def _save(finding: Finding, path: Path) -> None:
    from vpcrouter.simulation.case import dumps

    head = "".join(f"# {each}\n" for each in finding.violations)
    try:
        path.write_text(head + dumps(finding.case), "utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}")


def _draw(case: Case, report: Report, path: Path) -> Path:
    """Draw what happened, beside the file of the case."""
    from vpcrouter.simulation.picture import recording
    from vpcrouter.timeline import draw

    picture = path.with_suffix(".svg")
    try:
        picture.write_text(draw(recording(case, report)), "utf-8")
    except OSError as error:
        fail(f"{picture}: {error.strerror}")
    return picture


def _tell(finding: Finding, path: Path) -> None:
    from vpcrouter.simulation.case import dumps

    say(f"\nbroken after {finding.tried} bursts of its block; the smallest case that was found:\n")
    for line in dumps(finding.case).splitlines():
        say("  " + (line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"))
    say("")
    for each in finding.violations:
        say(str(each))
    say(f"\nvpcrouter simulate --replay {path}   runs it again")
    say(f"vpcrouter lab replay {path}          runs it on real daemons")
    say(f"{path.with_suffix('.svg')} shows what happened")
