"""`vpcrouter lab …`: the laboratory on the command line. Imports what a verb needs when the verb runs.

Mounted by `cli`. What it prints with `--json` is a promise to scripts; the tables are for people. What the verbs
share is in `console`.
"""

from __future__ import annotations

import os
import signal
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from attrs import asdict

from vpcrouter.lab.console import (
    GENERAL,
    Advertisement,
    Directory,
    Json,
    Port,
    Prefix,
    answer,
    milliseconds,
    opened,
    print_table,
    removed_words,
    say,
    say_json,
    wants_json,
)
from vpcrouter.lab.watching import TimelineFile, soak
from vpcrouter.lab.watching import timeline as draw_timeline

_HELP = """Two to four real routers, an Internet host and eight guests out of network namespaces on this machine (root).

Nodes: rA and rB (the routers: eth0 control, eth1 public, eth2 … eth9 tiers), ext (203.0.113.1, 198.51.100.1),
vm2 … vm9 (10.1.N.100 on tier ethN) and sw (the switch, bridges br0 … br9).

\b
  vpcrouter lab up
  vpcrouter lab burst examples/burst
  vpcrouter lab probe vm2 ext --seconds 5
  vpcrouter lab failover
  vpcrouter lab reboot both
  vpcrouter lab down
"""

app = typer.Typer(name="lab", no_args_is_help=True, help=_HELP, rich_markup_mode=None)


class Crash(Enum):
    """How a failover crashes the master."""

    links = "links"
    kill = "kill"
    namespace = "namespace"


class Which(Enum):
    """The routers of a reboot."""

    rA = "rA"  # noqa: N815  (a name of the laboratory)
    rB = "rB"  # noqa: N815
    rC = "rC"  # noqa: N815
    rD = "rD"  # noqa: N815
    both = "both"


@app.callback()
def defaults(ctx: typer.Context, prefix: Prefix = None, directory: Directory = None) -> None:
    """Options of every verb; they may stand after the verb as well."""
    ctx.meta[GENERAL] = (prefix, directory)


@app.command()
def up(
    ctx: typer.Context,
    advertisement_ms: Advertisement = 100,
    routers: Annotated[int, typer.Option("--routers", min=2, max=4, help="Three: with rC; four: with rD.")] = 2,
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Build the laboratory and start the agents; what an earlier one left is removed first.

    Example: vpcrouter lab up --advertisement-ms 30
    """
    with opened(ctx, prefix, directory) as laboratory:
        leftovers = laboratory.up(advertisement_ms=advertisement_ms, routers=routers)
        names, where = laboratory.names, laboratory.directory
    if wants_json(ctx, json_):
        say_json({"prefix": names.prefix, "directory": str(where), "cleared_leftovers": bool(leftovers)})
        return
    if leftovers:
        say(f"removed what an earlier laboratory left: {removed_words(leftovers)}")
    say(f"laboratory {names.prefix!r} is up, its files are in {where}")


@app.command()
def down(ctx: typer.Context, prefix: Prefix = None, directory: Directory = None, json_: Json = False) -> None:
    """Remove the laboratory: its namespaces, every process in them, its files. Fine if there is none."""
    from attrs import asdict

    with opened(ctx, prefix, directory) as laboratory:
        removed = laboratory.down()
    if wants_json(ctx, json_):
        say_json(asdict(removed))
    else:
        say(f"removed {removed_words(removed)}" if removed else "there was nothing to remove")


@app.command()
def burst(
    ctx: typer.Context,
    files: Annotated[Path, typer.Argument(metavar="DIR", help="Has the folders rA and rB with numbered files.")],
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Send command files to both routers in parallel, in order, and time it.

    Exit 1 if a command was rejected, a router did not settle, or the two ended with different digests.

    Example: vpcrouter lab burst examples/burst --json
    """
    from attrs import asdict

    from vpcrouter.lab.burst import burst_files, run_burst
    from vpcrouter.lab.tables import burst_table

    with opened(ctx, prefix, directory) as laboratory:
        report = run_burst(laboratory, burst_files(files))
    if wants_json(ctx, json_):
        say_json(asdict(report))
    else:
        print_table(burst_table(report))
        for router, part in report.routers.items():
            for rejection in part.rejections:
                say(f"{router} rejected {rejection['file']}: {rejection['error']}")
            if part.error:
                say(f"{router} stopped after {part.commands} commands: {part.error}")
            for difference in part.differences:
                say(f"{router} did not settle: {difference}")
    answer(report.is_good)


@app.command()
def submit(
    ctx: typer.Context,
    router: Annotated[str, typer.Argument(metavar="rA|rB")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Command files.")],
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Annotated[bool, typer.Option("--json", help="It prints JSON anyway.")] = False,
) -> None:
    """Send command files to one router; prints one JSON line for each command. Exit 1 if one was rejected.

    Example: vpcrouter lab submit rA examples/burst/rA/002-guest_network.json
    """
    from vpcrouter.client import read_command_file
    from vpcrouter.lab.layout import check_router

    with opened(ctx, prefix, directory) as laboratory:
        texts = [(path.name, read_command_file(path)) for path in files]
        with laboratory.connect(check_router(router)) as client:
            lines = [line for name, text in texts for line in client.submit(name, text)]
    for line in lines:
        say_json(line)
    answer(all(line["status"] != "rejected" for line in lines))


@app.command(
    "exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def execute(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE", help="rA, rB, ext, sw or vm2 … vm9.")],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND…")],
    prefix: Prefix = None,
    directory: Directory = None,
) -> None:
    """Run a command in a node, with its exit status. Options of ours stand before NODE.

    Example: vpcrouter lab exec vm2 ping -c 3 203.0.113.1
    """
    with opened(ctx, prefix, directory) as laboratory:
        # `exec NODE -- COMMAND` too: what stands before COMMAND is ours, and the parser leaves the dashes.
        words, environment = laboratory.command_line(node, command[1:] if command[0] == "--" else command)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    os.execvpe(words[0], words, environment)  # noqa: S606  (a list of words, no shell)


