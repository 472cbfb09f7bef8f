"""`vpcrouter lab soak` and `vpcrouter lab timeline`: a pair watched for long. Imports what a verb needs when it runs.

Mounted by `commands`, which has the rules for what it prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vpcrouter.lab.console import (
    GENERAL,
    Advertisement,
    Directory,
    Json,
    Prefix,
    answer,
    opened,
    print_table,
    say,
    say_json,
    wants_json,
)

TimelineFile = Annotated[
    Path | None, typer.Option("--timeline", metavar="FILE", help="Draw what happened over time there, as SVG.")
]


def soak(
    ctx: typer.Context,
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, max=10_000, help="How long.")] = 1.0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Which steps, in which order.  [default: another each time]")
    ] = None,
    steps: Annotated[
        str, typer.Option("--steps", metavar="STEP,…", help="These steps and no others, as a report prints them.")
    ] = "",
    files: Annotated[
        Path | None, typer.Option("--burst", metavar="DIR", help="The burst.  [default: examples/burst]")
    ] = None,
    timeline: TimelineFile = None,
    advertisement_ms: Advertisement = 100,
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Mix bursts, moves, crashes, kills, cuts, handovers and drift at random, under probes of 1 ms all the time.

    Exit 1 if something was lost that may not be lost, if both served when they could hear each other, or if the pair
    is not whole at the end. The report has every outage with its cause, and what repeats the run. It uses a laboratory
    of its own (prefix vpcsoak), which is removed at the end, whatever happens.

    Examples: vpcrouter lab soak --minutes 30 --seed 7 --timeline soak.svg;
    vpcrouter lab soak --steps burst:60+kill:agent:master:0.5@0.2,crash:kill:master:1
    """
    import secrets

    from attrs import asdict

    from vpcrouter.lab.demo import find_burst
    from vpcrouter.lab.soak import run_soak
    from vpcrouter.lab.steps import parse_steps
    from vpcrouter.lab.tables import soak_tables
    from vpcrouter.timeline import draw

    with opened(ctx, prefix or ctx.meta[GENERAL][0] or "vpcsoak", directory) as laboratory:
        report = run_soak(
            laboratory,
            find_burst(files),
            minutes=minutes,
            seed=secrets.randbelow(1_000_000) if seed is None else seed,
            steps=parse_steps(steps),
            advertisement_ms=advertisement_ms,
        )
    if timeline is not None:
        timeline.write_text(draw(report.recording))
    if wants_json(ctx, json_):
        totals = {name: getattr(report, name) for name in ("is_good", "double_master_ms")}
        say_json({**totals, **asdict(report)})
    else:
        for table in soak_tables(report):
            print_table(table)
        for problem in report.problems:
            say(problem)
        if not report.is_good:
            say(f"to repeat: vpcrouter lab soak --seed {report.seed} --steps {','.join(report.steps)}")
    answer(report.is_good)


def timeline(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the picture goes, as SVG.")],
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=86_400, help="How long to watch.")] = 10.0,
    guests: Annotated[
        str, typer.Option("--guests", metavar="NODE,…", help="Who sends a probe to the outside each millisecond.")
    ] = "vm3,vm4",
    prefix: Prefix = None,
    directory: Directory = None,
) -> None:
    """Watch the pair, whatever is done to it meanwhile, and draw it: roles, reloads, commands, outages.

    Example: vpcrouter lab timeline crash.svg --seconds 8 & sleep 2; vpcrouter lab failover; wait
    """
    from vpcrouter.lab.recorder import watch
    from vpcrouter.timeline import draw

    with opened(ctx, prefix, directory) as laboratory:
        recording = watch(laboratory, seconds, [each for each in guests.split(",") if each])
    file.write_text(draw(recording))
