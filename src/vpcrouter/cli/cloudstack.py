"""`cloudstack …`: drop-ins for the scripts that CloudStack's management server calls on a router."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from vpcrouter.cli.history import existing
from vpcrouter.cli.output import fail, options, say
from vpcrouter.cli.submit import open_door
from vpcrouter.client import AgentClient, find_agent, read_command_file
from vpcrouter.errors import HostError

app = typer.Typer(no_args_is_help=True, help="Drop-ins for the scripts that CloudStack calls.", rich_markup_mode=None)


@app.command("update-config")
def update_config(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The command file, such as network_acl.json.UUID.")],
    archive: Annotated[str, typer.Argument(help="`false` as CloudStack passes it; nothing is archived anyway.")] = "",
    cache: Annotated[Path, typer.Option("--cache", help="The folder of the command files.")] = Path("/var/cache/cloud"),
) -> None:
    """Take in one command file, as update_config.py does: exit status 0 means stored for good, else why not."""
    if Path(name).name != name:
        fail(f"{name!r} is not the name of a file in {cache}")
    if archive not in ("", "true", "false"):
        raise typer.BadParameter(f"{archive!r} is neither true nor false")
    data = read_command_file(cache / name)
    with open_door(options(ctx).journal) as door:
        lines = door.submit(name, data)
    for line in lines:
        for path, reason in line.get("without_effect", {}).items():
            say(f"{line['where']}: {path} has no effect: {reason}")
    refused = [line for line in lines if line["status"] == "rejected"]
    for line in refused:
        say(f"{line['where']}: {line['error']}")
    if refused:
        sys.exit(1)


@app.command("checkrouter")
def checkrouter(
    ctx: typer.Context,
    long: Annotated[bool, typer.Option("--long", help="More lines: since when, why, and the peer.")] = False,
) -> None:
    """Print the redundancy state, as checkrouter.sh does: `Status: PRIMARY`, BACKUP, FAULT or UNKNOWN."""
    from vpcrouter.cloudstack.status import router_status
    from vpcrouter.values.role import Role

    role, status, path = None, None, find_agent(options(ctx).journal)
    if path is not None:
        try:
            with AgentClient(path) as agent:
                status = agent.status()
                role = Role(status["role"])
        except HostError:
            pass  # no agent, no role: UNKNOWN
    say(router_status(role))
    if long and status is not None:
        for line in _particulars(status):
            say(line)


@app.command("netusage")
def netusage(
    ctx: typer.Context,
    address: Annotated[str, typer.Option("-l", metavar="ADDRESS", help="A public address of the router.")],
    get: Annotated[bool, typer.Option("-g", help="Print the bytes out of the VPC and into it, as `out:in:`.")] = False,
    create: Annotated[bool, typer.Option("-c", help="Nothing is to be made: what is there is counted.")] = False,
    network: Annotated[str, typer.Option("-v", metavar="CIDR", help="The VPC's network; it is known.")] = "",
) -> None:
    """Print how much was forwarded by the device of a public address, as vpc_netusage.sh does.

    The counters begin at 0 when the router boots, and nothing else resets them.
    """
    from vpcrouter.cloudstack.status import network_usage
    from vpcrouter.errors import MalformedInputError
    from vpcrouter.values import fields

    try:
        address = fields.ipv4(address, "-l")
        if network:
            fields.ipv4_network(network, "-v")
    except MalformedInputError as error:
        raise typer.BadParameter(str(error)) from None
    if get is create:
        raise typer.BadParameter("either -g or -c")
    if create:
        return
    path = find_agent(options(ctx).journal)
    if path is None:
        fail("there is no agent to ask; `vpcrouter run` starts one")
    with AgentClient(path) as agent:
        line = network_usage(address, agent.usage())
    if line is None:
        fail(f"no public device of this router has the network of {address}")
    say(line)


def _particulars(status: Mapping[str, Any]) -> Iterator[str]:
    """Since when, why, and what the peer said last."""
    from vpcrouter.machines.peer import in_words

    since = datetime.fromtimestamp(status["role_since"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield f"Since: {since}"
    yield f"Because: {status['role_reason']}"
    peer = status["peer"]
    yield f"Peer: {'never heard' if peer is None else in_words(peer, status['digest'])}"


@app.command("checks2svpn")
def checks2svpn(
    ctx: typer.Context,
    peers: Annotated[list[str], typer.Argument(metavar="PEER...", help="Addresses of the other sites' gateways.")],
) -> None:
    """Print `peer:code:text&` for each site-to-site VPN, as checkbatchs2svpn.sh does: code 0 is connected."""
    from vpcrouter.cloudstack.status import vpn_status
    from vpcrouter.values import fields

    wanted = [fields.ipv4(peer, "PEER") for peer in peers]
    path = find_agent(options(ctx).journal)
    if path is None:
        fail("no agent runs on this journal")
    with AgentClient(path) as agent:
        say(vpn_status(wanted, agent.call({"op": "tunnels"})["tunnels"]))


@app.command("monitor-results")
def print_monitor_results(
    ctx: typer.Context,
    now: Annotated[str, typer.Argument(metavar="true|false", help="`true`: compare all of the machine now.")] = "false",
) -> None:
    """Print the results of the health checks, as getRouterMonitorResults.sh does; see docs/functions.md."""
    if now not in ("true", "false"):
        raise typer.BadParameter(f"{now!r} is neither true nor false")
    journal = options(ctx).journal
    path = find_agent(journal)
    if path is not None:
        try:
            with AgentClient(path) as agent:
                say(agent.call({"op": "checkup", "now": now == "true"})["text"])
        except HostError:
            pass  # it died, or is about to: nobody knows
        else:
            return
    say(_without_agent(existing(journal)))


@app.command("alerts")
def print_alerts(
    ctx: typer.Context,
    date: Annotated[str, typer.Argument(help="Of the last alert that is known: YYYY-MM-DD.")] = "1970-01-01",
    time_of_day: Annotated[str, typer.Argument(metavar="TIME", help="HH:MM:SS.")] = "00:00:00",
) -> None:
    """Print what was repaired, failed or got well after a time (UTC), as getRouterAlerts.sh does: one line."""
    from datetime import UTC, datetime

    from vpcrouter.cloudstack.health_results import alerts

    try:
        since = datetime.strptime(f"{date} {time_of_day}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise typer.BadParameter(f"{date} {time_of_day} is no YYYY-MM-DD HH:MM:SS") from None
    found: list[tuple[float, str]] = []
    path = find_agent(options(ctx).journal)
    if path is not None:
        with AgentClient(path) as agent:
            # The server asks from the second of the last alert that it has.
            status = agent.status()
            found = [(each["time"], f"repaired {each['what']}") for each in status["drift"]]
            found += [(each["time"], each["what"]) for each in status["alerts"]]
    lines = []
    for seconds, words in sorted(found):
        if int(seconds) > since:
            when = datetime.fromtimestamp(seconds, UTC)
            lines.append((when.strftime("%Y-%m-%d %H:%M:%S"), when.microsecond // 1000, words))
    say(alerts(lines))


@app.command("filesystem-writable")
def filesystem_writable(ctx: typer.Context) -> None:
    """Write a file beside the journal and remove it, as filesystem_writable_check.py does; 1 if that fails."""
    import errno
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(dir=existing(options(ctx).journal).parent, prefix=".writable-") as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        # The words that the server looks for.
        fail("Read-only file system" if error.errno == errno.EROFS else f"not writable: {error.strerror}")


def _without_agent(journal: Path) -> str:
    """What can be told of this machine when nobody compares it with the journal."""
    import time

    from vpcrouter.appliers import machine_facts
    from vpcrouter.checkup import KINDS, check_run
    from vpcrouter.cloudstack.health_results import monitor_results
    from vpcrouter.health import Facts, judge
    from vpcrouter.past import replay
    from vpcrouter.values.monitoring import Monitoring

    start_ns = time.time_ns()
    found = machine_facts.examine(journal, ())
    facts = Facts(free_disk_mb=found.free_disk_mb, cpu_percent=found.cpu_percent, memory_percent=found.memory_percent)
    results = judge(facts, replay(journal).state.monitoring or Monitoring())
    return monitor_results(check_run(kind, results, start_ns, time.time_ns()) for kind in KINDS)