@app.command()
def status(ctx: typer.Context, prefix: Prefix = None, directory: Directory = None, json_: Json = False) -> None:
    """Show what both routers say of themselves. Exit 1 if one does not answer."""
    from vpcrouter.lab.tables import status_table

    with opened(ctx, prefix, directory) as laboratory:
        both = laboratory.status()
        cuts = laboratory.record.cuts
    if wants_json(ctx, json_):
        say_json(both)
    else:
        print_table(status_table(both))
        for port, how in cuts.items():
            say(f"cut ({how}): {port}")
    answer(all("error" not in each for each in both.values()))


@app.command()
def failover(
    ctx: typer.Context,
    how: Annotated[
        Crash,
        typer.Option(
            "--how",
            help="links: cut off, both go on running; kill: every process and the links; namespace: it is gone.",
        ),
    ] = Crash.links,
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Crash the master while a guest sends probes of 1 ms, and measure. Exit 1 if nobody took over.

    The crashed router stays so until `lab heal` (everything whole again) or `lab reboot`.

    Example: vpcrouter lab failover --how kill --json
    """
    from attrs import asdict

    from vpcrouter.lab.failover import fail_over
    from vpcrouter.lab.tables import failover_table

    with opened(ctx, prefix, directory) as laboratory:
        result = fail_over(laboratory, how.value)
    if wants_json(ctx, json_):
        say_json(asdict(result))
    else:
        print_table(failover_table(result))
    answer(result.new_master is not None)


@app.command()
def drill(
    ctx: typer.Context,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=1000, help="So many handovers, there and back.")] = 2,
    force: Annotated[bool, typer.Option("--force", help="Even if the backup is not ready.")] = False,
    timeline: TimelineFile = None,
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Hand the service over and back under load: probes of 1 ms and a download on every tier. Exit 1 if any is lost.

    Example: vpcrouter lab drill --rounds 4 --json
    """
    from attrs import asdict

    from vpcrouter.lab.drill import run_drill
    from vpcrouter.lab.tables import drill_table

    with opened(ctx, prefix, directory) as laboratory:
        report = run_drill(laboratory, rounds=rounds, force=force)
    if timeline is not None:
        from vpcrouter.timeline import draw

        timeline.write_text(draw(report.recording))
    if wants_json(ctx, json_):
        totals = {name: getattr(report, name) for name in ("sent", "lost", "broken_flows", "longest_gap_ms", "is_good")}
        say_json({**totals, **asdict(report)})
    else:
        print_table(drill_table(report))
    answer(report.is_good)


@app.command()
def reboot(
    ctx: typer.Context,
    which: Annotated[Which, typer.Argument(metavar="rA|rB|both")],
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Kill a router, rebuild its namespace, start its agent on the same journal. Exit 1 if it does not settle.

    Example: vpcrouter lab reboot both
    """
    from attrs import asdict

    from vpcrouter.lab.layout import ROUTERS
    from vpcrouter.lab.tables import reboot_table

    routers = ROUTERS if which is Which.both else (which.value,)
    with opened(ctx, prefix, directory) as laboratory:
        done = laboratory.reboot(routers)
    if wants_json(ctx, json_):
        say_json({router: asdict(each) for router, each in done.items()})
    else:
        print_table(reboot_table(done))
    answer(all(each.settled for each in done.values()))


@app.command()
def replay(
    ctx: typer.Context,
    case: Annotated[Path, typer.Argument(metavar="FILE", help="A case, as `simulate` writes them.")],
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Run a case of the simulator on the real daemons; ends with 1 if the pair does not come to rest.

    It uses a laboratory of its own (prefix vpcreplay), which is removed at the end, whatever happens.

    Example: vpcrouter lab replay broken.case
    """
    from vpcrouter.lab.replay import replay_alone
    from vpcrouter.simulation.case import loads

    try:
        wanted = loads(case.read_text("utf-8"), name=str(case))
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error)) from None
    with opened(ctx, prefix or ctx.meta[GENERAL][0] or "vpcreplay", directory) as laboratory:
        result = replay_alone(laboratory, wanted)
    if wants_json(ctx, json_):
        say_json(asdict(result))
    else:
        for step in result.roles:
            say(f"{step.at_ms:>9.1f} ms  {step.router}  {step.role}")
        for each in result.hits:
            say(each)
        for each in result.left_out:
            say(f"left out: {each}")
        say("at rest: one master, one backup" if result.rests else "not at rest")
    if not result.rests:
        sys.exit(1)


@app.command()
def cut(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE")],
    iface: Annotated[str, typer.Argument(metavar="IFACE")],
    silent: Annotated[bool, typer.Option("--silent", help="Keep the carrier, as behind a second switch.")] = False,
    prefix: Prefix = None,
    directory: Directory = None,
) -> None:
    """Pull the cable of a device out of the switch; the device loses its carrier.

    Example: vpcrouter lab cut rA eth2 --silent
    """
    with opened(ctx, prefix, directory) as laboratory:
        laboratory.cut(node, iface, silent=silent)


@app.command()
def heal(
    ctx: typer.Context,
    node: Annotated[str | None, typer.Argument(metavar="[NODE]")] = None,
    iface: Annotated[str | None, typer.Argument(metavar="[IFACE]")] = None,
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Plug cut cables in again: one, those of a node, or all. With all, routers that crashed are rebooted.

    Example: vpcrouter lab heal rA eth2
    """
    with opened(ctx, prefix, directory) as laboratory:
        mended = laboratory.heal(node, iface)
    if wants_json(ctx, json_):
        say_json({"mended": mended})
    else:
        say(f"mended {', '.join(mended)}" if mended else "nothing was cut")


@app.command()
def probe(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="A node.")],
    to: Annotated[str, typer.Argument(metavar="TO", help="A host of the laboratory, or an IPv4 address.")],
    interval: Annotated[str, typer.Option("--interval", metavar="TIME", help="Such as 1ms, 500us, 1s.")] = "1ms",
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", min=0.01, help="How long.")] = 10.0,
    port: Port = 0,
    answerer: Annotated[
        str, typer.Option("--answerer", metavar="NODE", help="Who answers, where TO is a translated address.")
    ] = "",
    answerer_port: Annotated[
        int, typer.Option("--answerer-port", min=0, max=65535, help="Its port, if not that of --port.")
    ] = 0,
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Send numbered UDP probes and count the answers: loss, and every outage window. Lost either way is lost.

    Examples: vpcrouter lab probe vm2 ext --interval 1ms --seconds 10 --json;
    vpcrouter lab probe ext 203.0.113.11 --port 8000 --answerer vm2 --answerer-port 80
    """
    from attrs import asdict

    from vpcrouter.lab.probing import Probe, Target
    from vpcrouter.lab.tables import probe_table

    interval_ms = milliseconds(interval)
    count = max(1, round(seconds * 1000 / interval_ms))
    with opened(ctx, prefix, directory) as laboratory:
        target = Target.parse(to, port=port, answerer=answerer, answerer_port=answerer_port)
        with Probe(laboratory, source, target, interval_ms=interval_ms, count=count) as under_way:
            laboratory.tell(f"{count} probes from {source} to {to}, {seconds:g} s")
            report = under_way.wait()
    if wants_json(ctx, json_):
        say_json({**asdict(report), "from": source, "to": to, "round_trip": True})
    else:
        print_table(probe_table(source, to, report))


@app.command()
def demo(
    ctx: typer.Context,
    files: Annotated[
        Path | None, typer.Option("--burst", metavar="DIR", help="The burst.  [default: examples/burst]")
    ] = None,
    advertisement_ms: Advertisement = 100,
    prefix: Prefix = None,
    directory: Directory = None,
    json_: Json = False,
) -> None:
    """Show the whole thing: burst, failover under a download, reboot of both. Exit 1 if something did not hold.

    It uses a laboratory of its own (prefix vpcdemo), which is removed at the end, whatever happens.
    """
    from vpcrouter.lab.demo import find_burst, run_demo
    from vpcrouter.lab.tables import demo_table

    with opened(ctx, prefix or ctx.meta[GENERAL][0] or "vpcdemo", directory) as laboratory:
        result = run_demo(laboratory, find_burst(files), advertisement_ms=advertisement_ms)
    if wants_json(ctx, json_):
        say_json(result.as_dict())
    else:
        print_table(demo_table(result))
    answer(result.holds)


app.command()(soak)
app.command("timeline")(draw_timeline)
